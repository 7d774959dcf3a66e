"""Text that a running task writes: its pieces, places in it, and the stream of them.

One layer with the tasks. Does no I/O: a `TextStream` is filled by the source that
it was made with, from whichever thread.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pyagent_orch.exceptions import InvalidTaskError, TaskTimeoutError

OUTPUT_PART = 1_000_000
"""The part that is the recorded output, where that is not what was written before."""
TEXT_EVENT = "task.text"
"""What `Orchestrator.on` calls the text of running tasks; it is in no event stream."""
_PLACE = re.compile(r"(\d{1,12})\.(\d{1,7}):(\d{1,12})")


class TextPlace(NamedTuple):
    """A place in the text of a task. Later ones are greater."""

    attempt: int = 0
    part: int = 0
    offset: int = 0
    """Bytes of UTF-8 from the begin of the part."""

    def __str__(self) -> str:
        return f"{self.attempt}.{self.part}:{self.offset}"

    @property
    def mark(self) -> tuple[int, int]:
        """Attempt and part: texts with different marks do not continue each other."""
        return self.attempt, self.part

    @classmethod
    def parse(cls, text: str, task: str = "") -> TextPlace:
        """Read the `id` of a piece.

        Raises:
            InvalidTaskError: it is none.
        """
        found = _PLACE.fullmatch(text)
        if found is None:
            raise InvalidTaskError(
                task, f"after={text[:80]!r} is not the id of a piece of text, such as '1.1:240'"
            )
        return cls(*(int(number) for number in found.groups()))


START = TextPlace()


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of the text of a task, as it is being written.

    With `offset` 0 a text begins: what came before, of this task, is to be dropped.
    That is so at the first piece, when an attempt follows one that failed or lost its
    worker, when a model that has used its tools begins a new answer, and when the
    recorded output is another text than what was written.
    """

    task_id: str
    attempt: int
    """Grows whenever the task is started; unlike `task.attempts`, also when that does not
    count as an attempt."""
    offset: int
    """Bytes of UTF-8 that the text has before this piece."""
    text: str
    """Not empty. From a model: escape it before a terminal or a browser shows it."""
    part: int = 1
    """Which text of the attempt it is."""

    @property
    def place(self) -> TextPlace:
        """The end of the piece."""
        return TextPlace(self.attempt, self.part, self.offset + len(self.text.encode()))

    @property
    def id(self) -> str:
        """What `task.stream(after=...)` takes to go on behind this piece. Opaque."""
        return str(self.place)


class TextSource(Protocol):
    """Where a stream gets its pieces from."""

    def open_texts(self, stream: TextStream) -> None:
        """Have `put` and `end` of the stream called, from any thread; may block for a moment."""

    def close_texts(self, stream: TextStream) -> None:
        """Call them no more; does not block."""


class TextStream:
    """The text of a running task, or of all tasks of a workflow; `for` and `async for` it.

    Made by `task.stream()` and `workflow.stream()`; for one loop. It ends when the task
    is final, in whichever state. Asynchronous iteration holds no thread.

    Args:
        source: what fills it.
        noun: `task` or `workflow`.
        subject: the id.
        after: where to begin.
        timeout: seconds for the whole; None: no limit.
    """

    def __init__(
        self, source: TextSource, noun: str, subject: str, after: TextPlace, timeout: float | None
    ) -> None:
        self.noun, self.subject, self.after = noun, subject, after
        self._source, self._timeout = source, timeout
        self._pieces: deque[TextPiece] = deque()
        self._over = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._wake: Callable[[], object] | None = None

    # --- filled by the source -----------------------------------------------------------

    def put(self, piece: TextPiece) -> None:
        """Add a piece; from any thread."""
        self._pieces.append(piece)
        self._tell()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more will come; an error is raised to whoever iterates."""
        self._error, self._over = error, True
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
            wake = self._wake
        if wake is not None:
            wake()

    # --- for users ----------------------------------------------------------------------

    def __iter__(self) -> Iterator[TextPiece]:
        """The pieces as they come.

        Raises:
            TaskTimeoutError: it is not final after `timeout` seconds; it goes on.
            NotFoundError: there is no record of it.
            OrchestratorClosedError: the orchestrator was closed meanwhile.
        """
        deadline = self._deadline()
        self._source.open_texts(self)
        try:
            while True:
                while self._pieces:
                    yield self._pieces.popleft()
                with self._changed:
                    if not self._pieces and not self._over:
                        self._changed.wait(self._left(deadline))
                if self._is_done():
                    return
        finally:
            self._source.close_texts(self)

    async def __aiter__(self) -> AsyncIterator[TextPiece]:
        """The pieces as they come, without blocking the event loop; raises as `for` does."""
        import asyncio  # it is slow to import, and most tasks are not streamed

        deadline = self._deadline()
        changed, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(changed.set)

        with self._changed:
            self._wake = wake
        try:
            await asyncio.to_thread(self._source.open_texts, self)
            while True:
                changed.clear()
                while self._pieces:
                    yield self._pieces.popleft()
                if self._is_done():
                    return
                if self._pieces:
                    continue
                try:
                    async with asyncio.timeout(self._left(deadline)):
                        await changed.wait()
                except TimeoutError:
                    self._left(deadline)
        finally:
            with self._changed:
                self._wake = None
            self._source.close_texts(self)

    def _is_done(self) -> bool:
        # In this order: `end` comes behind the last piece.
        if not self._over or self._pieces:
            return False
        if self._error is not None:
            raise self._error
        return True

    def _deadline(self) -> float | None:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _left(self, deadline: float | None) -> float | None:
        if deadline is None:
            return None
        left = deadline - time.monotonic()
        if left <= 0:
            raise TaskTimeoutError(
                self.subject, f"it is not final after {self._timeout} s of streaming; it goes on"
            )
        return left
