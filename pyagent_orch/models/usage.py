"""What a run of an agent cost."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

_LEAST_SHOWN = 0.0001
"""US dollars."""


class Usage(BaseModel):
    """Tokens, requests and money of one run, as the model's library counted them.

    Frozen, JSON. Adds up with `+`; the price of an unknown part is unknown. Prints as
    `3 requests, 1,250 tokens, $0.0021`.
    """

    # What a newer worker may add must not keep an older client from reading it.
    model_config = ConfigDict(frozen=True, extra="ignore")

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

    def __str__(self) -> str:
        requests = "1 request" if self.requests == 1 else f"{self.requests:,} requests"
        price = "price unknown"
        if self.cost_usd is not None:
            # Rounded, a cheap call would look free.
            small = 0 < self.cost_usd < _LEAST_SHOWN
            price = f"less than ${_LEAST_SHOWN}" if small else f"${self.cost_usd:.4f}"
        told = f", {price}" if self.requests else ""
        return f"{requests}, {self.total_tokens:,} tokens{told}"

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
