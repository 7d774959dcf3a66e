"""How much a run of a pattern may use, and what it has used. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pyagent_orch.exceptions import InvalidWorkflowError
from pyagent_orch.models.usage import Usage
from pyagent_orch.workflows import FlowCall
from pyagent_orch.workflows.flows import Outcome

Limit = Literal["turns", "tokens", "requests", "seconds"]


class Limits(BaseModel):
    """What ends a run early, with what there is by then. Frozen, JSON; None: no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    turns: int | None = Field(default=None, ge=1)
    """How many agent calls there are at the most, retries aside."""
    tokens: int | None = Field(default=None, ge=1)
    """Tokens in and out of all calls; looked at after each, so that the last may go over it."""
    requests: int | None = Field(default=None, ge=1)
    """Model requests, tool rounds included; looked at after each call."""
    seconds: float | None = Field(default=None, gt=0)
    """Seconds since the first step; calls that run then are cancelled."""

    @classmethod
    def of(cls, pattern: str, limits: Limits | Mapping[str, Any] | None) -> Limits:
        """The limits that an argument means.

        Raises:
            InvalidWorkflowError: it is no set of limits.
        """
        try:
            return cls.model_validate({} if limits is None else limits)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(["limits", *(str(part) for part in first["loc"])])
            known = ", ".join(cls.model_fields)
            problem = f"{where}: {first['msg']}; there are {known}"
            raise InvalidWorkflowError(pattern, problem) from None


class Ledger(BaseModel):
    """What a run has used so far; part of a flow's state."""

    turns: int = 0
    """Agent calls that were started."""
    usage: Usage = Usage()
    counted: tuple[str, ...] = ()
    """The ids of the turns of this step whose usage is in it."""

    @classmethod
    def of(cls, call: FlowCall) -> Self:
        """The ledger of a call's state, with what has become final since."""
        kept = cls.model_validate((call.state or {}).get("ledger") or {})
        usage, counted = kept.usage, []
        for one in call.outcomes.values():
            if not one.status.is_final:
                continue
            counted.append(one.id)
            spent = one.usage or _of_pattern(call, one)
            if spent is not None and one.id not in kept.counted:
                # The empty sum has no model; it would make that of the first unknown.
                usage = usage + spent if usage.requests else spent
        return cls(turns=kept.turns, usage=usage, counted=tuple(counted))

    def total(self, call: FlowCall) -> Usage:
        """What the run has used, also in failed attempts of turns that it ends without."""
        total = self.usage
        for one in call.outcomes.values():
            if one.usage is not None and not one.status.is_final:
                total = total + one.usage if total.requests else one.usage
        return total

    def reached(self, limits: Limits, elapsed: float) -> Limit | None:
        """The first limit that no further turn is allowed by."""
        if limits.seconds is not None and elapsed >= limits.seconds:
            return "seconds"
        if limits.tokens is not None and self.usage.total_tokens >= limits.tokens:
            return "tokens"
        if limits.requests is not None and self.usage.requests >= limits.requests:
            return "requests"
        if limits.turns is not None and self.turns >= limits.turns:
            return "turns"
        return None

    def dump(self) -> dict[str, Any]:
        """As it lies in a flow's state."""
        return self.model_dump(mode="json", exclude_defaults=True)


def _of_pattern(call: FlowCall, outcome: Outcome) -> Usage | None:
    """What a turn cost that was a pattern: its own turns were paid, and its result says so."""
    result = outcome.output
    if not isinstance(result, dict) or result.get("workflow_id") != call.workflow_id:
        return None
    try:
        return Usage.model_validate(result.get("usage"))
    except ValidationError:
        return None


def wake_after(limits: Limits, elapsed: float) -> float | None:
    """Seconds until the time is up; None where there is no limit."""
    return None if limits.seconds is None else max(0.0, limits.seconds - elapsed)
