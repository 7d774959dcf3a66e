"""The embedded mode of a process: one private server, and a worker for each namespace.

Every Orchestrator of the process shares them; they end with the last one, or
with the process.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from pyagent_orch.config import Settings, state_directory
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.store import parse_address

SCRIPT_SECONDS = 10.0
"""How long a script may take to register its agents after it has opened a state file."""


class EmbeddedSession:
    """A private server and its worker, counted by their users.

    Not made by hand: `EmbeddedSession.acquire` gives out the process's own.
    """

    _sessions: dict[tuple[int, str, str], EmbeddedSession] = {}  # noqa: RUF012 - shared on purpose
    _servers: dict[tuple[int, str], tuple[PrivateServer, set[str]]] = {}  # noqa: RUF012 - likewise
    _lock = threading.RLock()

    def __init__(
        self, key: tuple[int, str, str], server: PrivateServer, settings: Settings
    ) -> None:
        from pyagent_orch.engine.app import create_app
        from pyagent_orch.engine.inprocess import InProcessWorker
        from pyagent_orch.engine.runtime import runtime_of

        self._key = key
        self._users = 0
        self.address = parse_address(server.url)
        self.app: Any = create_app(settings, address=self.address)
        """The worker's Celery app."""
        if key[1]:
            # What an earlier process left is run at once, while the script is still read.
            runtime_of(self.app).agents_until = time.monotonic() + SCRIPT_SECONDS
        self._worker = InProcessWorker(self.app, settings.concurrency)
        self._worker.start()

    @property
    def pid(self) -> int:
        """The process that has it; a forked child only inherits the object."""
        return self._key[0]

    @classmethod
    def acquire(cls, settings: Settings, state_file: str | Path | None = None) -> EmbeddedSession:
        """Start, or share, the server and the worker of this process.

        Args:
            settings: the namespace and the worker's size; the first user's count.
            state_file: keeps the server's data beside this file, which its caller has locked.

        Raises:
            EmbeddedServerError: there is no server binary, or another process has the file.
        """
        directory = str(state_directory(state_file)) if state_file is not None else ""
        # The pid: a forked child has neither the worker's thread nor its locks.
        place = (os.getpid(), directory)
        key = (*place, settings.namespace)
        with cls._lock:
            session = cls._sessions.get(key)
            if session is None:
                server, users = cls._servers.get(place) or cls._start_server(directory, settings)
                cls._servers[place] = (server, users)
                users.add(settings.namespace)
                try:
                    session = cls(key, server, settings)
                except BaseException:
                    cls._leave_server(key)
                    raise
                cls._sessions[key] = session
            session._users += 1
            return session

    @staticmethod
    def _start_server(directory: str, settings: Settings) -> tuple[PrivateServer, set[str]]:
        if directory:
            server = PrivateServer(
                Path(directory), persistent=True, fsync=settings.state_fsync, exclusive=True
            )
        else:
            server = PrivateServer()
        server.start()
        return server, set()

    @classmethod
    def _leave_server(cls, key: tuple[int, str, str]) -> None:
        place = key[:2]
        server, users = cls._servers[place]
        users.discard(key[2])
        if not users:
            del cls._servers[place]
            server.close()

    def release(self) -> None:
        """Say that one user is done; the last one ends the worker and the server."""
        from pyagent_orch.engine.runtime import runtime_of

        with self._lock:
            self._users -= 1
            if self._users > 0 or self._sessions.get(self._key) is not self:
                return
            del self._sessions[self._key]
            self._worker.stop()
            runtime_of(self.app).close()
            self.app.close()
            self._leave_server(self._key)
