"""What crosses the wire, and what is refused at submit."""

from __future__ import annotations

import functools
import json
import time

import pytest

from pyagent_orch.agents import Invocation, agent, invoke, register_agent, to_wire
from pyagent_orch.exceptions import AgentError, AgentNotFoundError, AgentNotPortableError

RUN = Invocation("task-1", "work")


@register_agent("wire agent")
def wire_agent(text):
    return text.upper()


def unregistered(text):
    return text


class Polite:
    def __call__(self, text):
        return f"please {text}"

    def method(self, text):
        return f"{text}!"


class Unhashable(Polite):
    __hash__ = None


def run(target, value="hello", *, local=True):
    return invoke(to_wire(target, local=local).json, value, RUN).output


def test_a_registered_callable_travels_by_name():
    wire = to_wire(wire_agent, local=False)
    assert json.loads(wire.json) == {"kind": "callable", "name": "wire agent"}
    assert wire.name == "wire agent"
    assert len(wire.hash) == 16
    assert wire == to_wire("wire agent", local=False)
    assert run(wire_agent, local=False) == "HELLO"


def test_a_name_travels_whether_it_is_known_here_or_not():
    assert json.loads(to_wire("elsewhere:work", local=False).json)["name"] == "elsewhere:work"
    assert to_wire("elsewhere:work", local=False).name == "work"


@pytest.mark.parametrize(
    "target",
    [unregistered, lambda text: text, Polite(), Polite().method, functools.partial(unregistered)],
    ids=["function", "lambda", "object", "method", "partial"],
)
def test_what_cannot_travel_is_refused_with_the_remedy(target):
    with pytest.raises(AgentNotPortableError, match=r"@register_agent.*PYAGENT_ORCH_AGENTS"):
        to_wire(target, local=False)


@pytest.mark.parametrize(
    ("target", "output"),
    [
        (unregistered, "hello"),
        (lambda text: text * 2, "hellohello"),
        (Polite(), "please hello"),
        (Unhashable(), "please hello"),
        (Polite().method, "hello!"),
        (functools.partial(lambda text, end: text + end, end="?"), "hello?"),
        (str.title, "Hello"),
        (len, 5),
    ],
    ids=["function", "lambda", "object", "unhashable", "method", "partial", "slot", "builtin"],
)
def test_any_callable_runs_in_its_own_process(target, output):
    assert run(target) == output


@pytest.mark.parametrize("target", [None, 5, {"instructions": "x"}, ["x"]])
def test_something_that_is_no_agent_is_refused(target):
    with pytest.raises(AgentError, match="is no agent"):
        to_wire(target, local=True)


def test_a_local_callable_has_one_key_however_often_it_is_sent():
    polite = Polite()
    assert to_wire(polite, local=True) == to_wire(polite, local=True)
    assert to_wire(polite.method, local=True) == to_wire(polite.method, local=True)
    assert to_wire(polite, local=True) != to_wire(Polite(), local=True)
    assert to_wire(polite.method, local=True) != to_wire(Polite().method, local=True)


def test_lambdas_of_one_line_share_an_entry_unless_they_differ():
    same = {to_wire(lambda text: text, local=True).json for _ in range(50)}
    assert len(same) == 1
    by_default = [to_wire(lambda _, n=n: n, local=True) for n in (1000, 2000)]
    assert [invoke(w.json, "", RUN).output for w in by_default] == [1000, 2000]

    def closing_over(n):
        return lambda _: n

    assert [run(closing_over(n)) for n in (1, 2)] == [1, 2]


def test_a_local_key_of_another_process_is_not_found():
    wire = json.dumps({"kind": "local", "key": "lambda-0123"})
    with pytest.raises(AgentNotFoundError, match="lambda-0123"):
        invoke(wire, "x", RUN)


def test_an_agent_with_a_local_tool_stays_in_its_process():
    def tool() -> int:
        """Count."""
        return 1

    made = agent("Count", tools=[tool])
    assert to_wire(made, local=True).json
    with pytest.raises(AgentNotPortableError, match="@register_tool"):
        to_wire(made, local=False)


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        ("not json", "not JSON"),
        ("[]", "kind"),
        ("{}", "kind"),
        ('{"kind":"pickle","data":"gASV"}', "kind"),
        ('{"kind":"model","spec":5}', "kind"),
        ('{"kind":"model","spec":{}}', "instructions"),
        ('{"kind":"model","spec":{"instructions":"x","name":"n","new":1}}', "unknown field 'new'"),
        ('{"kind":"callable","name":["os:system"]}', "kind"),
    ],
)
def test_a_hostile_or_newer_wire_form_is_refused_in_words(wire, problem):
    with pytest.raises(AgentError, match=problem):
        invoke(wire, "x", RUN)


@pytest.mark.parametrize("path", ["os:system", "builtins:eval", "subprocess:run"])
def test_a_message_cannot_name_just_any_function(path):
    with pytest.raises(AgentNotFoundError):
        invoke(json.dumps({"kind": "callable", "name": path}), "echo harm", RUN)


def test_a_hundred_thousand_submits_serialise_an_agent_once():
    made = agent("Be brief " * 1000)
    first = to_wire(made, local=False)
    begin = time.perf_counter()
    for _ in range(100_000):
        assert to_wire(made, local=False) is first
    # 0.02 s when measured; serialising each time would take 10 s.
    assert time.perf_counter() - begin < 2
