"""Who else hears of events: before all who wait, and after them. Protocols only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pyagent_orch.models.events import Event


class Witness(Protocol):
    """Is shown everything before anybody who waits hears of it, such as a state file."""

    def see(self, events: Sequence[Event]) -> None:
        """A page of events; shown again, whole or in part, when Redis went away meanwhile."""

    def catch_up(self) -> None:
        """Redis was out of sight: events may be missing."""

    def ended(self, noun: str, name: str) -> None:
        """Somebody has read that it is final, and is about to hear of it."""

    def called(self, noun: str, name: str) -> None:
        """Its callbacks have been called."""


class Tap(Protocol):
    """Hears of everything after all others, such as the streams of text."""

    def saw(self, events: Sequence[Event]) -> None:
        """A page of events that is delivered."""

    def lost_sight(self) -> None:
        """Redis was out of sight: events may be missing."""
