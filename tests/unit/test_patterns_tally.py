"""Counting votes: against counting every way the missing votes could fall."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyagent_orch.patterns.ballots import Ballot
from pyagent_orch.patterns.tally import Tally

KINDS = ("approve", "reject", "abstain", "invalid")
WEIGHTS = st.sampled_from([0.5, 1.0, 1.0, 2.0, 3.0])
VOTES = st.lists(st.tuples(st.sampled_from(KINDS), WEIGHTS), max_size=3)
RULES = st.fixed_dictionaries(
    {
        "threshold": st.sampled_from([0.01, 0.3, 0.5, 0.66, 2 / 3, 0.75, 1.0]),
        "ties": st.sampled_from(["approve", "reject"]),
        "quorum": st.integers(0, 5),
    }
)


def count(votes: list[tuple[str, float]], rule: dict[str, object]) -> Tally:
    ballots = [Ballot(agent="x", vote=kind, weight=weight) for kind, weight in votes]  # type: ignore[arg-type]
    return Tally.of(ballots, rule)


def endings(
    votes: list[tuple[str, float]], open_weights: list[float], rule: dict[str, object]
) -> Iterator[bool]:
    for kinds in product(KINDS, repeat=len(open_weights)):
        yield count([*votes, *zip(kinds, open_weights, strict=True)], rule).approves


@given(VOTES, st.lists(WEIGHTS, max_size=4), RULES)
@settings(max_examples=300, deadline=None)
def test_a_decision_is_certain_exactly_when_no_missing_votes_could_change_it(
    votes: list[tuple[str, float]], open_weights: list[float], rule: dict[str, object]
) -> None:
    could_be = set(endings(votes, open_weights, rule))
    assert count(votes, rule).is_certain(open_weights) == (len(could_be) == 1)


@given(VOTES, st.lists(WEIGHTS, min_size=1, max_size=4), RULES)
@settings(max_examples=200, deadline=None)
def test_fewer_votes_than_the_fewest_never_decide(
    votes: list[tuple[str, float]], open_weights: list[float], rule: dict[str, object]
) -> None:
    fewest = count(votes, rule).fewest_to_decide(open_weights)
    assert 1 <= fewest <= len(open_weights)
    if count(votes, rule).is_certain(open_weights):
        return
    for kinds in product([*KINDS, ""], repeat=len(open_weights)):
        cast = [(kind, weight) for kind, weight in zip(kinds, open_weights, strict=True) if kind]
        rest = [weight for kind, weight in zip(kinds, open_weights, strict=True) if not kind]
        if count([*votes, *cast], rule).is_certain(rest):
            assert len(cast) >= fewest


@pytest.mark.parametrize(
    ("votes", "threshold", "approved"),
    [
        ("aar", 0.66, True),
        ("aar", 0.67, False),
        ("ar", 0.5, False),
        ("aarr", 0.51, False),
        ("arr", 0.3, True),
        ("a", 1.0, True),
        ("aaaaaaaaar", 0.9, True),
        ("aiiii", 0.5, True),
        ("abbbb", 0.5, True),
        ("", 0.01, False),
        ("bbb", 0.5, False),
        ("iii", 0.5, False),
    ],
)
def test_the_threshold_is_over_those_who_voted_for_or_against(
    votes: str, threshold: float, approved: bool
) -> None:
    kinds = {"a": "approve", "r": "reject", "b": "abstain", "i": "invalid"}
    rule = {"threshold": threshold, "ties": "reject", "quorum": 0}
    assert count([(kinds[one], 1.0) for one in votes], rule).approves is approved


def test_half_against_half_is_what_the_tie_rule_says() -> None:
    votes = [("approve", 2.0), ("reject", 1.0), ("reject", 1.0)]
    for ties in ("approve", "reject"):
        rule = {"threshold": 0.5, "ties": ties, "quorum": 0}
        assert count(votes, rule).approves is (ties == "approve")


def test_without_a_quorum_nothing_is_approved_and_abstentions_count_for_it() -> None:
    votes = [("approve", 1.0), ("approve", 1.0), ("abstain", 1.0), ("invalid", 1.0)]
    for quorum, approved in ((3, True), (4, False)):
        rule = {"threshold": 0.5, "ties": "reject", "quorum": quorum}
        assert count(votes, rule).approves is approved


def test_nine_votes_at_a_half_need_five_of_a_kind() -> None:
    rule = {"threshold": 0.5, "ties": "reject", "quorum": 0}
    assert count([], rule).fewest_to_decide([1.0] * 9) == 5
    assert count([("approve", 1.0)] * 4, rule).fewest_to_decide([1.0] * 5) == 1
    assert count([("approve", 1.0)] * 5, rule).is_certain([1.0] * 4)
