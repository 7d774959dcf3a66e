"""When a job is due: its times as they are stored, and what to do at a look at the clock.

Pure. All moments are milliseconds since the epoch, since that is what the sorted set
of due jobs holds; a rounded moment could equal the one before and fire twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from pyagent_orch.schedules.cron import Cron

LATE_MS = 15_000
"""A tick that fires later than this is late: beat was down. Failover takes less."""
_MINUTE_MS = 60_000
_WINDOW_MS = 60 * _MINUTE_MS
_COUNTED = 500
"""Missed ticks of a cron job are counted up to about here."""

Kind = Literal["once", "interval", "cron"]
Missed = Literal["skip", "coalesce", "catch_up"]
Overlap = Literal["allow", "skip", "queue"]


class Timing(BaseModel):
    """When a job runs, as it is stored. Frozen."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    at: int = 0
    """once: when. interval: the anchor; the job is due a whole number of intervals after it."""
    every: int = 0
    """interval: milliseconds between two runs, >= 1."""
    cron: str = ""
    zone: str = "UTC"
    missed: Missed = "coalesce"
    catch_up: int = 100
    """`missed="catch_up"`: how many missed runs at the most, the latest."""
    max_runs: int | None = None
    end: int | None = None
    """No run after this."""
    overlap: Overlap = "allow"
    jitter: int = 0
    """Milliseconds; each run starts up to so much later."""

    def following(self, moment: int) -> int | None:
        """The first due time after a moment; None when there is none."""
        if self.kind == "once":
            found = self.at if self.at > moment else None
        elif self.kind == "interval":
            found = self.at + max(1, (moment - self.at) // self.every + 1) * self.every
        else:
            following = _cron(self.cron, self.zone).next_after(_datetime(moment))
            found = None if following is None else round(following.timestamp() * 1000)
        return found if found is not None and (self.end is None or found <= self.end) else None

    def upcoming(self, moment: int, count: int) -> list[int]:
        """The next due times after a moment, not more than `count`."""
        found: list[int] = []
        following = self.following(moment)
        while following is not None and len(found) < count:
            found.append(following)
            following = self.following(following)
        return found

    def between(self, first: int, last: int) -> Iterator[int]:
        """The due times from `first`, which is one, to `last`."""
        at: int | None = first
        while at is not None and at <= last:
            yield at
            at = self.following(at)

    def latest(self, first: int, last: int, count: int) -> tuple[list[int], int | None]:
        """The latest due times of a stretch of time.

        Args:
            first: the first due time.
            last: the end of the stretch, >= first.
            count: how many, >= 1.

        Returns:
            The latest `count` of them, and how many there are before those; None when they
            are too many to be counted.
        """
        if self.kind == "once":
            return [first], 0
        if self.kind == "interval":
            total = (last - first) // self.every + 1
            kept = min(total, count)
            newest = first + (total - 1) * self.every
            return [newest - k * self.every for k in reversed(range(kept))], total - kept
        return self._latest_of_cron(first, last, count)

    def _latest_of_cron(self, first: int, last: int, count: int) -> tuple[list[int], int | None]:
        found: list[int] = []
        for at in self.between(first, last):
            found.append(at)
            if len(found) > count + _COUNTED:
                break
        else:
            return found[-count:], max(0, len(found) - count)
        window = _WINDOW_MS
        while True:
            begin = max(first, last - window)
            start = self.following(begin - 1)
            found = list(self.between(start, last)) if start is not None else []
            if len(found) >= count or begin == first:
                return found[-count:], None
            window *= 4


@lru_cache(maxsize=1024)
def _cron(expression: str, zone: str) -> Cron:
    return Cron(expression, ZoneInfo(zone))


def _datetime(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1000, tz=UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """What one look at a due job comes to."""

    tick: int | None
    """The due time to fire now; None: nothing fires."""
    next: int | None
    """The next due time; None: the job has ended."""
    late: bool = False
    skipped: int | None = 0
    """How many due times are left out; None: more than could be counted."""
    skipped_from: int = 0
    """The first of those."""


def look(timing: Timing, due: int, now: int, runs: int) -> Step:
    """Decide about a job that is due; at most one run for each look.

    Args:
        timing: of the job.
        due: its first due time that nobody has dealt with.
        now: the present, >= due.
        runs: how often it has fired.
    """
    if timing.max_runs is not None and runs >= timing.max_runs:
        # It was changed to fewer runs than it has had.
        return Step(None, None)
    horizon = now if timing.end is None else max(due, min(now, timing.end))
    keep = max(1, timing.catch_up) if timing.missed == "catch_up" else 1
    kept: list[int] = [due]
    skipped: int | None = 0
    # No cron job is due twice in a minute: as long as all are kept, they need not be looked for,
    # not at each of the thousands of looks that catch up with a week.
    if timing.kind != "cron" or (horizon - due) // _MINUTE_MS >= keep:
        kept, skipped = timing.latest(due, horizon, keep)
    tick: int | None = kept[0]
    following = kept[1] if len(kept) > 1 else timing.following(kept[0])
    late = now - kept[0] > LATE_MS or skipped != 0
    if timing.missed == "skip" and now - kept[0] > LATE_MS:
        tick, skipped = None, None if skipped is None else skipped + 1
    if tick is not None and timing.max_runs is not None and runs + 1 >= timing.max_runs:
        following = None
    return Step(tick, following, late and tick is not None, skipped, due if skipped != 0 else 0)
