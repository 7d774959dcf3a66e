"""What a look at a due job comes to, and what a job refuses."""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch import Task
from pyagent_orch.exceptions import ScheduleError
from pyagent_orch.schedules.jobs import ScheduledJob
from pyagent_orch.schedules.timing import LATE_MS, Step, Timing, look

HOUR = 3_600_000
NOON = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * 1000)


def hourly(**options: Any) -> Timing:
    return Timing(kind="interval", every=HOUR, at=NOON, **options)


def test_intervals_do_not_drift() -> None:
    timing = hourly()
    assert timing.upcoming(NOON, 3) == [NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR]
    step = look(timing, NOON + HOUR, NOON + HOUR + 700, 0)
    assert (step.tick, step.next, step.late) == (NOON + HOUR, NOON + 2 * HOUR, False)


@given(
    every=st.integers(1, 10**9), lag=st.integers(0, 10**12), missed=st.sampled_from(
        ["skip", "coalesce", "catch_up"]
    )
)  # fmt: skip
def test_the_next_due_time_is_always_later_and_on_the_grid(every: int, lag: int, missed) -> None:
    timing = Timing(kind="interval", every=every, at=NOON, missed=missed)
    due = NOON + every
    step = look(timing, due, due + lag, 0)
    assert step.next is not None
    assert step.next > due
    assert (step.next - NOON) % every == 0
    if missed != "catch_up":
        assert step.next > due + lag
    if step.tick is not None:
        assert due <= step.tick <= due + lag


def test_coalesce_makes_one_late_run_of_all_that_was_missed() -> None:
    step = look(hourly(), NOON + HOUR, NOON + 5 * HOUR + 60_000, 0)
    assert (step.tick, step.next) == (NOON + 5 * HOUR, NOON + 6 * HOUR)
    assert (step.late, step.skipped, step.skipped_from) == (True, 4, NOON + HOUR)


def test_skip_leaves_out_what_is_late_and_keeps_what_is_not() -> None:
    timing = hourly(missed="skip")
    step = look(timing, NOON + HOUR, NOON + 5 * HOUR + LATE_MS + 1, 0)
    assert (step.tick, step.next, step.skipped) == (None, NOON + 6 * HOUR, 5)
    step = look(timing, NOON + HOUR, NOON + 5 * HOUR + LATE_MS, 0)
    assert (step.tick, step.skipped) == (NOON + 5 * HOUR, 4)


def test_catch_up_makes_each_missed_run_up_to_its_bound() -> None:
    timing = hourly(missed="catch_up", catch_up=3)
    now, due, ticks, skipped = NOON + 10 * HOUR, NOON + HOUR, [], 0
    while due is not None and due <= now:
        step = look(timing, due, now, len(ticks))
        ticks.append(step.tick)
        skipped += step.skipped or 0
        due = step.next
    assert ticks == [NOON + 8 * HOUR, NOON + 9 * HOUR, NOON + 10 * HOUR]
    assert (skipped, due) == (7, NOON + 11 * HOUR)


def test_a_cron_job_of_every_minute_that_was_down_for_a_year_is_no_long_look() -> None:
    timing = Timing(kind="cron", cron="* * * * *")
    step = look(timing, NOON - 365 * 24 * HOUR, NOON + 30_000, 0)
    assert (step.tick, step.next, step.skipped) == (NOON, NOON + 60_000, None)


def test_a_cron_job_catches_up_with_two_days_of_minutes_in_order_and_soon() -> None:
    limit = 2 * 24 * 60
    timing = Timing(kind="cron", cron="* * * * *", missed="catch_up", catch_up=limit)
    now, due, ticks, skipped = NOON + 30_000, NOON - 3 * 24 * HOUR, [], []
    began = time.process_time()
    while due <= now:
        step = look(timing, due, now, len(ticks))
        ticks.append(step.tick)
        skipped.append(step.skipped)
        due = step.next
    # Minutes of computing if all that is to come were found at each look.
    assert time.process_time() - began < 60
    assert ticks == [NOON - k * 60_000 for k in reversed(range(limit))]
    assert (skipped[0], set(skipped[1:])) == (None, {0})


def test_max_runs_and_end_at_end_a_job() -> None:
    assert look(hourly(max_runs=3), NOON + HOUR, NOON + HOUR, 2).next is None
    # Changed to fewer than it has had.
    assert look(hourly(max_runs=3), NOON + HOUR, NOON + HOUR, 3) == Step(None, None)
    timing = hourly(end=NOON + 2 * HOUR)
    assert look(timing, NOON + HOUR, NOON + HOUR, 0).next == NOON + 2 * HOUR
    step = look(timing, NOON + HOUR, NOON + 9 * HOUR, 0)
    assert (step.tick, step.next) == (NOON + 2 * HOUR, None)


def test_a_run_at_without_zone_is_wall_clock_time_of_the_jobs_zone() -> None:
    wall = datetime(2099, 7, 1, 9, 0)  # noqa: DTZ001 - what this is about
    job = ScheduledJob(Task("a"), run_at=wall, timezone="Europe/Berlin")
    assert job.run_at == datetime(2099, 7, 1, 9, tzinfo=timezone(timedelta(hours=2)))
    assert job.takes_wall_clock


def test_a_preview_is_in_the_jobs_zone() -> None:
    job = ScheduledJob(Task("a"), cron="0 9 * * MON", timezone="America/New_York")
    first, second = job.preview(2)
    assert (first.hour, first.weekday(), str(first.tzinfo)) == (9, 0, "America/New_York")
    assert second.date() - first.date() == timedelta(days=7)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "schedule_type"),
        ({"cron": "@daily", "interval_seconds": 5}, "schedule_type"),
        ({"schedule_type": "cron", "interval_seconds": 5}, "interval_seconds"),
        ({"schedule_type": "cron"}, "cron"),
        ({"schedule_type": "daily", "cron": "@daily"}, "schedule_type"),
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"interval_seconds": -1}, "interval_seconds"),
        ({"interval_seconds": float("nan")}, "interval_seconds"),
        ({"interval_seconds": True}, "interval_seconds"),
        ({"cron": "@daily", "timezone": "Mars/Olympus"}, "timezone"),
        ({"cron": "@daily", "timezone": ""}, "timezone"),
        ({"cron": "60 * * * *"}, "cron"),
        ({"run_at": "tomorrow"}, "run_at"),
        ({"cron": "@daily", "missed": "ignore"}, "missed"),
        ({"cron": "@daily", "overlap": "never"}, "overlap"),
        ({"cron": "@daily", "max_runs": 0}, "max_runs"),
        ({"cron": "@daily", "jitter": -1}, "jitter"),
        ({"cron": "@daily", "id": "two words"}, "id"),
        ({"cron": "@daily", "task": None}, "task"),
        ({"cron": "@daily", "task": "daily"}, "task"),
        ({"cron": "@daily", "task": Task("a", key="k")}, "task"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_by_the_argument(
    options: dict[str, Any], field: str
) -> None:
    with pytest.raises(ScheduleError) as raised:
        ScheduledJob(**{"task": Task("a"), **options})
    assert raised.value.field == field


def test_a_past_run_at_and_an_end_before_the_first_run_are_refused() -> None:
    past = ScheduledJob(Task("a"), run_at=datetime(2024, 12, 25, 9, tzinfo=UTC))
    with pytest.raises(ScheduleError, match="in the past"):
        past.timing(NOON)
    ended = ScheduledJob(Task("a"), cron="@daily", end_at=datetime(2026, 11, 22, 13, tzinfo=UTC))
    with pytest.raises(ScheduleError, match="no run before the end"):
        ended.timing(NOON)
