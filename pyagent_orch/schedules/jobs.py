"""`ScheduledJob`: a task or workflow, and when it runs. Plain until it is scheduled, then live."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Protocol, get_args
from uuid import uuid4
from zoneinfo import ZoneInfo

from pyagent_orch.exceptions import ScheduleError
from pyagent_orch.models.checks import is_text
from pyagent_orch.models.tasks import Task
from pyagent_orch.schedules.checks import (
    checked_kind,
    checked_one_of,
    checked_seconds,
    checked_whole,
    checked_zone,
    name_of_work,
)
from pyagent_orch.schedules.cron import Cron
from pyagent_orch.schedules.record import JobRecord
from pyagent_orch.schedules.timing import Kind, Missed, Overlap, Timing
from pyagent_orch.workflows import Workflow

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
LONGEST_PREVIEW = 10_000
"""Due times that a preview may have."""


class JobHome(Protocol):
    """What a live job asks."""

    def refresh_job(self, job: ScheduledJob) -> None:
        """Bring its record up to date."""


class ScheduledJob:
    """Work that runs by the clock: once, in intervals, or by a cron expression.

    Args:
        task: what runs, not submitted yet; each run is a new task made like it. A pattern as
            its agent makes each run a workflow.
        workflow: what runs, in place of `task`.
        schedule_type: `once`, `interval` or `cron`; found by what else is given.
        run_at: once: when. Without a time zone it is wall-clock time in `timezone`.
        interval_seconds: interval: seconds, >= 0.001; the first run is one interval from now,
            and late runs move none of the others.
        cron: cron: five fields or an alias such as `@daily`.
        timezone: whose wall clock `cron` and times without a zone mean, such as `Europe/Berlin`.
        missed: what becomes of due times at which no beat ran: `coalesce` (one run for all of
            them), `skip` or `catch_up` (a run for each).
        max_runs: after so many runs it ends, >= 1.
        end_at: no run after this; as `run_at`.
        overlap: when the last run is not finished: `allow` another, `skip` it, or `queue` it.
        jitter: each run starts up to so many seconds later, >= 0.
        catch_up_limit: how many missed runs `catch_up` makes at the most, the latest; >= 1.
        name: for people; the task's or workflow's when not given.
        id: letters, digits and `_.:-`; made up when not given. Scheduling a job of an id that
            is there changes that job.

    Raises:
        ScheduleError: it cannot be scheduled like this; names the argument.
    """

    def __init__(
        self,
        task: Task | None = None,
        *,
        workflow: Workflow | None = None,
        schedule_type: Kind | str | None = None,
        run_at: datetime | None = None,
        interval_seconds: float | None = None,
        cron: str | None = None,
        timezone: str = "UTC",
        missed: Missed | str = "coalesce",
        max_runs: int | None = None,
        end_at: datetime | None = None,
        overlap: Overlap | str = "allow",
        jitter: float = 0.0,
        catch_up_limit: int = 100,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - the public contract's name
    ) -> None:
        self.task, self.workflow = task, workflow
        work = name_of_work(task, workflow)
        self.id = id if id is not None else f"job-{uuid4().hex[:12]}"
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise ScheduleError("id", f"{id!r} is none: up to 128 letters, digits and '_.:-'")
        if name is not None and not is_text(name):
            raise ScheduleError("name", f"{name!r} is no text, or is empty")
        self.name = name if name is not None else work
        given = {"once": run_at, "interval": interval_seconds, "cron": cron}
        self.schedule_type = checked_kind(schedule_type, given)
        self.takes_wall_clock = any(
            isinstance(one, datetime) and one.tzinfo is None for one in (run_at, end_at)
        )
        """Whether a time without a zone was given, which was taken as one of `timezone`."""
        self.zone = checked_zone(timezone)
        self.run_at = self._moment("run_at", run_at)
        self.interval_seconds = interval_seconds
        self.cron = cron
        self.timezone = timezone
        self.missed: Missed = checked_one_of("missed", missed, get_args(Missed))  # type: ignore[assignment] # checked
        self.max_runs = checked_whole("max_runs", max_runs)
        self.end_at = self._moment("end_at", end_at)
        self.overlap: Overlap = checked_one_of("overlap", overlap, get_args(Overlap))  # type: ignore[assignment] # checked
        self.jitter = checked_seconds("jitter", jitter, smallest=0.0)
        self.catch_up_limit = checked_whole("catch_up_limit", catch_up_limit) or 1
        if interval_seconds is not None:
            checked_seconds("interval_seconds", interval_seconds, smallest=0.001)
        if cron is not None:
            Cron(cron, self.zone)
        self._home: JobHome | None = None
        self._record: JobRecord | None = None

    @classmethod
    def of_record(cls, record: JobRecord, home: JobHome | None) -> ScheduledJob:
        """A live job for a record; its `task` and `workflow` are not known."""
        job = cls.__new__(cls)
        timing = record.timing
        job.task = job.workflow = None
        job.id, job.name = record.id, record.name
        job.zone, job.timezone = ZoneInfo(timing.zone), timing.zone
        job.schedule_type = timing.kind
        job.run_at = _aware(timing.at) if timing.kind == "once" else None
        job.interval_seconds = timing.every / 1000 if timing.kind == "interval" else None
        job.cron = timing.cron or None
        job.missed, job.overlap = timing.missed, timing.overlap
        job.max_runs, job.catch_up_limit = timing.max_runs, timing.catch_up
        job.end_at = _aware(timing.end) if timing.end is not None else None
        job.jitter = timing.jitter / 1000
        job.takes_wall_clock = False
        job.bind(home)
        job.update(record)
        return job

    def _moment(self, field: str, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        if not isinstance(value, datetime):
            raise ScheduleError(field, f"is of type {type(value).__name__}; give a datetime")
        if value.tzinfo is not None:
            return value
        return value.replace(tzinfo=self.zone)

    def timing(self, now: int) -> Timing:
        """The job's times as they are stored.

        Args:
            now: the present, ms; the anchor of an interval.

        Raises:
            ScheduleError: it would never run.
        """
        every = round((self.interval_seconds or 0) * 1000)
        timing = Timing(
            kind=self.schedule_type,
            at=_ms(self.run_at) if self.run_at is not None else (now if every else 0),
            every=every,
            cron=self.cron or "",
            zone=self.timezone,
            missed=self.missed,
            catch_up=self.catch_up_limit,
            max_runs=self.max_runs,
            end=_ms(self.end_at) if self.end_at is not None else None,
            overlap=self.overlap,
            jitter=round(self.jitter * 1000),
        )
        if timing.following(now) is None:
            if self.run_at is not None and _ms(self.run_at) <= now:
                raise ScheduleError("run_at", f"{self.run_at.isoformat()} is in the past")
            raise ScheduleError(
                "end_at" if timing.end is not None else "cron",
                "there is no run before the end" if timing.end is not None else "never fires",
            )
        return timing

    # --- live ---------------------------------------------------------------------------

    def bind(self, home: JobHome | None) -> None:
        """Make the job live; called by its orchestrator, as is `update`."""
        self._home = home

    def update(self, record: JobRecord) -> None:
        """Take a newer record."""
        self._record = record

    @property
    def is_live(self) -> bool:
        """Whether it has been scheduled."""
        return self._record is not None

    @property
    def record(self) -> JobRecord | None:
        """The record as last seen; None before it is scheduled."""
        return self._record

    def _fresh(self) -> JobRecord | None:
        if self._record is not None and self._home is not None:
            self._home.refresh_job(self)
        return self._record

    @property
    def next_run(self) -> datetime | None:
        """When it is due next, in its own time zone; None when paused or ended."""
        record = self._fresh()
        return self._local(record.next_ms if record else None)

    @property
    def last_run(self) -> datetime | None:
        """The due time of its last run, in its own time zone."""
        record = self._fresh()
        return self._local(record.last_ms if record else None)

    @property
    def last_run_id(self) -> str | None:
        """The id of the task, or workflow, that was its last run."""
        record = self._fresh()
        return record.last_id if record else None

    @property
    def runs(self) -> int:
        """How often its schedule fired it; `run_now` does not count."""
        record = self._fresh()
        return record.runs if record else 0

    @property
    def enabled(self) -> bool:
        """Whether it fires: it is not paused and has not ended."""
        record = self._fresh()
        return record.enabled if record else True

    @property
    def problem(self) -> str:
        """Why it was paused by the ticker; empty otherwise."""
        record = self._fresh()
        return record.problem if record else ""

    def preview(self, count: int = 5) -> list[datetime]:
        """The next due times in its own zone, whether it is paused or not.

        Args:
            count: how many, 1 to 10,000.

        Raises:
            ScheduleError: the count is out of its range.
        """
        checked_whole("count", count, LONGEST_PREVIEW)
        now = time.time_ns() // 1_000_000
        timing = self._record.timing if self._record else self.timing(now)
        left = count
        if timing.max_runs is not None:
            left = min(count, max(0, timing.max_runs - self.runs))
        return [at for ms in timing.upcoming(now, left) if (at := self._local(ms)) is not None]

    def _local(self, moment: int | None) -> datetime | None:
        return None if moment is None else _aware(moment).astimezone(self.zone)

    @property
    def schedule(self) -> str:
        """When it runs, in a few words."""
        if self.schedule_type == "once" and self.run_at is not None:
            return f"once at {self.run_at.astimezone(self.zone).isoformat()}"
        if self.schedule_type == "interval":
            return f"every {self.interval_seconds:g} s"
        return f"{self.cron} ({self.timezone})"

    def __str__(self) -> str:
        record = self._record
        state = ""
        if record is not None and not record.enabled:
            state = ", ended" if record.ended_at is not None else ", paused"
        return f"{self.name} [{self.id}] {self.schedule}{state}"

    def __repr__(self) -> str:
        return f"<ScheduledJob {self.name!r} id={self.id} {self.schedule}>"


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _aware(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1000, tz=UTC)
