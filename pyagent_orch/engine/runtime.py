"""What the engine knows in one process: the store, and the worker that it is part of."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from celery import Celery

from pyagent_orch.config import Settings
from pyagent_orch.engine.message import Envelopes, build_message_template
from pyagent_orch.engine.patience import patiently
from pyagent_orch.store import Address, MessageTemplate, Store

if TYPE_CHECKING:
    from pyagent_orch.engine.keeper import Keeper
    from pyagent_orch.engine.texts import TextDesk
    from pyagent_orch.engine.transport.taker import Taker

logger = logging.getLogger(__name__)

T = TypeVar("T")

KOMBU_SEPARATOR = "\x06\x16"
"""What kombu's Redis transport puts between a queue's name and a priority (`Channel.sep`)."""


_EXPOSED = (
    "Redis at %s %s password: whoever else reaches it can run agents, read all outputs and "
    "delete everything. %s"
)
_REMEDY = (
    "Set requirepass or ACL users there, put the password into PYAGENT_ORCH_REDIS_URL "
    "(redis://:PASSWORD@host:6379/0), and see docs/production.md#who-may-reach-redis"
)


class Runtime:
    """The engine's state of one app, `app.pyagent_orch`.

    Lives as long as the app. Inherited over a fork: the store is then opened
    anew, the lease stays that of the worker that forked.
    """

    def __init__(self, app: Celery, settings: Settings, address: Address) -> None:
        self.app, self.settings, self.address = app, settings, address
        self.lease_id = ""
        """The lease of the worker in this process; empty where there is none."""
        self.worker_name = ""
        self.interruptible = False
        """Whether Celery's soft time limit reaches the thread that runs a task (prefork)."""
        self.keeper: Keeper | None = None
        self.taker: Taker | None = None
        self.abandoned = False
        """Whether the worker was stopped with its agents running (embedded mode)."""
        self.agents_until = 0.0
        """Until when, by the monotonic clock, an agent that is not registered may yet be: the
        script that resumes a state file defines it further down."""
        self._message: MessageTemplate | None = None
        self._store: tuple[int, Store] | None = None
        self._texts: TextDesk | None = None

    @property
    def texts(self) -> TextDesk:
        """Where the runs of this process have their text sent from."""
        found = self._texts
        if found is None or found.pid != os.getpid():
            from pyagent_orch.engine.texts import TextDesk

            found = self._texts = TextDesk(self)
        return found

    @property
    def message(self) -> MessageTemplate:
        """The form of our Celery messages."""
        self.prepare()
        if self._message is None:  # pragma: no cover - prepare() has just made it
            raise AssertionError
        return self._message

    @cached_property
    def envelopes(self) -> Envelopes:
        """What makes the messages of claimed tasks."""
        return Envelopes(self.message)

    def prepare(self) -> None:
        """Make what the children of a fork need, so that each does not make it again."""
        if self._message is None:
            self._message = build_message_template(self.app)

    def warn_if_exposed(self) -> None:
        """Say loudly, once for each worker and beat, when Redis may be open to strangers."""
        if self.address.is_exposed:
            how = "is reached over a network, and PYAGENT_ORCH_REDIS_URL has no"
            logger.warning(_EXPOSED, self.address.label, how, _REMEDY)
        elif not self.address.is_socket:
            from pyagent_orch.store.inspect.access import open_door

            settings = self.settings
            door = open_door(
                self.address,
                connect_timeout=settings.connect_timeout_seconds,
                socket_timeout=settings.socket_timeout_seconds,
            )
            if door:
                logger.warning(_EXPOSED, self.address.label, f"serves {door} and wants no", _REMEDY)

    @property
    def store(self) -> Store:
        """The store; one for each process."""
        pid = os.getpid()
        found = self._store
        if found is not None and found[0] == pid:
            return found[1]
        # Two threads that come here at once make two stores; the last one stays, no harm.
        self._store = (pid, self.new_store())
        return self._store[1]

    def new_store(self) -> Store:
        """A store of its own for a thread that must not share; its caller closes it."""
        return Store(self.address, self.settings, self.message, KOMBU_SEPARATOR)

    def patiently(self, act: Callable[[], T], what: str) -> T:
        """Run an act, again and again while Redis is out of reach; see `patience`."""
        return patiently(act, what, lambda: self.abandoned)

    def close(self) -> None:
        """Close this process's connections. Idempotent."""
        if self._texts is not None:
            self._texts.stop()
            self._texts = None
        found, self._store = self._store, None
        if found is not None and found[0] == os.getpid():
            found[1].close()
        _end_subscriptions(self.app)


def _end_subscriptions(app: Celery) -> None:
    """Let go of what Celery's results listen to.

    A result that outlives its server, as in the embedded mode, would try for seconds to
    unsubscribe when it is collected, and then print a traceback.
    """
    # Not `app.backend`, which would make one.
    consumer = getattr(getattr(app, "_backend", None), "result_consumer", None)
    if consumer is not None:
        consumer.stop()
        consumer.subscribed_to.clear()


def runtime_of(app: Celery) -> Runtime:
    """The runtime of an app made by `create_app`."""
    runtime: Runtime = app.pyagent_orch
    return runtime
