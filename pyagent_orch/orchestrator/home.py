"""Where live tasks and workflows belong: how they look, wait and act.

Implements `TaskHome` and `WorkflowHome` over a connection, and makes live
objects of records.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyagent_orch.exceptions import (
    InvalidTaskError,
    InvalidWorkflowError,
    OrchestratorClosedError,
    OrchestratorConnectionError,
    ScheduleError,
    TaskNotFoundError,
    TaskTimeoutError,
    WorkflowNotFoundError,
)
from pyagent_orch.models.tasks import Task
from pyagent_orch.workflows import Plan, Workflow, WorkflowRecord

if TYPE_CHECKING:
    from pyagent_orch.listener import Listener
    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.texts import TextStream
    from pyagent_orch.orchestrator.connection import Connection
    from pyagent_orch.schedules.jobs import ScheduledJob
    from pyagent_orch.schedules.record import JobRecord
    from pyagent_orch.store import Store

Live = Task | Workflow


class Home:
    """What live objects ask. Safe to share between threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def _store(self) -> Store:
        return self._connection.store

    # --- live objects of records (Adopter) ----------------------------------------------

    def task(self, record: TaskRecord) -> Task:
        """A live task for a record that another process, or an earlier one, submitted."""
        task = Task(
            id=record.id, name=record.name, input=record.input, priority=record.priority,
            metadata=record.metadata, timeout=record.timeout, queue=record.queue, key=record.key,
        )  # fmt: skip
        task.update(record)
        task.bind(self)
        return task

    def workflow(self, record: WorkflowRecord) -> Workflow:
        """A live workflow for a record; its tasks are read when they are asked for."""
        return Workflow.of_record(record, self)

    def job(self, record: JobRecord) -> ScheduledJob:
        """A live scheduled job for a record; its task or workflow is not known."""
        from pyagent_orch.schedules.jobs import ScheduledJob

        return ScheduledJob.of_record(record, self)

    def job_of(self, job_id: str) -> ScheduledJob | None:
        """A live scheduled job; None when it is not there any more, is unreadable, or Redis is
        not there.
        """
        try:
            record = self._store.schedules.find(job_id)
        except (OrchestratorConnectionError, ScheduleError):
            return None
        return None if record is None else self.job(record)

    # --- JobHome --------------------------------------------------------------------------

    def refresh_job(self, job: ScheduledJob) -> None:
        """Bring a live job's record up to date; one round trip."""
        if self._connection.closed:
            return
        record = self._store.schedules.find(job.id)
        if record is None and job.record is not None:
            # It was removed: it fires no more.
            record = replace(job.record, enabled=False, next_ms=None)
        if record is not None:
            job.update(record)

    # --- TaskHome -------------------------------------------------------------------------

    def refresh(self, task: Task) -> None:
        """Bring a live task's record up to date; one round trip unless the listener follows it."""
        if self._connection.closed or self._is_followed(task):
            return
        record = self._store.records.get_many([task.id])[0]
        if record is not None:
            task.update(record)

    def wait_for(self, task: Task, timeout: float | None) -> None:
        """Block until a task is final; see `Task.wait`."""
        self.wait([task], timeout)

    async def await_for(self, task: Task) -> None:
        """Wait for a task without blocking the event loop."""
        await self._await(task)

    def cancel(self, task_id: str) -> bool:
        """Cancel a task; False when it was final already."""
        return self._store.records.cancel(task_id, "cancelled by request")

    # --- TextSource -----------------------------------------------------------------------

    def open_texts(self, stream: TextStream) -> None:
        """Have a stream filled."""
        texts = self._connection.texts
        # The listener cannot tell of an end while one of its handlers waits for it.
        texts.open(stream, polls=self._connection.listener.is_this_thread)

    def close_texts(self, stream: TextStream) -> None:
        """Have it filled no more."""
        texts = self._connection.present_texts
        if texts is not None:
            texts.close(stream)

    # --- WorkflowHome -----------------------------------------------------------------------

    def refresh_workflow(self, workflow: Workflow, *, tasks: bool) -> None:
        """Bring a workflow's record, and on demand those of its tasks, up to date."""
        if self._connection.closed:
            return
        record = self._store.workflows.get_many([workflow.id])[0]
        if record is None:
            return
        workflow.update(record)
        if tasks or record.status.is_final:
            self._refresh_tasks(workflow.all_tasks if tasks else workflow.known_tasks())

    def _refresh_tasks(self, tasks: Iterable[Task]) -> None:
        """Read those that are not final here; their events may not have come yet."""
        stale = [task for task in tasks if not _is_final(task)]
        found = self._store.records.get_many([task.id for task in stale])
        for task, fresh in zip(stale, found, strict=True):
            if fresh is not None:
                task.update(fresh)

    def tasks_of(self, workflow_id: str, known: Iterable[Task]) -> list[Task]:
        """All recorded tasks of a workflow, live; those that are known are among them."""
        here = {task.id: task for task in known}
        task_ids = self._store.workflows.task_ids(workflow_id)
        missing = [task_id for task_id in task_ids if task_id not in here]
        for record in self._store.records.get_many(missing):
            if record is not None:
                here[record.id] = self.task(record)
        return [here[task_id] for task_id in task_ids if task_id in here]

    def edges_of(self, workflow_id: str) -> Mapping[str, Iterable[str]]:
        """Maps the ids of tasks to the ids they wait for, as submitted."""
        return self._store.workflows.edges(workflow_id)

    def wait_for_workflow(self, workflow: Workflow, timeout: float | None) -> None:
        """Block until a workflow is final; see `Workflow.wait`."""
        self.wait([workflow], timeout)

    async def await_for_workflow(self, workflow: Workflow) -> None:
        """Wait for a workflow without blocking the event loop."""
        await self._await(workflow)
        # So that its outputs are here and reading them does not block.
        await asyncio.to_thread(self.refresh_workflow, workflow, tasks=True)

    def cancel_workflow(self, workflow_id: str) -> bool:
        """Cancel a workflow; False when it was final already."""
        return self._store.workflows.cancel(workflow_id, "cancelled by request")

    def retry_failed(self, workflow: Workflow) -> int:
        """Run again what did not complete; how many tasks."""
        count = self._store.workflows.retry(workflow.id)
        workflow.update(self._store.workflows.get(workflow.id))
        # Which ends were left only the records tell.
        ended = [task for task in workflow.known_tasks() if _is_final(task)]
        for task, fresh in zip(
            ended, self._store.records.get_many([task.id for task in ended]), strict=True
        ):
            if fresh is not None:
                task.update(fresh)
        return count

    def rerun(self, workflow_id: str, from_task: str | None) -> Workflow:
        """Start a copy of a workflow that reuses what is recorded."""
        from pyagent_orch.engine.rerun import rerun_workflow

        dispatcher = self._connection.client.dispatcher
        new_id = rerun_workflow(self._store, dispatcher, workflow_id, from_task)
        return self.workflow(self._store.workflows.get(new_id))

    def canvas_of(self, workflow: Workflow, app: Any) -> Any:
        """The workflow as a Celery canvas; its records are written."""
        from pyagent_orch.engine.canvas import to_canvas

        client = self._connection.client
        canvas, plan = to_canvas(client.app, client.dispatcher, workflow, app)
        self.adopt_submitted(plan)
        return canvas

    def adopt_submitted(self, plan: Plan) -> None:
        """Make a workflow that has just been recorded, and its tasks, live."""
        workflow = plan.workflow
        workflow.update(self._store.workflows.get(workflow.id))
        workflow.bind(self)
        known = {task.id for task in workflow.tasks}
        for one in plan.tasks:
            one.task.bind(self)
            # A task that a pattern added, and whose output is the workflow's.
            if one.task.id in plan.results and one.task.id not in known:
                workflow.add(one.task)
        if _is_final(workflow):
            self._refresh_tasks(workflow.tasks)

    # --- waiting -----------------------------------------------------------------------------

    def _is_followed(self, live: Live) -> bool:
        listener = self._connection.present_listener
        return (
            listener is not None
            and listener.is_running
            and listener.is_tracking(live)
            # In a handler nothing is followed until the handler returns.
            and not listener.is_this_thread
        )

    def wait(self, lives: Sequence[Live], timeout: float | None) -> None:
        """Block until all are final.

        Raises:
            InvalidTaskError: one has not been submitted.
            InvalidWorkflowError: likewise.
            TaskTimeoutError: one is not after `timeout` seconds.
            NotFoundError: the record of one is gone: expired, or lost with its Redis.
            OrchestratorClosedError: the orchestrator was closed meanwhile.
        """
        for live in lives:
            if not live.is_live:
                kind = InvalidTaskError if isinstance(live, Task) else InvalidWorkflowError
                raise kind(live.name, "it has not been submitted yet")
        deadline = None if timeout is None else time.monotonic() + timeout
        listener = self._connection.listener
        if listener.is_this_thread:
            self._poll(lives, deadline)
            return
        # More than once only where the end that woke us was that of an earlier try.
        while waiting := [live for live in lives if not _is_final(live)]:
            finals = [listener.final(live) for live in waiting]
            self._follow(listener, [live for live in waiting if not listener.is_tracking(live)])
            for live, final in zip(waiting, finals, strict=True):
                # A final record may have come before the future was made.
                if not _is_final(live):
                    _block(final, live, timeout, deadline)
            for live in waiting:
                self._refresh(live)
        for live in lives:
            self._refresh(live)

    def _refresh(self, live: Live) -> None:
        if isinstance(live, Workflow):
            if _is_final(live):
                # Whoever sees it final must not see its tasks run.
                self._refresh_tasks(live.known_tasks())
            else:
                self.refresh_workflow(live, tasks=False)
        elif not _is_final(live):
            self.refresh(live)

    def _follow(self, listener: Listener, lives: Sequence[Live]) -> None:
        """Have the listener follow what it did not see submitted."""
        for live in lives:
            # Its callback is known since its submit, or has been called.
            listener.track(live, callback=False)
        tasks = [live.id for live in lives if isinstance(live, Task)]
        for task_id, task in zip(tasks, self._store.records.get_many(tasks), strict=True):
            # Also what is not final: the event of its start may be past.
            if task is not None:
                listener.settle("task", task)
            else:
                listener.give_up("task", task_id)
        workflows = [live.id for live in lives if isinstance(live, Workflow)]
        found = self._store.workflows.get_many(workflows)
        for workflow_id, workflow in zip(workflows, found, strict=True):
            if workflow is not None:
                listener.settle("workflow", workflow)
            else:
                listener.give_up("workflow", workflow_id)

    def _poll(self, lives: Sequence[Live], deadline: float | None) -> None:
        """Wait inside a handler: the thread that would wake us is the one that waits."""
        pause = 0.01
        for live in lives:
            while True:
                record = (
                    self._store.records.get_many([live.id])[0]
                    if isinstance(live, Task)
                    else self._store.workflows.get_many([live.id])[0]
                )
                if record is None:
                    missing = TaskNotFoundError if isinstance(live, Task) else WorkflowNotFoundError
                    raise missing(live.id)
                live.update(record)  # type: ignore[arg-type] # of the same kind
                if _is_final(live):
                    self._refresh(live)
                    break
                if deadline is not None and time.monotonic() > deadline:
                    raise TaskTimeoutError(live.id, "it is not final yet; it goes on")
                time.sleep(pause)
                pause = min(0.5, pause * 1.5)

    async def _await(self, live: Live) -> None:
        listener = await asyncio.to_thread(lambda: self._connection.listener)
        while not _is_final(live):
            final = listener.final(live)
            if not listener.is_tracking(live):
                await asyncio.to_thread(self._follow, listener, [live])
            if not _is_final(live):
                await _until(final)
            await asyncio.to_thread(self._refresh, live)


def _is_final(live: Live) -> bool:
    return live.record is not None and live.record.status.is_final


def _block(final: Future[None], live: Live, timeout: float | None, deadline: float | None) -> None:
    left = None if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        final.result(left)
    except TimeoutError:
        raise TaskTimeoutError(
            live.id, f"it is not final after {timeout} s of waiting; it goes on"
        ) from None
    except BaseException as error:
        if final.cancelled():
            raise OrchestratorClosedError from error
        raise


async def _until(final: Future[None]) -> None:
    try:
        await asyncio.shield(asyncio.wrap_future(final))
    except asyncio.CancelledError:
        if final.cancelled():
            raise OrchestratorClosedError from None
        raise
