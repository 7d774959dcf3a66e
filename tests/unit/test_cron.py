"""Cron against the recorded runs of Debian's cron, against cronsim, and against every minute."""

import json
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from pyagent_orch.exceptions import ScheduleError
from pyagent_orch.schedules.cron import Cron

ORACLE = sorted((Path(__file__).parent / "cron_oracle").glob("*.json"))
ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "UTC")
CASES = int(os.environ.get("CRON_CASES", "20000"))
"""Pairs of a random expression and an instant; each expression has five."""
INSTANTS = 5
FIRES = 1
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def runs(cron: Cron, first: datetime, last: datetime) -> list[datetime]:
    found: list[datetime] = []
    moment: datetime | None = first - timedelta(seconds=1)
    while (moment := cron.next_after(moment)) is not None and moment <= last:
        found.append(moment)
    return found


@pytest.mark.parametrize("path", ORACLE, ids=lambda path: path.stem)
def test_every_recorded_run_of_debians_cron_is_met_and_no_other_is_made(path: Path) -> None:
    recorded = json.loads(path.read_text())
    first, last = (datetime.fromisoformat(recorded[key]) for key in ("from_utc", "to_utc"))
    assert recorded["runs_utc_epoch"]
    for expression, epochs in recorded["runs_utc_epoch"].items():
        cron = Cron(expression, ZoneInfo(recorded["zone"]))
        # Skipped runs of one job that fall on one minute may merge.
        expected = [datetime.fromtimestamp(epoch, UTC) for epoch in sorted(set(epochs))]
        assert runs(cron, first, last) == expected, expression


def random_field(rng: random.Random, low: int, high: int, *, star: float) -> str:
    if rng.random() < star:
        return "*" if rng.random() < 0.7 else f"*/{rng.randint(2, max(2, high // 2))}"
    kind = rng.random()
    if kind < 0.6:
        return str(rng.randint(low, high))
    if kind < 0.8:
        return ",".join(map(str, sorted(rng.sample(range(low, high + 1), 2))))
    start = rng.randint(low, high - 1)
    step = rng.choice(["", "", f"/{rng.randint(2, 9)}"]) if high > 9 else ""
    return f"{start}-{rng.randint(start + 1, high)}{step}"


def random_expression(rng: random.Random) -> str:
    month = random_field(rng, 1, 12, star=0.8)
    # There is one of each number in every month, or in every year.
    last = 31 if month == "*" else 28
    fields = [
        random_field(rng, 0, 59, star=0.3),
        # Most often near the hours in which clocks change.
        random_field(rng, 0, 23, star=0.4) if rng.random() < 0.4 else str(rng.randint(0, 4)),
        "L" if rng.random() < 0.1 else random_field(rng, 1, last, star=0.8),
        month,
        random_field(rng, 0, 6, star=0.8),
    ]
    if rng.random() < 0.2:
        day = rng.choice(DAYS)
        fields[4] = rng.choice([day, f"{day}#{rng.randint(1, 5)}", "MON-FRI", f"{day},5"])
        if "#" in fields[4]:
            # Refused with a day of month.
            fields[2] = "*"
    return " ".join(fields)


def random_start(rng: random.Random) -> datetime:
    start = datetime(2023, 12, 1, tzinfo=UTC) + timedelta(minutes=rng.randint(0, 4 * 366 * 1440))
    if rng.random() < 0.5:
        # In the two days before a change of the clock.
        change = rng.choice(
            [
                (2024, 3, 10),
                (2025, 3, 30),
                (2026, 10, 25),
                (2027, 11, 7),
                (2026, 4, 4),
                (2025, 10, 4),
            ]
        )
        start = datetime(*change, tzinfo=UTC) - timedelta(minutes=rng.randint(-1440, 2 * 1440))
    return start


def fires(cron: Cron, start: datetime) -> list[datetime]:
    found, moment = [], start
    for _ in range(FIRES):
        following = cron.next_after(moment)
        if following is None:
            break
        found.append(moment := following)
    return found


def fires_of_cronsim(expression: str, zone: str, start: datetime) -> list[datetime]:
    found: list[datetime] = []
    for local in CronSim(expression, start.astimezone(ZoneInfo(zone))):
        moment = local.astimezone(UTC)
        if moment > start and (not found or moment > found[-1]):
            found.append(moment)
        if len(found) == FIRES:
            break
    return found


def fires_by_every_minute(expression: str, zone: ZoneInfo, start: datetime, last: datetime):
    """Debian's rule, said in another way: what each real minute has to run."""
    minute, hour, *day = expression.split()
    days = Cron(" ".join(["0", "0", *day]), ZoneInfo("UTC"))
    minutes, hours = (numbers(field, top) for field, top in ((minute, 60), (hour, 24)))
    every = minute.startswith("*") or hour.startswith("*")

    def matches(wall: datetime) -> bool:
        midnight = wall.replace(hour=0, minute=0, tzinfo=UTC)
        return (
            wall.minute in minutes
            and wall.hour in hours
            and days.next_after(midnight - timedelta(minutes=1)) == midnight
        )

    found, seen = [], None
    # The furthest that a wall clock has come, from two days before.
    moment = (start - timedelta(days=2)).replace(second=0, microsecond=0)
    while moment <= last:
        wall = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        if every:
            due = matches(wall)
        else:
            begin = wall if seen is None else min(wall, seen + timedelta(minutes=1))
            fresh = [wall] if seen is None or wall > seen else []
            while begin < wall:
                fresh.append(begin)
                begin += timedelta(minutes=1)
            due = any(matches(one) for one in fresh if seen is None or one > seen)
            seen = wall if seen is None else max(seen, wall)
        if due and moment > start:
            found.append(moment)
        moment += timedelta(minutes=1)
    return found


