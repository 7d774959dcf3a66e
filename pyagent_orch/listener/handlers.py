"""Handlers and callbacks: what they are given, and calling them so that none stops the others."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from pyagent_orch.agents.loop import background_loop
from pyagent_orch.models.events import Event
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.models.tasks import Task
from pyagent_orch.workflows import Workflow, WorkflowRecord

if TYPE_CHECKING:
    from pyagent_orch.schedules.jobs import ScheduledJob

logger = logging.getLogger(__name__)

Handler = Callable[[Any], object]
Record = TaskRecord | WorkflowRecord


class Adopter(Protocol):
    """Makes live objects of records, for handlers."""

    def task(self, record: TaskRecord) -> Task:
        """A live task."""

    def workflow(self, record: WorkflowRecord) -> Workflow:
        """A live workflow."""

    def job_of(self, job_id: str) -> ScheduledJob | None:
        """A live scheduled job; None when it is not there any more."""


def argument_of(event: Event, record: Record | None, adopter: Adopter) -> object:
    """What a handler is given: a Task, a Workflow, a ScheduledJob, a custom event's data, else
    the event.
    """
    if isinstance(record, TaskRecord):
        return adopter.task(record)
    if isinstance(record, WorkflowRecord):
        return adopter.workflow(record)
    if event.noun == "job" and (job := adopter.job_of(event.subject)) is not None:
        return job
    if event.noun in ("task", "workflow", "job", "worker", "beat"):
        return event
    return event.data


def call_handler(handler: Handler, argument: object, what: str) -> bool:
    """Call a user's function; False, and a log entry, when it raises."""
    try:
        result = handler(argument)
        if inspect.iscoroutine(result):
            # Not waited for: it may itself wait for what only this thread can tell it.
            running = asyncio.run_coroutine_threadsafe(result, background_loop().loop)
            running.add_done_callback(lambda done: _log_failure(done, what))
    except BaseException:  # also a `sys.exit()`, which would end the one thread of all handlers
        logger.exception("The %s raised; the others go on", what)
        return False
    return True


def _log_failure(done: Future[Any], what: str) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        logger.error("The %s raised; the others go on", what, exc_info=error)
