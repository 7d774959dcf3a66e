"""Scheduled jobs in Redis: written by clients, fired by any number of tickers at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import redis

from pyagent_orch.exceptions import JobNotFoundError, ScheduleError
from pyagent_orch.schedules.record import JobRecord
from pyagent_orch.store.acts import Acts
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.keys import Keys
from pyagent_orch.store.newtasks import NewTask, new_tasks

logger = logging.getLogger(__name__)

PAGE = 200
"""How many jobs are read, or fired, in one round trip."""
How = Literal["due", "queued", "manual"]
JobEvent = Literal["job.scheduled", "job.changed", "job.paused", "job.resumed"]


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job at which a ticker has to look."""

    record: JobRecord
    due: int
    """The due time to deal with; ms."""
    queued: bool = False
    """Whether it waited for the end of the last run, which may be now."""
    waiting: int = 0
    """How many due times wait so."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is due."""

    now: int
    """By Redis' clock; ms."""
    next_due: float | None
    """Seconds until the next due time after these; None: there is none."""
    jobs: Sequence[DueJob]
    broken: Sequence[tuple[str, str]] = ()
    """Ids of due jobs whose records cannot be read, and why."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One due time of a job, dealt with."""

    job: JobRecord
    how: How
    due: int
    next: int | None
    next_if_skipped: int | None
    tick: int | None
    """None: nothing runs."""
    run_id: str = ""
    late: bool = False
    left_out: int | None = 0
    left_out_from: int = 0
    agents: Mapping[str, str] = field(default_factory=dict)
    tasks: Sequence[NewTask] = ()
    workflow: Mapping[str, str] | None = None
    """What the run's record begins with when it is a workflow."""
    deadline_ms: int = 0

    def arguments(self) -> list[str | int | float]:
        """As `fire_v1.lua` takes it."""
        fields = list((self.workflow or {}).items())
        left_out = {0: "", None: "?"}.get(self.left_out, str(self.left_out))
        args = new_tasks(self.agents, self.tasks)
        args += (
            self.job.id, self.how, self.job.revision, self.job.runs, self.due, _or_empty(self.next),
            _or_empty(self.next_if_skipped), _or_empty(self.tick), self.run_id,
            "1" if self.late else "", left_out, self.left_out_from,
            self.run_id if self.workflow is not None else "", self.deadline_ms, 2 * len(fields),
        )  # fmt: skip
        for pair in fields:
            args += pair
        return args


def _or_empty(moment: int | None) -> int | str:
    return "" if moment is None else moment


