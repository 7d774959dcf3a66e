"""Scheduled jobs: adding, listing, pausing, changing and running them.

A part of the facade. When a job is due is decided in `schedules/`, firing is the
ticker's; here is only who is asked when.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from pyagent_orch.exceptions import JobNotFoundError, ScheduleError

if TYPE_CHECKING:
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.orchestrator.connection import Connection
    from pyagent_orch.orchestrator.home import Home
    from pyagent_orch.schedules.jobs import ScheduledJob
    from pyagent_orch.schedules.record import JobRecord
    from pyagent_orch.schedules.timing import Timing
    from pyagent_orch.store.schedules import JobEvent
    from pyagent_orch.workflows import Workflow

logger = logging.getLogger(__name__)

MOST_RUNS = 100
"""How many runs of a job are listed at the most; the act that fires keeps no more."""


class ScheduledJobs:
    """The calls about scheduled jobs; a base of `Orchestrator`."""

    _connection: Connection
    _home: Home
    _warned = False
    """Whether this object has told of a time without a zone."""

    def schedule(
        self,
        job: ScheduledJob | None = None,
        *,
        agent: object = None,
        input: object = None,  # noqa: A002 - the public contract's name
        **options: Any,
    ) -> ScheduledJob:
        """Schedule a job; returns it at once, live. Its first run is seen to within 2 s.

        A job of an id that is there changes that job: its count of runs stays, a paused one
        stays paused, and with the same times its next run stays. So a program may schedule
        its jobs by id at every start.

        Args:
            job: what to run and when; or give its parts:
            agent: the agent of its task; see `Task`.
            input: the task's input. `{scheduled_at}`, `{run}` and what a
                `context_provider` provides are filled in when a run starts.
            options: of `ScheduledJob` (`run_at`, `interval_seconds`, `cron`, `timezone`, `name`
                ...) and of the task (`priority`, `metadata`, `timeout`, `retry`, `queue`).

        Raises:
            ScheduleError: it cannot be scheduled like this; names the argument.
            InvalidTaskError: its task cannot be sent.
            InvalidWorkflowError: its workflow cannot be run as it is.
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        from pyagent_orch.engine.jobs import make_work
        from pyagent_orch.schedules.jobs import ScheduledJob
        from pyagent_orch.schedules.options import job_of

        if job is None:
            job = job_of(agent, input, options)
        elif agent is not None or input is not None or options:
            raise ScheduleError("job", "give either a ScheduledJob or its parts, not both")
        elif not isinstance(job, ScheduledJob):
            raise ScheduleError("job", f"is of type {type(job).__name__}; give a ScheduledJob")
        if job.task is None and job.workflow is None:
            raise ScheduleError("job", f"{job.id!r} is scheduled already; change() changes it")
        self._warn_of_wall_clock(job)
        client = self._connection.client
        schedules = client.store.schedules
        work = ""
        while True:
            record, now = schedules.find_now(job.id)
            timing = job.timing(now)
            # Once: it can take longer than the time between two firings.
            work = work or make_work(job, client.dispatcher, client.preparer)
            if self._write(job, timing, work, record, now):
                return self._live(job)

    async def aschedule(self, job: ScheduledJob | None = None, **options: Any) -> ScheduledJob:
        """`schedule`, without blocking the event loop."""
        return await asyncio.to_thread(self.schedule, job, **options)

    def jobs(self) -> list[ScheduledJob]:
        """All scheduled jobs, live; the one that is due next comes first."""
        records = self._connection.store.schedules.all()
        return [self._home.job(record) for record in records]

    def get_job(self, id: str) -> ScheduledJob:  # noqa: A002 - the public contract's name
        """A scheduled job, live.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        return self._home.job(self._get(id))

    def pause(self, id: str) -> ScheduledJob:  # noqa: A002
        """Let a job fire no more until `resume`; runs that are there go on.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        schedules = self._connection.store.schedules
        while True:
            record = self._get(id)
            if not record.enabled or schedules.write(
                id, record.revision, {"enabled": "0", "problem": ""}, None, "job.paused"
            ):
                return self.get_job(id)

    def resume(self, id: str) -> ScheduledJob:  # noqa: A002
        """Let a paused job fire again, from its next due time on: a pause misses nothing.

        Raises:
            JobNotFoundError: there is none of this id.
            ScheduleError: it has no more runs.
        """
        schedules = self._connection.store.schedules
        while True:
            record = self._get(id)
            if record.enabled:
                return self.get_job(id)
            due = record.timing.following(schedules.now())
            if record.ended_at is not None or due is None:
                raise ScheduleError("id", f"job {id!r} has ended: it has no more runs")
            fields = {"enabled": "1", "problem": ""}
            if schedules.write(id, record.revision, fields, due, "job.resumed"):
                return self.get_job(id)

    def unschedule(self, id: str) -> bool:  # noqa: A002
        """Remove a job; False when there is none. Runs that are there go on."""
        return self._connection.store.schedules.remove(_checked(id))

    def run_now(self, id: str) -> Task | Workflow:  # noqa: A002
        """Run a job once, now, also when it is paused; its schedule stays as it is.

        The run does not count among `runs`, and `overlap` does not hold it up.

        Returns:
            The run, live.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        from pyagent_orch.engine.jobs import manual_firing

        schedules = self._connection.store.schedules
        firing = manual_firing(self._get(id), schedules.now())
        outcome = schedules.fire([firing])[0]
        if isinstance(outcome, Exception):
            raise outcome
        if outcome != "fired":
            raise JobNotFoundError(id)
        return self._runs([firing.run_id])[0]

    def job_runs(self, id: str, *, limit: int = 20) -> list[Task | Workflow]:  # noqa: A002
        """The latest runs of a job, live, the last one first; those whose records are there.

        Args:
            id: the job's.
            limit: how many at the most, 1 to 100.

        Raises:
            JobNotFoundError: there is none of this id.
            ScheduleError: the limit is out of its range.
        """
        from pyagent_orch.schedules.checks import checked_whole

        checked_whole("limit", limit, MOST_RUNS)
        self._get(id)
        return self._runs(self._connection.store.schedules.runs(id, limit))

    def change(self, id: str, **options: Any) -> ScheduledJob:  # noqa: A002
        """Change a job; what is not given stays.

        Args:
            id: the job's.
            options: of `ScheduledJob`; a new `run_at`, `interval_seconds` or `cron` takes the
                place of the old kind of schedule, a new `task` or `workflow` that of its work.

        Raises:
            JobNotFoundError: there is none of this id.
            ScheduleError: it cannot be scheduled like this.
        """
        from pyagent_orch.engine.jobs import make_work
        from pyagent_orch.schedules.jobs import ScheduledJob
        from pyagent_orch.schedules.options import changed

        client = self._connection.client
        schedules = client.store.schedules
        work = ""
        while True:
            record = self._get(id)
            job = changed(ScheduledJob.of_record(record, None), options)
            self._warn_of_wall_clock(job)
            if "task" in options or "workflow" in options:
                work = work or make_work(job, client.dispatcher, client.preparer)
            now = schedules.now()
            if self._write(job, job.timing(now), work or record.work, record, now):
                return self.get_job(id)

    # --- how ------------------------------------------------------------------------------

    def _get(self, id: str) -> JobRecord:  # noqa: A002
        return self._connection.store.schedules.get(_checked(id))

    def _write(
        self, job: ScheduledJob, timing: Timing, work: str, record: JobRecord | None, now: int
    ) -> bool:
        schedules = self._connection.store.schedules
        fields = {
            "name": job.name, "work": work, "problem": "", "enabled": "1", "overlap": job.overlap,
        }  # fmt: skip
        due: int | None = None
        if record is not None:
            old = record.timing
            if old.kind == timing.kind == "interval" and old.every == timing.every:
                # The same grid.
                timing = timing.model_copy(update={"at": old.at})
            if timing == old:
                due = record.next_ms
                fields["enabled"] = "1" if record.enabled else "0"
            elif record.ended_at is not None:
                fields["runs"] = "0"
            elif not record.enabled:
                fields["enabled"] = "0"
        if fields["enabled"] == "1" and due is None:
            due = timing.following(now)
        fields["timing"] = timing.model_dump_json(exclude_defaults=True)
        event: JobEvent = "job.scheduled" if record is None else "job.changed"
        revision, seen = (record.revision, record.next_ms) if record else (0, None)
        return schedules.write(job.id, revision, fields, due, event, seen=seen)

    def _live(self, job: ScheduledJob) -> ScheduledJob:
        job.update(self._connection.store.schedules.get(job.id))
        job.bind(self._home)
        return job

    def _warn_of_wall_clock(self, job: ScheduledJob) -> None:
        if job.takes_wall_clock and not self._warned:
            self._warned = True
            logger.warning(
                "Job %s has a time without a time zone; it is taken as wall-clock time of %s. "
                "Give datetime(..., tzinfo=...) or timezone=",
                job.id,
                job.timezone,
            )

    def _runs(self, run_ids: list[str]) -> list[Task | Workflow]:
        """The runs that are recorded, live; two round trips."""
        store = self._connection.store
        tasks = dict(zip(run_ids, store.records.get_many(run_ids), strict=True))
        others = [run_id for run_id in run_ids if tasks[run_id] is None]
        workflows = dict(zip(others, store.workflows.get_many(others), strict=True))
        runs: list[Task | Workflow] = []
        for run_id in run_ids:
            task, workflow = tasks[run_id], workflows.get(run_id)
            if task is not None:
                runs.append(self._home.task(task))
            elif workflow is not None:
                runs.append(self._home.workflow(workflow))
        return runs


def _checked(job_id: object) -> str:
    if not isinstance(job_id, str):
        raise ScheduleError("id", f"is of type {type(job_id).__name__}; give a job's id")
    return job_id
