"""Jobs made of their parts: of the options of `schedule(agent=...)` and of `change`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyagent_orch.exceptions import ScheduleError
from pyagent_orch.models.tasks import Task
from pyagent_orch.schedules.jobs import ScheduledJob

_OF_TASKS = ("priority", "metadata", "timeout", "retry", "queue")
_KINDS = ("run_at", "interval_seconds", "cron")
_KEPT = (
    "timezone", "missed", "max_runs", "end_at", "overlap", "jitter", "catch_up_limit", "name",
)  # fmt: skip
_OF_JOBS = (*_KEPT, *_KINDS, "id", "task", "workflow", "schedule_type")


def job_of(agent: object, given: object, options: Mapping[str, Any]) -> ScheduledJob:
    """A job of its parts.

    Args:
        agent: the agent of its task; None: `options` have a task or a workflow.
        given: the task's input.
        options: of the job and of its task.

    Raises:
        ScheduleError: it cannot be scheduled like this.
        InvalidTaskError: its task cannot be sent.
    """
    of_task = {name: options[name] for name in _OF_TASKS if name in options}
    of_job = {name: value for name, value in options.items() if name not in _OF_TASKS}
    _check_names(of_job, {*_OF_JOBS, *_OF_TASKS})
    if agent is not None:
        if "task" in of_job or "workflow" in of_job:
            raise ScheduleError("agent", "does not go with a task or a workflow")
        of_job["task"] = Task(agent, given, name=of_job.get("name"), **of_task)
    elif of_task or given is not None:
        raise ScheduleError(next(iter(of_task), "input"), "goes with an agent only")
    return ScheduledJob(**of_job)


def changed(job: ScheduledJob, options: Mapping[str, Any]) -> ScheduledJob:
    """A job that says what the given one says, but for the options.

    Raises:
        ScheduleError: it cannot be scheduled like this.
    """
    _check_names(options, set(_OF_JOBS))
    if "id" in options:
        raise ScheduleError("id", "cannot be changed")
    said = {name: getattr(job, name) for name in _KEPT} | {"id": job.id}
    if not any(name in options for name in _KINDS):
        said |= {name: getattr(job, name) for name in _KINDS}
    if "task" not in options and "workflow" not in options:
        # Not sent anywhere: the recorded work stays.
        said["task"] = Task("unchanged", name=job.name)
    return ScheduledJob(**(said | dict(options)))


def _check_names(options: Mapping[str, Any], known: set[str]) -> None:
    for name in options:
        if name not in known:
            raise ScheduleError(
                name, f"is no option of a job; there are {', '.join(sorted(known))}"
            )
