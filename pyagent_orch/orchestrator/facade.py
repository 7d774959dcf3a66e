"""The facade: what users call. It holds no logic of its own.

Its calls are in a file for each noun beside this one; here is how it is made and ends.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyagent_orch.config import Settings
from pyagent_orch.orchestrator.browsing import Browsing
from pyagent_orch.orchestrator.checkup import Checkup
from pyagent_orch.orchestrator.connection import Connection
from pyagent_orch.orchestrator.events import Events
from pyagent_orch.orchestrator.home import Home
from pyagent_orch.orchestrator.letters import DeadLetters
from pyagent_orch.orchestrator.schedules import ScheduledJobs
from pyagent_orch.orchestrator.tasks import Tasks
from pyagent_orch.orchestrator.workflows import Workflows

if TYPE_CHECKING:
    from types import TracebackType

    from pyagent_orch.models.tasks import Task
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.store import Store
    from pyagent_orch.workflows import Workflow


class Orchestrator(Tasks, Workflows, Events, Browsing, DeadLetters, ScheduledJobs, Checkup):
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
        state_file: keeps what this process submits, and how it ends, in this file; one that
            holds something is opened at once, and what had not ended goes on. Embedded, the
            server's data lies beside it.
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
        path = Path(state_file) if state_file is not None else None
        self._connection = Connection(settings, path)
        self._home = self._connection.adopter = Home(self._connection)
        self._connection.resume()

    # --- life ---------------------------------------------------------------------------

    @property
    def is_embedded(self) -> bool:
        """Whether it runs a server and a worker of its own."""
        return self._connection.is_embedded

    @property
    def is_closed(self) -> bool:
        """Whether `close()` was called."""
        return self._connection.closed

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
        self._connection.close()

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

    @property
    def _store(self) -> Store:
        return self._connection.store

    def workers(self) -> dict[str, dict[str, JSONValue]]:
        """The living workers: name to what each says of itself."""
        return self._store.fleet.workers()

    def wait(self, *lives: Task | Workflow, timeout: float | None = None) -> list[Any]:
        """Block until all these tasks and workflows are final, in whichever state.

        Args:
            lives: live tasks and workflows.
            timeout: seconds for all of them together; None: as long as it takes.

        Raises:
            TaskTimeoutError: one is not final by then; it goes on running.
        """
        self._home.wait(lives, timeout)
        return list(lives)

    def __repr__(self) -> str:
        where = "embedded" if self.is_embedded else "fleet"
        return f"<Orchestrator {where} namespace={self.settings.namespace!r}>"
