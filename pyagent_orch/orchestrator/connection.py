"""What an orchestrator has open: client, listener, durable handlers, embedded session.

Everything is opened on first use, once for each process, and closed together.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pyagent_orch.config import Settings
from pyagent_orch.exceptions import OrchestratorClosedError, OrchestratorConnectionError
from pyagent_orch.models.texts import TEXT_EVENT

if TYPE_CHECKING:
    from pyagent_orch.embedded.session import EmbeddedSession
    from pyagent_orch.engine.client import Client
    from pyagent_orch.listener import DurableHandler, Listener
    from pyagent_orch.listener.handlers import Adopter
    from pyagent_orch.listener.texts import TextHub
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.state.state_file import StateFile
    from pyagent_orch.store import Store
    from pyagent_orch.workflows import Workflow

logger = logging.getLogger(__name__)
_open: set[Connection] = set()


class Connection:
    """Opens and closes. Safe to share between threads, and over a fork."""

    def __init__(self, settings: Settings, state_file: Path | None) -> None:
        self.settings, self.state_file = settings, state_file
        self.lock = threading.RLock()
        self.closed = False
        self.handlers: list[tuple[str, Callable[..., object]]] = []
        self.durable: list[DurableHandler] = []
        self.observing: list[Listener] = []
        self.adopter: Adopter
        """Set by whoever has the connection."""
        self._client: Client | None = None
        self._session: EmbeddedSession | None = None
        self._listener: Listener | None = None
        self._texts: TextHub | None = None
        self._state: StateFile | None = None

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
                self._listener, self._texts, self._state, self.durable = None, None, None, []
                self.observing = []
                try:
                    client = self._client = self._connect(forked=forked)
                    self._follow_state(client)
                except BaseException:
                    self._let_go()
                    raise
                _open.add(self)
            return client

    def _connect(self, *, forked: bool) -> Client:
        from pyagent_orch.engine.client import Client

        if forked and self._session is not None:
            # The worker is in the parent; from here it is as far away as a fleet. The state
            # file is the parent's, too, and takes what is sent from here.
            return Client(self.settings, address=self._session.address)
        if self.state_file is not None:
            from pyagent_orch.state.state_file import StateFile

            # First, so that whoever comes second is told of the file.
            self._state = StateFile.acquire(self.state_file, self.settings)
        if not self.is_embedded:
            return Client(self.settings)
        from pyagent_orch.embedded.session import EmbeddedSession

        self._session = EmbeddedSession.acquire(self.settings, self.state_file)
        return Client(self.settings, app=self._session.app, local=True)

    def _follow_state(self, client: Client) -> None:
        """Compare the state file with Redis, and keep it up to date from now on."""
        if self._state is None:
            return
        self._state.attach(client.store)
        client.dispatcher.recorder = self._state
        # Before the comparison, so that nothing is missed between the two.
        self._state.begin(self.listener, self.adopter)

    def resume(self) -> None:
        """Have what a state file holds go on; without one, or when it is new, nothing is opened.

        Raises:
            StateFileError: the file cannot be used.
            EmbeddedServerError: there is no server to start.
        """
        if self.state_file is None or not self.state_file.expanduser().exists():
            return
        try:
            _ = self.client
        except OrchestratorConnectionError as error:
            logger.warning("%s What %s holds goes on with the first call.", error, self.state_file)

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
                    witness = self._state.witness if self._state is not None else None
                    listener = Listener(store, self.adopter, witness)
                    for pattern, handler in self.handlers:
                        listener.add_handler(pattern, handler)
                    listener.start()
                    self._listener = listener
        return listener

    def tracking(self, lives: Sequence[Task | Workflow]) -> AbstractContextManager[None]:
        """Follow what is being submitted, if anything follows or somebody waits to be called."""
        listener = self._listener
        if listener is None and any(live.callback is not None for live in lives):
            listener = self.listener
        return listener.tracking(lives) if listener is not None else nullcontext()

    @property
    def present_texts(self) -> TextHub | None:
        """The streams of text, if there are any."""
        return self._texts

    @property
    def texts(self) -> TextHub:
        """The streams of text of this process, and the listener that tells them of ends."""
        listener = self.listener
        with self.lock:
            texts = self._texts
            if texts is None:
                from pyagent_orch.listener.texts import TextHub

                texts = self._texts = listener.tap = TextHub(self.store)
                for pattern, handler in self.handlers:
                    if pattern == TEXT_EVENT:
                        texts.add_handler(handler)
        return texts

    def close(self) -> None:
        """Close everything. Idempotent."""
        with self.lock:
            self.closed = True
        self._let_go()

    def _let_go(self) -> None:
        with self.lock:
            listener, self._listener = self._listener, None
            texts, self._texts = self._texts, None
            durable, self.durable = self.durable, []
            observing, self.observing = self.observing, []
            client, self._client = self._client, None
            session, self._session = self._session, None
            state, self._state = self._state, None
            _open.discard(self)
        if client is not None and client.pid != os.getpid():
            return
        for handler in durable:
            handler.stop()
        for one in observing:
            one.stop()
        if listener is not None:
            listener.stop()
        if texts is not None:
            texts.stop()
        if state is not None and client is not None:
            state.witness.drain()
        if client is not None:
            client.close()
        if session is not None and session.pid == os.getpid():
            # A forked child is no user of its parent's worker.
            session.release()
        if state is not None:
            state.release()


def _close_all() -> None:
    for connection in list(_open):
        connection.close()


atexit.register(_close_all)
