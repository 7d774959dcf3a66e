"""When a failed attempt is followed by another one."""

from __future__ import annotations

import random

from pydantic import BaseModel, ConfigDict, Field

NEVER_RETRIED = frozenset(
    {
        "ModelRequestError",
        "AgentNotFoundError",
        "AgentNotPortableError",
        "InputError",
        "NoPlanError",
    }
)
"""Errors that another attempt cannot mend, whatever the policy says."""


class RetryPolicy(BaseModel):
    """How often, how soon and after which errors a task is tried again.

    Frozen, JSON; travels with the task. The delay before attempt n + 1 is
    `delay_seconds * factor ** (n - 1)`, at most `max_delay_seconds`, of which
    the share `jitter` is drawn at random so that failures that came together do
    not come back together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_attempts: int = Field(default=3, ge=1, le=1000)
    """How many attempts there are in all; 1 is no retry."""
    delay_seconds: float = Field(default=1.0, ge=0)
    """Seconds before the second attempt."""
    factor: float = Field(default=2.0, ge=1)
    """By how much each delay is longer than the one before."""
    max_delay_seconds: float = Field(default=60.0, ge=0)
    """No delay is longer; seconds."""
    jitter: float = Field(default=0.5, ge=0, le=1)
    """The share of the delay that is random: 0 none, 1 all of it."""
    retry_on: tuple[str, ...] = ()
    """Names of error classes (or of their bases); empty: every error."""
    no_retry_on: tuple[str, ...] = ()
    """Names of error classes (or of their bases) that end the task at once."""
    max_rate_limit_waits: int = Field(default=50, ge=0)
    """How many 429 answers are waited out before one counts as a failed attempt."""

    def allows(self, error: BaseException) -> bool:
        """Whether another attempt may follow this error."""
        names = {cls.__name__ for cls in type(error).__mro__}
        if names & {*self.no_retry_on, *NEVER_RETRIED}:
            return False
        return not self.retry_on or bool(names & set(self.retry_on))

    def delay_after(self, failures: int) -> float:
        """Seconds to wait after so many failed attempts (>= 1)."""
        try:
            full = min(self.max_delay_seconds, self.delay_seconds * self.factor ** (failures - 1))
        except OverflowError:
            full = self.max_delay_seconds if self.delay_seconds else 0.0
        return full * (1 - self.jitter) + full * self.jitter * random.random()  # noqa: S311 - no secret
