"""What of a text is new to a reader. Pure: places, pieces and what Redis shows.

A part of the listener. A reader that takes only what these functions give has, at the
end, the recorded output byte for byte, whatever was cut, repeated or came late.
"""

from __future__ import annotations

from pyagent_orch.models.texts import OUTPUT_PART, START, TextPiece, TextPlace
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.texts import Shown


class TextGapError(Exception):
    """Text between the reader's place and the piece is missing."""


def fitting(at: TextPlace, piece: TextPiece) -> TextPiece | None:
    """What of a piece is new to a reader; None: nothing.

    Args:
        at: where the reader is.
        piece: what has come.

    Raises:
        TextGapError: it does not begin where the reader is, but later.
    """
    mark = (piece.attempt, piece.part)
    if mark < at.mark:
        return None
    begin = at.offset if mark == at.mark else 0
    if piece.offset > begin:
        raise TextGapError
    if piece.offset == begin:
        return piece if piece.text else None
    text = piece.text.encode()[begin - piece.offset :].decode(errors="ignore")
    return TextPiece(piece.task_id, piece.attempt, begin, text, piece.part) if text else None


def missing(at: TextPlace, task_id: str, shown: Shown) -> TextPiece | None:
    """What a reader has not had of what Redis shows; None: nothing."""
    if at.attempt > shown.run:
        # Of an earlier task of this id, or made up.
        at = START
    if shown.status is TaskStatus.COMPLETED and isinstance(shown.output, str):
        return _rest_of_output(at, task_id, shown, shown.output)
    if shown.place is None:
        return None
    place = shown.place
    return fitting(at, TextPiece(task_id, place.attempt, place.offset, shown.text, place.part))


def _rest_of_output(at: TextPlace, task_id: str, shown: Shown, output: str) -> TextPiece | None:
    place = shown.place
    if place is not None and at.mark <= place.mark and output.startswith(shown.text):
        return fitting(at, TextPiece(task_id, place.attempt, 0, output, place.part))
    if not output and at.offset:
        # The one empty piece: what was written is dropped for nothing.
        return TextPiece(task_id, shown.run, 0, "", OUTPUT_PART)
    return fitting(at, TextPiece(task_id, shown.run, 0, output, OUTPUT_PART))
