"""From the JSON that travelled and the recorded outputs to the input itself.

Pure but for calling the user's function; runs on the worker.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

from pyagent_orch.exceptions import InputError
from pyagent_orch.models.values import JSONValue

Outputs: TypeAlias = Mapping[str, JSONValue]
_SHOWN = 12


def render_input(
    wire: str,
    outputs: Outputs,
    names: Mapping[str, str],
    call: Callable[[str, dict[str, JSONValue]], JSONValue],
) -> JSONValue:
    """Fill in the outputs.

    A template that is nothing but one reference gives the output itself, a dict
    stays a dict; inside of text a text stands as it is, everything else as JSON.

    Args:
        wire: what `compile_input` gave.
        outputs: maps task ids to recorded outputs.
        names: maps task ids to names.
        call: calls the function at `module:qualname` with the outputs by task name
            (by id where tasks share a name).

    Raises:
        InputError: an output is not there, or has no such part; it names the task
            whose output it is. Another attempt would not mend it.
    """
    node = json.loads(wire)
    if "f" in node:
        return call(node["f"], by_name(outputs, names))
    return _render(node, outputs, names)


def references_of(wire: str) -> frozenset[str] | None:
    """The ids of the tasks whose outputs an input names; None: a function, which may use any."""
    node = json.loads(wire)
    return None if "f" in node else frozenset(_references(node))


def _references(node: dict[str, JSONValue]) -> Iterator[str]:
    ((kind, content),) = node.items()
    if kind == "r":
        yield cast("list[str]", content)[0]
    elif kind == "t":
        yield from (part[0] for part in cast("list[Any]", content) if not isinstance(part, str))
    elif kind == "l":
        for item in cast("list[dict[str, JSONValue]]", content):
            yield from _references(item)
    elif kind == "d":
        for field in cast("dict[str, dict[str, JSONValue]]", content).values():
            yield from _references(field)


def by_name(outputs: Outputs, names: Mapping[str, str]) -> dict[str, JSONValue]:
    """The outputs keyed by task name, and by id where several tasks share a name."""
    shared = Counter(names.get(task, task) for task in outputs)
    return {
        name if shared[name := names.get(task, task)] == 1 else task: output
        for task, output in outputs.items()
    }


def look_up(
    reference: Sequence[str | int], outputs: Outputs, names: Mapping[str, str]
) -> JSONValue:
    """Find an output or a part of it.

    Args:
        reference: the task's id, then keys and indexes.
        outputs: maps task ids to recorded outputs.
        names: maps task ids to names.

    Raises:
        InputError: it is not there.
    """
    task, path = str(reference[0]), reference[1:]
    name = names.get(task, task)
    if task not in outputs:
        raise InputError(name, "it has no recorded output, which another task uses")
    value = outputs[task]
    for depth, key in enumerate(path):
        try:
            value = _part(value, key)
        except LookupError:
            before = "output" + "".join(f"[{step!r}]" for step in path[:depth])
            raise InputError(
                name, f"there is no {before}[{key!r}], which is used: {before} {_described(value)}"
            ) from None
    return value


def _part(value: JSONValue, key: str | int) -> JSONValue:
    if isinstance(value, dict) and isinstance(key, str):
        return value[key]
    if isinstance(value, list) and isinstance(key, int):
        return value[key]
    # Also for text: its first letter is never what somebody wants of an output.
    raise LookupError(key)


def as_text(value: JSONValue) -> str:
    """How a value stands inside of text: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _render(node: dict[str, JSONValue], outputs: Outputs, names: Mapping[str, str]) -> JSONValue:
    ((kind, content),) = node.items()
    if kind == "v":
        return content
    if kind == "r":
        return look_up(cast("list[str | int]", content), outputs, names)
    if kind == "t":
        return "".join(
            part if isinstance(part, str) else as_text(look_up(part, outputs, names))
            for part in cast("list[str | list[str | int]]", content)
        )
    if kind == "l":
        items = cast("list[dict[str, JSONValue]]", content)
        return [_render(item, outputs, names) for item in items]
    if kind == "d":
        fields = cast("dict[str, dict[str, JSONValue]]", content)
        return {key: _render(field, outputs, names) for key, field in fields.items()}
    raise InputError(
        kind, "is a form of input that this worker does not know; it is older than the client"
    )


def _described(value: JSONValue) -> str:
    if isinstance(value, dict):
        keys = ", ".join(map(repr, list(value)[:_SHOWN])) or "none"
        return f"is a dict with the keys {keys}" + (", ..." if len(value) > _SHOWN else "")
    if isinstance(value, list):
        return f"is a list of {len(value)}"
    if isinstance(value, str):
        return "is text; give its agent an `output_type` to get fields"
    return f"is {json.dumps(value)}"