def numbers(field: str, top: int) -> set[int]:
    if field.startswith("*"):
        return set(range(0, top, int(field.partition("/")[2] or 1)))
    field, _, step = field.partition("/")
    first, dash, last = field.partition("-")
    if dash:
        return set(range(int(first), int(last) + 1, int(step or 1)))
    return set(map(int, field.split(",")))


@pytest.mark.timeout(600)
def test_random_expressions_agree_with_cronsim() -> None:
    rng = random.Random(20_260_308)
    # cronsim drops runs where the clock moves by half an hour.
    zones = [zone for zone in ZONES if zone != "Australia/Lord_Howe"]
    compared = 0
    while compared < CASES:
        expression, zone = random_expression(rng), rng.choice(zones)
        cron = Cron(expression, ZoneInfo(zone))
        for _ in range(INSTANTS):
            start = random_start(rng)
            assert fires(cron, start) == fires_of_cronsim(expression, zone, start), (
                expression,
                zone,
                start,
            )
            compared += 1


def test_where_the_clock_moves_by_half_an_hour_every_minute_agrees() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    rng = random.Random(20_260_404)
    for _ in range(max(20, CASES // 400)):
        # Every day, so that a walk of two days meets it.
        expression = " ".join([*random_expression(rng).split()[:2], "*", "*", "*"])
        change = rng.choice([(2024, 4, 6), (2026, 4, 4), (2025, 10, 4), (2027, 10, 2)])
        start = datetime(*change, tzinfo=UTC) + timedelta(minutes=rng.randint(0, 1440))
        last = start + timedelta(days=1)
        found = runs(Cron(expression, zone), start + timedelta(seconds=1), last)
        assert found == fires_by_every_minute(expression, zone, start, last), (expression, start)


@pytest.mark.parametrize("zone", ZONES)
def test_the_walk_of_every_minute_itself_agrees_with_debians_rule_elsewhere(zone: str) -> None:
    start = datetime(2026, 3, 7, 12, tzinfo=UTC)
    last = start + timedelta(days=1)
    for expression in ("30 2 * * *", "*/20 * * * *", "15,45 1-3 * * *", "0 */2 * * *"):
        found = runs(Cron(expression, ZoneInfo(zone)), start + timedelta(seconds=1), last)
        assert found == fires_by_every_minute(expression, ZoneInfo(zone), start, last)


def test_a_leap_day_comes_every_four_years() -> None:
    cron = Cron("0 12 29 2 *", ZoneInfo("Europe/Berlin"))
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    years = []
    for _ in range(3):
        moment = cron.next_after(moment)
        years.append(moment.year)
    assert years == [2028, 2032, 2036]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("@daily", "2026-11-23T00:00:00+00:00"),
        ("@Hourly", "2026-11-22T13:00:00+00:00"),
        ("0 9 * * MON", "2026-11-23T09:00:00+00:00"),
        ("0 9 * * mon", "2026-11-23T09:00:00+00:00"),
        ("0\t9  * * 7", "2026-11-29T09:00:00+00:00"),
        ("0 9 * * FRI-MON", "2026-11-23T09:00:00+00:00"),
        ("0 0 L * *", "2026-11-30T00:00:00+00:00"),
        ("0 0 15W * *", "2026-12-15T00:00:00+00:00"),
        ("5/10 * * * *", "2026-11-22T12:35:00+00:00"),
        ("0 0 * * L5", "2026-11-27T00:00:00+00:00"),
        ("0 0 * * MON#2", "2026-12-14T00:00:00+00:00"),
        # cron(5): either day, but both where the day of month starts with a star.
        ("0 12 13 * FRI", "2026-11-27T12:00:00+00:00"),
        ("0 0 */2 * MON", "2026-11-23T00:00:00+00:00"),
    ],
)
def test_names_aliases_and_last_days_are_read(expression: str, expected: str) -> None:
    now = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
    assert Cron(expression, ZoneInfo("UTC")).next_after(now) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "is empty"),
        ("60 * * * *", "minute '60'"),
        ("0 24 * * *", "hour '24'"),
        ("0 0 32 * *", "day of month '32'"),
        ("0 0 * FOO *", "month 'FOO'"),
        ("0 0 * * Monday", "write MON"),
        ("*/90 * * * *", "minute '*/90'"),
        ("30 0 9 * * *", "has 6 fields"),
        ("0 9 * *", "has 4 fields"),
        ("0 9 * * MON-MON", "day of week 'MON-MON'"),
        ("0 9 * * 0-7", "day of week '0-7'"),
        ("R * * * *", "random"),
        ("H * * * *", "random"),
        ("0 9 1 * MON#2", "day of week 'MON#2' with a day of month"),
        ("0 9 28 * L5", "day of week 'L5' with a day of month"),
        ("0 9 15W * MON", "day of month '15W' with a day of week"),
        ("- * * * *", "minute '-'"),
        (",".join(["1"] * 50_000) + " * * * *", "has 100,007 characters"),
        ("0 0 31 2 *", "never fires"),
        ("0 0 30 2 *", "never fires"),
        ("@reboot", "there is no alias"),
        ("? * * * *", "'?' stands for a day only"),
    ],
)
def test_a_bad_expression_is_refused_at_the_field_that_is_bad(expression: str, told: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        Cron(expression, ZoneInfo("UTC"))
    assert raised.value.field == "cron"
    assert told in str(raised.value)