class Schedules:
    """Calls on the scheduled jobs of a namespace. Safe to share between threads."""

    def __init__(self, client: redis.Redis, acts: Acts, keys: Keys, label: str) -> None:
        self._client, self._acts, self._keys, self._label = client, acts, keys, label

    # --- clients ----------------------------------------------------------------------------

    def now(self) -> int:
        """Redis' clock; ms."""
        with named_errors(self._label):
            seconds, microseconds = self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def write(
        self,
        job_id: str,
        revision: int,
        fields: Mapping[str, str],
        due: int | None,
        event: JobEvent,
        *,
        seen: int | None = None,
    ) -> bool:
        """Write a job, new or changed, unless it was changed, or fired, meanwhile.

        Args:
            job_id: its id.
            revision: the one it was read with; 0: there is none yet.
            fields: of its hash.
            due: the next due time, ms; None: not to be fired.
            event: what to tell the stream.
            seen: the due time that it was read with, ms, if `due` is one.

        Returns:
            False, and nothing is written, when it has another revision or due time by now.
        """
        args: list[str | int] = [
            job_id, revision, _or_empty(due), _or_empty(seen), event, 2 * len(fields),
        ]  # fmt: skip
        for pair in fields.items():
            args += pair
        with named_errors(self._label):
            reply = self._acts.run("schedule_v1", args)
        return bool(reply[0] == "ok")

    def remove(self, job_id: str) -> bool:
        """Remove a job; False when there is none. Its runs go on."""
        with named_errors(self._label):
            return bool(self._acts.run("unschedule_v1", [job_id]))

    def find_now(self, job_id: str) -> tuple[JobRecord | None, int]:
        """Read one job, None when there is none, and Redis' clock, ms; one round trip."""
        pipe = self._client.pipeline(transaction=False)
        self._ask(pipe, job_id)
        pipe.time()
        with named_errors(self._label):
            fields, due, (seconds, microseconds) = pipe.execute()
        now = int(seconds) * 1000 + int(microseconds) // 1000
        return self._record(job_id, fields, due), now

    def find(self, job_id: str) -> JobRecord | None:
        """Read one job; None when there is none.

        Raises:
            ScheduleError: its record cannot be read.
        """
        record = self._get_many([job_id])[0]
        if isinstance(record, ScheduleError):
            raise record
        return record

    def get(self, job_id: str) -> JobRecord:
        """Read one job.

        Raises:
            JobNotFoundError: there is none.
            ScheduleError: its record cannot be read.
        """
        record = self.find(job_id)
        if record is None:
            raise JobNotFoundError(job_id)
        return record

    def all(self) -> list[JobRecord]:
        """All jobs: by their next due time, those without one last.

        One whose record cannot be read is left out and logged: it must not hide the others.
        """
        with named_errors(self._label):
            ids = [str(one) for one in self._client.zrange(self._keys.jobs, 0, -1)]
        found: list[JobRecord] = []
        gone: list[str] = []
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            for job_id, record in zip(page, self._get_many(page), strict=True):
                if record is None:
                    gone.append(job_id)
                elif isinstance(record, ScheduleError):
                    logger.error("A job is not listed: %s", record)
                else:
                    found.append(record)
        self._forget(gone)
        far = max((one.next_ms for one in found if one.next_ms is not None), default=0) + 1
        return sorted(found, key=lambda one: far if one.next_ms is None else one.next_ms)

    def _forget(self, gone: Sequence[str]) -> None:
        """Take off the list what has expired, as jobs do that have ended."""
        if not gone:
            return
        with named_errors(self._label):
            self._client.zrem(self._keys.jobs, *gone)
            for job_id in gone:
                # Scheduled again meanwhile.
                created = self._client.hget(self._keys.job(job_id), "created")
                if created is not None:
                    self._client.zadd(self._keys.jobs, {job_id: float(str(created))}, nx=True)

    def runs(self, job_id: str, limit: int) -> list[str]:
        """The ids of a job's latest runs, the last one first."""
        with named_errors(self._label):
            found: Any = self._client.lrange(self._keys.job(job_id) + ":runs", 0, limit - 1)
        return list(found)

    def _get_many(self, job_ids: Sequence[str]) -> list[JobRecord | ScheduleError | None]:
        pipe = self._client.pipeline(transaction=False)
        for job_id in job_ids:
            self._ask(pipe, job_id)
        with named_errors(self._label):
            replies = pipe.execute()
        found: list[JobRecord | ScheduleError | None] = []
        for i, job_id in enumerate(job_ids):
            try:
                found.append(self._record(job_id, replies[2 * i], replies[2 * i + 1]))
            except ScheduleError as error:
                found.append(error)
        return found

    def _ask(self, pipe: Any, job_id: str) -> None:
        pipe.hgetall(self._keys.job(job_id))
        pipe.zscore(self._keys.due_jobs, job_id)

    @staticmethod
    def _record(job_id: str, fields: Mapping[str, str], due: float | None) -> JobRecord | None:
        return JobRecord.from_fields(job_id, fields, due) if "timing" in fields else None

    # --- tickers ----------------------------------------------------------------------------

    def due(self, beat: str = "") -> Look:
        """Look what is due; one round trip, whose cost does not grow with what is not due.

        Args:
            beat: the node name of the beat that asks, which is thereby recorded as alive.
        """
        reply = self._acts.run("due_v1", [PAGE, beat])
        jobs: list[DueJob] = []
        broken: list[tuple[str, str]] = []
        for i in range(2, len(reply), 4):
            job_id, score, tick, pairs = reply[i : i + 4]
            fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
            due = float(score) if score else None
            try:
                record = JobRecord.from_fields(job_id, fields, due)
            except ScheduleError as error:
                broken.append((job_id, str(error)))
                continue
            jobs.append(
                DueJob(record, int(tick or float(score)), bool(tick), int(fields["waiting"]))
            )
        return Look(int(reply[0]), int(float(reply[1])) / 1000 if reply[1] else None, jobs, broken)

    def disable(self, job_id: str, problem: str) -> None:
        """Pause a job whose record cannot be read."""
        revision = int(self._client.hget(self._keys.job(job_id), "rev") or 0)
        self.write(job_id, revision, {"enabled": "0", "problem": problem}, None, "job.paused")

    def fire(self, firings: Sequence[Firing]) -> list[str | Exception]:
        """Deal with due times; each is one act that does nothing when somebody else was first.

        Returns:
            For each: `fired`, `queued`, `skipped`, `passed` or `moved`, or why it was refused.
        """
        replies = self._acts.run_many("fire_v1", [one.arguments() for one in firings])
        return [reply if isinstance(reply, Exception) else str(reply[0]) for reply in replies]
