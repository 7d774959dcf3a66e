"""Votes and verdicts in all forms, against a table of what a careful reader understands."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ballot_prose import PROSE
from ballot_readings import READINGS, VERDICTS
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch.patterns.answers import READ, clean
from pyagent_orch.patterns.ballots import read_ballot, read_verdict

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(("text", "expected"), READINGS, ids=range(len(READINGS)))
def test_an_answer_is_read_as_a_careful_clerk_would(text: str, expected: str) -> None:
    assert read_ballot("x", text).vote == expected, text


@pytest.mark.parametrize(("text", "expected"), PROSE, ids=range(len(PROSE)))
def test_prose_of_models_is_read_as_a_careful_clerk_would(text: str, expected: str) -> None:
    assert read_ballot("x", text).vote == expected, text


def test_there_are_200_different_readings_with_many_of_each_kind() -> None:
    assert len({text for text, _ in READINGS}) >= 200
    for kind in ("approve", "reject", "abstain", "invalid"):
        assert sum(expected == kind for _, expected in READINGS) >= 20


@pytest.mark.parametrize(("answer", "winner"), VERDICTS, ids=range(len(VERDICTS)))
def test_a_verdict_is_read_as_a_careful_clerk_would(answer: Any, winner: str | None) -> None:
    assert read_verdict(answer).winner == winner, answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"vote": "approve"}, "approve"),
        ({"vote": "reject", "reasoning": "I approve of the idea"}, "reject"),
        ({"vote": "abstain", "confidence": 7}, "abstain"),
        (True, "approve"),
        (False, "reject"),
        (None, "invalid"),
        (1, "invalid"),
        (["approve"], "invalid"),
        ({"decision": "approved"}, "approve"),
        ({"result": {"vote": "reject"}}, "reject"),
        ({"vote": "approve", "final_vote": "reject"}, "invalid"),
        ({"vote": "approve", "conditions": ["tests"]}, "invalid"),
        ({"vote": "approve", "conditions": []}, "approve"),
    ],
)
def test_an_answer_that_is_no_text_is_read_too(answer: Any, expected: str) -> None:
    assert read_ballot("x", answer).vote == expected


def test_confidence_and_reasons_are_kept_where_they_are_given() -> None:
    ballot = read_ballot("Bo", {"vote": "reject", "confidence": 0.8, "reasoning": " It leaks. "})
    assert (ballot.confidence, ballot.reasoning) == (0.8, "It leaks.")
    assert str(ballot) == "Bo: reject (80% sure) - It leaks."
    assert read_ballot("x", "Vote: approve\nConfidence: 85%").confidence == 0.85
    assert read_ballot("x", {"vote": "approve", "confidence": "very"}).confidence is None
    assert read_ballot("x", {"vote": "approve", "confidence": float("nan")}).confidence is None


def test_an_invalid_ballot_says_why_and_keeps_what_was_said() -> None:
    ballot = read_ballot("x", "I would approve if the tests passed.")
    assert "plainly" in ballot.problem
    assert ballot.reasoning == "I would approve if the tests passed."


def test_a_text_of_ten_megabytes_is_invalid_at_once_and_not_kept() -> None:
    ballot = read_ballot("x", "Approve. " + "x" * 10_000_000)
    assert ballot.vote == "invalid"
    assert f"more than {READ}" in ballot.problem
    assert len(ballot.model_dump_json()) < 1_000


def test_reasons_of_ten_megabytes_are_cut_and_the_vote_counts() -> None:
    ballot = read_ballot("x", {"vote": "approve", "reasoning": "y" * 10_000_000})
    assert ballot.vote == "approve"
    assert len(ballot.reasoning) < 5_000


@pytest.mark.parametrize(
    "text",
    [
        "{" * 90_000,
        '{"a":' * 15_000,
        "[" * 90_000,
        "no " * 30_000,
        "(" * 99_000,
        "a, " * 33_000,
        "x" + "\n" * 90_000 + "x",
        "x" + " " * 90_000 + "x",
        "a\n" * 45_000,
        "wait. above " * 8_000,
        "vote: no " * 10_000,
        "I approve " * 9_000 + "not",
    ],
)
def test_texts_made_to_be_slow_are_read_quickly(text: str) -> None:
    before = time.process_time()
    assert read_ballot("x", text).vote == "invalid"
    assert read_verdict(text).winner is None
    assert time.process_time() - before < 2


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    read_ballot("x", text)
    read_verdict(text)


@given(st.recursive(st.none() | st.booleans() | st.text() | NUMBERS, st.lists, max_leaves=5))
def test_no_json_breaks_the_reader(value: Any) -> None:
    for answer in (value, {"vote": value}, {"winner": value, "scores": value, "reasoning": value}):
        read_ballot("x", answer)
        read_verdict(answer)


@given(st.text())
def test_what_is_cleaned_has_nothing_that_a_terminal_obeys(text: str) -> None:
    cleaned = clean(text)
    assert all(char in "\n\t" or ord(char) >= 32 for char in cleaned)
    assert not set(cleaned) & {"\x7f", "\x9b", "\u202e", "\u2066"}
    cleaned.encode()


def test_cleaning_leaves_plain_text_of_any_script_as_it_is() -> None:
    for text in ("Grüße\n\tan alle", "שלום", "مرحبا", "👩\u200d👩\u200d👧", "日本語"):
        assert clean(text) == text
    assert clean("\x1b[2Jgone\r") == "\\x1b[2Jgone\\r"
