"""The listener: one thread that follows the event stream for one orchestrator.

It keeps live tasks and workflows up to date, wakes who waits, and calls
callbacks and handlers, in the order of the stream. A handler that raises is
logged with the event and stops nobody. Knows the store and the models, no Celery.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from pyagent_orch.exceptions import (
    OrchestratorConnectionError,
    TaskNotFoundError,
    WorkflowNotFoundError,
)
from pyagent_orch.listener.handlers import Adopter, Handler, Record, argument_of, call_handler
from pyagent_orch.listener.onlookers import Tap, Witness
from pyagent_orch.listener.starts import starting
from pyagent_orch.models.events import Event, is_same_handler, order_of
from pyagent_orch.models.tasks import Task
from pyagent_orch.store import RedisError, Store
from pyagent_orch.workflows import Workflow

logger = logging.getLogger(__name__)

Live = Task | Workflow
Key = tuple[str, str]
"""`task` or `workflow`, and an id."""

FINAL_EVENTS = frozenset(
    {
        "task.completed", "task.failed", "task.cancelled", "task.skipped",
        "workflow.completed", "workflow.failed", "workflow.cancelled",
    }
)  # fmt: skip
_LIVELY_EVENTS = frozenset({"task.started", "task.retried", "task.recovered", "workflow.started"})
"""What a live object that somebody holds should show before it is final."""
_PAGE = 500
_LONGEST_PAUSE = 2.0
"""Seconds between two tries while Redis is away."""


def key_of(live: Live) -> Key:
    """How a live object is known here."""
    return ("task" if isinstance(live, Task) else "workflow", live.id)


class Listener:
    """Follows one namespace's events from `start` to `stop`.

    Args:
        store: the store to read; the listener opens a connection of its own.
        adopter: makes live objects for handlers.
        witness: is shown everything first.
    """

    def __init__(self, store: Store, adopter: Adopter, witness: Witness | None = None) -> None:
        self._store, self._adopter, self._witness = store, adopter, witness
        self.tap: Tap | None = None
        self._lock = threading.Lock()
        self._live: dict[Key, list[weakref.ref[Live]]] = {}
        self._callbacks: dict[Key, list[tuple[Live, Handler]]] = {}
        self._waiters: dict[Key, Future[None]] = {}
        self._handlers: list[tuple[str, Handler]] = []
        self._position = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._client = store.blocking_client()

    # --- from any thread --------------------------------------------------------------

    @property
    def is_this_thread(self) -> bool:
        """Whether the caller runs in the listener's thread, as handlers do."""
        return threading.current_thread() is self._thread

    @property
    def is_running(self) -> bool:
        """Whether the thread follows the stream."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Follow the stream from its present end on. Idempotent.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
        """
        with self._lock:
            if self._thread is None:
                self._position = self._store.events.last_id()
                self._thread = threading.Thread(
                    target=self._follow, name="pyagent-listener", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """End the thread; those who still wait get an error. Idempotent."""
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._client.join(thread, timeout=5)
        with self._lock:
            waiters = list(self._waiters.values())
            self._waiters.clear()
        for waiter in waiters:
            waiter.cancel()

    def track(self, live: Live, *, callback: bool = True) -> None:
        """Keep a live object up to date for as long as somebody holds it.

        Args:
            live: the object.
            callback: whether its callback is to be called; once, so for whoever submits it.
        """
        key = key_of(live)
        with self._lock:
            self._live.setdefault(key, []).append(weakref.ref(live))
            if callback and live.callback is not None:
                self._callbacks.setdefault(key, []).append((live, live.callback))

    @contextmanager
    def tracking(self, lives: Sequence[Live]) -> Iterator[None]:
        """Track objects while they are submitted, and on; those that fail to be, are forgotten."""
        for live in lives:
            self.track(live)
        try:
            yield
        finally:
            for live in lives:
                if not live.is_live:
                    self.forget(live)

    def forget(self, live: Live) -> None:
        """Undo `track`, for what was not recorded after all."""
        key = key_of(live)
        with self._lock:
            # Only this object: another one may have the same id, and be recorded.
            lives = [ref for ref in self._live.pop(key, ()) if ref() is not live]
            if lives:
                self._live[key] = lives
            callbacks = [entry for entry in self._callbacks.pop(key, ()) if entry[0] is not live]
            if callbacks:
                self._callbacks[key] = callbacks

    def is_tracking(self, live: Live) -> bool:
        """Whether this object is kept up to date."""
        return any(ref() is live for ref in self._live.get(key_of(live), ()))

    def final(self, live: Live) -> Future[None]:
        """A future that is done when the object is final; shared by all who wait."""
        with self._lock:
            return self._waiters.setdefault(key_of(live), Future())

    def add_handler(self, pattern: str, handler: Handler) -> None:
        """Call a handler for each event from now on whose type fits the pattern."""
        with self._lock:
            self._handlers.append((pattern, handler))

    def remove_handler(self, handler: Handler) -> bool:
        """Forget a handler; False when it was not there."""
        with self._lock:
            before = len(self._handlers)
            self._handlers = [
                entry for entry in self._handlers if not is_same_handler(entry[1], handler)
            ]
            return len(self._handlers) < before

    def settle(self, noun: str, record: Record) -> None:
        """Take a record that somebody has read; if it is final, wake and call who waits for it."""
        key = (noun, record.id)
        for live in self._watching(key):
            live.update(record)  # type: ignore[arg-type] # the noun pairs them
        if not record.status.is_final:
            return
        if self._witness is not None:
            self._witness.ended(noun, record.id)
        with self._lock:
            self._live.pop(key, None)
            callbacks = self._callbacks.pop(key, [])
            waiter = self._waiters.pop(key, None)
        for live, _ in callbacks:
            live.update(record)  # type: ignore[arg-type] # the noun pairs them
        if waiter is not None and waiter.set_running_or_notify_cancel():
            waiter.set_result(None)
        for live, callback in callbacks:
            call_handler(callback, live, f"callback of {noun} {record.id}")
        if callbacks and self._witness is not None:
            self._witness.called(noun, record.id)

    def give_up(self, noun: str, subject: str) -> bool:
        """Take it that a record is gone: who waits for it gets an error instead of no answer.

        Returns:
            False when nobody watches it, or it is only being submitted.
        """
        key = (noun, subject)
        with self._lock:
            lives = [live for ref in self._live.get(key, ()) if (live := ref())]
            lives += [live for live, _ in self._callbacks.get(key, ())]
            waiter = self._waiters.pop(key, None)
            if waiter is None and (not lives or not all(live.is_live for live in lives)):
                return False
            self._live.pop(key, None)
            self._callbacks.pop(key, None)
        error = TaskNotFoundError if noun == "task" else WorkflowNotFoundError
        if waiter is not None and waiter.set_running_or_notify_cancel():
            waiter.set_exception(error(subject))
        return True

    # --- the thread ---------------------------------------------------------------------

    def _follow(self) -> None:
        pause, lost_sight = 0.1, False
        while not self._stopping.is_set():
            try:
                if lost_sight:
                    self._catch_up()
                events = self._store.events.follow(self._position, self._client, count=_PAGE)
                if events:
                    if len(events) == _PAGE and self._trimmed_past(events[0]):
                        self._catch_up()
                    if self._witness is not None:
                        self._witness.see(events)
                    self._deliver(events)
                    if self.tap is not None:
                        self.tap.saw(events)
                    self._position = events[-1].id
                pause, lost_sight = 0.1, False
            except (OrchestratorConnectionError, RedisError) as error:
                if self._stopping.is_set():
                    break
                if not lost_sight:
                    logger.warning("The event stream is out of reach, trying on: %s", error)
                lost_sight = True
                self._stopping.wait(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
        self._client.close()

    def _trimmed_past(self, event: Event) -> bool:
        """Whether the stream was cut while we were behind, so that events are missing."""
        return order_of(self._store.events.first_id()) >= order_of(event.id)

    def _catch_up(self) -> None:
        """Read the records of all that is watched: events about them may be gone.

        Also finds the end of a stream that was lost with its server.
        """
        if self._witness is not None:
            self._witness.catch_up()
        with self._lock:
            watched = {*self._live, *self._callbacks, *self._waiters}
        found = self._read(watched)
        for (noun, _), record in found.items():
            self.settle(noun, record)
        gone = [key for key in watched - found.keys() if self.give_up(*key)]
        if gone:
            logger.error(
                "Redis came back without %d tasks or workflows that were waited for, first: %s %s",
                len(gone),
                *gone[0],
            )
        if order_of(self._store.events.last_id()) < order_of(self._position):
            self._position = "0-0"
        if self.tap is not None:
            self.tap.lost_sight()

    def _read(self, keys: Iterable[Key]) -> Mapping[Key, Record]:
        keys = list(keys)
        tasks = [found for noun, found in keys if noun == "task"]
        workflows = [found for noun, found in keys if noun == "workflow"]
        records: dict[Key, Record] = {}
        if tasks:
            for task in self._store.records.get_many(tasks):
                if task is not None:
                    records["task", task.id] = task
        if workflows:
            for workflow in self._store.workflows.get_many(workflows):
                if workflow is not None:
                    records["workflow", workflow.id] = workflow
        return records

    def _deliver(self, events: Sequence[Event]) -> None:
        handlers = list(self._handlers)
        wanted = {
            (event.noun, event.subject): None
            for event in events
            if event.noun in ("task", "workflow") and self._needs_record(event, handlers)
        }
        records = self._read(wanted) if wanted else {}
        settled: set[Key] = set()
        for event in events:
            key = (event.noun, event.subject)
            record, live = records.get(key), None
            if record is not None:
                live = self._held(key)
                # A record read now may be ahead of the event; nobody hears of its end
                # before the event that tells it.
                ripe = event.type in FINAL_EVENTS or not record.status.is_final
                if ripe and key not in settled:
                    self.settle(event.noun, record)
                    if record.status.is_final:
                        settled.add(key)
            elif event.type == "task.started":
                for task, started in starting(event, self._watching(key)):
                    task.update(started)
            self._call_handlers(event, record, live, handlers)

    def _watching(self, key: Key) -> list[Live]:
        with self._lock:
            return [live for ref in self._live.get(key, ()) if (live := ref())]

    def _held(self, key: Key) -> Live | None:
        """An object that somebody holds, so that handlers get the one that the user knows."""
        with self._lock:
            for live, _ in self._callbacks.get(key, ()):
                return live
            return next((t for ref in self._live.get(key, ()) if (t := ref())), None)

    def _needs_record(self, event: Event, handlers: Iterable[tuple[str, Handler]]) -> bool:
        key = (event.noun, event.subject)
        if any(event.matches(pattern) for pattern, _ in handlers):
            return True
        if event.type in FINAL_EVENTS:
            return key in self._live or key in self._callbacks or key in self._waiters
        if event.type in _LIVELY_EVENTS and key in self._live:
            return self._held(key) is not None and not starting(event, self._watching(key))
        return False

    def _call_handlers(
        self,
        event: Event,
        record: Record | None,
        live: Live | None,
        handlers: Iterable[tuple[str, Handler]],
    ) -> None:
        argument: object = None
        for pattern, handler in handlers:
            if not event.matches(pattern):
                continue
            if argument is None:
                argument = live or argument_of(event, record, self._adopter)
            call_handler(handler, argument, f"handler of {event.type} {event.subject}")
