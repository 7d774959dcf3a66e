"""The `when=` of a task: compiled at submit, decided on the worker.

Pure but for calling the user's function.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from pyagent_orch.exceptions import InputError
from pyagent_orch.inputs.compile import NO_ALIASES, CompiledInput, task_of
from pyagent_orch.inputs.functions import call_traced, refuse_unused, takes_outputs
from pyagent_orch.inputs.render import Outputs, by_name, look_up
from pyagent_orch.models.conditions import Condition
from pyagent_orch.models.references import OutputReference
from pyagent_orch.models.values import JSONValue, to_json

_COMPARE: Mapping[str, Callable[..., object]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "contains": operator.contains,
}


def compile_condition(
    task: str,
    when: object,
    names: Mapping[str, str],
    *,
    resolve_path: Callable[[Callable[..., object]], str],
    aliases: Mapping[str, str] = NO_ALIASES,
) -> CompiledInput:
    """Make a condition ready to travel.

    Args:
        task: the task's name, for errors.
        when: a function without arguments that compares outputs, or gives one
            (whether it is true), such as `lambda: t.output["score"] > 0.5`; a
            function of the outputs, which decides on the worker; or a bool.
        names: maps the ids and the names of the workflow's tasks to their ids.
        resolve_path: gives `module:qualname` for a function, or raises why it
            cannot travel.
        aliases: see `Trace`.

    Raises:
        InputError: it is none of these, does what needs the real outputs, or uses
            a task that is not in the workflow.
    """
    if isinstance(when, bool):
        return CompiledInput(to_json({"v": when}))
    if not callable(when):
        raise InputError(
            task,
            f"when= is of type {type(when).__name__}; give a lambda that compares outputs, such as "
            '`lambda: t.output == "yes"`, or a function of the outputs',
        )
    if takes_outputs(task, when, "when"):
        return CompiledInput(to_json({"f": resolve_path(when)}), plain=False)
    given, trace = call_traced(task, when, "when", conditions=True, aliases=aliases)
    if isinstance(given, bool):
        refuse_unused(trace, (), "when")
        return CompiledInput(to_json({"v": given}))
    if not isinstance(given, Condition | OutputReference):
        raise trace.refuse(
            f"the function for when= gives {type(given).__name__}, not a comparison of outputs"
        )
    expression = trace.condition(given).expression
    used = dict.fromkeys(
        task_of(task_id, trace.read.get(task_id, task_id), task, names)
        for task_id in _references(expression)
    )
    refuse_unused(trace, used, "when")
    return CompiledInput(to_json({"c": expression}), tuple(used), plain=False)


def evaluate_condition(
    wire: str,
    outputs: Outputs,
    names: Mapping[str, str],
    call: Callable[[str, dict[str, JSONValue]], object],
) -> bool:
    """Decide a condition by the recorded outputs.

    Args:
        wire: what `compile_condition` gave.
        outputs: maps task ids to recorded outputs.
        names: maps task ids to names.
        call: calls the function at `module:qualname` with the outputs by task name.

    Raises:
        InputError: an output is not there, has no such part, or cannot be compared
            so. Another attempt would not mend it.
    """
    node = json.loads(wire)
    nodes = node.get("a", [node])
    return all(_is_true(one, outputs, names, call) for one in nodes)


def both(first: CompiledInput | None, second: CompiledInput | None) -> CompiledInput | None:
    """The condition that both hold; None is one that always does."""
    if first is None or second is None:
        return first or second
    nodes = [
        part
        for one in (json.loads(first.json), json.loads(second.json))
        for part in one.get("a", [one])
    ]
    references = tuple(dict.fromkeys((*first.references, *second.references)))
    return CompiledInput(to_json({"a": nodes}), references, plain=False)


def _is_true(
    node: Mapping[str, Any],
    outputs: Outputs,
    names: Mapping[str, str],
    call: Callable[[str, dict[str, JSONValue]], object],
) -> bool:
    if "f" in node:
        return bool(call(node["f"], by_name(outputs, names)))
    return bool(node["v"]) if "v" in node else _holds(node["c"], outputs, names)


def _holds(expression: list[JSONValue], outputs: Outputs, names: Mapping[str, str]) -> bool:
    kind = cast("str", expression[0])
    if kind in {"and", "or", "not"}:
        parts = (
            _holds(part, outputs, names) for part in cast("list[list[JSONValue]]", expression[1:])
        )
        if kind == "not":
            return not next(parts)
        return all(parts) if kind == "and" else any(parts)
    operands = cast("list[dict[str, JSONValue]]", expression[1:])
    values = [
        look_up(cast("list[str | int]", operand["r"]), outputs, names)
        if "r" in operand
        else operand["v"]
        for operand in operands
    ]
    if kind == "truth":
        return bool(values[0])
    try:
        return bool(_COMPARE[kind](*values))
    except TypeError as error:
        task = next(_references(expression))
        raise InputError(
            names.get(task, task), f"its output cannot be compared by {kind}: {error}"
        ) from None


def _references(expression: list[JSONValue]) -> Iterator[str]:
    """The ids of the tasks that an expression uses, in order of appearance."""
    for part in expression[1:]:
        if isinstance(part, list):
            yield from _references(part)
        elif isinstance(part, dict) and "r" in part:
            yield str(cast("list[str | int]", part["r"])[0])
