"""Scheduled jobs: adding, listing, pausing, changing and running them.

A part of the facade. When a job is due is decided in `schedules/`, firing is the
ticker's; here is only who is asked when.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyagent_orch.exceptions import JobNotFoundError, ScheduleError
from pyagent_orch.models.tasks import Task
from pyagent_orch.schedules.jobs import ScheduledJob
from pyagent_orch.schedules.record import JobRecord

if TYPE_CHECKING:
    from pyagent_orch.orchestrator.connection import Connection
    from pyagent_orch.orchestrator.home import Home
    from pyagent_orch.schedules.timing import Timing
    from pyagent_orch.store.schedules import JobEvent
    from pyagent_orch.workflows import Workflow

logger = logging.getLogger(__name__)

_OF_TASKS = ("priority", "metadata", "timeout", "retry", "queue")
_KINDS = ("run_at", "interval_seconds", "cron")
_KEPT = (
    "timezone", "missed", "max_runs", "end_at", "overlap", "jitter", "catch_up_limit", "name",
)  # fmt: skip


class ScheduledJobs:
    """The calls about scheduled jobs; a base of `Orchestrator`."""

    _connection: Connection
    _home: Home
    _warned = False

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
        if job is None:
            job = _job_of(agent, input, options)
        elif agent is not None or input is not None or options:
            raise ScheduleError("job", "give either a ScheduledJob or its parts, not both")
        elif not isinstance(job, ScheduledJob):
            raise ScheduleError("job", f"is of type {type(job).__name__}; give a ScheduledJob")
        if job.task is None and job.workflow is None:
            raise ScheduleError("job", f"{job.id!r} is scheduled already; change() changes it")
        self._warn_of_wall_clock(job)
        client = self._connection.client
        from pyagent_orch.engine.jobs import make_work

        schedules = client.store.schedules
        while True:
            timing = job.timing(schedules.now())
            work = make_work(job, client.dispatcher, client.preparer)
            record = schedules.find(job.id)
            if self._write(job, timing, work, record):
                return self._live(job)

    async def aschedule(self, job: ScheduledJob | None = None, **options: Any) -> ScheduledJob:
        """`schedule`, without blocking the event loop."""
        return await asyncio.to_thread(self.schedule, job, **options)

    def jobs(self) -> list[ScheduledJob]:
        """All scheduled jobs, live; the one that is due next comes first."""
        records = self._connection.store.schedules.all()
        return [ScheduledJob.of_record(record, self._home) for record in records]

    def get_job(self, id: str) -> ScheduledJob:  # noqa: A002 - the public contract's name
        """A scheduled job, live.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        return ScheduledJob.of_record(self._connection.store.schedules.get(id), self._home)

    def pause(self, id: str) -> ScheduledJob:  # noqa: A002
        """Let a job fire no more until `resume`; runs that are there go on.

        Raises:
            JobNotFoundError: there is none of this id.
        """
        schedules = self._connection.store.schedules
        while True:
            record = schedules.get(id)
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
            record = schedules.get(id)
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
        return self._connection.store.schedules.remove(id)

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
        firing = manual_firing(schedules.get(id), schedules.now())
        outcome = schedules.fire([firing])[0]
        if isinstance(outcome, Exception):
            raise outcome
        if outcome != "fired":
            raise JobNotFoundError(id)
        return self._run(firing.run_id)

    def job_runs(self, id: str, *, limit: int = 20) -> list[Task | Workflow]:  # noqa: A002
        """The latest runs of a job, live, the last one first; those whose records are there.

        Args:
            id: the job's.
            limit: how many at the most, 1 to 100.
        """
        runs = self._connection.store.schedules.runs(id, limit)
        return [run for run_id in runs if (run := self._find_run(run_id)) is not None]

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
        client = self._connection.client
        from pyagent_orch.engine.jobs import make_work

        schedules = client.store.schedules
        while True:
            record = schedules.get(id)
            job = _changed(ScheduledJob.of_record(record, None), options)
            self._warn_of_wall_clock(job)
            work = record.work
            if "task" in options or "workflow" in options:
                work = make_work(job, client.dispatcher, client.preparer)
            if self._write(job, job.timing(schedules.now()), work, record):
                return self.get_job(id)

    # --- how ------------------------------------------------------------------------------

    def _write(
        self, job: ScheduledJob, timing: Timing, work: str, record: JobRecord | None
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
            due = timing.following(schedules.now())
        fields["timing"] = timing.model_dump_json(exclude_defaults=True)
        event: JobEvent = "job.scheduled" if record is None else "job.changed"
        return schedules.write(job.id, record.revision if record else 0, fields, due, event)

    def _live(self, job: ScheduledJob) -> ScheduledJob:
        job.update(self._connection.store.schedules.get(job.id))
        job.bind(self._home)
        return job

    def _warn_of_wall_clock(self, job: ScheduledJob) -> None:
        if job.takes_wall_clock and not ScheduledJobs._warned:
            ScheduledJobs._warned = True
            logger.warning(
                "Job %s has a time without a time zone; it is taken as wall-clock time of %s. "
                "Give datetime(..., tzinfo=...) or timezone=",
                job.id,
                job.timezone,
            )

    def _find_run(self, run_id: str) -> Task | Workflow | None:
        store = self._connection.store
        task = store.records.get_many([run_id])[0]
        if task is not None:
            return self._home.task(task)
        workflow = store.workflows.get_many([run_id])[0]
        return None if workflow is None else self._home.workflow(workflow)

    def _run(self, run_id: str) -> Task | Workflow:
        run = self._find_run(run_id)
        if run is None:  # pragma: no cover - it was recorded a moment ago
            raise JobNotFoundError(run_id)
        return run


def _job_of(agent: object, given: object, options: Mapping[str, Any]) -> ScheduledJob:
    of_task = {name: options[name] for name in _OF_TASKS if name in options}
    of_job = {name: value for name, value in options.items() if name not in _OF_TASKS}
    if agent is not None:
        if "task" in of_job or "workflow" in of_job:
            raise ScheduleError("agent", "does not go with a task or a workflow")
        of_job["task"] = Task(agent, given, name=of_job.get("name"), **of_task)
    elif of_task or given is not None:
        raise ScheduleError(next(iter(of_task), "input"), "goes with an agent only")
    _check_names(of_job)
    return ScheduledJob(**of_job)


def _changed(job: ScheduledJob, options: Mapping[str, Any]) -> ScheduledJob:
    """A job that says what the given one says, but for the options."""
    _check_names(options)
    if "id" in options:
        raise ScheduleError("id", "cannot be changed")
    said = {name: getattr(job, name) for name in _KEPT} | {"id": job.id}
    if not any(name in options for name in _KINDS):
        said |= {name: getattr(job, name) for name in _KINDS}
    if "task" not in options and "workflow" not in options:
        # Not sent anywhere: the recorded work stays.
        said["task"] = Task("unchanged", name=job.name)
    return ScheduledJob(**(said | dict(options)))


def _check_names(options: Mapping[str, Any]) -> None:
    known = {*_KEPT, *_KINDS, "id", "task", "workflow", "schedule_type"}
    for name in options:
        if name not in known:
            raise ScheduleError(
                name, f"is no option of a job; there are {', '.join(sorted(known))}"
            )
