"""What an orchestrator has open: client, listener, durable handlers, embedded session.

Everything is opened on first use, once for each process, and closed together.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pyagent_orch.config import Settings
from pyagent_orch.exceptions import OrchestratorClosedError

if TYPE_CHECKING:
    from pyagent_orch.embedded.session import EmbeddedSession
    from pyagent_orch.engine.client import Client
    from pyagent_orch.listener import DurableHandler, Listener
    from pyagent_orch.listener.follower import Adopter
    from pyagent_orch.store import Store

_open: set[Connection] = set()


class Connection:
    """Opens and closes. Safe to share between threads, and over a fork."""

    def __init__(self, settings: Settings, state_file: Path | None) -> None:
        self.settings, self.state_file = settings, state_file
        self.lock = threading.RLock()
        self.closed = False
        self.handlers: list[tuple[str, Callable[..., object]]] = []
        self.durable: list[DurableHandler] = []
        self.adopter: Adopter
        """Set by whoever has the connection."""
        self._client: Client | None = None
        self._session: EmbeddedSession | None = None
        self._listener: Listener | None = None

    @property
    def is_embedded(self) -> bool:
        """Whether it runs a server and a worker of its own."""
        return self.settings.redis_url is None

    @property
    def client(self) -> Client:
        """The client of this process, opened when it is first needed.

        Raises:
            OrchestratorClosedError: after `close`.
        """
        client = self._client
        if client is not None and client.pid == os.getpid() and not self.closed:
            return client
        with self.lock:
            if self.closed:
                raise OrchestratorClosedError
            client = self._client
            if client is None or client.pid != os.getpid():
                forked = client is not None
                # The parent's threads and connections are not ours to end.
                self._listener, self.durable = None, []
                client = self._client = self._connect(forked=forked)
                _open.add(self)
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
    def store(self) -> Store:
        """The store of this process."""
        return self.client.store

    @property
    def present_listener(self) -> Listener | None:
        """The listener, if one runs."""
        return self._listener

    @property
    def listener(self) -> Listener:
        """The listener of this process, started when it is first needed."""
        store = self.store
        listener = self._listener
        if listener is None:
            from pyagent_orch.listener import Listener

            with self.lock:
                listener = self._listener
                if listener is None:
                    listener = Listener(store, self.adopter)
                    for pattern, handler in self.handlers:
                        listener.add_handler(pattern, handler)
                    listener.start()
                    self._listener = listener
        return listener

    def close(self) -> None:
        """Close everything. Idempotent."""
        with self.lock:
            self.closed = True
            listener, self._listener = self._listener, None
            durable, self.durable = self.durable, []
            client, self._client = self._client, None
            session, self._session = self._session, None
            _open.discard(self)
        if client is not None and client.pid != os.getpid():
            return
        for handler in durable:
            handler.stop()
        if listener is not None:
            listener.stop()
        if client is not None:
            client.close()
        if session is not None and session.pid == os.getpid():
            # A forked child is no user of its parent's worker.
            session.release()


def _close_all() -> None:
    for connection in list(_open):
        connection.close()


atexit.register(_close_all)
