"""Inputs: values, templates and functions, there and back."""

from __future__ import annotations

import json
import math
import timeit
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from pyagent_orch.exceptions import AgentNotPortableError, InputError
from pyagent_orch.inputs import compile_input, render_input
from pyagent_orch.models.tasks import Task

NAMES = {"Gather Sources": "g", "g": "g", "a.b": "dots", "dots": "dots", "e": "e"}
ID_TO_NAME = {"g": "Gather Sources", "dots": "a.b", "e": "e"}
OUTPUTS = {"g": {"items": ["x", {"0": "zero"}], "n": 3, "none": None}, "dots": "text", "e": ["é"]}
GATHER = Task("agent", name="Gather Sources", id="g")
bounded = settings(max_examples=100, deadline=None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


def path_of(function):
    if function.__name__ == "<lambda>":
        raise AgentNotPortableError("T", "a lambda cannot travel")
    return f"{function.__module__}:{function.__qualname__}"


def compiled(value, names=NAMES):
    return compile_input("T", value, names, resolve_path=path_of)


def call(path, outputs):
    module, _, name = path.partition(":")
    assert module == __name__
    return globals()[name](outputs)


def filled(value, outputs=OUTPUTS):
    return render_input(compiled(value).json, outputs, ID_TO_NAME, call)


def refusal(value, names=NAMES):
    with pytest.raises(InputError) as caught:
        compiled(value, names)
    return str(caught.value)


def build(outputs):
    return f"{outputs['a.b'].upper()} of {sorted(outputs)}"


# --- plain values ----------------------------------------------------------------------


@bounded
@given(json_values)
def test_any_json_value_comes_back_as_it_was(value):
    for names in ({}, {"\x00 no such name": "x"}):
        one = compile_input("T", value, names, resolve_path=path_of)
        assert one.plain
        assert one.references == ()
        assert one.json == json.dumps({"v": value}, ensure_ascii=False, separators=(",", ":"))
        assert render_input(one.json, {}, {}, call) == value


class Colour(StrEnum):
    RED = "red"


class Point(BaseModel):
    x: int
    label: str = ""


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ((1, (2,)), [1, [2]]),
        ({1}, [1]),
        (Colour.RED, "red"),
        ({"c": Colour.RED}, {"c": "red"}),
        (Point(x=1), {"x": 1, "label": ""}),
        ([Point(x=1, label="{a.b.output}")], [{"x": 1, "label": "text"}]),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
    ],
)
def test_what_has_a_json_form_is_sent_in_it(value, sent):
    assert filled(value) == sent


@dataclass
class NotJson:
    x: int = 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (NotJson(), "input is of type NotJson, which has no JSON form"),
        ({"a": [1, {"b": object()}]}, "input['a'][1]['b'] is of type object"),
        ({"a": {1: "x"}}, "input['a'] has the key 1; keys are text"),
        ([0.0, math.nan], "input[1] has no JSON form"),
        ({"a": math.inf}, "input['a'] has no JSON form"),
        (b"bytes", "input is of type bytes"),
        ([lambda: 1], "input[0] is a function (function); only the input as a whole"),
        ({"t": GATHER}, "input['t'] is the task 'Gather Sources'; write `lambda"),
        (GATHER, "input is the task 'Gather Sources'"),
        ("a\ud800", "half a character (a lone surrogate) at position 1"),
        ({"x": ["\udfff"]}, "input['x'][0] holds half a character"),
        ({"\udfff": 1}, "input holds half a character"),
        (Point, "input=Point cannot be used"),
        (lambda a, b: a + b, "takes no argument (it is traced at submit), or one"),
        (lambda *, a: a, "takes no argument (it is traced at submit), or one"),
    ],
)
def test_what_cannot_travel_is_refused_with_its_place(value, said):
    assert said in refusal(value)
    assert said in refusal(value, {})


def test_a_value_that_holds_itself_is_refused():
    circle: list[object] = []
    circle.append(circle)
    assert "holds itself, or is nested too deep" in refusal({"x": circle})


# --- templates ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{Gather Sources.output}", OUTPUTS["g"]),
        ("{g.output}", OUTPUTS["g"]),
        ("{g.output[items][1]['0']}", "zero"),
        ('{g.output["items"][-2]}', "x"),
        ("{g.output[n]}", 3),
        ("n = {g.output[n]}; {a.b.output}.", "n = 3; text."),
        ("{e.output} {g.output[none]}", '["é"] null'),
        ("{{g.output}} {g.output[n]}", "{g.output} 3"),
        ('{"a": {g.output[n]}}', '{"a": 3}'),
        ({"k": ["{g.output[n]}", "n{g.output[n]}", 1]}, {"k": [3, "n3", 1]}),
    ],
)
def test_a_template_is_filled_from_the_outputs(template, value):
    assert filled(template) == value


@pytest.mark.parametrize(
    "text",
    [
        "Check system health: {metrics}",
        '{"json": {"a": 1}}',
        "{}",
        "{{}}",
        "{Gather Sources}",
        "{Someone Else.output}",
        "{ g.output }",
        "{e.g. this}",
        "{.output}",
        "{g.output",
        "{{g.outptu}}",
        "{{nobody.output}}",
    ],
)
def test_braces_that_name_no_output_are_left_as_they_are(text):
    assert filled(text) == text
    assert compiled(text).plain


def test_outside_of_a_workflow_every_brace_is_text():
    assert json.loads(compiled("{g.output}", {}).json) == {"v": "{g.output}"}


