"""Tasks on their way into the store, as the acts that record them take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task on its way into the store."""

    id: str
    fields: Mapping[str, str | int | float]
    """What its record begins with; `name`, `agent`, `input`, `queue`, `priority` among them."""
    delay_ms: int = 0
    key: str = ""
    """Idempotency key; empty for none."""
    output: str = ""
    """The output of a task that is recorded as completed at once, JSON; empty for none."""

    def arguments(self) -> list[str | int | float]:
        """The task as the acts take it (see record.lua)."""
        arguments: list[str | int | float] = [
            self.id, self.delay_ms, self.key, self.output, 2 * len(self.fields)
        ]  # fmt: skip
        for field in self.fields.items():
            arguments += field
        return arguments


class UnknownAgentHashError(Exception):
    """The store has no agent of this hash (any more); send it along. Never leaves the engine."""


def new_tasks(agents: Mapping[str, str], tasks: Sequence[NewTask]) -> list[str | int | float]:
    """Agents and tasks as the acts take them (see record.lua)."""
    args: list[str | int | float] = [len(agents)]
    for pair in agents.items():
        args += pair
    args.append(len(tasks))
    for task in tasks:
        args += task.arguments()
    return args
