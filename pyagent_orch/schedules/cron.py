"""Cron expressions: croniter's grammar under Debian's rule for clock changes.

Pure. croniter reads the expression and finds the next wall-clock time that matches;
which instants that wall-clock time stands for is decided here, as the real cron of
Debian decides it (croniter by itself runs daily jobs twice in autumn):

A job whose minute or hour field starts with `*` runs at every real minute that
matches. Any other runs once for each wall-clock time: one that the change skips runs at
the end of the gap, one that comes twice runs the first time only.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

from pyagent_orch.exceptions import ScheduleError

LONGEST = 1000
"""Characters of an expression; all minutes, hours and days in lists are fewer."""
FIELDS = ("minute", "hour", "day of month", "month", "day of week")
ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_LARGEST = (59, 23, 31, 12, 7)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_WORDS: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset(),
    frozenset({"L", "W"}),
    frozenset(_MONTHS),
    frozenset({*_DAYS, "L"}),
)
_NAMES = {name: number for number, name in enumerate(_DAYS)} | {
    name: number + 1 for number, name in enumerate(_MONTHS)
}
_LARGEST_CHANGE = timedelta(hours=3)
"""Debian's own limit of what it takes for a change between summer and winter time."""
_SHORT = timedelta(days=7)
"""No zone changes its clock and changes it back within so little time."""


class Cron:
    """An expression in a time zone. Immutable; safe to share between threads.

    Args:
        expression: five fields (minute, hour, day of month, month, day of week) or an
            alias such as `@daily`. See `docs/schedules.md`.
        zone: whose wall clock it means.

    Raises:
        ScheduleError: it cannot be read, or could be read in two ways; names the field.
    """

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        fields = _checked_fields(expression)
        # Kept, since reading an expression takes longer than finding a time.
        self._reader = _checked_whole(fields)
        self.zone = zone
        self._fields = " ".join(fields)
        self._every_minute = fields[0].startswith("*") or fields[1].startswith("*")

    def next_after(self, moment: datetime) -> datetime | None:
        """The first run after a moment; UTC, None when there is none within 50 years.

        Args:
            moment: any aware time.
        """
        moment = moment.astimezone(UTC)
        try:
            return self._next_real(moment) if self._every_minute else self._next_fixed(moment)
        except CroniterBadDateError:
            return None

    def _walls(self, after: datetime) -> Iterator[datetime]:
        """The wall-clock times after one that match, in order; without zone."""
        times = copy(self._reader)
        times.set_current(after, force=True)
        while True:
            yield times.get_next(datetime)

    def _next_fixed(self, moment: datetime) -> datetime:
        """Once for each wall-clock time."""
        for wall in self._walls(self._wall(moment)):
            instants = self._instants(wall)
            first = instants[0] if instants else self._end_of_gap(wall)
            # Not so while the hour that comes twice is there for the second time.
            if first > moment:
                return first
        raise AssertionError  # pragma: no cover - the iterator ends by an error only

    def _next_real(self, moment: datetime) -> datetime:
        """Every real minute that matches."""
        here = self._wall(moment)
        offset = self._offset(moment)
        for wall in self._walls(here):
            direct = wall.replace(tzinfo=UTC) - offset
            if direct - moment < _SHORT and self._offset(direct) == offset:
                # The common case, without a change of the clock.
                found = direct
                break
            later = [one for one in self._instants(wall) if one > moment]
            if later:
                found = later[0]
                break
        if self._offset(moment + _LARGEST_CHANGE) < offset:
            # The clock goes back soon: times before this one may come again.
            for wall in self._walls(here - _LARGEST_CHANGE):
                if wall > here:
                    break
                found = min([found, *(one for one in self._instants(wall) if one > moment)])
        return found

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()

    def _instants(self, wall: datetime) -> list[datetime]:
        """When a wall-clock time is: never, once or twice; UTC, in order."""
        found: list[datetime] = []
        for fold in (0, 1):
            moment = wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)
            if self._wall(moment) == wall and moment not in found:
                found.append(moment)
        return found

    def _end_of_gap(self, wall: datetime) -> datetime:
        """The instant of the change that skips a wall-clock time."""
        after, before = (
            wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1)
        )
        offset = self._offset(before)
        while after - before > timedelta(seconds=1):
            middle = (before + (after - before) / 2).replace(microsecond=0)
            if middle == before:
                break
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after

    def __repr__(self) -> str:
        return f"Cron({self._fields!r}, {self.zone.key!r})"


