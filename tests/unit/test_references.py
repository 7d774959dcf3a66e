"""Placeholders for outputs: what they can do is traced, everything else is refused."""

# ruff: noqa: UP031, PLW0108, FURB171 - the lambdas are what users write

from __future__ import annotations

import base64
import copy
import html
import inspect
import json
import pickle
import re
import textwrap
import threading
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyagent_orch.exceptions import InputError
from pyagent_orch.inputs import compile_input, render_input
from pyagent_orch.models.references import OutputReference, TracedText, traced_output, tracing
from pyagent_orch.models.tasks import Task

GATHER = Task("agent", name="Gather Sources", id="g")
OTHER = Task("agent", name="Other", id="o")
NAMES = {"Gather Sources": "g", "g": "g", "Other": "o", "o": "o"}
ID_TO_NAME = {"g": "Gather Sources", "o": "Other"}
bounded = settings(max_examples=100, deadline=None)


def path_of(function):
    return f"{function.__module__}:{function.__qualname__}"


def no_call(path, outputs):
    raise AssertionError(path)


def filled(function, outputs):
    """What a worker makes of a lambda."""
    compiled = compile_input("T", function, NAMES, resolve_path=path_of)
    return render_input(compiled.json, outputs, ID_TO_NAME, no_call)


def refusal(function):
    with pytest.raises(InputError) as caught:
        compile_input("T", function, NAMES, resolve_path=path_of)
    return str(caught.value)


# --- what works ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda: f"Analyze: {GATHER.output}", "Analyze: TEXT"),
        (lambda: f"{GATHER.output}", "TEXT"),
        (lambda: f"{GATHER.output!s}.", "TEXT."),
        (lambda: str(GATHER.output), "TEXT"),
        (lambda: "a " + GATHER.output, "a TEXT"),
        (lambda: GATHER.output + " b", "TEXT b"),
        (lambda: "(" + GATHER.output + "|" + OTHER.output["k"] + ")", "(TEXT|7)"),
        (lambda: ", ".join([GATHER.output, "x", OTHER.output["k"]]), "TEXT, x, 7"),
        (lambda: "%s!" % GATHER.output, "TEXT!"),
        (lambda: "100 %% %s" % GATHER.output, "100 % TEXT"),
        (lambda: "%s/%s" % (GATHER.output, OTHER.output), 'TEXT/{"k": 7}'),
        (lambda: "%(a)s" % {"a": GATHER.output}, "TEXT"),
        (lambda: "{} {a} {b[k]}".format("x", a=GATHER.output, b=OTHER.output), "x TEXT 7"),
        (lambda: f"  x {GATHER.output} y\n".strip(), "x TEXT y"),
        (
            lambda: textwrap.dedent(f"""
                Analyse:
                    {GATHER.output}
                now"""),
            "\nAnalyse:\n    TEXT\nnow",
        ),
        (
            lambda: inspect.cleandoc(f"""Analyse
                {GATHER.output}
            """),
            "Analyse\nTEXT",
        ),
    ],
)
def test_writing_an_output_into_text_is_traced(function, text):
    assert filled(function, {"g": "TEXT", "o": {"k": 7}}) == text


def test_a_part_of_an_output_and_a_structure_keep_their_types():
    outputs = {"g": {"items": [{"n": 1}, {"n": 2}]}, "o": "text"}
    assert filled(lambda: GATHER.output["items"][-1], outputs) == {"n": 2}
    given = filled(
        lambda: {
            "all": GATHER.output,
            "one": [GATHER.output["items"][0]["n"], f"<{OTHER.output}>"],
        },
        outputs,
    )
    assert given == {"all": outputs["g"], "one": [1, "<text>"]}


@bounded
@given(st.lists(st.text() | st.sampled_from(["g", "o"]), max_size=8), st.text(), st.text())
@example(["{g.output}", "g", "%s {} {{}} \ufdd2"], "{o.output}", "%s")
def test_any_text_around_and_in_outputs_comes_through_unchanged(pieces, first, second):
    if any("\ufdd0" in piece or "\ufdd1" in piece for piece in pieces):
        return  # the two noncharacters that placeholders are made of
    outputs = {"g": first, "o": second}

    def function():
        shown = {"g": GATHER.output, "o": OTHER.output}
        return "".join(f"{shown.get(piece, piece)}" for piece in pieces) + shown["g"] + shown["o"]

    expected = "".join(outputs.get(piece, piece) for piece in pieces) + first + second
    assert filled(function, outputs) == expected


