"""What the patterns give: one result each, which prints as its answer.

JSON, so that a result is the output of the pattern's task; pure.
"""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pyagent_orch.models.usage import Usage
from pyagent_orch.patterns.ballots import Ballot, Side
from pyagent_orch.patterns.limits import Limit

T = TypeVar("T")


class Lines(list[T], Generic[T]):
    """A list that prints one entry a line."""

    def __str__(self) -> str:
        return "\n".join(str(one) for one in self)


class PatternResult(BaseModel):
    """What all results have. JSON."""

    model_config = ConfigDict(extra="ignore")

    stopped_by: Limit | None = None
    """The limit that ended the run early; None: it came to its own end."""
    usage: Usage = Usage()
    """What the model calls of all turns cost together."""
    turns: int = 0
    """How many agent calls there were, retries aside."""
    workflow_id: str = ""
    """The workflow that it ran as; its turns are there."""


class Delegation(BaseModel):
    """One piece of work that a supervisor gave away. JSON."""

    agent: str
    request: str
    answer: str | None = None
    """None where there is none."""
    error: str = ""
    """Why there is no answer."""
    after: tuple[int, ...] = ()
    """Places in the plan, from 1, of the work that it waited for."""
    rounds: int = 1
    """How often it was done; more than 1 after it was sent back."""

    def __str__(self) -> str:
        return f"{self.agent}: {_one_line(self.request)}\n{_indented(self.answer or self.error)}"


class SupervisorResult(PatternResult):
    """What a supervised team came to; prints as `output`."""

    output: str
    delegations: list[Delegation] = Field(default_factory=list)
    """Who was asked for what, and answered what; in the order of the plan."""

    @field_validator("delegations")
    @classmethod
    def _printable(cls, entries: list[Delegation]) -> list[Delegation]:
        return Lines(entries)

    def __str__(self) -> str:
        return self.output


class ConsensusResult(PatternResult):
    """What the voters decided; prints as `decision`."""

    decision: Literal["approved", "rejected"]
    votes: list[Ballot] = Field(default_factory=list)
    """The last round's votes, in the order of the agents; invalid ones too."""
    agreement: float = 0.0
    """The share of those who voted for or against, by weight, that is with the decision; 0 to 1."""
    approval: float = 0.0
    """The share of those who voted for or against, by weight, that approves; 0 to 1."""
    reasoning: str = ""
    """All voters' reasons, a paragraph each."""
    quorum_reached: bool = True
    rounds: int = 1
    """How many rounds of voting there were."""
    not_needed: list[str] = Field(default_factory=list)
    """Voters whose vote could not have changed the decision, and who were not waited for."""

    @field_validator("votes")
    @classmethod
    def _printable(cls, entries: list[Ballot]) -> list[Ballot]:
        return Lines(entries)

    def __str__(self) -> str:
        return self.decision


class Speech(BaseModel):
    """One turn of a debate. JSON."""

    round: int
    """From 1."""
    side: Side
    agent: str
    text: str

    def __str__(self) -> str:
        return f"Round {self.round}, {self.side} ({self.agent}):\n{_indented(self.text)}"


class DebateResult(PatternResult):
    """How a debate ended; prints as the winner and the verdict."""

    winner: Side | None
    """None where the judge was not asked, because of a limit, or did not say so plainly."""
    transcript: list[Speech] = Field(default_factory=list)
    final_verdict: str = ""
    """The judge's reasons."""
    scores: dict[Side, float] = Field(default_factory=dict)
    """Maps sides to points, 0 to 10, where the judge gave them."""
    rounds: int = 0
    """How many rounds were begun."""

    @field_validator("transcript")
    @classmethod
    def _printable(cls, entries: list[Speech]) -> list[Speech]:
        return Lines(entries)

    def __str__(self) -> str:
        return f"{self.winner or 'undecided'}: {self.final_verdict}".rstrip(": ")


class Thought(BaseModel):
    """One step of a chain of thought. JSON."""

    number: int
    """From 1."""
    step: str
    thought: str

    def __str__(self) -> str:
        return f"{self.number}. {_one_line(self.step)}\n{_indented(self.thought)}"


class ChainOfThoughtResult(PatternResult):
    """Where the steps led; prints as `final_answer`."""

    final_answer: str
    """The last step's thought; empty where a limit came before the first."""
    reasoning_chain: list[Thought] = Field(default_factory=list)

    @field_validator("reasoning_chain")
    @classmethod
    def _printable(cls, entries: list[Thought]) -> list[Thought]:
        return Lines(entries)

    def __str__(self) -> str:
        return self.final_answer


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _indented(text: str) -> str:
    return "\n".join(f"   {line}".rstrip() for line in text.splitlines())