def _checked_fields(expression: object) -> list[str]:
    if not isinstance(expression, str):
        kind = type(expression).__name__
        raise ScheduleError("cron", f"is of type {kind}; give a text such as '0 9 * * MON'")
    if not expression.strip():
        raise ScheduleError("cron", "is empty; five fields are wanted, such as '0 9 * * MON'")
    text = expression.strip()
    if len(text) > LONGEST:
        raise ScheduleError(
            "cron", f"has {len(text):,} characters, of {LONGEST:,} at the most; make several jobs"
        )
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            raise _bad(text, f"there is no alias {text!r}; there are {', '.join(ALIASES)}")
        text = ALIASES[text.lower()]
    fields = text.upper().split()
    if len(fields) != len(FIELDS):
        hint = "; seconds are not supported, see interval_seconds" if len(fields) == 6 else ""  # noqa: PLR2004
        raise _bad(text, f"has {len(fields)} fields; five are wanted: {', '.join(FIELDS)}{hint}")
    for place, field in enumerate(fields):
        _check_field(text, place, field)
    for place, marks, other in ((4, "#L", 2), (2, "W", 4)):
        if any(mark in fields[place] for mark in marks) and fields[other] not in {"*", "?"}:
            raise _bad(
                text,
                f"{FIELDS[place]} {fields[place]!r} with a {FIELDS[other]} ({fields[other]!r}) is "
                f"read by some as 'and', by others as 'or'; write * for the {FIELDS[other]}, or "
                "make two jobs",
            )
    return fields


def _check_field(text: str, place: int, field: str) -> None:
    name = FIELDS[place]
    for word in re.findall(r"[^\W\d_]+", field):
        if word in _WORDS[place]:
            continue
        if word in {"H", "R"}:
            raise _bad(
                text, f"{name} {field!r}: random times ({word}) are not supported; see jitter"
            )
        near = next((w for w in sorted(_WORDS[place]) if len(w) > 1 and word.startswith(w)), "")
        raise _bad(
            text, f"{name} {field!r}: {word!r} is no {name}" + (f"; write {near}" * bool(near))
        )
    for part in field.split(","):
        first, dash, last = part.partition("/")[0].partition("-")
        if dash and first and _number(place, first) == _number(place, last):
            raise _bad(
                text,
                f"{name} {part!r} is read by some as the whole circle, by others as one; "
                f"write {first} or *",
            )
        _, slash, step = part.partition("/")
        if slash and step.isdigit() and int(step) > _LARGEST[place]:
            raise _bad(
                text, f"{name} {part!r}: a step of {step} leaves the field; see interval_seconds"
            )
    if "?" in field and place not in {2, 4}:
        raise _bad(text, f"{name} {field!r}: '?' stands for a day only; write *")
    alone = ["*"] * len(FIELDS)
    alone[place] = field
    try:
        croniter.expand(" ".join(alone))
    except (CroniterError, ValueError, KeyError) as error:
        reason = re.sub(r"^\[.*?\]\s*", "", str(error)) or "cannot be read"
        raise _bad(text, f"{name} {field!r}: {reason}") from None


def _number(place: int, text: str) -> str | int:
    """A field's word or number, such that two that mean the same are equal."""
    number = _NAMES.get(text)
    if number is None:
        number = int(text) if text.isascii() and text.isdigit() else None
    if number is None:
        return text
    return number % 7 if place == 4 else number  # noqa: PLR2004 - Sunday is 0 and 7


def _checked_whole(fields: list[str]) -> croniter:
    """What reads the expression, of whose fields each is sound."""
    text = " ".join(fields)
    try:
        with warnings.catch_warnings():
            # It looks for its own deprecated calls in ours.
            warnings.simplefilter("ignore")
            reader = croniter(text, datetime(2024, 1, 1), implement_cron_bug=True)  # noqa: DTZ001 - a wall clock
        reader.get_next(datetime)
    except CroniterBadDateError:
        raise _bad(text, "never fires: there is no such day") from None
    except (CroniterError, ValueError, KeyError) as error:
        raise _bad(text, str(error)) from None
    return reader


def _bad(text: str, problem: str) -> ScheduleError:
    return ScheduleError("cron", f"{text!r}: {problem}")
