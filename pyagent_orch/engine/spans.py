"""The engine's spans: submit, queue, run. Nothing but a comparison when traces are off.

A task's record holds the `traceparent` of its submit, in the field `trace`, so that
whichever worker runs whichever attempt adds to the same trace.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from celery.exceptions import Ignore

from pyagent_orch import tracing
from pyagent_orch.models.tasks import Task
from pyagent_orch.store.newtasks import NewTask
from pyagent_orch.store.runs import Claim
from pyagent_orch.workflows import Workflow

TASK, WORKFLOW = "pyagent_orch.task", "pyagent_orch.workflow"


def submit_span(tasks: Sequence[Task]) -> AbstractContextManager[Any]:
    """Around the submit of tasks."""
    if not tracing.is_enabled():
        return tracing.span("")
    if len(tasks) != 1:
        return tracing.span(f"submit {len(tasks)} tasks", "producer")
    attributes = {f"{TASK}.id": tasks[0].id, f"{TASK}.name": tasks[0].name}
    return tracing.span(f"submit {tasks[0].name}", "producer", attributes)


def workflow_span(workflow: Workflow) -> AbstractContextManager[Any]:
    """Around the submit of a workflow; all its tasks are in this trace."""
    if not tracing.is_enabled():
        return tracing.span("")
    attributes: dict[str, str | int] = {
        f"{WORKFLOW}.id": workflow.id,
        f"{WORKFLOW}.name": workflow.name,
        f"{WORKFLOW}.tasks": len(workflow.tasks),
    }
    return tracing.span(f"submit workflow {workflow.name}", "producer", attributes)


def with_trace(tasks: list[NewTask]) -> list[NewTask]:
    """Records that know the current span, if there is one."""
    trace = tracing.carrier()
    if not trace:
        return tasks
    return [replace(one, fields={**one.fields, "trace": trace}) for one in tasks]


def run_span(claim: Claim, worker: str) -> AbstractContextManager[Any]:
    """Around a run; what it waited on the queue becomes a span, too."""
    if not tracing.is_enabled():
        return tracing.span("")
    fields, parent = claim.fields, claim.fields["trace"] or ""
    attributes: dict[str, str | int] = {
        f"{TASK}.id": claim.id,
        f"{TASK}.name": fields["name"] or "",
        f"{TASK}.attempt": int(fields["attempts"] or 0),
        "pyagent_orch.worker": worker,
        "messaging.system": "celery",
        "messaging.destination.name": fields["queue"] or "",
        "messaging.message.id": claim.id,
    }
    if fields["workflow"]:
        attributes[f"{WORKFLOW}.id"] = fields["workflow"]
    if parent and claim.queued_ms:
        now = time.time_ns()
        began = now - claim.queued_ms * 1_000_000
        tracing.record(f"queue {fields['queue']}", began, now, attributes, parent=parent)
    name = f"run {fields['name']}"
    return tracing.span(name, "consumer", attributes, parent=parent, no_errors=(Ignore,))
