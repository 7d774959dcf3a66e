"""One program of a stack, and who is told about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Unit:
    """A program that is to run for as long as the stack does."""

    name: str
    """For people; unique in the stack."""
    command: Sequence[str]
    environment: Mapping[str, str]
    """Its whole environment."""
    ready: Callable[[int], bool]
    """Whether the process of this id does its work; may block for some seconds."""
    told: str = ""
    """What people need to know when it is ready, such as its address."""


class Teller(Protocol):
    """Whoever shows what happens. Raises `OSError` when nobody looks any more."""

    def line(self, unit: str, text: str) -> None:
        """A program printed a line."""

    def note(self, text: str) -> None:
        """The stack itself has something to say."""
