"""What the router answers with, as pydantic models: the JSON of docs/web.md.

Pure: from records to views. Times are UTC, in the form of RFC 3339.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from pyagent_orch.models.usage import Usage
from pyagent_orch.schedules.timing import Kind, Missed, Overlap
from pyagent_orch.states import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from pyagent_orch.models.events import Event
    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.orchestrator.browsing import AgentLabel
    from pyagent_orch.schedules.jobs import ScheduledJob
    from pyagent_orch.workflows import WorkflowRecord

SHOWN_ERROR = 2_000
"""How many characters of an error lists and events show; the task itself tells it whole."""
SHOWN_NAME = 500
"""How many characters of a name they show; requests cannot give longer ones, programs can."""


class AgentView(BaseModel):
    """Who does a task."""

    kind: str
    """`callable`, `model`, `flow` (a pattern or map), `celery` or `local`."""
    name: str
    model: str | None = None
    instructions: str | None = None
    """What a model is asked to be; told by the task itself only."""


class ErrorView(BaseModel):
    """Why an attempt, or a task, came to no output."""

    type: str
    """The name of the error's class."""
    message: str
    traceback: str | None = None
    """The worker's; told by the task itself only."""


class TaskSummary(BaseModel):
    """A task without its input and output."""

    id: str
    name: str
    status: TaskStatus
    priority: int
    queue: str
    agent: AgentView | None = None
    """None where its record has expired."""
    metadata: dict[str, Any] = {}
    attempts: int = 0
    worker: str | None = None
    error: ErrorView | None = None
    usage: Usage | None = None
    timeout: float | None = None
    key: str | None = None
    workflow: str | None = None
    """The id of the workflow that it is in."""
    parent: str | None = None
    """In a workflow: the task that it is part of, or that decided at run time that it is needed."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class TaskView(TaskSummary):
    """A task with all that is recorded of it."""

    input: Any = None
    """With the outputs filled in that it names; null until those are there, and where a function
    makes it on the worker."""
    output: Any = None


class HappenedView(BaseModel):
    """Something that happened to a task."""

    type: str
    """The type of the event, such as `task.retried`."""
    at: datetime
    data: dict[str, Any] = {}
    """What else the event tells, such as `attempt`, `worker`, `error` and `delay_ms`."""


class History(BaseModel):
    """What happened to a task, oldest first."""

    items: list[HappenedView]
    """As far as the event stream still has it."""
    whole: bool
    """False: more events were kept than were looked through."""


class TaskPage(BaseModel):
    """A page of tasks, those that moved last first."""

    items: list[TaskSummary]
    next: str | None = None
    """The `cursor` of the next page; null at the end. A page may be short and have a next one."""


class WorkflowSummary(BaseModel):
    """A workflow without its tasks."""

    id: str
    name: str
    status: WorkflowStatus
    size: int
    """How many tasks it has by now."""
    done: int
    """How many of them are final."""
    pattern: str | None = None
    metadata: dict[str, Any] = {}
    error: str | None = None
    usage: Usage | None = None
    """Of all its recorded answers together; null where it was not added up."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class WorkflowView(WorkflowSummary):
    """A workflow with its tasks and who waits for whom."""

    tasks: list[TaskSummary]
    """In the order in which they were recorded; what was decided at run time comes last."""
    edges: dict[str, list[str]]
    """Maps the ids of tasks to the ids that they wait for."""
    results: list[str]
    """The ids of the tasks whose outputs are the workflow's."""
    as_of: str
    """Events that follow this one tell what has changed since: the stream's `after`."""


class WorkflowOutput(BaseModel):
    """What a workflow came to."""

    status: WorkflowStatus
    output: Any = None
    """Of its last task, or maps the last ones by name; null until there is one."""


class WorkflowPage(BaseModel):
    """A page of workflows, those that moved last first."""

    items: list[WorkflowSummary]
    next: str | None = None
    """As in a page of tasks."""


class JobView(BaseModel):
    """A scheduled job."""

    id: str
    name: str
    schedule: str
    """When it runs, in a few words."""
    schedule_type: Kind
    run_at: datetime | None = None
    interval_seconds: float | None = None
    cron: str | None = None
    timezone: str
    missed: Missed
    overlap: Overlap
    jitter: float
    max_runs: int | None = None
    end_at: datetime | None = None
    enabled: bool
    """Whether it fires: it is not paused and has not ended."""
    ended: bool
    problem: str = ""
    """Why it was paused, when nobody asked for that."""
    runs: int
    next_run: datetime | None = None
    last_run: datetime | None = None
    last_run_id: str | None = None
    """The id of the task or workflow that was its last run."""
    run_kind: str = Field(pattern="^(task|workflow)$")
    """What its runs are."""


