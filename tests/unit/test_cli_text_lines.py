"""Text of running tasks on a screen: its end, in the room there is, harmless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch.cli.live_text import LiveText
from pyagent_orch.escape import width
from pyagent_orch.models.texts import START, TextPiece, TextStream


class Pieces:
    """A task whose text is these pieces; also the source of its stream."""

    def __init__(self, *pieces: TextPiece) -> None:
        self.pieces = pieces

    def stream(self) -> TextStream:
        return TextStream(self, "task", "t", START, None)

    def open_texts(self, stream: TextStream) -> None:
        for piece in self.pieces:
            stream.put(piece)
        stream.end()

    def close_texts(self, stream: TextStream) -> None:
        """Nothing is held."""


def shown(*pieces: TextPiece) -> LiveText:
    text = LiveText(Pieces(*pieces)).start()  # type: ignore[arg-type]
    text._thread.join(5)
    return text


def test_the_last_lines_are_shown() -> None:
    text = shown(TextPiece("t", 1, 0, "one\ntwo\n"), TextPiece("t", 1, 8, "three four five"))
    assert text.last_lines("t", 10, 8) == ["one", "two", "three four", " five"]
    assert text.last_lines("t", 10, 2) == ["three four", " five"]
    assert text.last_words("t", 40) == "one two three four five"
    assert text.last_words("t", 12) == "...four five"
    assert text.last_words("t", 3) == ""
    assert text.last_words("unknown", 40) == ""
    assert text.last_lines("unknown", 40, 3) == [""]


def test_half_a_text_of_another_attempt_is_dropped() -> None:
    text = shown(
        TextPiece("t", 1, 0, "half"), TextPiece("t", 2, 0, "who"), TextPiece("t", 2, 3, "le")
    )
    assert text.last_lines("t", 40, 8) == ["whole"]


@pytest.mark.parametrize("harm", ["\x1b[2J", "\x1b]0;owned\x07", "\r", "\x9b31m", "\u202e", "\b"])
def test_nothing_that_a_terminal_obeys_is_left(harm: str) -> None:
    text = shown(TextPiece("t", 1, 0, f"a{harm}b\tc"))
    drawn = "".join(text.last_lines("t", 200, 8)) + text.last_words("t", 200)
    assert drawn.isprintable()
    assert text.last_lines("t", 200, 8)[0].startswith("a")


@given(st.text(), st.integers(8, 60), st.integers(1, 5))
def test_it_fits_into_its_room(text: str, columns: int, lines: int) -> None:
    live = shown(*([TextPiece("t", 1, 0, text)] if text else []))
    found = live.last_lines("t", columns, lines)
    assert len(found) <= lines
    assert all(width(line) <= columns for line in found)
    assert width(live.last_words("t", columns)) <= columns
