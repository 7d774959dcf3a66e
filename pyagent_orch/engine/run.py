"""The one Celery task: claim, run the agent, finish.

What Celery does around it (queues, pools, time limits, events for Flower) stays
Celery's. What is recorded is decided by the acts, not by what this returns.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Retry, SoftTimeLimitExceeded

from pyagent_orch.agents import AgentOutcome, Invocation, invoke
from pyagent_orch.engine.attempts import end_attempt
from pyagent_orch.engine.message import RUN_TASK
from pyagent_orch.engine.patience import patiently
from pyagent_orch.engine.runtime import Runtime, runtime_of
from pyagent_orch.exceptions import TaskCancelledError, TaskTimeoutError
from pyagent_orch.models.values import to_json
from pyagent_orch.store.runs import Claim, Refusal

logger = logging.getLogger(__name__)


def register_run_task(app: Celery) -> None:
    """Register `RUN_TASK` in an app."""
    app.task(
        _run,
        name=RUN_TASK,
        bind=True,
        # finish writes the result, in the same act as the record.
        ignore_result=True,
        Request="pyagent_orch.engine.request:RunRequest",
        # Retries are acts of ours; Celery's own count must not end them.
        max_retries=None,
    )


def _run(self: Any) -> Any:
    """Run the task that the message's id names; returns its recorded output."""
    runtime = runtime_of(self.app)
    task_id = self.request.id
    runs, lease = runtime.store.runs, runtime.lease_id
    worker = runtime.worker_name or self.request.hostname
    claim = patiently(lambda: runs.claim(task_id, lease, worker), f"claim of task {task_id}")
    if not isinstance(claim, Claim):
        if claim.reason is Refusal.FINAL and claim.output is not None:
            return json.loads(claim.output)
        logger.info("Message of task %s dropped: %s %s", task_id, claim.reason, claim.status or "")
        raise Ignore
    try:
        outcome = _invoke(runtime, claim)
        output = to_json(outcome.output)
    except TaskCancelledError:
        # The record says so already; that is why the agent was stopped.
        raise Ignore from None
    except Exception as error:
        following = end_attempt(runs, claim, lease, error)
        if following is not None:
            raise Retry(exc=error, when=following.delay) from error
        raise
    usage = outcome.usage.model_dump_json(exclude_defaults=True) if outcome.usage else ""
    verdict = patiently(
        lambda: runs.finish(claim, lease, output, usage), f"finish of task {task_id}"
    )
    if verdict.accepted:
        return outcome.output
    if verdict.output is not None:
        # Another attempt was first; its answer is the task's.
        return json.loads(verdict.output)
    logger.info("Output of task %s dropped: the task is %s", task_id, verdict.status)
    raise Ignore


def _invoke(runtime: Runtime, claim: Claim) -> AgentOutcome:
    fields = claim.fields
    timeout = fields["timeout"]
    invocation = Invocation(
        task_id=claim.id,
        name=fields["name"] or claim.id,
        attempt=int(fields["attempts"] or 1),
        run_key=fields["key"] or claim.id,
        metadata=json.loads(fields["metadata"] or "{}"),
        context={},
        deadline_seconds=float(timeout) if timeout else None,
        default_model=runtime.settings.model,
        interruptible=runtime.interruptible,
    )
    try:
        return invoke(claim.agent, json.loads(fields["input"] or "null"), invocation)
    except SoftTimeLimitExceeded:
        raise TaskTimeoutError(claim.id, f"it ran longer than {timeout} s") from None
