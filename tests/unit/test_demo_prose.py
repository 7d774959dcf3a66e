"""The figures of a text that people read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch.demo.prose import (
    count_sentences,
    count_syllables,
    reading_ease,
    telling_terms,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a well-known fact.", ["It's", "a", "well-known", "fact"]),
        ("Café, naïve; 3 times in 2026!", ["Café", "naïve", "times", "in"]),
        ("snake_case -- dash", ["snake", "case", "dash"]),
        ("", []),
    ],
)
def test_words_are_runs_of_letters(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    [
        ("One. Two! Three?", 3),
        ("No full stop", 1),
        ("One. And a rest", 2),
        ("Use a list, e.g. one of names, or a set.", 1),
        ("Python 3.11 is needed, see example.org for it.", 1),
        ('He said "Stop." Then he went.', 2),
        ("Well... it depends.", 1),
        ("...", 0),
        ("", 0),
    ],
)
def test_sentences_are_counted_as_people_do(paragraph: str, sentences: int) -> None:
    assert count_sentences(paragraph) == sentences


@pytest.mark.parametrize(
    ("word", "syllables"),
    [
        ("the", 1), ("cat", 1), ("table", 2), ("tables", 2), ("whole", 1), ("asked", 1),
        ("wanted", 2), ("called", 1), ("handled", 2), ("makes", 1), ("boxes", 2), ("queue", 1),
        ("redis", 2), ("readability", 5), ("orchestrator", 4),
    ],
)  # fmt: skip
def test_syllables_of_usual_words_are_right(word: str, syllables: int) -> None:
    assert count_syllables(word) == syllables


def test_the_reading_ease_follows_the_formula_of_flesch() -> None:
    # 120 words, 20 sentences, 120 syllables.
    assert reading_ease(["The cat sat on the mat."] * 20) == round(206.835 - 1.015 * 6 - 84.6, 1)


def test_long_sentences_of_long_words_are_harder() -> None:
    easy = ["The dog is in the house and it is warm."] * 15
    hard = (
        "The heterogeneous characteristics of the distributed infrastructure necessitate, in "
        "consequence of the considerable variability of the operational circumstances, that the "
        "administrators of the organisation continuously reevaluate the configuration of it."
    )
    assert (reading_ease(easy) or 0) > 80
    assert (reading_ease([hard] * 5) or 0) < 10


def test_too_short_a_text_has_no_reading_ease() -> None:
    assert reading_ease(["The cat sat on the mat."] * 16) is None
    assert reading_ease([]) is None


def test_a_text_that_is_not_english_has_no_reading_ease() -> None:
    german = "Der Hund liegt im Haus und schläft, weil es draußen regnet und kalt ist."
    assert reading_ease([german] * 20) is None


def test_the_most_frequent_words_tell_what_a_text_is_about() -> None:
    words = words_of("The queue holds tasks. A worker takes Tasks off the queue. The tasks run.")
    assert telling_terms(words) == {"tasks": 3, "queue": 2}


@given(st.text(max_size=300))
def test_a_text_has_no_more_sentences_than_words(text: str) -> None:
    assert (count_sentences(text) > 0) == bool(words_of(text))
    assert count_sentences(text) <= max(1, len(words_of(text)))


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=30))
def test_a_word_has_at_least_one_syllable_and_no_more_than_letters(word: str) -> None:
    assert 1 <= count_syllables(word) <= len(word)
