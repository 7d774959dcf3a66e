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


ENDED = "pyagent_ended"
"""The header of a run that has ended without an output, and how: Celery is only told."""


def run(self: Any, *received: Any) -> Any:
    """Run the task that the message's id names; returns its recorded output.

    Args:
        self: the bound Celery task.
        received: inside a plain Celery canvas, the result of the task before.
    """
    request = self.request
    ended: Exception | None = getattr(request, ENDED, None)
    if ended is not None:
        raise ended
    runtime, task_id = runtime_of(self.app), request.id
    wire = getattr(request, Envelopes.CLAIM, None)
    if wire is not None:
        # It was claimed as its message was taken.
        fault_point("before_claim")
        return run_claim(self, request, runtime, Claim.of(task_id, wire), received)
    worker = _worker(runtime, request)
    with noted(RunNote(task_id, worker, request.shadow or "")):
        fault_point("before_claim")
        claim = runtime.patiently(
            lambda: runtime.store.runs.claim(task_id, runtime.lease_id, worker),
            f"claim of task {task_id}",
        )
        if not isinstance(claim, Claim):
            return _refused(self, request, claim)
    return run_claim(self, request, runtime, claim, received)


def run_claim(
    self: Any, request: Any, runtime: Runtime, claim: Claim, received: tuple[Any, ...] = ()
) -> Any:
    """Run a claimed task; returns its recorded output.

    Args:
        self: the bound Celery task.
        request: its Celery request (`celery.app.task.Context`).
        runtime: the engine's state.
        claim: the run.
        received: as in `run`.

    Raises:
        Ignore: there is no output to come, and the record says so already.
        Retry: it failed and another attempt follows; recorded.
        Exception: it failed for good; recorded.
    """
    fault_point("after_claim")
    worker = _worker(runtime, request)
    with noted(_note_of(claim, worker)), run_span(claim, worker):
        outcome = _attempt(self, request, runtime, claim, received)
        return _finish(request, runtime, claim, outcome)


def _worker(runtime: Runtime, request: Any) -> str:
    return runtime.worker_name or str(request.hostname)


def _note_of(claim: Claim, worker: str) -> RunNote:
    fields = claim.fields
    workflow, attempt = fields["workflow"] or "", int(fields["attempts"] or 0)
    return RunNote(claim.id, worker, fields["name"] or "", workflow, attempt)


def _refused(self: Any, request: Any, claim: Refused) -> Any:
    """What a message does that starts no run."""
    task_id = request.id
    if claim.reason is Refusal.FINAL and claim.output is not None:
        return json.loads(claim.output)
    if claim.reason in {Refusal.HELD, Refusal.EARLY} and leads_on(request):
        # Another message of the task has become its run. What follows in the canvas
        # hangs on this one, so it comes again until there is an output to hand on.
        raise self.retry(countdown=min(LONGEST_LOOK, FIRST_LOOK * 2**request.retries))
    logger.info("Message of task %s dropped: %s %s", task_id, claim.reason, claim.status or "")
    raise _no_output(request, task_id, claim.status)


def leads_on(request: Any) -> bool:
    """Whether a plain Celery canvas goes on from this message."""
    return bool(request.chain or request.chord or request.callbacks or request.errbacks)


def _no_output(request: Any, task_id: str, status: str | None) -> Exception:
    """What ends a message without an output: only a canvas has to hear of it."""
    error = _ENDS.get(status or "")
    if error is not None and leads_on(request):
        return error(task_id)
    return Unwanted(str(status)) if status in NOT_RUN else Ignore()


def _attempt(
    self: Any, request: Any, runtime: Runtime, claim: Claim, received: tuple[Any, ...]
) -> AgentOutcome:
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
        raise _no_output(request, claim.id, TaskStatus.CANCELLED) from None
    except Exception as error:
        following = end_attempt(runtime, runs, claim, error, work.spent)
        if following is None:
            raise
        if leads_on(request):
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


def _finish(request: Any, runtime: Runtime, claim: Claim, outcome: AgentOutcome) -> Any:
    """Record an output; returns the one that is recorded, which may be another attempt's."""
    runs, lease = runtime.store.runs, runtime.lease_id
    output = to_json(outcome.output)
    usage = usage_with(claim, [outcome.usage] if outcome.usage else [])
    fault_point("before_finish")
    verdict = runtime.patiently(
        lambda: runs.finish(claim, lease, output, usage, leads_on=leads_on(request)),
        f"finish of task {claim.id}",
    )
    fault_point("after_finish")
    if verdict.accepted:
        return outcome.output
    if verdict.output is not None:
        return json.loads(verdict.output)
    logger.info("Output of task %s dropped: the task is %s", claim.id, verdict.status)
    raise _no_output(request, claim.id, verdict.status)
