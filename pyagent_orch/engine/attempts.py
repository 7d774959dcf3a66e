"""How an attempt ends that has no output: another one, or FAILED."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add

from celery.exceptions import Ignore

from pyagent_orch.engine.runtime import Runtime
from pyagent_orch.exceptions import AgentNotFoundError, RateLimitedError
from pyagent_orch.models.retry import RetryPolicy
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import to_json
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.runs import Claim, Runs

MESSAGE_LIMIT, TRACEBACK_LIMIT = 4_000, 16_000
"""How many characters of an error are kept; what is cut is its middle."""
NO_RETRY = RetryPolicy(max_attempts=1)
AGENT_LOOK_SECONDS = 0.5
"""How often an agent is looked for that may yet be registered."""


NOT_RUN = frozenset({TaskStatus.CANCELLED, TaskStatus.SKIPPED})
"""States that Celery has one word for: revoked."""


class Unwanted(Ignore):  # type: ignore[misc] # Celery has no types
    """Ends a message whose task is not to be run any more: cancelled, or skipped.

    Args:
        status: the recorded state.
    """

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """Another attempt follows."""

    delay: float
    """Seconds from now."""
    counts: bool
    """Whether the attempt that failed counts."""


def policy_of(claim: Claim) -> RetryPolicy:
    """The task's retry policy; no retry when it has none."""
    raw = claim.fields.get("retry")
    return RetryPolicy.model_validate_json(raw) if raw else NO_RETRY


def next_attempt(claim: Claim, error: BaseException) -> NextAttempt | None:
    """Decide what follows a failed attempt; None: the task has failed."""
    policy = policy_of(claim)
    if isinstance(error, RateLimitedError):
        deferrals = int(claim.fields.get("deferrals") or 0)
        if deferrals < policy.max_rate_limit_waits:
            return NextAttempt(error.retry_after, counts=False)
    failures = int(claim.fields.get("failures") or 0) + 1
    if failures >= policy.max_attempts or not policy.allows(error):
        return None
    return NextAttempt(policy.delay_after(failures), counts=True)


def usage_with(claim: Claim, spent: Iterable[Usage]) -> str:
    """What the task has cost so far and in this attempt, as JSON; empty when no model was asked."""
    before = claim.fields["usage"]
    bills = [Usage.model_validate_json(before)] if before else []
    bills += spent
    if not bills:
        return ""
    return reduce(add, bills).model_dump_json(exclude_defaults=True)


def end_attempt(
    runtime: Runtime, runs: Runs, claim: Claim, error: BaseException, spent: Iterable[Usage] = ()
) -> NextAttempt | None:
    """Record a failed attempt: one act, which says what follows.

    Args:
        runtime: the engine's state.
        runs: the store's calls.
        claim: the run.
        error: why it failed.
        spent: what its model calls cost.

    Returns:
        The next attempt, or None when the task has failed (or is final for another reason).
    """
    following = _wait_for_agent(runtime, error) or next_attempt(claim, error)
    usage = usage_with(claim, spent)
    text = _middle_cut(_message(error), MESSAGE_LIMIT)
    lines = _middle_cut("".join(traceback.format_exception(error)), TRACEBACK_LIMIT)
    kind = type(error)
    ours = to_json({"type": kind.__name__, "message": text, "traceback": lines})
    if following is not None:
        delay, counts = following.delay, following.counts
        runtime.patiently(
            lambda: runs.retry(claim, runtime.lease_id, delay, ours, counts=counts, usage=usage),
            f"retry of task {claim.id}",
        )
        return following
    celery_form = to_json(
        {"exc_type": kind.__name__, "exc_message": [text], "exc_module": kind.__module__}
    )
    runtime.patiently(
        lambda: runs.fail(
            claim,
            runtime.lease_id,
            error=ours,
            celery_error=celery_form,
            traceback=json.dumps(lines),
            usage=usage,
        ),
        f"failure of task {claim.id}",
    )
    return None


def _wait_for_agent(runtime: Runtime, error: BaseException) -> NextAttempt | None:
    if isinstance(error, AgentNotFoundError) and time.monotonic() < runtime.agents_until:
        return NextAttempt(AGENT_LOOK_SECONDS, counts=False)
    return None


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an agent's own error class may fail to print itself
        return f"(its text cannot be shown: {type(error).__name__})"


def _middle_cut(text: str, limit: int) -> str:
    # What JSON cannot carry, such as half a surrogate pair, must not lose the record.
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters ...\n{text[-half:]}"
