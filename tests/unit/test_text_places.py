"""Whatever is cut, repeated, late or lost on the way: a reader ends with the recorded output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch import InvalidTaskError
from pyagent_orch.listener.text_places import TextGapError, fitting, missing
from pyagent_orch.models.texts import START, TextPiece, TextPlace
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.texts import Shown
from support.reading import Reading

words = st.lists(st.text(min_size=1, max_size=4), max_size=8)


class Key:
    """What `write_text` and `read_text` do with one task's key, without Redis."""

    def __init__(self) -> None:
        self.run, self.part, self.text = 0, 0, ""

    def write(self, run: int, part: int, word: str) -> TextPiece:
        if (run, part) != (self.run, self.part):
            self.run, self.part, self.text = run, part, ""
        piece = TextPiece("t", run, len(self.text.encode()), word, part)
        self.text += word
        return piece

    def shown(self, status: TaskStatus, at: TextPlace, output: str | None) -> Shown:
        own = at.mark == (self.run, self.part) and output is None
        offset = min(at.offset, len(self.text.encode())) if own else 0
        place = TextPlace(self.run, self.part, offset) if self.part else None
        return Shown(status, self.run, place, self.text.encode()[offset:].decode(), output)


@given(
    st.lists(st.tuples(st.booleans(), words), max_size=4),
    st.data(),
)
def test_a_reader_ends_with_the_output_whatever_it_misses(  # noqa: C901 - one story
    texts: list[tuple[bool, list[str]]], data: st.DataObject
) -> None:
    key, reading, at = Key(), Reading(), START
    run, part = 1, 0
    key.run = run

    def take(piece: TextPiece | None) -> None:
        nonlocal at
        if piece is not None:
            reading.take(piece)
            at = piece.place

    said: list[TextPiece] = []
    for new_run, spoken in texts:
        run, part = (run + 1, 1) if new_run else (run, part + 1)
        for word in spoken:
            said.append(key.write(run, part, word))
            match data.draw(st.sampled_from(["heard", "lost", "old", "read"])):
                case "heard":
                    try:
                        take(fitting(at, said[-1]))
                    except TextGapError:
                        take(missing(at, "t", key.shown(TaskStatus.RUNNING, at, None)))
                case "old":
                    # Repeated, or from a run that is over.
                    piece = data.draw(st.sampled_from(said))
                    if piece.place <= at:
                        assert fitting(at, piece) is None
                case "read":
                    take(missing(at, "t", key.shown(TaskStatus.RUNNING, at, None)))
    output = data.draw(st.sampled_from([key.text, key.text + "more", "another", ""]))
    if data.draw(st.booleans()):
        key.part, key.text = 0, ""  # it has expired
    key.run = run
    shown = key.shown(TaskStatus.COMPLETED, at, output)
    take(missing(at, "t", shown))
    assert reading.texts.get("t", "") == output
    assert missing(at, "t", shown) is None


@given(st.text(min_size=1), st.integers(0, 400))
def test_no_piece_is_cut_inside_a_character(text: str, offset: int) -> None:
    piece = TextPiece("t", 1, 0, text)
    rest = fitting(TextPlace(1, 1, offset), piece)
    assert rest is None or text.endswith(rest.text)


def test_a_place_made_up_gives_all_of_it() -> None:
    shown = Shown(TaskStatus.COMPLETED, 2, TextPlace(2, 1, 0), "half", "half a text")
    found = missing(TextPlace(9, 1, 3), "t", shown)
    assert found is not None
    assert (found.offset, found.text, found.attempt) == (0, "half a text", 2)


def test_an_id_says_where_a_piece_ends_and_is_read_back() -> None:
    piece = TextPiece("t", 3, 10, "für", 2)
    assert piece.id == "3.2:14"
    assert TextPlace.parse(piece.id) == piece.place
    with pytest.raises(InvalidTaskError, match="1\\.1:240"):
        TextPlace.parse("<script>")
