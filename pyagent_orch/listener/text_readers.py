"""One who reads texts, as the hub keeps it: how far it is with each task.

A part of the listener; only the hub's thread touches it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pyagent_orch.models.texts import START, TextPiece, TextPlace, TextStream

_MOST_PLACES = 10_000
"""Of how many tasks somebody who follows all of them knows how far it is."""


@dataclass(eq=False)
class TextReader:
    """A stream with its places."""

    stream: TextStream
    polls: bool = False
    """Whether it has to look for the end itself, now and then."""
    places: dict[str, TextPlace] = field(default_factory=dict)
    """Maps tasks to how far they are read."""
    subjects: set[str] = field(default_factory=set)
    """The ids whose ends matter."""
    stale: set[str] = field(default_factory=set)
    """Tasks that something was missed of."""
    ended: set[str] = field(default_factory=set)
    """Tasks of a workflow that are final and read to the end."""
    whole: bool = False
    """Whether all has to be looked at."""

    @property
    def name(self) -> str:
        """What it follows."""
        return self.stream.subject

    @property
    def is_stale(self) -> bool:
        """Whether there is something to read."""
        return self.whole or bool(self.stale)

    def place(self, task_id: str) -> TextPlace:
        """How far it is with a task."""
        begin = self.stream.after if self.stream.noun == "task" else START
        return self.places.get(task_id, begin)

    def take(self, task_id: str, piece: TextPiece | None) -> None:
        """Hand a piece on that fits."""
        if piece is None or task_id in self.ended:
            return
        self.places[task_id] = piece.place
        if self.stream.noun == "all" and len(self.places) > _MOST_PLACES:
            del self.places[next(iter(self.places))]
        self.stream.put(piece)

    def take_stale(self) -> list[str]:
        """The tasks that something was missed of, which are then forgotten."""
        found, self.stale = list(self.stale), set()
        return found
