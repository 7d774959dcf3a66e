"""The listener: one thread that follows the event stream for one orchestrator.

It keeps live tasks up to date, wakes who waits, and calls callbacks and
handlers, in the order of the stream. A handler that raises is logged with the
event and stops nobody. Knows the store and the models, no Celery.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from pyagent_orch.agents.loop import background_loop
from pyagent_orch.exceptions import OrchestratorConnectionError
from pyagent_orch.models.events import Event
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.models.tasks import Task
from pyagent_orch.store import RedisError, Store

logger = logging.getLogger(__name__)

Handler = Callable[[Any], object]

FINAL_EVENTS = frozenset({"task.completed", "task.failed", "task.cancelled", "task.skipped"})
_PAGE = 500
_LONGEST_PAUSE = 2.0
"""Seconds between two tries while Redis is away."""


class Listener:
    """Follows one namespace's events from `start` to `stop`.

    Args:
        store: the store to read; the listener opens a connection of its own.
        adopt: makes a live task of a record, for handlers.
    """

    def __init__(self, store: Store, adopt: Callable[[TaskRecord], Task]) -> None:
        self._store, self._adopt = store, adopt
        self._lock = threading.Lock()
        self._tasks: dict[str, list[weakref.ref[Task]]] = {}
        self._callbacks: dict[str, list[tuple[Task, Handler]]] = {}
        self._waiters: dict[str, Future[None]] = {}
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
        self._client.wake()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)
        with self._lock:
            waiters = list(self._waiters.values())
            self._waiters.clear()
        for waiter in waiters:
            waiter.cancel()

    def track(self, task: Task) -> None:
        """Keep a live task up to date for as long as somebody holds it."""
        with self._lock:
            self._tasks.setdefault(task.id, []).append(weakref.ref(task))
            if task.callback is not None:
                self._callbacks.setdefault(task.id, []).append((task, task.callback))

    @contextmanager
    def tracking(self, tasks: Sequence[Task]) -> Iterator[None]:
        """Track tasks while they are submitted, and on; those that fail to be, are forgotten."""
        for task in tasks:
            self.track(task)
        try:
            yield
        finally:
            for task in tasks:
                if not task.is_live:
                    self.forget(task)

    def forget(self, task: Task) -> None:
        """Undo `track`, for a task that was not recorded after all."""
        with self._lock:
            self._tasks.pop(task.id, None)
            self._callbacks.pop(task.id, None)

    def is_tracking(self, task: Task) -> bool:
        """Whether this object is kept up to date."""
        return any(ref() is task for ref in self._tasks.get(task.id, ()))

    def final(self, task_id: str) -> Future[None]:
        """A future that is done when the task is final; shared by all who wait."""
        with self._lock:
            return self._waiters.setdefault(task_id, Future())

    def add_handler(self, pattern: str, handler: Handler) -> None:
        """Call a handler for each event from now on whose type fits the pattern."""
        with self._lock:
            self._handlers.append((pattern, handler))

    def remove_handler(self, handler: Handler) -> bool:
        """Forget a handler; False when it was not there."""
        with self._lock:
            before = len(self._handlers)
            self._handlers = [entry for entry in self._handlers if entry[1] is not handler]
            return len(self._handlers) < before

    def settle(self, record: TaskRecord) -> None:
        """Take a record that somebody has read; if it is final, wake and call who waits for it."""
        with self._lock:
            tasks = [task for ref in self._tasks.get(record.id, ()) if (task := ref())]
        for task in tasks:
            task.update(record)
        if record.status.is_final:
            with self._lock:
                self._tasks.pop(record.id, None)
                callbacks = self._callbacks.pop(record.id, [])
                waiter = self._waiters.pop(record.id, None)
            for task, _ in callbacks:
                task.update(record)
            if waiter is not None and waiter.set_running_or_notify_cancel():
                waiter.set_result(None)
            for task, callback in callbacks:
                call_handler(callback, task, f"callback of task {record.id}")

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
                    self._deliver(events)
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
        return _order(self._store.events.first_id()) >= _order(event.id)

    def _catch_up(self) -> None:
        """Read the records of all that is watched: events about them may be gone."""
        with self._lock:
            watched = list({*self._tasks, *self._callbacks, *self._waiters})
        for record in self._store.records.get_many(watched):
            if record is not None:
                self.settle(record)

    def _deliver(self, events: Sequence[Event]) -> None:
        handlers = list(self._handlers)
        wanted = {
            event.subject: None
            for event in events
            if event.noun == "task" and self._needs_record(event, handlers)
        }
        records = {
            record.id: record
            for record in self._store.records.get_many(list(wanted))
            if record is not None
        }
        settled: set[str] = set()
        for event in events:
            record = records.get(event.subject)
            if record is not None:
                watched = self._live(event.subject)
                if event.subject not in settled and (
                    event.type in FINAL_EVENTS or not record.status.is_final
                ):
                    self.settle(record)
                    if record.status.is_final:
                        settled.add(event.subject)
            else:
                watched = None
            self._call_handlers(event, record, watched, handlers)

    def _live(self, task_id: str) -> Task | None:
        """A task that somebody holds, so that handlers get the object that the user knows."""
        with self._lock:
            for task, _ in self._callbacks.get(task_id, ()):
                return task
            return next((t for ref in self._tasks.get(task_id, ()) if (t := ref())), None)

    def _needs_record(self, event: Event, handlers: Iterable[tuple[str, Handler]]) -> bool:
        task_id = event.subject
        if event.type in FINAL_EVENTS and (
            task_id in self._tasks or task_id in self._callbacks or task_id in self._waiters
        ):
            return True
        if event.type in ("task.started", "task.retried") and task_id in self._tasks:
            return self._live(task_id) is not None
        return any(event.matches(pattern) for pattern, _ in handlers)

    def _call_handlers(
        self,
        event: Event,
        record: TaskRecord | None,
        live: Task | None,
        handlers: Iterable[tuple[str, Handler]],
    ) -> None:
        argument: object = None
        for pattern, handler in handlers:
            if not event.matches(pattern):
                continue
            if argument is None:
                argument = self._argument(event, record, live)
            call_handler(handler, argument, f"handler of {event.type} {event.subject}")

    def _argument(self, event: Event, record: TaskRecord | None, live: Task | None) -> object:
        return argument_of(event, live or (self._adopt(record) if record else None))


def argument_of(event: Event, task: Task | None) -> object:
    """What a handler is given: a Task, a custom event's data, else the event itself."""
    if event.noun == "task" and task is not None:
        return task
    if event.noun in ("task", "workflow", "job", "worker", "beat"):
        return event
    return event.data


def call_handler(handler: Handler, argument: object, what: str) -> bool:
    """Call a user's function; False, and a log entry, when it raises."""
    try:
        result = handler(argument)
        if inspect.iscoroutine(result):
            # Not waited for: it may itself wait for what only this thread can tell it.
            running = asyncio.run_coroutine_threadsafe(result, background_loop().loop)
            running.add_done_callback(lambda done: _log_failure(done, what))
    except Exception:
        logger.exception("The %s raised; the others go on", what)
        return False
    return True


def _log_failure(done: Future[Any], what: str) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        logger.error("The %s raised; the others go on", what, exc_info=error)


def _order(event_id: str) -> tuple[int, int]:
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)