def test_outside_of_a_trace_there_is_no_placeholder():
    assert traced_output("g", "Gather") is None
    with tracing("T"):
        assert isinstance(traced_output("g", "Gather"), OutputReference)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(traced_output("g", "Gather")))
        thread.start()
        thread.join()
        assert seen == [None]
    assert traced_output("g", "Gather") is None


# --- what is refused -----------------------------------------------------------------

ALLOWED = {
    *("__class__", "__delattr__", "__dir__", "__doc__", "__getattribute__", "__getstate__"),
    *("__init__", "__init_subclass__", "__new__", "__setattr__", "__sizeof__", "__subclasshook__"),
    *("__str__", "__repr__", "__format__", "__add__"),
}
ARGUMENTS = [(), ("a",), ("%s",), (1,), ("a", "b"), ({1: "a"},), (["a"],), (slice(1, 2),)]


@pytest.mark.parametrize("name", sorted(set(dir(str)) - ALLOWED))
@pytest.mark.parametrize("combined", [False, True])
def test_no_method_of_str_silently_computes(name, combined):
    for arguments in ARGUMENTS:
        with tracing("T"):
            output = traced_output("g", "Gather Sources")
            text = output + "!" if combined else output
            try:
                given = getattr(text, name)(*arguments)
            except InputError:
                continue
            except TypeError:
                with pytest.raises(TypeError):
                    getattr("plain text", name)(*arguments)
                continue
        # What did not raise is traced itself.
        if name == "__getitem__":
            assert isinstance(given, OutputReference)
            assert given.reference.path == arguments
        else:
            assert name == "__rmod__"
            assert isinstance(given, TracedText)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda: GATHER.output.upper(), ".upper() needs the real output of 'Gather Sources'"),
        (lambda: len(GATHER.output), "len() needs"),
        (lambda: GATHER.output[:100], "a slice needs"),
        (lambda: GATHER.output[1.5], "an index of type float needs"),
        (lambda: GATHER.output[OTHER.output], "an index of type OutputReference needs"),
        (lambda: [c for c in GATHER.output], "going through it needs"),  # noqa: C416
        (lambda: list(reversed(GATHER.output)), "len() needs"),
        (lambda: sorted(GATHER.output), "going through it needs"),
        (lambda: max(GATHER.output, "x"), "needs the real output"),
        (lambda: "a" if GATHER.output == "a" else "b", "== needs"),
        (lambda: "a" if GATHER.output in ["a"] else "b", "== needs"),
        (lambda: "a" if GATHER.output in {"a"} else "b", "a key or in a set"),
        (lambda: "a" if "x" in GATHER.output else "b", "`in` needs"),
        (lambda: GATHER.output or "nothing", "`if`, `and`, `or` or `not`"),
        (lambda: GATHER.output & OTHER.output, "& | ~ needs"),
        (lambda: GATHER.output.contains("x"), "contains needs"),
        (lambda: {GATHER.output: 1}, "a key or in a set"),
        (lambda: {f"key {GATHER.output}": 1}, "an output cannot be a key"),
        (lambda: int(GATHER.output), "int() needs"),
        (lambda: float(GATHER.output), "float() needs"),
        (lambda: complex(GATHER.output), "raised ValueError"),
        (lambda: bytes(GATHER.output), "bytes() needs"),
        (lambda: -GATHER.output, "raised TypeError"),
        (lambda: GATHER.output + 1, "int cannot be added"),
        (lambda: 1 + GATHER.output, "int cannot be added"),
        (lambda: 2 * GATHER.output, "* needs"),
        (lambda: GATHER.output % 3, "% needs"),
        (lambda: f"{GATHER.output:>10}", "the format '>10' needs"),
        (lambda: f"{GATHER.output!r}", "cut or changed"),
        (lambda: f"{GATHER.output!a}", "cut or changed"),
        (lambda: f"{GATHER.output.title}", "cut or changed"),
        (lambda: "%10s" % GATHER.output, "the format '%10s' needs"),
        (lambda: "%.3s" % (GATHER.output,), "the format '.3' needs"),
        (lambda: str.__mod__("%.3s", (GATHER.output,)), "cut or changed"),
        (lambda: "%r" % (GATHER.output,), "cut or changed"),
        (lambda: GATHER.output.summary, "write ['summary'] for a key"),
        (lambda: json.loads(GATHER.output), "json.loads()"),
        (lambda: json.loads("" + GATHER.output), "needs the real output"),
        (lambda: json.dumps({"a": GATHER.output}), "cut or changed"),
        (lambda: re.sub(r"\d", "", GATHER.output), "cut or changed"),
        (lambda: re.sub("x", "y", GATHER.output), "cut or changed"),
        (lambda: re.findall(r"\w+", GATHER.output), "cut or changed"),
        (lambda: "x" if re.search("word", GATHER.output) else "y", "does not hold it"),
        (lambda: "x" if GATHER.output in "abc" else "y", "does not hold it"),
        (lambda: "x" if GATHER.output is None else "y", "does not hold it"),
        (lambda: len(f"- {GATHER.output}"), "does not hold it"),
        (lambda: f"- {GATHER.output}".upper(), "cut or changed"),
        (lambda: f"- {GATHER.output}".lower(), "cut or changed"),
        (lambda: f"- {GATHER.output}".title(), "cut or changed"),
        (lambda: f"- {GATHER.output}".split(), "cut or changed"),
        (lambda: f"- {GATHER.output}".splitlines(), "cut or changed"),
        (lambda: f"- {GATHER.output}".split("\n")[0], "cut or changed"),
        (lambda: f"- {GATHER.output}".replace("\n", " "), "cut or changed"),
        (lambda: f"- {GATHER.output}".replace("**", ""), "cut or changed"),
        (lambda: f"- {GATHER.output}"[:30], "cut or changed"),
        (lambda: f"- {GATHER.output}"[-9:], "cut or changed"),
        (lambda: f"- {GATHER.output}".encode().decode("ascii", "ignore"), "cut or changed"),
        (lambda: str.upper(GATHER.output), "cut or changed"),
        (lambda: textwrap.fill(f"Read {GATHER.output}"), "cut or changed"),
        (lambda: textwrap.shorten(f"Read {GATHER.output}", 300), "cut or changed"),
        (lambda: textwrap.indent(f"{GATHER.output} x", "> "), "cut or changed"),
        (lambda: html.escape(f"- {GATHER.output}"), "cut or changed"),
        (lambda: quote(f"- {GATHER.output}"), "cut or changed"),
        (lambda: base64.b64encode(f"- {GATHER.output}".encode()).decode(), "does not hold it"),
        (lambda: copy.deepcopy(GATHER.output), "a copy needs"),
        (lambda: pickle.dumps(GATHER.output), "a copy needs"),
    ],
)
def test_what_needs_the_real_text_is_refused_with_the_remedy(function, said):
    error = refusal(function)
    assert error.startswith("Task 'T': ")
    assert said in error
    assert "`def build(outputs): ...`" in error
    assert "\ufdd0" not in error


