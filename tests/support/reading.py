"""A reader of streamed text that obeys the rule of `TextPiece` and checks what must hold."""

from __future__ import annotations

from collections.abc import Iterable

from pyagent_orch import TextPiece


class Reading:
    """What a reader has by now, for each task."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.pieces: list[TextPiece] = []

    def take(self, piece: TextPiece) -> None:
        """Add a piece: no gap, nothing twice, a new text begins at 0 and is a later one."""
        before = [one for one in self.pieces if one.task_id == piece.task_id]
        if piece.offset == 0:
            assert not before or before[-1].place.mark < piece.place.mark, (before[-1], piece)
            self.texts[piece.task_id] = ""
        else:
            assert before, piece
            assert before[-1].place == (piece.attempt, piece.part, piece.offset), piece
        self.texts[piece.task_id] += piece.text
        self.pieces.append(piece)

    @property
    def text(self) -> str:
        """The text, where there is one task."""
        (text,) = self.texts.values()
        return text


def read(pieces: Iterable[TextPiece]) -> Reading:
    """Read a stream to its end."""
    reading = Reading()
    for piece in pieces:
        reading.take(piece)
    return reading
