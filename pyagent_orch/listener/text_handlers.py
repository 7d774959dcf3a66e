"""A handler of `task.text`: a function that is called with the text of all running tasks.

A part of the listener. Each handler has a thread of its own, so that a slow one holds up
neither the streams nor another handler.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from pyagent_orch.exceptions import OrchestratorClosedError
from pyagent_orch.listener.handlers import call_handler
from pyagent_orch.models.texts import START, TEXT_EVENT, TextSource, TextStream
from pyagent_orch.store.texts import TextFeed


class TextHandler:
    """Calls a function for each piece of text, until `stop` or the source's end."""

    def __init__(self, source: TextSource, handler: Callable[..., object]) -> None:
        self.handler = handler
        self._stream = TextStream(source, "all", TextFeed.ALL, START, None)
        self._thread = threading.Thread(
            target=self._serve, name="pyagent-text-handler", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Call it no more. Does not wait for a call that runs."""
        self._stream.end()

    def _serve(self) -> None:
        with suppress(OrchestratorClosedError):
            for piece in self._stream:
                call_handler(self.handler, piece, f"handler of {TEXT_EVENT} {piece.task_id}")