def test_normalising_does_not_change_a_placeholder():
    text = filled(lambda: unicodedata.normalize("NFKC", f"- {GATHER.output}"), {"g": "x"})
    assert text == "- x"


def test_a_function_that_catches_the_refusal_is_refused_all_the_same():
    def careful():
        try:
            return json.loads(GATHER.output)["key"]
        except ValueError:
            return f"plain {GATHER.output}"

    assert "needs the real output" in refusal(careful)


def test_an_error_of_the_users_own_keeps_its_cause_and_shows_no_placeholder():
    with pytest.raises(InputError, match="raised ZeroDivisionError: division by zero") as caught:
        compile_input("T", lambda: 1 / 0, {}, resolve_path=path_of)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "def build" not in str(caught.value)

    def own():
        raise KeyError(f"- {GATHER.output}")

    assert "raised KeyError: (about an output that does not exist yet)" in refusal(own)


def test_a_placeholder_kept_from_one_lambda_is_refused_in_another():
    kept = []
    filled(lambda: kept.append(GATHER.output) or GATHER.output, {"g": "x"})
    assert "cut or changed" in refusal(lambda: f"{kept[0]}{GATHER.output}")
    assert "kept from a lambda" in refusal(kept[0])


def test_an_async_function_is_refused():
    async def build():
        return GATHER.output

    assert "is an async function" in refusal(build)


def test_placeholders_can_be_shown():
    with tracing("T"):
        output = traced_output("g", "Gather Sources")
        assert repr(output["k"][0]).startswith("<output['k'][0] of task 'Gather Sources'")
        assert repr(output + "!").startswith("<text with outputs")
        assert not hasattr(output, "__html__")
