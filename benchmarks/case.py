"""What a case is, and what it measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.contender import Contender


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a case."""

    name: str
    """What stands in the table."""
    unit: str
    better: Literal["higher", "lower"]
    bar: float | None = None
    """What our ratio to plain Celery has to reach (or stay under, when lower is
    better); None: for information."""

    absolute: bool = False
    """Whether the bar is one for our own figure: where plain Celery has nothing like it."""

    def holds(self, ratio: float) -> bool:
        """Whether a ratio (or a figure, see `absolute`) is good enough; always without a bar."""
        if self.bar is None:
            return True
        return ratio >= self.bar if self.better == "higher" else ratio <= self.bar


@dataclass(frozen=True, slots=True)
class Size:
    """How much a round does; the same for every contender."""

    drained: int = 2_000
    """No-op tasks that a worker works off."""
    submitted_singly: int = 500
    submitted_at_once: int = 5_000
    calls: int = 300
    """Tasks that are submitted and waited for, one after the other."""

    @classmethod
    def scaled(cls, factor: float) -> Size:
        """Rounds that are shorter (below 1) or longer."""
        usual = cls()
        return cls(
            max(100, int(usual.drained * factor)),
            max(50, int(usual.submitted_singly * factor)),
            # The bar speaks of 5,000.
            usual.submitted_at_once,
            max(30, int(usual.calls * factor)),
        )


class Case(ABC):
    """A workload. `prepare` once for each contender, then rounds in turn, then `finish`.

    Args:
        size: how much a round does.
    """

    name: str
    """What the command line calls it."""
    metrics: tuple[Metric, ...]

    def __init__(self, size: Size) -> None:
        self.size = size

    def prepare(self, contender: Contender) -> None:  # noqa: B027 - many cases need nothing
        """Start what the rounds need, and warm it up."""

    @abstractmethod
    def round(self, contender: Contender) -> Mapping[str, float]:
        """Measure once; maps a metric's name to its figure. What is not measured is left out."""

    def finish(self, contender: Contender) -> None:
        """End what `prepare` started; also after an error."""
        contender.stop_worker()
