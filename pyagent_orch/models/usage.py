"""What a run of an agent cost."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field


class Usage(BaseModel):
    """Tokens, requests and money of one run, as the model's library counted them.

    Frozen, JSON. Adds up with `+`; the price of an unknown part is unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    """The model that answered, such as `openai:gpt-5` or `offline`; None when several did."""
    requests: int = Field(default=0, ge=0)
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cost_usd: float | None = Field(default=None, ge=0)
    """US dollars; None where the library does not know the price."""

    @property
    def total_tokens(self) -> int:
        """Tokens in and out."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        known = [usage.cost_usd for usage in (self, other) if usage.requests]
        return Usage(
            model=self.model if self.model == other.model else None,
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=None if None in known or not known else sum(c for c in known if c is not None),
        )


def total(usages: Iterable[Usage]) -> Usage:
    """All of them together; of none, nothing."""
    found = Usage()
    for one in usages:
        # The model of the first one is that of all, until another one answers.
        found = found + one if found.requests else one
    return found
