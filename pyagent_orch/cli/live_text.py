"""What running tasks write, as it stands on the screen while one waits.

Command line, over the facade. Only the end of each text is kept, and only what a
terminal may see of it; half a text of an attempt that failed goes when the next begins.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from pyagent_orch.escape import escape, one_line, width
from pyagent_orch.exceptions import PyAgentOrchError

if TYPE_CHECKING:
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.workflows import Workflow

_KEPT = 4_000
"""Characters of each text."""


class LiveText:
    """Reads a stream in a thread of its own, until it ends or the orchestrator is closed."""

    def __init__(self, live: Task | Workflow) -> None:
        self._live = live
        self._texts: dict[str, str] = {}
        self._thread = threading.Thread(target=self._read, name="pyagent-live-text", daemon=True)

    def start(self) -> LiveText:
        """Begin; returns itself."""
        self._thread.start()
        return self

    def _read(self) -> None:
        # Whoever waits for the task itself tells what is wrong.
        with suppress(PyAgentOrchError):
            for piece in self._live.stream():
                before = "" if piece.offset == 0 else self._texts.get(piece.task_id, "")
                self._texts[piece.task_id] = (before + piece.text)[-_KEPT:]

    def last_words(self, task_id: str, columns: int) -> str:
        """The end of a text on one line; empty where there is none, or no room for it."""
        text = self._texts.get(task_id, "")
        if not text or columns < len("... word"):
            return ""
        words = one_line(text)
        return words if width(words) <= columns else "..." + _end(words, columns - 3)

    def last_lines(self, task_id: str, columns: int, lines: int) -> list[str]:
        """The end of a text, on so many lines at the most."""
        text = escape(self._texts.get(task_id, ""), lines=True).replace("\t", " ")
        found: list[str] = []
        for line in reversed(text.split("\n")):
            found += reversed(_wrapped(line, columns))
            if len(found) >= lines:
                break
        return found[:lines][::-1]


def _end(text: str, columns: int) -> str:
    start, room = len(text), columns
    while start and width(text[start - 1]) <= room:
        start -= 1
        room -= width(text[start])
    return text[start:]


def _wrapped(line: str, columns: int) -> list[str]:
    found, room = [""], columns
    for char in line:
        if width(char) > room:
            found.append("")
            room = columns
        found[-1] += char
        room -= width(char)
    return found
