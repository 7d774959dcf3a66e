"""Counting votes: what they decide, and from when on no further vote can change it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from pyagent_orch.patterns.ballots import Ballot

_ROUNDING = 1e-9
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes so far, by weight, and the rule that decides."""

    approving: float
    rejecting: float
    cast: int
    """How many voted for, against, or abstained."""
    threshold: float
    ties: str
    quorum: int

    @classmethod
    def of(cls, ballots: Sequence[Ballot], rule: Mapping[str, Any]) -> Self:
        """Count ballots; invalid ones do not count."""
        return cls(
            approving=sum(one.weight for one in ballots if one.vote == "approve"),
            rejecting=sum(one.weight for one in ballots if one.vote == "reject"),
            cast=sum(one.vote != "invalid" for one in ballots),
            threshold=rule["threshold"],
            ties=rule["ties"],
            quorum=rule["quorum"],
        )

    @property
    def approval(self) -> float:
        """The share that approves, of those who voted for or against; 0 to 1."""
        total = self.approving + self.rejecting
        return self.approving / total if total else 0.0

    @property
    def rejection(self) -> float:
        """The share that rejects, of those who voted for or against; 0 to 1."""
        total = self.approving + self.rejecting
        return self.rejecting / total if total else 0.0

    @property
    def has_quorum(self) -> bool:
        """Whether enough voted or abstained."""
        return self.cast >= self.quorum

    @property
    def approves(self) -> bool:
        """What these votes decide."""
        if not self.has_quorum or not self.approving:
            return False
        is_tie = abs(self.approval - _HALF) < _ROUNDING and abs(self.threshold - _HALF) < _ROUNDING
        if is_tie:
            return self.ties == "approve"
        return self.approval >= self.threshold - _ROUNDING

    def is_certain(self, open_weights: Sequence[float]) -> bool:
        """Whether no votes of these voters, whatever they are, could change the decision.

        Between the extremes, all for and all against, the share moves one way only, and
        abstaining or invalid votes leave it where it is.
        """
        rest = sum(open_weights)
        worst = replace(self, rejecting=self.rejecting + rest)
        if worst.approves:
            return True
        best = replace(self, approving=self.approving + rest, cast=self.cast + len(open_weights))
        return not best.approves

    def fewest_to_decide(self, open_weights: Sequence[float]) -> int:
        """How many more votes could make it certain, at the least; 1 to all of them."""
        heaviest = sorted(open_weights, reverse=True)
        for count in range(1, len(heaviest)):
            taken, rest = sum(heaviest[:count]), heaviest[count:]
            cast = self.cast + count
            agreed = replace(self, approving=self.approving + taken, cast=cast)
            refused = replace(self, rejecting=self.rejecting + taken, cast=cast)
            # Not cast at all counts against a quorum.
            void = self
            if any(one.is_certain(rest) for one in (agreed, refused, void)):
                return count
        return len(heaviest)
