"""Interleaved rounds, and what is made of their figures."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from statistics import median

from benchmarks.case import Case, Metric
from benchmarks.contender import Contender
from benchmarks.server import Server


@dataclass(frozen=True, slots=True)
class Line:
    """A metric's figures: one for each round and contender."""

    case: str
    metric: Metric
    figures: dict[str, list[float]]
    """Maps a contender's name to its figures, round by round."""

    def median(self, contender: str) -> float | None:
        """The median over the rounds; None where it was not measured."""
        figures = self.figures.get(contender)
        return median(figures) if figures else None

    def ratio(self, contender: str, baseline: str) -> float | None:
        """The median of the rounds' own ratios.

        The two figures of a round are neighbours in time, so what else the
        machine does weighs on both.
        """
        pairs = zip(self.figures.get(contender, ()), self.figures.get(baseline, ()), strict=False)
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        return median(ratios) if ratios else None


def run_case(
    case: Case,
    contenders: Sequence[Contender],
    rounds: int,
    server: Server,
    tell: Callable[[str], None],
) -> list[Line]:
    """Run a case: round by round, one contender after the other.

    Args:
        case: the workload.
        contenders: the first is the baseline.
        rounds: how many, >= 1.
        server: is empty afterwards.
        tell: is given a word on the progress.
    """
    lines = {
        metric.name: Line(case.name, metric, {contender.name: [] for contender in contenders})
        for metric in case.metrics
    }
    with ExitStack() as clean_up:
        clean_up.callback(server.clear)
        able = []
        for contender in contenders:
            tell(f"{case.name}: {contender.name} gets ready")
            # A client for each case: what one has started, such as a thread that
            # follows events, is not there in the next.
            contender.open()
            clean_up.callback(contender.close)
            clean_up.callback(case.finish, contender)
            # What a library does not have is not measured: a dash in the table.
            with suppress(NotImplementedError), _named(f"{case.name}: {contender.name}"):
                case.prepare(contender)
                able.append(contender)
        for number in range(rounds):
            for contender in able:
                tell(f"{case.name}: round {number + 1} of {rounds}, {contender.name}")
                # What the round before has left must not be collected in this one.
                gc.collect()
                with _named(f"{case.name}, round {number + 1}: {contender.name}"):
                    for name, figure in case.round(contender).items():
                        lines[name].figures[contender.name].append(figure)
    return list(lines.values())


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Have an error say whose it is."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise
