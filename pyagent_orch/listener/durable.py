"""Durable handlers: a group of processes of which one gets each event, at least once.

A Redis consumer group of the handler's name, read by a thread of its own. An
event is acknowledged when the handler has returned; what a dead process left
unanswered is taken over by another. On the layer of the listener.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from pyagent_orch.agents.loop import background_loop
from pyagent_orch.exceptions import OrchestratorConnectionError
from pyagent_orch.listener.handlers import Adopter, Handler, argument_of
from pyagent_orch.models.events import Event
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.store import RedisError, Store, is_missing_group
from pyagent_orch.workflows import WorkflowRecord

logger = logging.getLogger(__name__)

TAKE_OVER_AFTER_MS = 30_000
"""An event that a process has had for so long without an answer goes to another one."""
_PAUSE = 1.0
"""Seconds between two tries while Redis is away."""


class OfferAgainError(Exception):
    """Raised by a handler that wants an event again, by itself or another process, later."""


class DurableHandler:
    """Serves one handler from `start` to `stop`, whatever happened in between.

    Args:
        store: the store to read; the thread opens a connection of its own.
        group: the name that the processes share.
        patterns: which events; such as `task.*`.
        handler: called with what `Orchestrator.on` documents; it may be called twice with
            an event when a process dies, so its effect should bear a repeat.
        adopter: makes live objects of records; None: the handler gets the event itself.
    """

    def __init__(
        self,
        store: Store,
        group: str,
        patterns: Sequence[str],
        handler: Handler,
        adopter: Adopter | None,
    ) -> None:
        self._store, self._adopter = store, adopter
        self.group, self.patterns, self.handler = group, tuple(patterns), handler
        self._consumer = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:6]}"
        self._client = store.blocking_client()
        self._stopping = threading.Event()
        self._in_hand: tuple[str, ...] = ()
        self._thread = threading.Thread(
            target=self._serve, name=f"pyagent-durable-{group}", daemon=True
        )
        self._renewer = threading.Thread(
            target=self._renew, name=f"pyagent-durable-{group}-renew", daemon=True
        )

    def start(self) -> None:
        """Make the group and start the threads.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
        """
        self._store.events.create_group(self.group)
        self._thread.start()
        self._renewer.start()

    def stop(self) -> None:
        """End the thread; what it has not answered another process takes over. Idempotent."""
        self._stopping.set()
        if self._thread is not threading.current_thread():
            self._client.join(self._thread, timeout=5)

    def _serve(self) -> None:
        events, told = self._store.events, False
        while not self._stopping.is_set():
            try:
                # What was taken over does not wait for a read that blocks.
                batch = events.claim_stale(
                    self.group, self._consumer, TAKE_OVER_AFTER_MS
                ) or events.read_group(self.group, self._consumer, self._client)
                wanted = [one for one in batch if any(map(one.matches, self.patterns))]
                if passed := {one.id for one in batch}.difference(one.id for one in wanted):
                    events.acknowledge(self.group, sorted(passed))
                for place, event in enumerate(wanted):
                    if self._stopping.is_set():
                        break
                    self._in_hand = tuple(one.id for one in wanted[place:])
                    if self._handle(event):
                        events.acknowledge(self.group, [event.id])
                told = False
            except (OrchestratorConnectionError, RedisError) as error:
                if is_missing_group(error):
                    self._make_group_anew()
                    continue
                if not told and not self._stopping.is_set():
                    logger.warning("Durable handler %r waits for Redis: %s", self.group, error)
                told = True
                self._stopping.wait(_PAUSE)
            finally:
                self._in_hand = ()
        self._client.close()

    def _renew(self) -> None:
        """Keep others from taking over what is only slow."""
        while not self._stopping.wait(TAKE_OVER_AFTER_MS / 4000):
            in_hand = self._in_hand
            if in_hand:
                with suppress(OrchestratorConnectionError, RedisError):
                    self._store.events.renew(self.group, self._consumer, in_hand)

    def _make_group_anew(self) -> None:
        """Redis lost the group: it came back without its data, or somebody removed it."""
        logger.warning("Redis has lost the group of durable handler %r; made anew", self.group)
        with suppress(OrchestratorConnectionError, RedisError):
            # What is in the stream now came after the loss.
            self._store.events.create_group(self.group, whole=True)
        self._stopping.wait(_PAUSE / 10)

    def _handle(self, event: Event) -> bool:
        """Whether the event is dealt with; one whose handler raised is offered again."""
        argument = self._argument(event)
        try:
            result = self.handler(argument)
            if inspect.iscoroutine(result):
                asyncio.run_coroutine_threadsafe(result, background_loop().loop).result()
        except OfferAgainError:
            return False
        except BaseException:  # also a `sys.exit()`, which would end the handler's thread
            logger.exception(
                "Durable handler %r raised for %s %s; it is offered again",
                self.group,
                event.type,
                event.subject,
            )
            return False
        return True

    def _argument(self, event: Event) -> Any:
        if self._adopter is None:
            return event
        record: TaskRecord | WorkflowRecord | None = None
        if event.noun == "task":
            record = self._store.records.get_many([event.subject])[0]
        elif event.noun == "workflow":
            record = self._store.workflows.get_many([event.subject])[0]
        return argument_of(event, record, self._adopter)
