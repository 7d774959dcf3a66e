"""Text of the runs of one process, on its way to Redis.

Runs write into memory; one thread sends what is new, of all runs at once, in one
round trip every tenth of a second. A run that writes nothing, or ends sooner,
costs none. The recorded output is what counts: here nothing is waited for.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from pyagent_orch.exceptions import OrchestratorConnectionError
from pyagent_orch.store import RedisError, is_outage
from pyagent_orch.store.texts import TextWrite

if TYPE_CHECKING:
    from pyagent_orch.agents.contract import TextSink
    from pyagent_orch.engine.runtime import Runtime

logger = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between the first text of a run and its sending, and then between two sendings."""
PAUSE = 1.0
"""Seconds without another try while Redis is away."""


class RunText:
    """The text of one run; a `TextSink`. Safe to share between threads."""

    def __init__(self, desk: TextDesk, task_id: str, run: str, limit: int) -> None:
        self._desk, self._task_id, self._run, self._limit = desk, task_id, run, limit
        self._lock = threading.Lock()
        self._part, self._text, self._sent = 1, bytearray(), 0
        self._full = False
        self.due = 0.0
        """When it may be sent, by the monotonic clock."""
        self.is_closed = False
        self.is_begun = False
        """Whether something was sent."""

    def write(self, text: str) -> None:
        """Add to the text; what is beyond the limit is not shown."""
        data = text.encode("utf-8", "replace")
        with self._lock:
            if self.is_closed or self._full:
                return
            room = self._limit - len(self._text)
            if len(data) > room:
                # Not half a character.
                data = data[:room].decode("utf-8", "ignore").encode()
                self._full = True
            self._text += data
            if not self.due:
                self.due = time.monotonic() + INTERVAL
        self._desk.note(self)

    def start_over(self) -> None:
        """What is written from now on takes the place of what was written before."""
        with self._lock:
            if self._text:
                self._part, self._text, self._sent = self._part + 1, bytearray(), 0
                self._full = False

    def new(self) -> TextWrite | None:
        """What was not sent yet; None: nothing."""
        with self._lock:
            if self.is_closed or len(self._text) <= self._sent:
                return None
            text = self._text[self._sent :].decode()
            return TextWrite(self._task_id, self._run, self._part, self._sent, text)

    def told(self, write: TextWrite, there: int | None) -> None:
        """Take Redis' answer: how many bytes of the part it has; None: it wants no more."""
        with self._lock:
            self.is_begun = True
            if there is None:
                self.is_closed = True
            elif write.part == self._part:
                self._sent = there

    def close(self) -> None:
        """Send nothing more."""
        with self._lock:
            self.is_closed = True


class TextDesk:
    """Sends what runs write. One for each process; its thread starts with the first text."""

    def __init__(self, runtime: Runtime) -> None:
        self.pid = os.getpid()
        self._runtime = runtime
        self._limit = runtime.settings.text_max_bytes
        self._changed = threading.Condition()
        self._waiting: set[RunText] = set()
        self._stopping = self._told = False
        self._thread: threading.Thread | None = None

    def begin(self, task_id: str, run: str) -> TextSink | None:
        """The text of a run; None where none is shown."""
        return RunText(self, task_id, run, self._limit) if self._limit else None

    def end(self, text: TextSink | None, *, shown: bool) -> None:
        """A run has ended with an output.

        Args:
            text: what `begin` gave.
            shown: whether readers see the rest in the recorded output.
        """
        if isinstance(text, RunText):
            if text.is_begun and not shown:
                self._send([text])
            text.close()

    @staticmethod
    def drop(text: TextSink | None) -> None:
        """A run has failed."""
        if isinstance(text, RunText):
            text.close()

    def note(self, text: RunText) -> None:
        """A run has written."""
        with self._changed:
            if text in self._waiting or self._stopping:
                return
            self._waiting.add(text)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="pyagent-text-desk", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """End the thread. Idempotent."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    # --- the thread -----------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                self._changed.wait_for(lambda: self._stopping, self._soonest())
                now = time.monotonic()
                due = [text for text in self._waiting if text.due <= now or text.is_closed]
                self._waiting.difference_update(due)
            self._send([text for text in due if not text.is_closed])

    def _soonest(self) -> float:
        return max(0.0, min(text.due for text in self._waiting) - time.monotonic())

    def _send(self, texts: list[RunText]) -> None:
        """Send what is new of some runs; what cannot be sent now is sent later, or never."""
        pairs = [(text, write) for text in texts if (write := text.new()) is not None]
        if not pairs:
            return
        pause = INTERVAL
        try:
            answers = self._runtime.store.texts.write_many([write for _, write in pairs])
        except (OrchestratorConnectionError, RedisError, OSError) as error:
            if not is_outage(error):
                if not self._told:
                    logger.warning("The text of running tasks cannot be shown: %s", error)
                    self._told = True
                for text, _ in pairs:
                    text.close()
                return
            pause = PAUSE
        else:
            for (text, write), there in zip(pairs, answers, strict=True):
                text.told(write, there)
        for text, _ in pairs:
            text.due = time.monotonic() + pause
            if text.new() is not None:
                self.note(text)
