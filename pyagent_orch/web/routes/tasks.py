"""Tasks: submit, look, list, cancel, retry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Response

from pyagent_orch.states import TaskStatus
from pyagent_orch.web.access import Call, Caller
from pyagent_orch.web.answers import (
    Cursor,
    Id,
    IdempotencyKey,
    Items,
    Limit,
    OnlyName,
    Search,
    answered,
    errors,
    filter_of,
)
from pyagent_orch.web.problems import Problem, Route
from pyagent_orch.web.requests import TaskRequest
from pyagent_orch.web.views import (
    History,
    TaskPage,
    TaskSummary,
    TaskView,
    happened_view,
    task_summary,
    task_view,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.tasks import Task

routes = APIRouter(route_class=Route, tags=["tasks"])


@routes.post(
    "/tasks", status_code=201, response_model=TaskView, responses=errors(400, 409, 413),
    summary="Submit a task",
)  # fmt: skip
async def submit_task(call: Call, body: TaskRequest, key: IdempotencyKey = None) -> Response:
    """Submit a task; it is recorded when the answer comes. Its agent is named."""

    def submit() -> TaskView:
        task = body.build(call.stamped, specs=call.options.specs, key=call.key(key))
        task = call.orchestrator.submit(task)
        record = task.record
        assert record is not None
        if not call.owns(record.metadata):
            # Somebody who is no tenant used the very key that this tenant's key becomes.
            raise Problem(409, "conflict", "this Idempotency-Key is taken; use another one")
        return _view(call, record)

    return await answered(submit, 201)


@routes.get("/tasks", response_model=TaskPage, responses=errors(), summary="List tasks")
async def list_tasks(
    call: Call,
    *,
    status: Annotated[list[TaskStatus], Query(description="Only these states.")] = [],  # noqa: B006 - FastAPI's way
    name: OnlyName = None,
    q: Search = "",
    metadata: Items = [],  # noqa: B006 - FastAPI's way
    alone: Annotated[bool, Query(description="Only tasks that are in no workflow.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """A page of the tasks, those that moved last first; of the same cost at any place."""

    def find() -> TaskPage:
        page = call.orchestrator.browse_tasks(
            status=status, name=name, text=q, metadata=filter_of(metadata) | call.filter,
            alone=alone, limit=limit, cursor=cursor,
        )  # fmt: skip
        return TaskPage(items=summaries(call, page.items), next=page.next)

    return await answered(find)


@routes.get("/tasks/{id}", response_model=TaskView, responses=errors(404), summary="Look at a task")
async def show_task(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """A task with its input, output and error."""
    return await answered(lambda: whole_view(call, call.task(id)))


@routes.get(
    "/tasks/{id}/history", response_model=History, responses=errors(404),
    summary="What happened to a task",
)  # fmt: skip
async def show_history(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """Its attempts with their workers and errors, and all else that happened to it."""

    def look() -> History:
        call.summary(id)
        events, whole = call.orchestrator.history(id)
        return History(items=[happened_view(event) for event in events], whole=whole)

    return await answered(look)


@routes.post(
    "/tasks/{id}/cancel", response_model=TaskView, responses=errors(404, 409),
    summary="Cancel a task",
)  # fmt: skip
async def cancel_task(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """Cancel a task that waits or runs; what depends on it is skipped."""

    def cancel() -> TaskView:
        task = call.task(id)
        if not call.orchestrator.cancel(id):
            raise Problem(409, "conflict", f"task {id!r} is {task.status.value} already")
        return whole_view(call, call.task(id))

    return await answered(cancel)


@routes.post(
    "/tasks/{id}/retry", response_model=TaskView, responses=errors(404, 409),
    summary="Retry a task",
)  # fmt: skip
async def retry_task(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """Try a task again that failed, was cancelled or was skipped; in its workflow, if any."""

    def retry() -> TaskView:
        call.summary(id)
        return whole_view(call, call.orchestrator.retry(id))

    return await answered(retry)


def summaries(call: Caller, records: Sequence[TaskRecord]) -> list[TaskSummary]:
    """Records as a list shows them."""
    labels = call.orchestrator.agent_labels(record.agent for record in records)
    return [task_summary(record, labels) for record in records]


def whole_view(call: Caller, task: Task) -> TaskView:
    """A task as it was read."""
    record = task.record
    assert record is not None
    return _view(call, record)


def _view(call: Caller, record: TaskRecord) -> TaskView:
    orchestrator, given = call.orchestrator, None
    if record.input is None and record.workflow is not None:
        given = orchestrator.given_input(record.id)
    return task_view(record, orchestrator.agent_labels([record.agent]), given)
