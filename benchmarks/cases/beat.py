"""What scheduled jobs cost beat, and how long they wait when a beat is killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

from benchmarks.case import Case, Metric, Size
from benchmarks.contender import Contender

FEW, MANY = 100, 10_000
DUE = 10
_EVERY = 0.2
"""Seconds between two runs of a job that comes again and again."""
_TURNS = 10
_WATCHED = 3.0


class BeatTick(Case):
    """A look at the clock that fires ten jobs, among few others and among many."""

    name = "beat-tick"
    metrics = (
        Metric("beat: 10 due, 100 other jobs", "ms", "lower"),
        Metric("beat: 10 due, 10,000 other jobs", "ms", "lower"),
        Metric("beat: 10,000 other jobs : 100", "x", "lower", bar=0.9),
    )

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        self._ticks: dict[str, list[Callable[[], object]]] = {}

    def prepare(self, contender: Contender) -> None:
        """Make the jobs, once."""
        self._ticks[contender.name] = [
            contender.ticks(others, DUE, _EVERY) for others in (FEW, MANY)
        ]

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Both sizes in turn, so that noise meets both."""
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(_TURNS):
            for tick, taken in zip(self._ticks[contender.name], times, strict=True):
                # What the other one was due meanwhile is not measured.
                tick()
                time.sleep(1.2 * _EVERY)
                began = time.perf_counter()
                tick()
                taken.append(time.perf_counter() - began)
        few, many = (1_000 * median(taken) for taken in times)
        names = (metric.name for metric in self.metrics)
        return dict(zip(names, (few, many, many / few), strict=True))


class BeatKilled(Case):
    """SIGKILL for a beat at default settings: when the next run is sent."""

    name = "beat-killed"
    metrics = (
        Metric("beat killed and started again: longest pause", "s", "lower"),
        Metric("one of two beats killed: longest pause", "s", "lower"),
    )

    def prepare(self, contender: Contender) -> None:
        """Start one, to see whether there is such a thing."""
        contender.start_beat(_EVERY).stop()

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Plain Celery must not have two."""
        again, other = self.metrics
        beats = [contender.start_beat(_EVERY)]
        figures = {}
        try:

            def restart() -> None:
                beats.pop().kill()
                beats.append(contender.start_beat(_EVERY))

            figures[again.name] = _longest_pause(contender, restart)
            if contender.may_have_two_beats:
                beats.append(contender.start_beat(_EVERY))
                figures[other.name] = _longest_pause(contender, lambda: beats.pop(0).kill())
        finally:
            for beat in beats:
                beat.stop()
        return figures


def _longest_pause(contender: Contender, fault: Callable[[], object]) -> float:
    """The longest time without a run, from the fault to a while after it; seconds."""
    fired = contender.count_fired()
    last = began = time.perf_counter()
    longest = 0.0
    fault()
    while (now := time.perf_counter()) < began + _WATCHED or fired == contender.count_fired():
        count = contender.count_fired()
        if count > fired:
            longest = max(longest, now - last)
            fired, last = count, now
        time.sleep(0.005)
    return max(longest, now - last)


BEATS = (BeatTick, BeatKilled)
