"""The trace that finds out which outputs a function uses, and where it puts them.

Model layer, pure: knows no Task. `Task.output` asks `traced_output` first; while a
trace is active it gets a placeholder. `pyagent_orch.inputs` starts traces, and
finds the placeholders again in what the function returns.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from types import MappingProxyType

from pyagent_orch.exceptions import InputError
from pyagent_orch.models.conditions import Condition
from pyagent_orch.models.placeholders import OutputReference, Reference, TracedText
from pyagent_orch.models.values import JSONValue, to_json

__all__ = ["OutputReference", "Reference", "Trace", "TracedText", "traced_output", "tracing"]

# What a placeholder's text is made of. The two ends are Unicode noncharacters, which
# no real text holds. What lies between is bait for careless changes: letters of
# both cases for `.upper()`, spaces and a line break for `.split()` and `textwrap`,
# and every other printable character for `.replace()` and `re.sub()`. (A
# replacement of a whole word is seen only where it is called on a placeholder.)
# The second line is indented so deep that `textwrap.dedent` and `inspect.cleandoc`
# leave the margin to the text around it; what they take off here is no loss. No
# braces, `%` or `$`, so that the text around may still be a template.
_START, _END = "\ufdd0", "\ufdd1"
_BAIT = (
    "zQ  qZ** ``` -- __ ## |,;:.!?/\\~^@&+=<>()[]'\" 0918273645 "
    "bAdCfEhGjIlKnMpOrSuTwVyXaBcDeFgHiJkLmNoPsRtUvWxY"
)
_INDENT = 80
_WHOLE = re.compile(
    f"{_START}{re.escape(_BAIT)}([0-9a-f]{{16}})([0-9a-f]{{8}})\n {{0,{_INDENT}}}{_END}"
)

_REMEDY = (
    "A lambda is called once, at submit, before there are outputs. Write a function in a module, "
    "`def {}`, and give that: it runs on the worker, with the outputs by task name."
)

_NOTHING: Mapping[str, str] = MappingProxyType({})
_active: ContextVar[Trace | None] = ContextVar("pyagent_orch_trace", default=None)


class Trace:
    """One call of a function at submit.

    Belongs to one thread and one call. Refuses everything that would need the
    real output; the first refusal is kept, so that a function that catches errors
    cannot hide it.

    Args:
        task: the name of the task whose input or condition is traced, for errors.
        conditions: whether outputs may be compared, which gives a `Condition`.
        aliases: maps the ids of tasks to those of the tasks that stand for them: in a copy of
            a workflow, whose functions still know the first one's.
    """

    def __init__(
        self, task: str, *, conditions: bool = False, aliases: Mapping[str, str] = _NOTHING
    ) -> None:
        self.task, self.conditions, self._aliases = task, conditions, aliases
        self.read: dict[str, str] = {}
        """Maps the ids of the tasks whose output was read to their names."""
        self.refusal: InputError | None = None
        """The first thing that was refused."""
        self.mark = secrets.token_hex(8)
        """What every text that comes from a placeholder holds."""
        self._given: dict[str, Reference] = {}

    def output(self, reference: Reference) -> OutputReference:
        """Give out a placeholder."""
        alias = self._aliases.get(reference.task_id)
        if alias is not None:
            reference = replace(reference, task_id=alias)
        token = secrets.token_hex(4)
        while token in self._given:
            token = secrets.token_hex(4)
        self._given[token] = reference
        self.read[reference.task_id] = reference.task_name
        text = f"{_START}{_BAIT}{self.mark}{token}\n{' ' * _INDENT}{_END}"
        return OutputReference(text, self, reference)

    def split(self, text: str) -> list[str | Reference]:
        """Take a text apart into plain text and the references in it; no part is empty.

        Raises:
            InputError: a placeholder in it was cut or changed.
        """
        parts: list[str | Reference] = []
        end = 0
        # `str`'s own methods: a TracedText refuses them.
        for found in _WHOLE.finditer(text):
            if found[1] == self.mark and found[2] in self._given:
                parts += [str.__getitem__(text, slice(end, found.start())), self._given[found[2]]]
                end = found.end()
        parts.append(str.__getitem__(text, slice(end, None)))
        if self.is_marked("\n".join(part for part in parts if isinstance(part, str))):
            raise self.refuse("an output was cut or changed: that needs the real text")
        return [part for part in parts if part != ""]

    def is_marked(self, text: str) -> bool:
        """Whether the text holds a placeholder, or what a change has left of one."""
        return _START in text or _END in text or self.mark in text.casefold()

    def refuse(self, problem: str) -> InputError:
        """Make the error for what cannot be traced, with the remedy."""
        remedy = _REMEDY.format(
            "check(outputs) -> bool: ..." if self.conditions else "build(outputs): ..."
        )
        error = InputError(self.task, f"{problem}. {remedy}")
        self.refusal = self.refusal or error
        return error

    def condition(self, value: object) -> Condition:
        """Take a condition, or an output by itself: whether that is true.

        Raises:
            InputError: it is neither.
        """
        if isinstance(value, Condition):
            return value
        if isinstance(value, OutputReference):
            return Condition(["truth", self._operand(value)], self)
        raise self.refuse(
            f"{type(value).__name__} is no condition; & and | bind tighter than ==, so put each "
            "comparison in brackets"
        )

    def compare(self, operator: str, output: OutputReference, other: object) -> Condition:
        """Compare an output with another or with a JSON value.

        Raises:
            InputError: the other side is neither.
        """
        return Condition([operator, self._operand(output), self._operand(other)], self)

    def _operand(self, value: object) -> JSONValue:
        if isinstance(value, OutputReference):
            return {"r": value.reference.wire()}
        if isinstance(value, Condition | TracedText):
            raise self.refuse("an output can be compared with another one and with plain values")
        try:
            to_json(value)
        except (TypeError, ValueError):
            raise self.refuse(f"{type(value).__name__} cannot be compared with an output") from None
        return {"v": value}  # type: ignore[dict-item]  # JSON, as just shown


@contextmanager
def tracing(
    task: str, *, conditions: bool = False, aliases: Mapping[str, str] = _NOTHING
) -> Iterator[Trace]:
    """While the block runs, in this thread or asyncio task, outputs are placeholders.

    Args:
        task: the name of the task whose input or condition is traced, for errors.
        conditions: whether outputs may be compared.
        aliases: see `Trace`.
    """
    trace = Trace(task, conditions=conditions, aliases=aliases)
    token = _active.set(trace)
    try:
        yield trace
    finally:
        _active.reset(token)


def traced_output(task_id: str, task_name: str) -> OutputReference | None:
    """The placeholder for a task's output while a trace is active, else None."""
    trace = _active.get()
    return None if trace is None else trace.output(Reference(task_id, task_name))
