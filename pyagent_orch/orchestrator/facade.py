"""The facade: what users call. It holds no logic of its own.

Submitting is the engine's, remembering the store's, following the listener's;
here is only who is asked when.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pyagent_orch.config import Settings
from pyagent_orch.exceptions import (
    InvalidTaskError,
    OrchestratorClosedError,
    TaskExistsError,
    TaskTimeoutError,
)
from pyagent_orch.models.tasks import DEFAULT_PRIORITY, Task
from pyagent_orch.states import TaskStatus

if TYPE_CHECKING:
    from types import TracebackType

    from pyagent_orch.embedded.session import EmbeddedSession
    from pyagent_orch.engine.client import Client
    from pyagent_orch.listener import DurableHandler, Listener
    from pyagent_orch.models.events import Event
    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.retry import RetryPolicy
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.store import Store

H = TypeVar("H", bound=Callable[..., object])

_open: weakref.WeakSet[Orchestrator] = weakref.WeakSet()


class Orchestrator:
    """Runs tasks on a fleet of Celery workers, or on one of its own.

    With a URL it is a client of that Redis, and workers run elsewhere. Without
    one it is embedded: a private server and a Celery worker in this process
    start on first use and end with the process. Cheap to build: nothing is
    opened before the first call. Safe to share between threads; in a forked
    process it opens connections of its own. `close()` ends it, as do `with`,
    `async with` and the end of the program.

    Args:
        redis_url: the fleet's Redis; `PYAGENT_ORCH_REDIS_URL` when not given.
        namespace: keeps installations on one Redis apart.
        state_file: embedded only: keeps the state beside this file.
        settings: all settings at once; the arguments above win over it.

    Raises:
        ConfigurationError: a setting does not fit.
    """

    def __init__(
        self,
        *,
        redis_url: str | None = None,
        namespace: str | None = None,
        state_file: str | Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        overrides: dict[str, object] = {"redis_url": redis_url, "namespace": namespace}
        if settings is None:
            settings = Settings.from_env(None, **overrides)
        elif redis_url is not None or namespace is not None:
            given = {name: value for name, value in overrides.items() if value is not None}
            settings = Settings.from_env({}, **(settings.model_dump() | given))
        if settings.redis_url is not None:
            # Says at once what is wrong with it.
            from pyagent_orch.store import parse_address

            parse_address(settings.redis_url)
        self.settings = settings
        self.state_file = Path(state_file) if state_file is not None else None
        self._lock = threading.RLock()
        self._closed = False
        self._client: Client | None = None
        self._session: EmbeddedSession | None = None
        self._listener_: Listener | None = None
        self._handlers: list[tuple[str, Callable[..., object]]] = []
        self._durable: list[DurableHandler] = []
        _open.add(self)

    # --- life ---------------------------------------------------------------------------

    @property
    def is_embedded(self) -> bool:
        """Whether it runs a server and a worker of its own."""
        return self.settings.redis_url is None

    def start(self) -> Orchestrator:
        """Open the connection (and, embedded, server and worker) now instead of on first use.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
            EmbeddedServerError: there is no server to start.
        """
        self._store.ping()
        return self

    def close(self) -> None:
        """End the listener and the connections; embedded, worker and server too. Idempotent."""
        with self._lock:
            self._closed = True
            listener, self._listener_ = self._listener_, None
            durable, self._durable = self._durable, []
            client, self._client = self._client, None
            session, self._session = self._session, None
        if client is not None and client.pid != os.getpid():
            return  # a forked child: the threads and connections are the parent's
        for handler in durable:
            handler.stop()
        if listener is not None:
            listener.stop()
        if client is not None:
            client.close()
        if session is not None:
            session.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)

    def _connected(self) -> Client:
        client = self._client
        if client is not None and client.pid == os.getpid() and not self._closed:
            return client
        with self._lock:
            if self._closed:
                raise OrchestratorClosedError
            client = self._client
            if client is None or client.pid != os.getpid():
                forked = client is not None
                self._listener_ = None
                client = self._client = self._connect(forked=forked)
            return client

    def _connect(self, *, forked: bool) -> Client:
        from pyagent_orch.engine.client import Client

        if not self.is_embedded:
            return Client(self.settings)
        if forked and self._session is not None:
            # The worker is in the parent; from here it is as far away as a fleet.
            return Client(self.settings, address=self._session.address)
        from pyagent_orch.embedded.session import EmbeddedSession

        self._session = EmbeddedSession.acquire(self.settings, self.state_file)
        return Client(self.settings, app=self._session.app, local=True)

    @property
    def _store(self) -> Store:
        return self._connected().store

    def _listening(self) -> Listener:
        """The listener, started when it is first needed."""
        self._connected()
        listener = self._listener_
        if listener is None:
            from pyagent_orch.listener import Listener

            with self._lock:
                listener = self._listener_
                if listener is None:
                    listener = Listener(self._store, self._adopt)
                    for pattern, handler in self._handlers:
                        listener.add_handler(pattern, handler)
                    listener.start()
                    self._listener_ = listener
        return listener

    # --- submitting -----------------------------------------------------------------------

    def submit(
        self,
        agent: object,
        input: object = None,  # noqa: A002 - the public contract's name
        *,
        name: str | None = None,
        priority: int = DEFAULT_PRIORITY,
        metadata: Mapping[str, JSONValue] | None = None,
        callback: Callable[[Task], object] | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | int | None = None,
        queue: str | None = None,
        key: str | None = None,
        id: str | None = None,  # noqa: A002 - the public contract's name
        delay: float = 0.0,
    ) -> Task:
        """Submit a task; returns at once with it, live.

        Args:
            agent: an agent (see `Task`), or a ready `Task`, alone.
            input: see `Task`, as are the other arguments.
            name: for people.
            priority: 1 (highest) to 10.
            metadata: JSON that stays with the task.
            callback: called once with the task when it is final, in a thread of this process.
            timeout: seconds that one attempt may take.
            retry: a policy, or the number of attempts in all.
            queue: the Celery queue.
            key: idempotency key: the same key returns the task that already has it.
            id: the task's id; made up when not given.
            delay: seconds before it may start.

        Raises:
            InvalidTaskError: something about it cannot be sent; nothing was.
            AgentNotFoundError: no worker knows the agent's name.
            OrchestratorConnectionError: Redis is out of reach or refuses. The task may be
                submitted again as it is: its id makes a repeat harmless.
        """
        if isinstance(agent, Task):
            task = agent
            task.callback = callback or task.callback
        else:
            task = Task(
                agent, input, id=id, name=name, priority=priority, metadata=metadata,
                timeout=timeout, retry=retry, queue=queue, key=key, delay=delay,
                callback=callback,
            )  # fmt: skip
        return self._submit([task])[0]

    def submit_many(self, tasks: Iterable[Task]) -> list[Task]:
        """Submit many tasks; one round trip for each few hundred.

        Raises:
            InvalidTaskError: one of them cannot be sent; nothing was.
            SubmitError: Redis went away half way; it says which are recorded.
        """
        return self._submit(list(tasks))

    async def asubmit(self, agent: object, input: object = None, **options: Any) -> Task:  # noqa: A002
        """`submit`, without blocking the event loop."""
        return await asyncio.to_thread(self.submit, agent, input, **options)

    async def asubmit_many(self, tasks: Iterable[Task]) -> list[Task]:
        """`submit_many`, without blocking the event loop."""
        return await asyncio.to_thread(self.submit_many, tasks)

    def _submit(self, tasks: list[Task]) -> list[Task]:
        client = self._connected()
        for task in tasks:
            _check_unsent(task)
        listener = self._listener_
        if listener is None and any(task.callback is not None for task in tasks):
            listener = self._listening()
        # Tracked before the act: its events may be here before its answer.
        with listener.tracking(tasks) if listener is not None else nullcontext():
            existing = client.dispatcher.submit(tasks)
        for task in tasks:
            task.bind(self)
        return [
            self._found(task, existing[place]) if place in existing else task
            for place, task in enumerate(tasks)
        ]

    def _found(self, task: Task, task_id: str) -> Task:
        """The task that was there first, for one that was submitted with its key or id."""
        record = self._store.records.get(task_id)
        found = task
        if task_id != task.id:
            if self._listener_ is not None:
                self._listener_.forget(task)
            task.bind(None)
            found = self._adopt(record)
            found.callback = task.callback
            if self._listener_ is not None:
                self._listener_.track(found)
        found.update(record)
        if record.status.is_final and self._listener_ is not None:
            self._listener_.settle(record)
        return found

    def _adopt(self, record: TaskRecord) -> Task:
        """A live task for a record that another process, or an earlier one, submitted."""
        task = Task(
            id=record.id, name=record.name, input=record.input, priority=record.priority,
            metadata=record.metadata, timeout=record.timeout, queue=record.queue, key=record.key,
        )  # fmt: skip
        task.update(record)
        task.bind(self)
        return task

    # --- looking --------------------------------------------------------------------------

    def status(self, id: str) -> TaskStatus:  # noqa: A002 - the public contract's name
        """The state of a task.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        return self._store.records.status(id)

    def get_task(self, id: str) -> Task:  # noqa: A002 - the public contract's name
        """A task with all that is recorded of it, live.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        return self._adopt(self._store.records.get(id))

    def tasks(
        self,
        *,
        status: TaskStatus | str | Iterable[TaskStatus | str] | None = None,
        name: str | None = None,
        metadata: Mapping[str, JSONValue] | None = None,
        limit: int = 100,
        before: Task | str | None = None,
    ) -> list[Task]:
        """List tasks; those whose state changed last come first.

        Args:
            status: only tasks in this state, or in one of these.
            name: only tasks of this name.
            metadata: only tasks whose metadata has these items.
            limit: how many at the most, >= 1.
            before: only tasks that come after this one (or its id) in the list: the last
                one of a page.
        """
        if status is None:
            statuses: list[TaskStatus] = list(TaskStatus)
        elif isinstance(status, str):
            statuses = [TaskStatus(status)]
        else:
            statuses = [TaskStatus(one) for one in status]
        records = self._store.records.newest(
            statuses,
            name=name,
            metadata=metadata,
            limit=limit,
            before=before.id if isinstance(before, Task) else before,
        )
        return [self._adopt(record) for record in records]

    def counts(self) -> dict[TaskStatus, int]:
        """How many tasks are in each state."""
        return self._store.records.counts()

    def workers(self) -> dict[str, dict[str, JSONValue]]:
        """The living workers: name to what each says of itself."""
        return self._store.fleet.workers()

    # --- what live tasks ask (TaskHome) -----------------------------------------------------

    def refresh(self, task: Task) -> None:
        """Bring a live task's record up to date; one round trip unless the listener follows it."""
        if self._closed:
            return
        listener = self._listener_
        if listener is not None and listener.is_running and listener.is_tracking(task):
            return
        record = self._store.records.get_many([task.id])[0]
        if record is not None:
            task.update(record)

    def wait_for(self, task: Task, timeout: float | None = None) -> None:
        """Block until one task is final; see `Task.wait`."""
        self.wait(task, timeout=timeout)

    async def await_for(self, task: Task) -> None:
        """Wait for one task without blocking the event loop; see `Task`."""
        listener = await asyncio.to_thread(self._listening)
        final = listener.final(task.id)
        if not listener.is_tracking(task):
            await asyncio.to_thread(self._follow, listener, [task])
        await _until(final)

    def wait(self, *tasks: Task, timeout: float | None = None) -> list[Task]:
        """Block until all these tasks are final, in whichever state.

        Args:
            tasks: live tasks.
            timeout: seconds for all of them together; None: as long as it takes.

        Raises:
            TaskTimeoutError: one is not final by then; it goes on running.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        listener = self._listening()
        if listener.is_this_thread:
            self._poll(tasks, deadline)
            return list(tasks)
        waiting = [task for task in tasks if not _is_final(task)]
        finals = [listener.final(task.id) for task in waiting]
        self._follow(listener, [task for task in waiting if not listener.is_tracking(task)])
        for task, final in zip(waiting, finals, strict=True):
            # A final record may have come before the future was made.
            if _is_final(task):
                continue
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                final.result(left)
            except TimeoutError:
                raise TaskTimeoutError(
                    task.id, f"it is not final after {timeout} s of waiting; it goes on"
                ) from None
            except BaseException as error:
                if final.cancelled():
                    raise OrchestratorClosedError from error
                raise
            self.refresh(task)
        return list(tasks)

    def _follow(self, listener: Listener, tasks: Sequence[Task]) -> None:
        """Have the listener follow tasks that it did not see submitted."""
        for task in tasks:
            listener.track(task)
        for record in self._store.records.get_many([task.id for task in tasks]):
            if record is not None and record.status.is_final:
                listener.settle(record)

    def _poll(self, tasks: Sequence[Task], deadline: float | None) -> None:
        """Wait inside a handler: the thread that would wake us is the one that waits."""
        pause = 0.01
        for task in tasks:
            while not _is_final(task):
                record = self._store.records.get_many([task.id])[0]
                if record is not None:
                    task.update(record)
                if deadline is not None and time.monotonic() > deadline:
                    raise TaskTimeoutError(task.id, "it is not final yet; it goes on")
                if not _is_final(task):
                    time.sleep(pause)
                    pause = min(0.5, pause * 1.5)

    # --- acting -----------------------------------------------------------------------------

    def cancel(self, id: str, *, reason: str = "cancelled by request") -> bool:  # noqa: A002
        """Cancel a task that waits or runs; False when it was final already.

        A model call or async agent stops within two heartbeats; a callable in a
        prefork pool by the end of its process; a callable in a thread cannot be
        stopped, but its result is refused.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        return self._store.records.cancel(id, reason)

    def retry(self, id: str) -> Task:  # noqa: A002 - the public contract's name
        """Try a task again that failed, was cancelled or was skipped; returns it, live.

        Raises:
            TaskNotFoundError: there is no record of it.
            IllegalMoveError: it completed, or is not final.
        """
        self._store.records.requeue(id)
        return self.get_task(id)

    # --- events -----------------------------------------------------------------------------

    def on(
        self,
        event: str,
        handler: Callable[..., object] | None = None,
        *,
        durable: str | None = None,
    ) -> Any:
        """Have a function called for events; a decorator when no handler is given.

        Handlers of `task.*` get a Task, of custom events the data, of others the
        Event. They run one after the other in a thread of this process; one that
        raises is logged and stops nobody.

        Args:
            event: a type such as `task.completed`, or a pattern such as `task.*`.
            handler: a function or coroutine function of one argument.
            durable: a name that processes share: one of them gets each event, at least
                once, also those that were sent while all were down.

        Returns:
            The handler, so that it keeps its name as a decorated function.
        """
        if handler is None:
            return lambda function: self.on(event, function, durable=durable)
        if durable is not None:
            from pyagent_orch.listener import DurableHandler

            served = DurableHandler(self._store, durable, event, handler, self._adopt)
            served.start()
            with self._lock:
                self._durable.append(served)
            return handler
        listener = self._listening()
        with self._lock:
            self._handlers.append((event, handler))
        listener.add_handler(event, handler)
        return handler

    def off(self, handler: Callable[..., object]) -> bool:
        """Stop calling a handler; False when it was not there."""
        with self._lock:
            kept = [entry for entry in self._handlers if entry[1] is not handler]
            found = len(kept) < len(self._handlers)
            self._handlers = kept
            durable = [served for served in self._durable if served.handler is handler]
            self._durable = [served for served in self._durable if served not in durable]
            listener = self._listener_
        if listener is not None:
            listener.remove_handler(handler)
        for served in durable:
            served.stop()
        return found or bool(durable)

    def emit(self, event: str, data: JSONValue = None) -> str:
        """Write a custom event; every process with a handler for it gets the data.

        Returns:
            The event's id.

        Raises:
            InvalidTaskError: the data has no JSON form, or the type is one of ours.
        """
        if event.partition(".")[0] in ("task", "workflow", "job", "worker", "beat"):
            raise InvalidTaskError(
                event, "events of task, workflow, job, worker and beat are written with the state "
                "that they tell; choose another first word",
            )  # fmt: skip
        from pyagent_orch.engine.dispatch import encode

        encode(event, data, "data")
        return self._store.events.append(event, "", data)

    def events(self, since: str | None = None, *, follow: bool = False) -> Iterator[Event]:
        """The events of the namespace, oldest first.

        Args:
            since: the id of the last event seen; None: from the oldest that is kept,
                or with `follow` from now on.
            follow: go on with new ones until the iterator is closed.
        """
        log = self._store.events
        position = since if since is not None else (log.last_id() if follow else "0-0")
        client = self._store.blocking_client() if follow else None
        try:
            while True:
                page = log.follow(position, client) if client else log.read(position)
                yield from page
                if page:
                    position = page[-1].id
                elif not follow or self._closed:
                    return
        finally:
            if client is not None:
                client.close()

    async def aevents(self, since: str | None = None) -> AsyncIterator[Event]:
        """New events without blocking the event loop; see `events(follow=True)`."""
        log = self._store.events
        position = since if since is not None else await asyncio.to_thread(log.last_id)
        client = self._store.blocking_client()
        try:
            while not self._closed:
                page = await asyncio.to_thread(log.follow, position, client)
                for event in page:
                    yield event
                    position = event.id
        finally:
            client.close()

    def __repr__(self) -> str:
        where = "embedded" if self.is_embedded else "fleet"
        return f"<Orchestrator {where} namespace={self.settings.namespace!r}>"


def _check_unsent(task: object) -> None:
    if not isinstance(task, Task):
        raise InvalidTaskError(repr(task)[:80], "submit_many takes Task objects")
    if task.is_live:
        raise TaskExistsError(
            task.name, "this object has been submitted; build a new Task, or use retry()"
        )


def _is_final(task: Task) -> bool:
    return task.record is not None and task.record.status.is_final


async def _until(final: Future[None]) -> None:
    try:
        await asyncio.shield(asyncio.wrap_future(final))
    except asyncio.CancelledError:
        if final.cancelled():
            raise OrchestratorClosedError from None
        raise


def _close_all() -> None:
    for orchestrator in list(_open):
        orchestrator.close()


atexit.register(_close_all)
