"""Events: handlers, custom events, and reading the stream.

A part of the facade. Following the stream is the listener's; here is only who is asked when.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pyagent_orch.exceptions import ConfigurationError, InvalidTaskError
from pyagent_orch.models.checks import is_text, shown
from pyagent_orch.models.events import is_same_handler
from pyagent_orch.models.texts import TEXT_EVENT

if TYPE_CHECKING:
    from pyagent_orch.models.events import Event
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.orchestrator.connection import Connection
    from pyagent_orch.orchestrator.home import Home


class Events:
    """The calls about events; a base of `Orchestrator`."""

    _connection: Connection
    _home: Home

    def on(
        self,
        event: str,
        handler: Callable[..., object] | None = None,
        *,
        durable: str | None = None,
    ) -> Any:
        """Have a function called for events; a decorator when no handler is given.

        Handlers of `task.*` get a Task, of `job.*` a ScheduledJob (the Event when the job is
        gone), of custom events the data, of others the Event; those of `task.text` a
        TextPiece, for what running tasks write. They run one after the other in a thread of
        this process; one that raises is logged and stops nobody.

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
            if event == TEXT_EVENT:
                raise ConfigurationError(
                    "durable", f"{TEXT_EVENT} is not kept; task.completed has the whole output"
                )
            from pyagent_orch.listener import DurableHandler

            served = DurableHandler(self._connection.store, durable, [event], handler, self._home)
            served.start()
            with self._connection.lock:
                self._connection.durable.append(served)
            return handler
        listener = self._connection.listener
        texts = self._connection.texts if event == TEXT_EVENT else None
        with self._connection.lock:
            self._connection.handlers.append((event, handler))
        if texts is not None:
            texts.add_handler(handler)
        else:
            listener.add_handler(event, handler)
        return handler

    def off(self, handler: Callable[..., object]) -> bool:
        """Stop calling a handler; False when it was not there."""
        connection = self._connection
        with connection.lock:
            kept = [
                entry for entry in connection.handlers if not is_same_handler(entry[1], handler)
            ]
            found = len(kept) < len(connection.handlers)
            connection.handlers = kept
            durable = [
                served for served in connection.durable if is_same_handler(served.handler, handler)
            ]
            connection.durable = [one for one in connection.durable if one not in durable]
        listener = connection.present_listener
        if listener is not None:
            listener.remove_handler(handler)
        if connection.present_texts is not None:
            connection.present_texts.remove_handler(handler)
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
        if not is_text(event):
            raise InvalidTaskError(shown(event), "an event's type is a text that is not empty")
        if event.partition(".")[0] in ("task", "workflow", "job", "worker", "beat"):
            raise InvalidTaskError(
                event, "events of task, workflow, job, worker and beat are written with the state "
                "that they tell; choose another first word",
            )  # fmt: skip
        from pyagent_orch.engine.prepare import encode

        encode(event, data, "data")
        return self._connection.store.events.append(event, "", data)

    def events(self, since: str | None = None, *, follow: bool = False) -> Iterator[Event]:
        """The events of the namespace, oldest first.

        Args:
            since: the id of the last event seen; None: from the oldest that is kept,
                or with `follow` from now on.
            follow: go on with new ones until the iterator is closed.
        """
        log = self._connection.store.events
        position = since if since is not None else (log.last_id() if follow else "0-0")
        client = self._connection.store.blocking_client() if follow else None
        try:
            while True:
                page = log.follow(position, client) if client else log.read(position)
                yield from page
                if page:
                    position = page[-1].id
                elif not follow or self._connection.closed:
                    return
        finally:
            if client is not None:
                client.close()

    async def aevents(self, since: str | None = None) -> AsyncIterator[Event]:
        """New events without blocking the event loop; see `events(follow=True)`."""
        # The first use may start a server.
        store = await asyncio.to_thread(lambda: self._connection.store)
        position = since if since is not None else await asyncio.to_thread(store.events.last_id)
        client = store.blocking_client()
        # A thread of its own: those of the loop are few, and here one waits most of the time.
        waiter = ThreadPoolExecutor(1, "pyagent-events")
        loop = asyncio.get_running_loop()
        try:
            while not self._connection.closed:
                page = await loop.run_in_executor(waiter, store.events.follow, position, client)
                for event in page:
                    yield event
                    position = event.id
        finally:
            waiter.shutdown(wait=False)
            client.close()
