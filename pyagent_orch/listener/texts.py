"""The texts of running tasks, for all streams and handlers of one orchestrator.

One thread and one subscription serve any number of streams: it hears what workers
publish, reads what was missed (one round trip for all that missed something), and
ends the streams of tasks that the listener has seen end.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from uuid import uuid4

from pyagent_orch.exceptions import (
    OrchestratorClosedError,
    OrchestratorConnectionError,
    TaskNotFoundError,
    WorkflowNotFoundError,
)
from pyagent_orch.listener.text_handlers import TextHandler
from pyagent_orch.listener.text_places import TextGapError, fitting, missing
from pyagent_orch.listener.text_readers import TextReader
from pyagent_orch.models.events import Event, is_same_handler
from pyagent_orch.models.texts import START, TextPiece, TextStream
from pyagent_orch.store import RedisError, Store, is_outage
from pyagent_orch.store.texts import Shown, TextFeed

logger = logging.getLogger(__name__)

_WAIT, _POLL = 2.0, 0.25
"""Seconds that a look for new text lasts; the short one while a handler itself streams."""
_PAGE = 200
"""Texts that one round trip reads at the most."""
_AT_ONCE = 1_000
"""Pieces that are heard before those who missed something get their turn."""
_LONGEST_PAUSE = 2.0
_TURNS = re.compile(r"(\.\d+\.\d+)+$")
"""What the ids of turns have behind the id of the task that they are turns of."""
_ENDS = ("completed", "failed", "cancelled", "skipped")


class TextHub:
    """Serves streams from `open` to `close`, and all of them until `stop`.

    Safe to share between threads; its own thread starts with the first stream.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._label = store.address.label
        self._name = f"hub-{uuid4().hex}"
        self._lock = threading.Lock()
        self._orders: deque[Callable[[TextFeed], None]] = deque()
        self._readers: dict[str, list[TextReader]] = {}
        """By what they follow: the id of a task or workflow, or all."""
        self._subjects: dict[str, list[TextReader]] = {}
        """By the ids whose ends matter to them."""
        self._ready: set[str] = set()
        """What the present subscription surely hears of."""
        self._handlers: list[TextHandler] = []
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- from any thread ------------------------------------------------------------------

    def open_texts(self, stream: TextStream) -> None:
        """`open`, as streams of our own say it."""
        self.open(stream)

    def close_texts(self, stream: TextStream) -> None:
        """`close`, likewise."""
        self.close(stream)

    def add_handler(self, handler: Callable[..., object]) -> None:
        """Call a function with every piece of text of any task, from now on."""
        served = TextHandler(self, handler)
        with self._lock:
            self._handlers.append(served)
        served.start()

    def remove_handler(self, handler: Callable[..., object]) -> None:
        """Forget a handler."""
        with self._lock:
            gone = [one for one in self._handlers if is_same_handler(one.handler, handler)]
            self._handlers = [one for one in self._handlers if one not in gone]
        for one in gone:
            one.stop()

    def open(self, stream: TextStream, *, polls: bool = False) -> None:
        """Fill a stream from now on.

        Args:
            stream: of a task or a workflow, or of all (`*`).
            polls: whether the listener cannot tell us of ends, since it waits for this stream.
        """
        with self._lock:
            if self._stopping.is_set():
                raise OrchestratorClosedError
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pyagent-texts", daemon=True)
                self._thread.start()
        self._order(partial(self._add, TextReader(stream, polls=polls)))

    def close(self, stream: TextStream) -> None:
        """Fill a stream no more. Does not block: it may be called on an event loop."""
        self._orders.append(partial(self._drop_stream, stream))

    def saw(self, events: Sequence[Event]) -> None:
        """The listener has delivered these."""
        ended = [
            event.subject
            for event in events
            if event.type.endswith(_ENDS)
            and (event.subject in self._subjects or _root(event.subject) in self._subjects)
        ]
        if ended:
            self._order(partial(self._ended, ended))

    def lost_sight(self) -> None:
        """The listener was without Redis: ends may have been missed."""
        if self._subjects:
            self._order(self._look_at_all)

    def stop(self) -> None:
        """End the thread and all streams. Idempotent."""
        self._stopping.set()
        thread = self._thread
        if thread is not None:
            self._wake()
            thread.join(2 * _WAIT)
        for readers in list(self._readers.values()):
            for reader in readers:
                reader.stream.end(OrchestratorClosedError())

    def _order(self, order: Callable[[TextFeed], None]) -> None:
        self._orders.append(order)
        self._wake()

    def _wake(self) -> None:
        try:
            self._store.texts.wake(self._name)
        except (OrchestratorConnectionError, RedisError):
            # The thread has the same trouble, and looks for orders when it is over.
            logger.debug("Redis is out of reach; the streams of text wait for it")

    # --- the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        pause, told = 0.1, False
        while not self._stopping.is_set():
            feed = self._store.texts.feed()
            try:
                self._ready.clear()
                feed.follow([self._name, *self._readers])
                pause, told = 0.1, self._serve(feed)
            except (OrchestratorConnectionError, RedisError, UnicodeDecodeError) as error:
                if not told and not self._stopping.is_set():
                    logger.warning("Texts of running tasks are out of reach, trying on: %s", error)
                told = True
                if not is_outage(error):
                    # Such as a right that this user lacks: it does not pass.
                    self._refuse(error)
                self._stopping.wait(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            finally:
                feed.close()

    def _refuse(self, error: Exception) -> None:
        for reader in self._all():
            self._end(reader, OrchestratorConnectionError(self._label, f"it refuses: {error}"))

    def _serve(self, feed: TextFeed) -> bool:
        heard_in_a_row = 0
        while not self._stopping.is_set():
            while self._orders:
                self._orders.popleft()(feed)
            stale = [reader for reader in self._all() if reader.is_stale]
            heard = feed.next(0 if stale else self._patience())
            heard_in_a_row = 0 if heard is None else heard_in_a_row + 1
            if heard is not None:
                if heard.piece is not None:
                    self._hear(heard.name, heard.piece)
                elif heard.name != self._name:
                    self._ready.add(heard.name)
                    for reader in self._readers.get(heard.name, ()):
                        reader.whole = True
            if stale and (heard is None or heard_in_a_row > _AT_ONCE):
                self._catch_up(stale)
                heard_in_a_row = 0
            elif heard is None:
                for reader in self._all():
                    reader.whole = reader.whole or reader.polls
        return False

    def _patience(self) -> float:
        return _POLL if any(reader.polls for reader in self._all()) else _WAIT

    def _all(self) -> Iterable[TextReader]:
        return [reader for readers in self._readers.values() for reader in readers]

    def _hear(self, name: str, piece: TextPiece) -> None:
        for reader in self._readers.get(name, ()):
            try:
                reader.take(piece.task_id, fitting(reader.place(piece.task_id), piece))
            except TextGapError:
                reader.stale.add(piece.task_id)

    # --- orders ---------------------------------------------------------------------------

    def _add(self, reader: TextReader, feed: TextFeed) -> None:
        name = reader.name
        readers = self._readers.setdefault(name, [])
        readers.append(reader)
        self._watch(reader, reader.stream.subject)
        if name in self._ready:
            reader.whole = True
        elif len(readers) == 1:
            feed.follow([name])

    def _drop_stream(self, stream: TextStream, feed: TextFeed) -> None:
        for reader in self._readers.get(stream.subject, ()):
            if reader.stream is stream:
                self._remove(reader, feed)
                return

    def _remove(self, reader: TextReader, feed: TextFeed | None) -> None:
        readers = self._readers.get(reader.name, [])
        if reader in readers:
            readers.remove(reader)
        for subject in reader.subjects:
            watching = self._subjects.get(subject, [])
            if reader in watching:
                watching.remove(reader)
            if not watching:
                self._subjects.pop(subject, None)
        if not readers and self._readers.pop(reader.name, None) is not None and feed is not None:
            self._ready.discard(reader.name)
            feed.drop([reader.name])

    def _ended(self, subjects: Iterable[str], feed: TextFeed) -> None:  # noqa: ARG002 - an order
        for subject in subjects:
            readers = self._subjects.get(subject) or self._subjects.get(_root(subject)) or ()
            for reader in readers:
                if subject == reader.stream.subject:
                    reader.whole = True
                else:
                    reader.stale.add(subject)

    def _look_at_all(self, feed: TextFeed) -> None:  # noqa: ARG002 - an order
        for reader in self._all():
            reader.whole = True

    def _watch(self, reader: TextReader, subject: str) -> None:
        if subject not in reader.subjects:
            reader.subjects.add(subject)
            self._subjects.setdefault(subject, []).append(reader)

    # --- reading what was missed ----------------------------------------------------------

    def _catch_up(self, readers: Sequence[TextReader]) -> None:
        over: list[TextReader] = []
        wanted: list[tuple[TextReader, str]] = []
        for reader in readers:
            if reader.whole and self._look_over(reader):
                over.append(reader)
            wanted += [(reader, task_id) for task_id in reader.take_stale()]
        for first in range(0, len(wanted), _PAGE):
            page = wanted[first : first + _PAGE]
            shown = self._store.texts.read_many([(task, r.place(task)) for r, task in page])
            for (reader, task_id), one in zip(page, shown, strict=True):
                self._show(reader, task_id, one)
        for reader in over:
            self._end(reader, None)

    def _look_over(self, reader: TextReader) -> bool:
        """Find what a reader has to look at; whether its workflow is final."""
        subject, final = reader.stream.subject, False
        if reader.stream.noun == "task":
            reader.stale.add(subject)
        elif reader.stream.noun == "workflow":
            record = self._store.workflows.get_many([subject])[0]
            if record is None:
                self._end(reader, WorkflowNotFoundError(subject))
            else:
                final = record.status.is_final
                for task_id in self._store.workflows.task_ids(subject):
                    self._watch(reader, task_id)
                    if task_id not in reader.ended:
                        reader.stale.add(task_id)
        else:
            reader.stale.update(reader.places)
        reader.whole = False
        return final

    def _show(self, reader: TextReader, task_id: str, shown: Shown) -> None:
        noun, subject = reader.stream.noun, reader.stream.subject
        if noun == "workflow" and shown.workflow != subject:
            # Its id only looks like that of a turn.
            return
        if shown.status is None and noun == "task":
            self._end(reader, TaskNotFoundError(task_id))
            return
        if noun == "all" and shown.status is not None and shown.status.is_final:
            reader.places.pop(task_id, None)
            return
        if reader.place(task_id).attempt > shown.run:
            reader.places[task_id] = START
        reader.take(task_id, missing(reader.place(task_id), task_id, shown))
        if shown.status is not None and shown.status.is_final:
            reader.ended.add(task_id)
            if noun == "task":
                self._end(reader, None)

    def _end(self, reader: TextReader, error: Exception | None) -> None:
        self._orders.append(partial(self._remove, reader))
        reader.stream.end(error)


def _root(task_id: str) -> str:
    return _TURNS.sub("", task_id)
