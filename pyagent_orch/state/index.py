"""Which of a state file's entries still say something, and how many do not.

Part of the room of the state file; knows entries by the head of their line, no
contents. For each thing the entry that it began with counts, and of each kind of
what happened to it the latest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from pyagent_orch.state.lines import FILE, Entry, Head, decode, head_of, is_part, opens_group
from pyagent_orch.state.pages import BLOCK, entry_lines

HOUR_MS = 3_600_000
AGENT: Final = "agent"
TASK: Final = "task"
WORKFLOW: Final = "workflow"
JOB: Final = "job"
Key = tuple[str, str]
"""A noun and an id."""
Pace = Callable[[Iterable[Any]], Iterable[Any]]
"""How fast to go through many things: `iter`, or something that lets others work, too."""


class Span(NamedTuple):
    """Where an entry stands: from its first line to the beginning of its last."""

    first: int
    last: int
    lines: int


class Group(NamedTuple):
    """An entry with the lines of what was cut out of it."""

    span: Span
    head: Head
    lines: list[bytes]


def groups(lines: Iterable[tuple[int, bytes]]) -> Iterator[Group]:
    """Put together what belongs together; parts without their entry are left out."""
    first: int | None = None
    collected: list[bytes] = []
    for place, line in lines:
        if is_part(line):
            if opens_group(line):
                first, collected = place, []
            collected.append(line)
            continue
        start = place if first is None else first
        collected.append(line)
        yield Group(Span(start, place, len(collected)), head_of(line), collected)
        first, collected = None, []


@dataclass(slots=True)
class Known:
    """What a file has of one thing."""

    created: int
    base: Span | None = None
    """What it began with; None while only later entries have been seen."""
    later: dict[str, Span] = field(default_factory=dict)
    """Maps what happened to it (`state`, `called`) to the latest entry of that."""
    final: int | None = None
    """When it became final, ms."""
    workflow: str = ""
    agents: tuple[str, ...] = ()
    has_callback: bool = False

    @property
    def called(self) -> bool:
        """Whether its callback has been called since it became final."""
        return "called" in self.later

    def spans(self) -> Iterator[Span]:
        """All its entries that count."""
        if self.base is not None:
            yield self.base
        yield from self.later.values()


class Index:
    """Everything that a file knows, by noun and id. For one thread."""

    def __init__(self) -> None:
        self.known: dict[Key, Known] = {}
        self.newest = 0
        """The latest time in it, ms."""

    def add(self, head: Head, span: Span) -> None:
        """Take one entry, in the order of the file."""
        noun, _, verb = head.kind.partition(".")
        key = (noun, head.id)
        self.newest = max(self.newest, head.created, head.final or 0)
        if verb == "gone":
            self.known.pop(key, None)
            return
        known = self.known.get(key)
        if known is None or known.created != head.created:
            # An agent is the same whenever it was recorded.
            if known is not None and (known.created > head.created or noun == AGENT):
                return
            known = self.known[key] = Known(head.created)
        if not verb:
            known.base = span
            known.workflow, known.agents = head.workflow, head.agents
            known.has_callback = head.has_callback
            return
        known.later[verb] = span
        if verb == "state":
            known.final = head.final
            if head.final is None:
                # Taken up again: the next end is a new one.
                known.later.pop("called", None)

    def live(self, oldest_final: int, pace: Pace = iter) -> dict[Key, Known]:
        """What still says something.

        Args:
            oldest_final: ms; what became final before is over, as its record is.
            pace: how fast.
        """
        lives: dict[Key, Known] = {}
        for key, known in pace(self.known.items()):
            if key[0] == AGENT or known.base is None:
                continue
            carrier = self.known.get((WORKFLOW, known.workflow)) if known.workflow else known
            # A task of a workflow stays as long as that, and is nothing without it.
            if carrier is not None and (carrier.final is None or carrier.final >= oldest_final):
                lives[key] = known
        for agent in {one for known in pace(lives.values()) for one in known.agents}:
            found = self.known.get((AGENT, agent))
            if found is not None:
                lives[AGENT, agent] = found
        return lives


class Reading:
    """The file as it is at one moment, for one thread; to be closed.

    Args:
        descriptor: the open file; a copy is kept, so that it may be replaced meanwhile.
        stop: behind its last entry, bytes.
    """

    def __init__(self, descriptor: int, stop: int) -> None:
        self._descriptor, self.stop = os.dup(descriptor), stop

    def groups(self, start: int = 0, pace: Pace = iter) -> Iterator[Group]:
        """All entries from a place on."""
        found = groups(pace(entry_lines(self._descriptor, start, self.stop)))
        return (group for group in found if group.head.kind != FILE)

    def index(self, pace: Pace = iter) -> Index:
        """Which entries there are, and which of them count."""
        index = Index()
        for group in self.groups(pace=pace):
            index.add(group.head, group.span)
        return index

    def entry(self, span: Span | None) -> Entry | None:
        """Read one entry.

        Raises:
            ValueError: somebody made something else of it.
        """
        if span is None:
            return None
        stop = (span.last // BLOCK + 1) * BLOCK
        for group in groups(entry_lines(self._descriptor, span.first, stop)):
            if group.span.last == span.last:
                return decode(group.lines)
        return None

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Tally:
    """What has been written, and about how many lines of it are outdated by now.

    Counts while entries are written, so that nobody has to read the file for it.
    """

    def __init__(self) -> None:
        self.lines = 0
        self._superseded = 0
        # By kind and id: how many lines the latest entry has.
        self._latest: dict[str, dict[str, int]] = {}
        self._ended: dict[int, int] = {}

    @classmethod
    def of(cls, lives: dict[Key, Known], pace: Pace = iter) -> Tally:
        """The tally of a file that has only what is live."""
        tally = cls()
        for (noun, name), known in pace(lives.items()):
            if known.base is not None:
                tally.count(noun, name, known.base.lines, None)
            for verb, span in known.later.items():
                tally.count(f"{noun}.{verb}", name, span.lines, known.final)
        return tally

    def count(self, kind: str, name: str, lines: int, final: int | None) -> None:
        """Take an entry that was written."""
        latest = self._latest.setdefault(kind, {})
        self.lines += lines
        self._superseded += latest.get(name, 0)
        latest[name] = lines
        if final is not None:
            hour = final // HOUR_MS
            noun = kind.partition(".")[0]
            ended = lines + self._latest.get(noun, {}).get(name, 0)
            self._ended[hour] = self._ended.get(hour, 0) + ended

    def has(self, kind: str, name: str) -> bool:
        """Whether there is an entry of this kind and id."""
        return name in self._latest.get(kind, ())

    def forget(self, noun: str, name: str) -> None:
        """Take it that something has left the file."""
        for kind, latest in self._latest.items():
            if kind.partition(".")[0] == noun:
                self._superseded += latest.pop(name, 0)

    def outdated(self, oldest_final: int) -> int:
        """How many lines say nothing any more, about.

        Args:
            oldest_final: ms; what became final before is over.
        """
        hour = oldest_final // HOUR_MS
        over = sum(lines for ended, lines in self._ended.items() if ended < hour)
        return min(self.lines, self._superseded + over)
