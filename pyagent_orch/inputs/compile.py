"""From what a user gives as `input=` to the JSON that travels.

Pure but for calling the user's function. Runs at submit, so it is the place where
everything that cannot travel is refused, with its place in the input.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

from pyagent_orch.exceptions import InputError
from pyagent_orch.inputs.functions import call_traced, refuse_unused, takes_outputs
from pyagent_orch.inputs.templates import parse_template
from pyagent_orch.models.references import Reference, Trace, TracedText
from pyagent_orch.models.tasks import Task
from pyagent_orch.models.values import JSONValue, to_json

# Made once: `json.dumps` with these options builds an encoder at every call.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_quote = json.JSONEncoder(ensure_ascii=False).encode

NO_ALIASES: Mapping[str, str] = MappingProxyType({})
_Place = tuple[str | int, ...]
_Node = dict[str, JSONValue]


@dataclass(frozen=True, slots=True)
class CompiledInput:
    """An input, or a condition, as it travels.

    Args:
        json: the form that `render_input` or `evaluate_condition` reads.
        references: the ids of the tasks whose outputs it names, in order of
            appearance; the task depends on them. What a function of the outputs
            uses is not known.
        plain: whether it is a value that needs no output.
    """

    json: str
    references: tuple[str, ...] = ()
    plain: bool = True


def compile_input(
    task: str,
    value: object,
    names: Mapping[str, str],
    *,
    resolve_path: Callable[[Callable[..., object]], str],
    aliases: Mapping[str, str] = NO_ALIASES,
) -> CompiledInput:
    """Make an input ready to travel.

    A text is a template where its braces name a task. A function without arguments
    is called once while outputs are placeholders; what it gives is the input, and
    its own braces are plain text. A function of one argument runs on the worker.

    Args:
        task: the task's name, for errors.
        value: JSON (with whatever `values.to_json` writes), a template, those in
            lists and dicts, or a function.
        names: maps the ids and the names of the workflow's tasks to their ids;
            empty outside of workflows.
        resolve_path: gives `module:qualname` for a function, or raises why it
            cannot travel.
        aliases: see `Trace`.

    Raises:
        InputError: the value, or a part of it, whose place is told, is no JSON;
            a template names something that a task does not have; a function does
            what needs the real outputs.
    """
    if type(value) is str and (not names or "{" not in value):
        # The hot path of every submit: no walk, no second look.
        if not value.isascii():
            _refuse_surrogates(task, value, ())
        return CompiledInput(f'{{"v":{_quote(value)}}}')
    if not callable(value):
        return _Compiler(task, names).compile(value)
    if takes_outputs(task, value, "input"):
        return CompiledInput(_encode({"f": resolve_path(value)}), plain=False)
    given, trace = call_traced(task, value, "input", aliases=aliases)
    return _Compiler(task, names, trace).compile(given)


def task_of(task_id: str, name: str, task: str, names: Mapping[str, str]) -> str:
    """Check that a task whose output is used is in the workflow, and give its id.

    Args:
        task_id: the id of the task whose output is used.
        name: its name.
        task: the name of the task that uses it.
        names: maps the ids and the names of the workflow's tasks to their ids.

    Raises:
        InputError: it is not.
    """
    if names.get(task_id) == task_id:
        return task_id
    remedy = (
        "add it to the workflow's tasks"
        if names
        else "put both into a Workflow, or wait for it and read its output before the lambda"
    )
    raise InputError(
        task, f"it uses the output of {name!r}, which is not in its workflow; {remedy}"
    )


class _Compiler:
    """Writes one value as a node of the wire form and collects what it uses."""

    def __init__(self, task: str, names: Mapping[str, str], trace: Trace | None = None) -> None:
        self.task, self.names, self.trace = task, names, trace
        self.used: dict[str, None] = {}

    def compile(self, value: object) -> CompiledInput:
        try:
            node = self._node(value, ())
            written = _encode(node)
        except RecursionError:
            raise InputError(self.task, "its input holds itself, or is nested too deep") from None
        if self.trace is not None:
            refuse_unused(self.trace, self.used, "input")
        return CompiledInput(written, tuple(self.used), plain="v" in node)

    def _node(self, value: object, place: _Place) -> _Node:
        if isinstance(value, str):
            return self._text(value, place)
        if (
            value is None
            or isinstance(value, int)
            or (isinstance(value, float) and math.isfinite(value))
        ):
            return {"v": value}
        if isinstance(value, dict):
            return self._dict(value, place)
        if isinstance(value, list | tuple):
            items = [self._node(item, (*place, index)) for index, item in enumerate(value)]
            if all("v" in item for item in items):
                return {"v": [item["v"] for item in items]}
            return {"l": cast("list[JSONValue]", items)}
        return self._other(value, place)

    def _dict(self, value: dict[object, object], place: _Place) -> _Node:
        fields: dict[str, _Node] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                # json.dumps would make a text of it, and the worker see another dict.
                raise self._refused(place, f"has the key {key!r}; keys are text in JSON")
            if self.trace is not None and self.trace.is_marked(key):
                raise self.trace.refuse("an output cannot be a key")
            _refuse_surrogates(self.task, key, place)
            fields[key] = self._node(item, (*place, key))
        if all("v" in field for field in fields.values()):
            return {"v": {key: field["v"] for key, field in fields.items()}}
        return {"d": cast("dict[str, JSONValue]", fields)}

    def _text(self, value: str, place: _Place) -> _Node:
        if self.trace is None and isinstance(value, TracedText):
            raise self._refused(place, "is an output that was kept from a lambda; use it in one")
        parts = self._parts(value, place)
        if not any(isinstance(part, Reference) for part in parts):
            text = "".join(part for part in parts if isinstance(part, str))
            _refuse_surrogates(self.task, text, place)
            return {"v": text}
        written: list[JSONValue] = []
        for part in parts:
            if isinstance(part, str):
                _refuse_surrogates(self.task, part, place)
                written.append(part)
            else:
                used = task_of(part.task_id, part.task_name, self.task, self.names)
                self.used[used] = None
                written.append(part.wire())
        return {"r": written[0]} if len(written) == 1 else {"t": written}

    def _parts(self, value: str, place: _Place) -> list[str | Reference]:
        if self.trace is not None:
            return self.trace.split(value)
        if not self.names or "{" not in value:
            return [str.__str__(value)]
        try:
            return parse_template(value, self.names)
        except ValueError as error:
            raise self._refused(place, str(error)) from None

    def _other(self, value: object, place: _Place) -> _Node:
        kind = type(value).__name__
        if isinstance(value, Task):
            raise self._refused(
                place, f"is the task {value.name!r}; write `lambda: ...` with its `.output`"
            )
        if callable(value):
            raise self._refused(
                place, f"is a function ({kind}); only the input as a whole can be one"
            )
        dump = getattr(value, "model_dump", None)
        if dump is not None:
            return self._node(dump(mode="json"), place)
        try:
            written = to_json(value)
        except TypeError:
            raise self._refused(
                place,
                f"is of type {kind}, which has no JSON form; an input is text, numbers, lists, "
                "dicts, pydantic models and datetimes",
            ) from None
        except ValueError as error:
            raise self._refused(place, f"has no JSON form: {error}") from None
        return self._node(json.loads(written), place)

    def _refused(self, place: _Place, problem: str) -> InputError:
        return InputError(self.task, f"{_shown(place)} {problem}")


def _refuse_surrogates(task: str, text: str, place: _Place) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            task,
            f"{_shown(place)} holds half a character (a lone surrogate) at position {error.start}; "
            "such text cannot be sent",
        ) from None


def _shown(place: _Place) -> str:
    return "input" + "".join(f"[{key!r}]" for key in place)
