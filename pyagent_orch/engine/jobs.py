"""The work of a scheduled job: made once from a task or workflow, and copied for each run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zlib import crc32
from zoneinfo import ZoneInfo

from pyagent_orch.engine.dispatch import Dispatcher
from pyagent_orch.engine.prepare import Preparer
from pyagent_orch.engine.rerun import copy_task
from pyagent_orch.exceptions import ScheduleError
from pyagent_orch.models.values import to_json
from pyagent_orch.schedules.jobs import ScheduledJob
from pyagent_orch.schedules.record import JobRecord
from pyagent_orch.schedules.timing import look
from pyagent_orch.store.newtasks import NewTask
from pyagent_orch.store.schedules import DueJob, Firing
from pyagent_orch.workflows import Flow, Workflow, as_flow

MANUAL = "manual"
"""What `{run}` is in a run that somebody asked for."""


def make_work(job: ScheduledJob, dispatcher: Dispatcher, preparer: Preparer) -> str:
    """Everything that a run of the job is made of, as JSON; its agents are in it.

    Raises:
        InvalidTaskError: a task cannot be sent.
        InvalidWorkflowError: the workflow cannot be run as it is.
    """
    task, workflow = job.task, job.workflow
    if task is not None and isinstance(as_flow(task.agent), Flow):
        # A pattern adds tasks to its workflow, so it needs one.
        workflow = Workflow(task.name, [task])
    if workflow is None:
        if task is None:
            raise ScheduleError("task", "give either a task or a workflow")
        new = preparer.task(task)
        agent = str(new.fields["agent"])
        return to_json(
            {
                "kind": "task",
                "fields": new.fields,
                "delay": new.delay_ms,
                "agents": {agent: preparer.agents[agent]},
            }
        )
    fields, tasks = dispatcher.records_of(dispatcher.plan(workflow))
    used = {str(new.fields["agent"]) for new in tasks}
    return to_json(
        {
            "kind": "workflow",
            "fields": fields,
            "tasks": [[new.id, new.fields, new.delay_ms] for new in tasks],
            "deadline": int((workflow.deadline or 0) * 1000),
            "agents": {agent: preparer.agents[agent] for agent in used},
        }
    )


def firing_of(due: DueJob, now: int) -> Firing:
    """What to do about a job that is due.

    Args:
        due: the job.
        now: by Redis' clock; ms.
    """
    job = due.record
    if due.queued:
        firing = Firing(job, "queued", due.due, None, None, due.due)
        return _with_work(firing, f"{job.id}@{due.due}", job.runs + 1)
    step = look(job.timing, due.due, now, job.runs + due.waiting)
    following = step.next
    if following is None and step.tick is not None:
        following = job.timing.following(step.tick)
    firing = Firing(
        job, "due", due.due, step.next, following, step.tick, late=step.late,
        left_out=step.skipped, left_out_from=step.skipped_from,
    )  # fmt: skip
    if step.tick is None:
        return firing
    return _with_work(firing, f"{job.id}@{step.tick}", job.runs + 1)


def manual_firing(job: JobRecord, now: int) -> Firing:
    """A run that somebody asked for; the schedule is left alone."""
    firing = Firing(job, "manual", 0, None, None, now)
    return _with_work(firing, f"{job.id}@{MANUAL}-{uuid4().hex[:12]}", MANUAL)


def _with_work(firing: Firing, run_id: str, run: int | str) -> Firing:
    job, tick = firing.job, firing.tick or 0
    work: dict[str, Any] = json.loads(job.work)
    at = datetime.fromtimestamp(tick / 1000, UTC).astimezone(ZoneInfo(job.timing.zone))
    extra = {"tick": to_json({"job": job.id, "scheduled_at": at.isoformat(), "run": run})}
    jitter = 0
    if firing.how == "due" and job.timing.jitter:
        # The same whenever it is asked for, so that a repeat changes nothing.
        jitter = crc32(run_id.encode()) % (job.timing.jitter + 1)
    firing = replace(firing, run_id=run_id, agents=work["agents"])
    if work["kind"] == "task":
        task = NewTask(run_id, work["fields"] | extra | {"job": job.id}, work["delay"] + jitter)
        return replace(firing, tasks=[task])
    tasks, fields = _renamed(work, run_id, extra, jitter)
    return replace(firing, tasks=tasks, workflow=fields, deadline_ms=work["deadline"])


def _renamed(
    work: Mapping[str, Any], run_id: str, extra: Mapping[str, str], jitter: int
) -> tuple[list[NewTask], dict[str, str]]:
    """The tasks and the record of a workflow under ids that belong to one run."""
    raw = {
        task_id: {name: str(value) for name, value in fields.items()}
        | ({"delay": str(delay)} if delay else {})
        for task_id, fields, delay in work["tasks"]
    }
    new_ids = {task_id: f"{run_id}.{place}" for place, task_id in enumerate(raw)}
    tasks = []
    for task_id in raw:
        copy = copy_task(task_id, raw, new_ids, {}, set())
        first = str(copy.fields["n"]) == "0"
        delay = copy.delay_ms + (jitter if first else 0)
        tasks.append(replace(copy, fields=copy.fields | extra, delay_ms=delay))  # type: ignore[operator] # a dict
    fields: dict[str, str] = dict(work["fields"])
    fields["results"] = " ".join(new_ids[one] for one in fields["results"].split())
    fields["edges"] = to_json(
        {
            new_ids[task]: [new_ids[one] for one in on]
            for task, on in json.loads(fields["edges"]).items()
        }
    )
    return tasks, fields
