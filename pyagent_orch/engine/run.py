"""What the one Celery task does: claim, run the agent, finish.

What Celery does around it (queues, pools, time limits, events for Flower) stays
Celery's. What is recorded is decided by the acts, not by what this returns.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from celery.exceptions import Ignore, Retry

from pyagent_orch.agents import AgentOutcome
from pyagent_orch.engine.attempts import NOT_RUN, Unwanted, end_attempt, usage_with
from pyagent_orch.engine.faults import fault_point
from pyagent_orch.engine.logs import RunNote, noted
from pyagent_orch.engine.message import Envelopes
from pyagent_orch.engine.runtime import Runtime, runtime_of
from pyagent_orch.engine.spans import run_span
from pyagent_orch.engine.work import Work
from pyagent_orch.exceptions import (
    TaskCancelledError,
    TaskFailedError,
    TaskOutcomeError,
    TaskSkippedError,
)
from pyagent_orch.models.values import to_json
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.runs import Claim, Expansion, Refusal, Refused

logger = logging.getLogger(__name__)

FIRST_LOOK, LONGEST_LOOK = 0.25, 5.0
"""Seconds between two looks of a canvas' message at a task that another message runs."""
_ENDS: dict[str, type[TaskOutcomeError]] = {
    TaskStatus.FAILED: TaskFailedError,
    TaskStatus.CANCELLED: TaskCancelledError,
    TaskStatus.SKIPPED: TaskSkippedError,
}


def run(self: Any, *received: Any) -> Any:
    """Run the task that the message's id names; returns its recorded output.

    Args:
        self: the bound Celery task.
        received: inside a plain Celery canvas, the result of the task before.
    """
    runtime = runtime_of(self.app)
    task_id = self.request.id
    runs, lease = runtime.store.runs, runtime.lease_id
    worker = runtime.worker_name or self.request.hostname
    with noted(RunNote(task_id, worker, self.request.shadow or "")):
        fault_point("before_claim")
        wire = getattr(self.request, Envelopes.CLAIM, None)
        claim: Claim | Refused
        if wire is not None:
            # It was claimed as its message was taken.
            claim = Claim.of(task_id, wire)
        else:
            claim = runtime.patiently(
                lambda: runs.claim(task_id, lease, worker), f"claim of task {task_id}"
            )
        fault_point("after_claim")
        if not isinstance(claim, Claim):
            return _refused(self, task_id, claim)
    with noted(_note_of(claim, worker)), run_span(self.request, claim, worker):
        return _finish(self, runtime, claim, _attempt(self, runtime, claim, received))


def _note_of(claim: Claim, worker: str) -> RunNote:
    fields = claim.fields
    workflow, attempt = fields["workflow"] or "", int(fields["attempts"] or 0)
    return RunNote(claim.id, worker, fields["name"] or "", workflow, attempt)


def _refused(self: Any, task_id: str, claim: Refused) -> Any:
    """What a message does that starts no run."""
    if claim.reason is Refusal.FINAL and claim.output is not None:
        return json.loads(claim.output)
    if claim.reason in {Refusal.HELD, Refusal.EARLY} and leads_on(self.request):
        # Another message of the task has become its run. What follows in the canvas
        # hangs on this one, so it comes again until there is an output to hand on.
        raise self.retry(countdown=min(LONGEST_LOOK, FIRST_LOOK * 2**self.request.retries))
    logger.info("Message of task %s dropped: %s %s", task_id, claim.reason, claim.status or "")
    raise _no_output(self, task_id, claim.status)


def leads_on(request: Any) -> bool:
    """Whether a plain Celery canvas goes on from this message."""
    return bool(request.chain or request.chord or request.callbacks or request.errbacks)


def _no_output(self: Any, task_id: str, status: str | None) -> Exception:
    """What ends a message without an output: only a canvas has to hear of it."""
    error = _ENDS.get(status or "")
    if error is not None and leads_on(self.request):
        return error(task_id)
    return Unwanted(str(status)) if status in NOT_RUN else Ignore()


def _attempt(self: Any, runtime: Runtime, claim: Claim, received: tuple[Any, ...]) -> AgentOutcome:
    """One attempt to come to an output.

    Raises:
        Ignore: there is none to come, and the record says so already.
        Retry: it failed and another one follows; recorded.
        Exception: it failed for good; recorded.
    """
    runs, lease = runtime.store.runs, runtime.lease_id
    work = Work(runtime, claim, received)
    try:
        wanted = work.wanted
        outcome = work.run() if wanted else None
        if isinstance(outcome, AgentOutcome):
            # Refused here, where a failure is still the agent's.
            to_json(outcome.output).encode()
    except TaskCancelledError:
        # The record says so already; that is why the agent was stopped.
        raise _no_output(self, claim.id, TaskStatus.CANCELLED) from None
    except Exception as error:
        following = end_attempt(runtime, runs, claim, error, work.spent)
        if following is None:
            raise
        if leads_on(self.request):
            # The act has seen to the next attempt; this message follows it with the canvas.
            raise self.retry(exc=error, countdown=following.delay) from error
        raise Retry(exc=error, when=following.delay) from error
    if outcome is None:
        reason = "its condition is false"
        runtime.patiently(lambda: runs.skip(claim, lease, reason), f"skip of task {claim.id}")
        raise Unwanted(TaskStatus.SKIPPED)
    if isinstance(outcome, Expansion):
        runtime.patiently(
            lambda: runs.expand(claim, lease, outcome), f"expansion of task {claim.id}"
        )
        raise Ignore
    return outcome


def _finish(self: Any, runtime: Runtime, claim: Claim, outcome: AgentOutcome) -> Any:
    """Record an output; returns the one that is recorded, which may be another attempt's."""
    runs, lease = runtime.store.runs, runtime.lease_id
    output = to_json(outcome.output)
    usage = usage_with(claim, [outcome.usage] if outcome.usage else [])
    fault_point("before_finish")
    verdict = runtime.patiently(
        lambda: runs.finish(claim, lease, output, usage, leads_on=leads_on(self.request)),
        f"finish of task {claim.id}",
    )
    fault_point("after_finish")
    if verdict.accepted:
        return outcome.output
    if verdict.output is not None:
        return json.loads(verdict.output)
    logger.info("Output of task %s dropped: the task is %s", claim.id, verdict.status)
    raise _no_output(self, claim.id, verdict.status)
