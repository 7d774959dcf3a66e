"""What happened, as the stream tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from types import BuiltinMethodType, MethodType

from pyagent_orch.models.values import JSONValue


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a namespace's event stream.

    Frozen; the same in every process that reads it. Types are
    `noun.past_participle`: `task.completed`, `worker.online`, or the name of a
    custom event.
    """

    id: str
    """The stream's own id; grows with time, and is what `events(since=...)` takes."""
    type: str
    subject: str = ""
    """The id of the task, workflow, job or worker that it is about; empty for custom events."""
    data: JSONValue = None
    """What else is known, such as `attempt`, `worker` and `error`; a custom event's data."""

    @property
    def at(self) -> datetime:
        """When it was written, by Redis' clock."""
        return datetime.fromtimestamp(int(self.id.partition("-")[0]) / 1000, tz=UTC)

    @property
    def noun(self) -> str:
        """What it is about: `task`, `workflow`, `job`, `worker`, or a custom name's first part."""
        return self.type.partition(".")[0]

    def matches(self, pattern: str) -> bool:
        """Whether the type fits a pattern such as `task.*`."""
        return pattern == self.type or fnmatchcase(self.type, pattern)


def order_of(event_id: str) -> tuple[int, int]:
    """What ids are sorted by: milliseconds, and the number within them."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


def is_same_handler(one: object, other: object) -> bool:
    """Whether two looks at a handler found the same: Python makes a bound method anew each time.

    Other handlers are not compared by value: they may be callable objects that are equal.
    """
    is_method = isinstance(one, MethodType | BuiltinMethodType)
    return one is other or (is_method and type(one) is type(other) and one == other)
