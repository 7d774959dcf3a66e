"""Conditions: what `when=` records at submit, and what a worker makes of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyagent_orch.exceptions import InputError
from pyagent_orch.inputs import compile_condition, evaluate_condition
from pyagent_orch.models.tasks import Task

GATHER = Task("agent", name="Gather Sources", id="g")
H = Task("agent", name="h", id="h")
NAMES = {"Gather Sources": "g", "g": "g", "h": "h"}


def path_of(function):
    return f"{function.__module__}:{function.__qualname__}"


def call(path, outputs):
    assert path == f"{__name__}:check"
    return check(outputs)


def check(outputs):
    return outputs["Gather Sources"]["n"] > 2


def compiled(when, names=NAMES):
    return compile_condition("T", when, names, resolve_path=path_of)


def decided(when, **outputs):
    return evaluate_condition(compiled(when).json, outputs, {"g": "Gather Sources"}, call)


@pytest.mark.parametrize(
    ("when", "outputs", "holds"),
    [
        (lambda: GATHER.output == "yes", {"g": "yes"}, True),
        (lambda: "yes" == GATHER.output, {"g": "no"}, False),  # noqa: SIM300
        (lambda: f"{GATHER.output}" != "yes", {"g": "yes"}, False),
        (lambda: GATHER.output["n"] < 3, {"g": {"n": 2}}, True),
        (lambda: GATHER.output["n"] <= 2, {"g": {"n": 2}}, True),
        (lambda: 3 > GATHER.output[0], {"g": [4]}, False),  # noqa: SIM300
        (lambda: GATHER.output >= H.output, {"g": "b", "h": "a"}, True),
        (lambda: GATHER.output == {"a": [1]}, {"g": {"a": [1]}}, True),
        (lambda: GATHER.output == None, {"g": None}, True),  # noqa: E711
        (lambda: GATHER.output.contains("x"), {"g": "axb"}, True),
        (lambda: GATHER.output.contains("x"), {"g": ["y"]}, False),
        (lambda: ~GATHER.output.contains("x"), {"g": {"x": 1}}, False),
        (lambda: GATHER.output["ok"], {"g": {"ok": True}}, True),
        (lambda: ~GATHER.output["ok"], {"g": {"ok": ""}}, True),
        (lambda: GATHER.output & (H.output == 1), {"g": 1, "h": 1}, True),
        (lambda: (H.output == 1) | GATHER.output, {"g": 0, "h": 2}, False),
        (lambda: GATHER.output & H.output | ~GATHER.output, {"g": 0, "h": 0}, True),
        (lambda: True, {}, True),
        (False, {}, False),
        (check, {"g": {"n": 3}}, True),
        (check, {"g": {"n": 1}}, False),
    ],
)
def test_a_condition_is_decided_by_the_outputs(when, outputs, holds):
    assert decided(when, **outputs) is holds


tree = st.recursive(
    st.tuples(st.sampled_from(["==", "<", ">="]), st.sampled_from("gh"), st.integers(0, 2)),
    lambda inner: st.tuples(st.sampled_from("&|"), inner, inner) | st.tuples(st.just("~"), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(tree, st.integers(0, 2), st.integers(0, 2))
def test_any_expression_is_decided_as_python_would(drawn, first, second):
    values = {"g": first, "h": second}
    placed = {"g": "GATHER.output", "h": "H.output"}

    def source(node, real):
        if node[0] == "~":
            return f"(not {source(node[1], real)})" if real else f"(~{source(node[1], real)})"
        if node[0] in "&|":
            word = {"&": "and", "|": "or"}[node[0]] if real else node[0]
            return f"({source(node[1], real)} {word} {source(node[2], real)})"
        left = values[node[1]] if real else placed[node[1]]
        return f"({left} {node[0]} {node[2]})"

    expected = eval(source(drawn, real=True))
    assert decided(eval(f"lambda: {source(drawn, real=False)}"), **values) is expected


def test_a_condition_tells_the_tasks_that_it_uses():
    one = compiled(lambda: (GATHER.output == 1) & ~(H.output > 2))
    assert one.references == ("g", "h")
    assert json.loads(one.json) == {
        "c": [
            "and",
            ["==", {"r": ["g"]}, {"v": 1}],
            ["not", [">", {"r": ["h"]}, {"v": 2}]],
        ]
    }


def test_a_long_row_of_conditions_is_not_a_deep_one():
    def any_of_many():
        condition = GATHER.output == 0
        for number in range(1, 5000):
            condition |= GATHER.output == number
        return condition

    assert decided(any_of_many, g=4999)
    assert not decided(any_of_many, g=5000)


def test_conditions_that_cannot_be_decided_name_the_task():
    with pytest.raises(InputError, match="Task 'Gather Sources': its output cannot be compared"):
        decided(lambda: GATHER.output > 3, g="text")
    with pytest.raises(InputError, match="Task 'Gather Sources': it has no recorded output"):
        decided(lambda: GATHER.output == 3)
    with pytest.raises(InputError, match=r"when= is of type str; give a lambda"):
        compiled("x == 1")
    with pytest.raises(InputError, match="'h', which is not in its workflow"):
        compiled(lambda: H.output == 1, {"g": "g"})


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: GATHER.output == "a" and H.output == "b", "with & | ~"),
        (lambda: 1 < GATHER.output < 5, "with & | ~"),
        (lambda: GATHER.output in ("a", "b"), "with & | ~"),
        (lambda: not GATHER.output["ok"], "`if`, `and`, `or` or `not`"),
        (lambda: "x" in GATHER.output, "`in` needs"),
        (lambda: GATHER.output == "a" & H.output, "in brackets"),
        (lambda: (GATHER.output == "a") | "b", "in brackets"),
        (lambda: (GATHER.output == "a") == True, "use ~"),  # noqa: E712
        (lambda: (GATHER.output == "a") != False, "use ~"),  # noqa: E712
        (lambda: len(GATHER.output) > 3, "len() needs"),
        (lambda: (GATHER.output + "x") == "a", "== needs"),
        (lambda: GATHER.output == object(), "object cannot be compared"),
        (lambda: GATHER.output == (H.output == 1), "with another one and with plain values"),
        (lambda: GATHER.output is None, "does not hold it"),
        (lambda: f"{GATHER.output}!", "gives str, not a comparison"),
        (lambda: "yes", "gives str, not a comparison"),
    ],
)
def test_a_condition_that_cannot_be_recorded_is_refused_with_the_remedy(function, said):
    with pytest.raises(InputError) as caught:
        compiled(function)
    assert said in str(caught.value)
    assert "`def check(outputs) -> bool: ...`" in str(caught.value)