class JobList(BaseModel):
    """All scheduled jobs; the one that is due next comes first."""

    items: list[JobView]


class RunView(BaseModel):
    """Something that was started."""

    kind: str = Field(pattern="^(task|workflow)$")
    id: str


class RunList(BaseModel):
    """Runs of a job, the last one first."""

    items: list[RunView]


# --- from records ---------------------------------------------------------------------------


def task_summary(record: TaskRecord, labels: Mapping[str, AgentLabel]) -> TaskSummary:
    """A task as a list shows it."""
    return TaskSummary(**_task_fields(record, labels, whole=False))


def task_view(
    record: TaskRecord, labels: Mapping[str, AgentLabel], given: JSONValue = None
) -> TaskView:
    """A task with all that is recorded of it; `given` where its input was made of outputs."""
    fields = _task_fields(record, labels, whole=True)
    shown = given if record.input is None else record.input
    return TaskView(**fields, input=shown, output=record.output)


def happened_view(event: Event) -> HappenedView:
    """Something that happened to a task."""
    data = shown_data(event.data)
    return HappenedView(type=event.type, at=event.at, data=data if isinstance(data, dict) else {})


def shown_data(data: JSONValue) -> JSONValue:
    """What an event tells, less what may be too large to be sent to everybody who follows."""
    if not isinstance(data, dict):
        return data
    shown, name, error = dict(data), data.get("name"), data.get("error")
    if isinstance(name, str):
        shown["name"] = name[:SHOWN_NAME]
    if isinstance(error, dict):
        shown["error"] = {
            "type": error.get("type"),
            "message": str(error.get("message"))[:SHOWN_ERROR],
        }
    return shown


def _task_fields(
    record: TaskRecord, labels: Mapping[str, AgentLabel], *, whole: bool
) -> dict[str, Any]:
    label, error = labels.get(record.agent), record.error
    return {
        "id": record.id,
        "name": record.name if whole else record.name[:SHOWN_NAME],
        "status": record.status,
        "priority": record.priority,
        "queue": record.queue,
        "agent": None
        if label is None
        else AgentView(
            kind=label.kind,
            name=label.name,
            model=label.model,
            instructions=label.instructions if whole else None,
        ),
        "metadata": dict(record.metadata),
        "attempts": record.attempts,
        "worker": record.worker,
        "error": None
        if error is None
        else ErrorView(
            type=error.type,
            message=error.message if whole else error.message[:SHOWN_ERROR],
            traceback=error.traceback if whole else None,
        ),
        "usage": record.usage,
        "timeout": record.timeout,
        "key": record.key,
        "workflow": record.workflow,
        "parent": record.parent,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "completed_at": record.completed_at,
    }


def workflow_fields(record: WorkflowRecord, usage: Usage | None = None) -> dict[str, Any]:
    """What a summary and a view of a workflow share."""
    return {
        "id": record.id,
        "name": record.name[:SHOWN_NAME],
        "status": record.status,
        "size": record.size,
        "done": max(0, record.size - record.open),
        "pattern": record.pattern,
        "metadata": dict(record.metadata),
        "error": record.error and record.error[:SHOWN_ERROR],
        "usage": usage,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "completed_at": record.completed_at,
    }


def job_view(job: ScheduledJob) -> JobView:
    """A scheduled job; `job` was read just now."""
    # Without a home it shows what was read, with no further look at Redis for each field.
    job.bind(None)
    record = job.record
    assert record is not None
    return JobView(
        id=job.id,
        name=job.name,
        schedule=job.schedule,
        schedule_type=job.schedule_type,
        run_at=job.run_at,
        interval_seconds=job.interval_seconds,
        cron=job.cron,
        timezone=job.timezone,
        missed=job.missed,
        overlap=job.overlap,
        jitter=job.jitter,
        max_runs=job.max_runs,
        end_at=job.end_at,
        enabled=record.enabled,
        ended=record.ended_at is not None,
        problem=record.problem,
        runs=record.runs,
        next_run=job.next_run,
        last_run=job.last_run,
        last_run_id=record.last_id,
        run_kind=json.loads(record.work)["kind"],
    )
