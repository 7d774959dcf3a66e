"""The installation: what there is in numbers, workers, queues, dead letters."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response

from pyagent_orch.exceptions import IllegalMoveError, NotFoundError
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus
from pyagent_orch.web.access import Call, Caller
from pyagent_orch.web.answers import (
    Cursor,
    Limit,
    OnlyName,
    Search,
    answered,
    errors,
)
from pyagent_orch.web.fleet_views import (
    Overview,
    QueueList,
    RetriedView,
    WorkerList,
    WorkerView,
    queue_view,
)
from pyagent_orch.web.problems import Route
from pyagent_orch.web.requests import RetryRequest
from pyagent_orch.web.routes.tasks import summaries
from pyagent_orch.web.views import TaskPage

routes = APIRouter(route_class=Route, tags=["installation"])


@routes.get("/overview", response_model=Overview, responses=errors(), summary="What there is")
async def overview(call: Call) -> Response:
    """The installation in numbers, and what this caller may do."""

    def look() -> Overview:
        orchestrator, everybody = call.orchestrator, call.access.tenant is None
        workers = orchestrator.workers()
        agents = {str(name) for info in workers.values() for name in _listed(info.get("agents"))}
        return Overview(
            namespace=orchestrator.settings.namespace,
            version=version("pyagent-orch"),
            read_only=call.options.read_only or not call.access.write,
            specs=call.options.specs,
            tenant=call.access.tenant,
            tasks=orchestrator.counts() if everybody else None,
            workflows=orchestrator.workflow_counts() if everybody else None,
            workers=len(workers) if everybody else None,
            agents=sorted(agents),
        )

    return await answered(look)


@routes.get("/workers", response_model=WorkerList, responses=errors(), summary="List workers")
async def list_workers(call: Call) -> Response:
    """The living workers. For callers who see all tenants."""

    def look() -> WorkerList:
        orchestrator = call.everything().orchestrator
        found = orchestrator.workers()
        busy = {one.name: one.busy for one in orchestrator.activity(0).workers}
        return WorkerList(
            items=[
                WorkerView(name=name, info=info, busy=busy.get(name, 0))
                for name, info in sorted(found.items())
            ]
        )

    return await answered(look)


@routes.get("/queues", response_model=QueueList, responses=errors(), summary="List queues")
async def list_queues(call: Call) -> Response:
    """How much waits in each queue, for how long, and who serves it. For callers who see all."""

    def look() -> QueueList:
        found = call.everything().orchestrator.queues()
        return QueueList(items=[queue_view(queue) for queue in found])

    return await answered(look)


@routes.get(
    "/dead-letters", response_model=TaskPage, responses=errors(), summary="List dead letters"
)
async def list_dead_letters(
    call: Call,
    *,
    name: OnlyName = None,
    q: Search = "",
    error: OnlyName = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """A page of the tasks that failed for good, who failed last first.

    `error` is the type of the last error.
    """

    def find() -> TaskPage:
        page = call.orchestrator.browse_tasks(
            status=[TaskStatus.FAILED], name=name, text=q, metadata=call.filter, error=error,
            limit=limit, cursor=cursor,
        )  # fmt: skip
        return TaskPage(items=summaries(call, page.items), next=page.next)

    return await answered(find)


@routes.post(
    "/dead-letters/retry", response_model=RetriedView, responses=errors(400, 413),
    summary="Retry dead letters",
)  # fmt: skip
async def retry_dead_letters(call: Call, body: RetryRequest) -> Response:
    """Try dead letters again, each with a full number of attempts; in their workflows, if any."""
    return await answered(lambda: RetriedView(ids=_retried(call, body)))


def _retried(call: Caller, body: RetryRequest) -> list[str]:
    done = []
    for task_id in body.ids or _fitting(call, body):
        try:
            if body.ids:
                call.summary(task_id)
            call.orchestrator.retry(task_id)
        except (IllegalMoveError, NotFoundError):
            # Retried by somebody else meanwhile, or together with its workflow, or expired.
            continue
        done.append(task_id)
    return done


def _fitting(call: Caller, body: RetryRequest) -> list[str]:
    # Found before the first is retried: what fails again must not come round again.
    found: list[str] = []
    cursor: str | None = None
    while len(found) < body.limit:
        page = call.orchestrator.browse_tasks(
            status=[TaskStatus.FAILED], name=body.name, metadata=call.filter, error=body.error,
            limit=min(500, body.limit - len(found)), cursor=cursor,
        )  # fmt: skip
        found += [record.id for record in page.items]
        cursor = page.next
        if cursor is None:
            break
    return found


def _listed(value: JSONValue) -> list[JSONValue]:
    return value if isinstance(value, list) else []
