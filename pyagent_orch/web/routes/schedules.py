"""Scheduled jobs: list, add, pause, resume, run now, remove."""

from __future__ import annotations

from fastapi import APIRouter, Response

from pyagent_orch.models.tasks import Task
from pyagent_orch.web.access import Call
from pyagent_orch.web.answers import Id, Limit, answered, errors
from pyagent_orch.web.problems import Route
from pyagent_orch.web.requests import JobRequest
from pyagent_orch.web.views import JobList, JobView, RunList, RunView, job_view

routes = APIRouter(route_class=Route, tags=["schedules"])


@routes.get("/schedules", response_model=JobList, responses=errors(), summary="List jobs")
async def list_jobs(call: Call) -> Response:
    """All scheduled jobs; the one that is due next comes first."""

    def find() -> JobList:
        jobs = call.orchestrator.jobs()
        return JobList(items=[job_view(job) for job in jobs if call.owns_job(job)])

    return await answered(find)


@routes.post(
    "/schedules", status_code=201, response_model=JobView, responses=errors(400, 413),
    summary="Schedule a job",
)  # fmt: skip
async def add_job(call: Call, body: JobRequest) -> Response:
    """Schedule a task or workflow: once, in intervals, or by a cron expression."""

    def add() -> JobView:
        job = body.build(call.stamped, specs=call.options.specs)
        return job_view(call.orchestrator.schedule(job))

    return await answered(add, 201)


@routes.get(
    "/schedules/{id}", response_model=JobView, responses=errors(404), summary="Look at a job"
)
async def show_job(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """A scheduled job."""
    return await answered(lambda: job_view(call.job(id)))


@routes.get(
    "/schedules/{id}/runs", response_model=RunList, responses=errors(404),
    summary="The latest runs of a job",
)  # fmt: skip
async def list_runs(call: Call, id: Id, limit: Limit = 20) -> Response:  # noqa: A002 - the path's word
    """What a job has started, the last one first; what has expired is left out."""

    def find() -> RunList:
        call.job(id)
        runs = call.orchestrator.job_runs(id, limit=min(limit, 100))
        return RunList(items=[_run(run) for run in runs])

    return await answered(find)


@routes.post(
    "/schedules/{id}/pause", response_model=JobView, responses=errors(404), summary="Pause a job"
)
async def pause_job(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """Let a job fire no more until it is resumed."""
    return await answered(lambda: job_view(call.orchestrator.pause(call.job(id).id)))


@routes.post(
    "/schedules/{id}/resume", response_model=JobView, responses=errors(404), summary="Resume a job"
)
async def resume_job(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """Let a paused job fire again, from its next due time on."""
    return await answered(lambda: job_view(call.orchestrator.resume(call.job(id).id)))


@routes.post(
    "/schedules/{id}/run", status_code=201, response_model=RunView, responses=errors(404),
    summary="Run a job now",
)  # fmt: skip
async def run_job(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """Run a job once, now, also when it is paused; its schedule stays as it is."""
    return await answered(lambda: _run(call.orchestrator.run_now(call.job(id).id)), 201)


@routes.delete("/schedules/{id}", status_code=204, responses=errors(404), summary="Remove a job")
async def remove_job(call: Call, id: Id) -> Response:  # noqa: A002 - the path's word
    """Remove a job; runs that are there go on."""

    def remove() -> None:
        call.orchestrator.unschedule(call.job(id).id)

    return await answered(remove)


def _run(run: object) -> RunView:
    return RunView(kind="task" if isinstance(run, Task) else "workflow", id=run.id)  # type: ignore[attr-defined] # a Task or Workflow
