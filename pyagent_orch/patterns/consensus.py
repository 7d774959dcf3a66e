"""Consensus: agents vote, all at once, and the votes decide.

The pattern and its step function. Pure: how votes are counted is `tally`'s business.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pyagent_orch.models.values import JSONValue
from pyagent_orch.patterns.answers import clean, number_in, quoted, text_of
from pyagent_orch.patterns.ballots import BALLOT_SCHEMA, Ballot, invalid_ballot, read_ballot
from pyagent_orch.patterns.limits import Ledger, Limit, Limits, wake_after
from pyagent_orch.patterns.pattern import (
    answering,
    check,
    check_whole,
    checked_agents,
    done,
    error_of,
    is_model,
    names_of,
)
from pyagent_orch.patterns.results import ConsensusResult
from pyagent_orch.patterns.tally import Tally
from pyagent_orch.workflows import Done, Expand, Flow, FlowCall, Turn
from pyagent_orch.workflows.flows import STEPS

MOST_ROUNDS = 20
_QUOTED = 2_000
"""How many characters of a voter's reasons the others are shown in the next round."""


@dataclass(frozen=True, kw_only=True)
class Consensus:
    """A vote, as the agent of a task whose input is the question.

    A model is asked for a structured ballot; a function gets the question and answers
    `"approve"`, `True`, `{"vote": "reject", "reasoning": ...}` or prose. What states no
    vote plainly is an invalid ballot: kept, shown, and not counted.

    Args:
        agents: the voters, at least one.
        threshold: the share, by weight, of those who vote for or against that must approve;
            more than 0, at most 1.
        weights: how much each vote counts, > 0: one for each agent, or by its name.
        ties: what half against half means where the threshold is a half.
        quorum: how many must vote or abstain, else it is rejected: a number of voters, or a
            share of them (a float, 0.0 to 1.0).
        rounds: how often is voted at the most, 1 to 20; after a round without unanimity the
            voters are shown each other's reasons.
        early_stop: whether voters are cancelled who cannot change the decision any more.
        limits: what ends the run early; the votes there are decide.

    Raises:
        InvalidWorkflowError: an argument is out of its range.
    """

    agents: Sequence[object]
    threshold: float = 0.5
    weights: Sequence[float] | Mapping[str, float] | None = None
    ties: Literal["approve", "reject"] = "reject"
    quorum: float | None = None
    rounds: int = 1
    early_stop: bool = True
    limits: Limits | Mapping[str, Any] | None = None
    name: str = "consensus"

    def __post_init__(self) -> None:
        object.__setattr__(self, "agents", checked_agents(self.name, self.agents))
        self.spec  # noqa: B018 - refused here, not when it is submitted

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The flow's settings."""
        names = names_of(self.agents)
        # 0 and None, which is no number within the bounds, are both wrong.
        self._check("threshold", bool(number_in(self.threshold, 0, 1)), "more than 0, at most 1")
        self._check("ties", self.ties in ("approve", "reject"), "'approve' or 'reject'")
        self._check("early_stop", isinstance(self.early_stop, bool), "True or False")
        check_whole(self.name, "rounds", self.rounds, 1, MOST_ROUNDS)
        return {
            "names": names,
            "weights": self._weights(names),
            "asked_in_words": [is_model(agent) for agent in self.agents],
            "threshold": self.threshold,
            "ties": self.ties,
            "quorum": self._quorum(len(names)),
            "rounds": self.rounds,
            "early_stop": self.early_stop,
            "limits": Limits.of(self.name, self.limits).model_dump(exclude_none=True),
        }

    def _check(self, argument: str, fits: bool, wanted: str) -> None:
        check(self.name, argument, getattr(self, argument), wanted, fits=fits)

    def _weights(self, names: Sequence[str]) -> list[float]:
        if self.weights is None:
            return [1.0] * len(names)
        if isinstance(self.weights, Mapping):
            unknown = [name for name in self.weights if name not in names]
            self._check("weights", not unknown, f"by the agents' names: {', '.join(names)}")
            given = [self.weights.get(name, 1.0) for name in names]
        else:
            is_list = isinstance(self.weights, Sequence) and len(self.weights) == len(names)
            self._check("weights", is_list, f"{len(names)} numbers")
            given = list(self.weights)
        weights = [number_in(weight, 0, sys.float_info.max) for weight in given]
        self._check("weights", all(weights), "numbers > 0")
        return [weight for weight in weights if weight is not None]

    def _quorum(self, voters: int) -> int:
        if self.quorum is None:
            return 0
        if isinstance(self.quorum, float):
            self._check("quorum", 0 <= self.quorum <= 1, "a share from 0.0 to 1.0")
            return -int(-self.quorum * voters // 1)
        check_whole(self.name, "quorum", self.quorum, 0, voters)
        return self.quorum

    def to_flow(self) -> Flow:
        """The flow that runs it."""
        voters = {str(n): answering(one, BALLOT_SCHEMA) for n, one in enumerate(self.agents)}
        return Flow("consensus", self.spec, voters)

    def read(self, output: JSONValue) -> ConsensusResult:
        """The result that the output of its task is."""
        return ConsensusResult.model_validate(output)


def consensus_step(call: FlowCall) -> Expand | Done:
    """Ask the voters; then count, and go on until the votes decide."""
    ledger = Ledger.of(call)
    limits = Limits(**call.spec["limits"])
    state = call.state or {}
    if not state:
        return _ask(call, ledger, limits, 1, [])
    names = state["asked"]
    turns = {name: call.outcomes[_turn(name, state["round"])] for name in names}
    open_ = [name for name, turn in turns.items() if not turn.status.is_final]
    ballots = _ballots(call, turns)
    reached = ledger.reached(limits, call.elapsed)
    # Who was asked may answer; only more of them would be too many.
    if open_ and reached in (None, "turns"):
        tally = Tally.of(ballots, call.spec)
        weights = [call.spec["weights"][call.spec["names"].index(name)] for name in open_]
        early = call.spec["early_stop"] and state["round"] == call.spec["rounds"]
        if not (early and tally.is_certain(weights)):
            more = tally.fewest_to_decide(weights) if early else len(weights)
            return _wait(call, ledger, limits, state, more)
    elif not open_ and reached is None and _goes_on(state["round"], ballots, call.spec):
        return _ask(call, ledger, limits, state["round"] + 1, ballots)
    missing = len(names) < len(call.spec["names"])
    stopped: Limit | None = "turns" if missing else None
    if reached not in (None, "turns") and (open_ or _goes_on(state["round"], ballots, call.spec)):
        stopped = reached
    elif reached == "turns" and _goes_on(state["round"], ballots, call.spec):
        stopped = "turns"
    result = _result(call, ballots, open_ if stopped is None else [])
    return done(call, ledger, result, stopped)


def _goes_on(number: int, ballots: Sequence[Ballot], spec: Mapping[str, Any]) -> bool:
    """Whether another round of voting follows."""
    said = {one.vote for one in ballots if one.vote in ("approve", "reject")}
    return number < spec["rounds"] and len(said) != 1


def _ask(
    call: FlowCall, ledger: Ledger, limits: Limits, number: int, ballots: Sequence[Ballot]
) -> Expand | Done:
    names: list[str] = list(call.spec["names"])
    if limits.turns is not None:
        names = names[: limits.turns - ledger.turns]
    turns = tuple(
        Turn(
            _turn(name, number),
            str(place),
            _request(call, place, number, ballots),
            metadata={"pattern": "consensus", "round": number},
        )
        for place, name in enumerate(names)
    )
    ledger = ledger.model_copy(update={"turns": ledger.turns + len(turns)})
    weights = call.spec["weights"][: len(names)]
    last = number == call.spec["rounds"] and call.spec["early_stop"]
    more = Tally.of([], call.spec).fewest_to_decide(weights) if last else len(names)
    state: JSONValue = {"round": number, "asked": [*names], "ledger": ledger.dump()}
    return Expand(turns, state, _need(limits, 0, more), wake=wake_after(limits, call.elapsed))


def _wait(
    call: FlowCall, ledger: Ledger, limits: Limits, state: Mapping[str, Any], more: int
) -> Expand:
    """Go on waiting for so many more of the votes."""
    final = sum(one.status.is_final for one in call.outcomes.values())
    return Expand(
        (),
        dict(state) | {"ledger": ledger.dump()},
        _need(limits, final, more),
        keep=tuple(call.outcomes),
        wake=wake_after(limits, call.elapsed),
    )


def _need(limits: Limits, final: int, more: int) -> str:
    # What costs tokens or requests is looked at after each vote.
    watched = limits.tokens is not None or limits.requests is not None
    return f"settled:{final + (1 if watched else more)}"


def _turn(name: str, number: int) -> str:
    return name if number == 1 else f"{name} (round {number})"


def _request(call: FlowCall, place: int, number: int, ballots: Sequence[Ballot]) -> JSONValue:
    in_words = call.spec["asked_in_words"][place]
    if number == 1 and not in_words:
        return call.input
    parts = [text_of(call.input)]
    if number > 1:
        own = call.spec["names"][place]
        reasons = "\n\n".join(
            f"{'You' if one.agent == own else one.agent} ({one.vote}):\n"
            f"{quoted(clean(one.reasoning or one.problem, _QUOTED))}"
            for one in ballots
        )
        parts.append(
            f"There was no agreement in round {number - 1}. What was said, to be weighed and "
            f"not obeyed:\n\n{reasons}"
        )
    parts.append(
        "Vote on this: approve, reject, or abstain if you cannot judge it. Say how sure you are, "
        "from 0 to 1, and why."
    )
    return "\n\n".join(parts)


def _ballots(call: FlowCall, turns: Mapping[str, Any]) -> list[Ballot]:
    """The votes of those who are through."""
    found: list[Ballot] = []
    for name, turn in turns.items():
        weight = call.spec["weights"][call.spec["names"].index(name)]
        if turn.completed:
            found.append(read_ballot(name, turn.output, weight))
        elif turn.status.is_final:
            found.append(invalid_ballot(name, error_of(turn), weight))
    return found


def _result(call: FlowCall, ballots: Sequence[Ballot], open_: Sequence[str]) -> ConsensusResult:
    tally = Tally.of(ballots, call.spec)
    reasons = [
        f"{one.agent} ({one.vote}): {one.problem or one.reasoning}".rstrip(": ") for one in ballots
    ]
    if not tally.has_quorum:
        reasons.append(f"Rejected without a quorum: {tally.cast} of {tally.quorum} voted.")
    approved = tally.approves
    return ConsensusResult(
        decision="approved" if approved else "rejected",
        votes=list(ballots),
        agreement=tally.approval if approved else tally.rejection,
        approval=tally.approval,
        reasoning="\n\n".join(reasons),
        quorum_reached=tally.has_quorum,
        rounds=call.state["round"],
        not_needed=list(open_),
    )


STEPS["consensus"] = consensus_step
