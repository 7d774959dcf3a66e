"""The engine as a client uses it: the app, its store, and the dispatcher."""

from __future__ import annotations

import os

from celery import Celery

from pyagent_orch.config import Settings
from pyagent_orch.engine.app import create_app
from pyagent_orch.engine.dispatch import Dispatcher
from pyagent_orch.engine.prepare import Preparer
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.store import Address, Store


class Client:
    """One process's connection to an installation. Safe to share between threads.

    Args:
        settings: the installation's settings.
        address: where its Redis is; from the settings when not given.
        app: the Celery app of an in-process worker, to share its connections.
        local: whether the worker is in this process.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        address: Address | None = None,
        app: Celery | None = None,
        local: bool = False,
    ) -> None:
        self.pid = os.getpid()
        self.app = app or create_app(settings, address=address)
        self._owns_app = app is None
        self.preparer = Preparer(self.store, settings, local=local)
        self.dispatcher = Dispatcher(self.store, self.preparer)

    @property
    def store(self) -> Store:
        """The store."""
        return runtime_of(self.app).store

    def close(self) -> None:
        """Close what it opened. Idempotent."""
        if self._owns_app:
            runtime_of(self.app).close()
            self.app.close()