@pytest.mark.parametrize(
    "attribute", ["outptu", "status", "output.key", "output[]", "output[a", "outputs[a]"]
)
def test_a_template_with_an_attribute_that_a_task_does_not_have_is_refused(attribute):
    template = f"x {{Gather Sources.{attribute}}}"
    if attribute == "output[a":
        assert compiled(template).plain  # no attribute at all
        return
    error = refusal({"k": [template]})
    assert f"input['k'][0] names '{attribute}' of task 'Gather Sources'" in error
    assert "{Gather Sources.output}" in error


@bounded
@given(
    st.lists(
        st.text("{}[]. ax\"'")
        | st.sampled_from([("g", "{Gather Sources.output}"), ("dots", "{a.b.output}")]),
        max_size=8,
    ),
    st.text(),
    st.text(),
)
def test_pieces_of_text_with_braces_and_references_come_through(pieces, first, second):
    # A doubled brace beside a reference would escape it; that is tested above.
    template = " ".join(piece if isinstance(piece, str) else piece[1] for piece in pieces)
    outputs = {"g": first, "dots": second}
    expected = " ".join(piece if isinstance(piece, str) else outputs[piece[0]] for piece in pieces)
    used = dict.fromkeys(piece[0] for piece in pieces if not isinstance(piece, str))
    names = {name: task for name, task in NAMES.items() if task != "e"}
    one = compile_input("T", template, names, resolve_path=path_of)
    assert one.references == tuple(used)
    given_back = render_input(one.json, outputs, ID_TO_NAME, call)
    assert given_back == expected


# --- functions ------------------------------------------------------------------------------


def test_a_lambda_that_uses_no_output_is_called_once_at_submit():
    calls = []
    assert filled(lambda: calls.append(1) or {"n": len(calls)}) == {"n": 1}
    assert calls == [1]


def test_the_braces_of_what_a_lambda_gives_are_text():
    assert filled(lambda: "{g.output}") == "{g.output}"
    assert filled(lambda: f"{{g.output}} {GATHER.output['n']}") == "{g.output} 3"


def test_a_lambda_may_bind_its_loop_variable_as_a_default():
    made = [lambda task=task: f"<{task.output['n']}>" for task in [GATHER]]
    assert filled(made[0]) == "<3>"


def test_a_traced_input_tells_the_tasks_that_it_uses():
    other = Task("agent", name="e", id="e")
    one = compiled(lambda: [f"{other.output}", GATHER.output, other.output])
    assert one.references == ("e", "g")
    assert not one.plain


def test_an_output_of_a_task_elsewhere_is_refused():
    other = Task("agent", name="Elsewhere")
    assert "uses the output of 'Elsewhere', which is not in its workflow" in refusal(
        lambda: other.output
    )
    assert "put both into a Workflow" in refusal(lambda: other.output, {})


def test_a_function_of_the_outputs_runs_on_the_worker():
    one = compiled(build)
    assert json.loads(one.json) == {"f": f"{__name__}:build"}
    assert (one.references, one.plain) == ((), False)
    assert filled(build) == "TEXT of ['Gather Sources', 'a.b', 'e']"


def test_outputs_of_tasks_that_share_a_name_are_given_by_id():
    seen = {}
    render_input('{"f":"m:f"}', {"1": "a", "2": "b", "3": "c"}, {"1": "x", "2": "x", "3": "y"},
                 lambda _, outputs: seen.update(outputs))  # fmt: skip
    assert seen == {"1": "a", "2": "b", "y": "c"}


def test_a_function_that_cannot_travel_is_refused_by_what_resolves_it():
    with pytest.raises(AgentNotPortableError):
        compiled(lambda outputs: outputs)


# --- on the worker --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "{g.output[items][x]}",
            "no output['items']['x'], which is used: output['items'] is",
        ),
        ("{g.output[items][2]}", "is a list of 2"),
        ("{g.output[nope]}", "output is a dict with the keys 'items', 'n', 'none'"),
        ("{g.output[n][0]}", "output['n'] is 3"),
        ("{g.output[0]}", "there is no output[0]"),
    ],
)
def test_a_part_that_an_output_lacks_names_the_task_and_the_path(template, said):
    with pytest.raises(InputError) as caught:
        filled(f"- {template}")
    assert str(caught.value).startswith("Task 'Gather Sources': ")
    assert said in str(caught.value)


def test_a_part_of_a_text_and_an_output_that_is_not_there_are_told():
    with pytest.raises(InputError, match=r"Task 'a\.b': .* output is text; give its agent"):
        filled("{a.b.output[0]}")
    with pytest.raises(InputError, match=r"Task 'a\.b': it has no recorded output"):
        filled("{a.b.output}", {"g": 1})


def test_a_form_from_the_future_is_refused():
    with pytest.raises(InputError, match="older than the client"):
        render_input('{"z":1}', {}, {}, call)


# --- speed --------------------------------------------------------------------------------------


def test_a_plain_text_costs_little_more_than_its_json():
    text = "Summarise the document that is attached, in three sentences."

    def seconds(function):
        return timeit.timeit(function, number=1000)

    def ours():
        return compile_input("T", text, {}, resolve_path=path_of)

    # In turn, so that whatever else the machine does weighs on both.
    pairs = [(seconds(lambda: json.dumps(text)), seconds(ours)) for _ in range(35)]
    plain, compiled = (min(times) for times in zip(*pairs, strict=True))
    assert compiled < 8 * plain
