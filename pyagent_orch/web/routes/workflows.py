"""Workflows and patterns: submit, look, list, cancel, retry what failed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from pyagent_orch.exceptions import WorkflowNotFoundError
from pyagent_orch.models.usage import total
from pyagent_orch.states import WorkflowStatus
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
    id_of_key,
)
from pyagent_orch.web.problems import Problem, Route
from pyagent_orch.web.requests import PatternRequest, WorkflowRequest, pattern_workflow
from pyagent_orch.web.routes.tasks import summaries
from pyagent_orch.web.views import (
    WorkflowOutput,
    WorkflowPage,
    WorkflowSummary,
    WorkflowView,
    workflow_fields,
)
from pyagent_orch.workflows import Workflow

routes = APIRouter(route_class=Route, tags=["workflows"])


@routes.post(
    "/workflows", status_code=201, response_model=WorkflowSummary,
    responses=errors(400, 409, 413), summary="Submit a workflow",
)  # fmt: skip
async def submit_workflow(
    call: Call, body: WorkflowRequest, key: IdempotencyKey = None
) -> Response:
    """Submit tasks that wait for each other: the fields of a workflow's YAML file, as JSON."""

    def submit() -> WorkflowSummary:
        found = id_of_key(call.key(key))
        workflow = body.build_for(call.stamped, specs=call.options.specs, id=found)
        return _submitted(call, workflow, repeated=found is not None)

    return await answered(submit, 201)


@routes.post(
    "/patterns", status_code=201, response_model=WorkflowSummary,
    responses=errors(400, 409, 413), summary="Submit a pattern",
)  # fmt: skip
async def submit_pattern(
    call: Call, body: Annotated[PatternRequest, Body()], key: IdempotencyKey = None
) -> Response:
    """Have several agents work together; the answer is the workflow that does it."""

    def submit() -> WorkflowSummary:
        found = id_of_key(call.key(key))
        workflow = pattern_workflow(body, call.stamped, specs=call.options.specs, id=found)
        return _submitted(call, workflow, repeated=found is not None)

    return await answered(submit, 201)


@routes.get("/workflows", response_model=WorkflowPage, responses=errors(), summary="List workflows")
async def list_workflows(
    call: Call,
    *,
    status: Annotated[list[WorkflowStatus], Query(description="Only these states.")] = [],  # noqa: B006 - FastAPI's way
    name: OnlyName = None,
    q: Search = "",
    metadata: Items = [],  # noqa: B006 - FastAPI's way
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """A page of the workflows, those that moved last first; of the same cost at any place."""

    def find() -> WorkflowPage:
        page = call.orchestrator.browse_workflows(
            status=status, name=name, text=q, metadata=filter_of(metadata) | call.filter,
            limit=limit, cursor=cursor,
        )  # fmt: skip
        usages = call.orchestrator.workflow_usages(page.items)
        items = [
            WorkflowSummary(**workflow_fields(record, usages.get(record.id)))
            for record in page.items
        ]
        return WorkflowPage(items=items, next=page.next)

    return await answered(find)


@routes.get(
    "/workflows/{id}", response_model=WorkflowView, responses=errors(404),
    summary="Look at a workflow",
)  # fmt: skip
async def show_workflow(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """A workflow with its tasks (without inputs and outputs), and who waits for whom."""
    return await answered(lambda: workflow_view(call, id))


@routes.get(
    "/workflows/{id}/output", response_model=WorkflowOutput, responses=errors(404),
    summary="The output of a workflow",
)  # fmt: skip
async def show_workflow_output(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """What a workflow came to: the output of its last task, or of its last ones by name."""

    def read() -> WorkflowOutput:
        workflow = call.workflow(id)
        return WorkflowOutput(status=workflow.status, output=workflow.output)

    return await answered(read)


@routes.post(
    "/workflows/{id}/cancel", response_model=WorkflowSummary, responses=errors(404, 409),
    summary="Cancel a workflow",
)  # fmt: skip
async def cancel_workflow(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """Cancel all of a workflow that waits or runs."""

    def cancel() -> WorkflowSummary:
        workflow = call.workflow(id)
        if not workflow.cancel():
            raise Problem(409, "conflict", f"workflow {id!r} is {workflow.status.value} already")
        return summary_of(call.workflow(id))

    return await answered(cancel)


@routes.post(
    "/workflows/{id}/retry-failed", response_model=WorkflowSummary, responses=errors(404, 409),
    summary="Retry what failed",
)  # fmt: skip
async def retry_failed(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """Run again what failed, was cancelled, or was skipped for that; outputs stay."""

    def retry() -> WorkflowSummary:
        call.workflow(id).retry_failed()
        return summary_of(call.workflow(id))

    return await answered(retry)


@routes.post(
    "/workflows/{id}/rerun", status_code=201, response_model=WorkflowSummary,
    responses=errors(404, 409), summary="Run a workflow anew",
)  # fmt: skip
async def rerun(
    call: Call,
    id: Id,  # noqa: A002 - the path's word
    from_task: Annotated[
        str | None, Query(max_length=500, description="Only this task, and what depends on it.")
    ] = None,
) -> Response:
    """Start a new run, under a new id, that reuses recorded outputs."""
    return await answered(lambda: summary_of(call.workflow(id).rerun(from_task)), 201)


def workflow_view(call: Caller, workflow_id: str) -> WorkflowView:
    """A workflow with its tasks, as of an event."""
    # Before the records, so that whoever follows from there on misses nothing.
    as_of = call.orchestrator.event_span()[1]
    workflow = call.workflow(workflow_id)
    record = workflow.record
    assert record is not None
    tasks, graph = call.orchestrator.workflow_graph(workflow_id)
    return WorkflowView(
        **workflow_fields(record, total(task.usage for task in tasks if task.usage is not None)),
        tasks=summaries(call, tasks),
        edges={task: sorted(on) for task, on in graph.parents.items() if on},
        results=list(record.results),
        as_of=as_of,
    )


def summary_of(workflow: Workflow) -> WorkflowSummary:
    """A workflow as it was read."""
    record = workflow.record
    assert record is not None
    return WorkflowSummary(**workflow_fields(record))


def _submitted(call: Caller, workflow: Workflow, *, repeated: bool) -> WorkflowSummary:
    if repeated:
        try:
            return summary_of(call.workflow(workflow.id))
        except WorkflowNotFoundError:
            # The first time.
            pass
    return summary_of(call.orchestrator.submit_workflow(workflow))
