"""The store of one namespace: one client, and the parts that share it."""

from __future__ import annotations

import os
import threading
from functools import cached_property
from typing import TYPE_CHECKING

import redis

from pyagent_orch.config import Settings
from pyagent_orch.store.acts import ActConstants, Acts, MessageTemplate
from pyagent_orch.store.address import Address
from pyagent_orch.store.connection import BlockingClient, connect, named_errors
from pyagent_orch.store.events import EventLog
from pyagent_orch.store.fleet import Fleet
from pyagent_orch.store.keys import Keys
from pyagent_orch.store.queues import Queues
from pyagent_orch.store.records import Records
from pyagent_orch.store.runs import Runs
from pyagent_orch.store.workflows import Workflows

if TYPE_CHECKING:
    from pyagent_orch.store.activity import Activity
    from pyagent_orch.store.inspect import NamespaceFacts, ServerFacts
    from pyagent_orch.store.measures import Measures
    from pyagent_orch.store.schedules import Schedules
    from pyagent_orch.store.snapshots import Snapshots
    from pyagent_orch.store.texts import Texts

HARD_LIMIT_GRACE_SECONDS = 5
"""How long code may go on after Celery's soft limit before its process is ended."""


def delivery_limits(timeout: str | None) -> list[float | None]:
    """Celery's hard and soft time limit of a task, as `delivery` in lib.lua writes them."""
    if not timeout:
        return [None, None]
    return [float(timeout) + HARD_LIMIT_GRACE_SECONDS, float(timeout)]


class Store:
    """Everything that Redis remembers of a namespace.

    Safe to share between threads and, since redis-py opens connections anew in
    each process, across a fork. Whoever creates it closes it.

    Args:
        address: where Redis is.
        settings: time-outs, namespace, lease and expiry.
        message: the Celery message with gaps; made by the engine.
        separator: what kombu puts between a queue's name and a priority.
    """

    def __init__(
        self, address: Address, settings: Settings, message: MessageTemplate, separator: str
    ) -> None:
        self.address = address
        self.keys = Keys(settings.namespace)
        self._settings = settings
        self._constants = ActConstants(
            message=message,
            record_ttl=settings.record_ttl_seconds * 1000,
            events_max_length=settings.events_max_length,
            lease=int(settings.lease_seconds * 1000),
            sweep=int(settings.heartbeat_seconds * 1000),
            # Two heartbeats of everybody lie between a suspicion and a new push.
            suspect=int(settings.heartbeat_seconds * 2500),
            max_worker_losses=settings.max_worker_losses,
            hard_limit_grace_seconds=HARD_LIMIT_GRACE_SECONDS,
            separator=separator,
        )

    @cached_property
    def client(self) -> redis.Redis:
        """The client for quick calls."""
        return connect(
            self.address,
            connect_timeout=self._settings.connect_timeout_seconds,
            socket_timeout=self._settings.socket_timeout_seconds,
        )

    @cached_property
    def acts(self) -> Acts:
        """The Lua acts."""
        return Acts(self.client, (self.keys.prefix, self.keys.celery_prefix), self._constants)

    @cached_property
    def records(self) -> Records:
        """Tasks, as clients submit, read and cancel them."""
        return Records(self.client, self.acts, self.keys, self.address.label)

    @cached_property
    def workflows(self) -> Workflows:
        """Workflows, as clients submit, read and cancel them."""
        return Workflows(self.client, self.acts, self.keys, self.address.label)

    @cached_property
    def schedules(self) -> Schedules:
        """Scheduled jobs, as clients write them and tickers fire them."""
        from pyagent_orch.store.schedules import Schedules

        return Schedules(self.client, self.acts, self.keys, self.address.label)

    @cached_property
    def snapshots(self) -> Snapshots:
        """Records as stored, for a state file."""
        from pyagent_orch.store.snapshots import Snapshots

        return Snapshots(self.client, self.acts, self.keys, self.address.label)

    @cached_property
    def runs(self) -> Runs:
        """Runs of tasks, as workers claim and finish them."""
        return Runs(self.acts)

    @cached_property
    def queues(self) -> Queues:
        """Queues, as a worker's consumer takes from them."""
        return Queues(self.acts)

    @cached_property
    def fleet(self) -> Fleet:
        """Workers, their leases, and the queues."""
        return Fleet(self.client, self.acts, self.keys, self.address.label)

    @cached_property
    def events(self) -> EventLog:
        """The event stream."""
        return EventLog(
            self.client, self.keys, self._settings.events_max_length, self.address.label
        )

    @cached_property
    def texts(self) -> Texts:
        """Text of running tasks."""
        from pyagent_orch.store.texts import Texts

        return Texts(self.client, self.acts, self.keys, self.address.label)

    def inspect_server(self) -> ServerFacts:
        """What the server is, for the doctor; see `store.inspect`.

        Raises:
            OrchestratorConnectionError: Redis is out of reach, or refuses the login.
        """
        from pyagent_orch.store.inspect import look_at_server

        return look_at_server(self.client, self.address.label, self.keys, self._settings.queue)

    def measure(self) -> Measures:
        """What operators watch of the namespace; its cost does not grow with what is stored.

        Raises:
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        from pyagent_orch.store.measures import take_measures

        return take_measures(self.client, self.keys, self.address.label)

    def activity(self, limit: int) -> Activity:
        """Who works on what at this moment; its cost does not grow with what is stored.

        Args:
            limit: how many running tasks to tell at the most.

        Raises:
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        from pyagent_orch.store.activity import look_at_activity

        return look_at_activity(self.client, self.keys, self.address.label, limit)

    def inspect_namespace(self) -> NamespaceFacts:
        """What is in the namespace, for the doctor; see `store.inspect`.

        Raises:
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        from pyagent_orch.store.inspect import look_at_namespace

        return look_at_namespace(
            self.client,
            self.keys,
            self._constants.separator,
            self._settings.record_ttl_seconds,
            self.address.label,
        )

    def ping(self) -> None:
        """Make sure that Redis answers.

        Raises:
            OrchestratorConnectionError: it does not.
        """
        with named_errors(self.address.label):
            self.client.ping()

    def blocking_client(self) -> BlockingClient:
        """A connection of its own for reads that block; its caller closes it."""
        client = connect(
            self.address,
            connect_timeout=self._settings.connect_timeout_seconds,
            # A read blocks for BLOCK_MS at the most; longer silence is a dead server.
            socket_timeout=self._settings.socket_timeout_seconds + EventLog.BLOCK_MS / 1000,
            # The reader has to know that it lost its place.
            retries=0,
        )
        return BlockingClient(client, self.client)

    def close(self) -> None:
        """Give the connections back; the store can be used again afterwards. Idempotent."""
        client = self.__dict__.pop("client", None)
        if "acts" in self.__dict__:
            self.acts.close()
        for part in (
            "acts",
            "queues",
            "records",
            "workflows",
            "schedules",
            "snapshots",
            "runs",
            "fleet",
            "events",
            "texts",
        ):
            self.__dict__.pop(part, None)
        if client is not None:
            client.close()


def _after_fork_in_child() -> None:
    """Free the locks of the parts: another thread may have been making one.

    Until Python 3.11 a cached property has a lock for all objects of its class. A worker's
    keeper makes its store while `worker -B` forks beat, which would wait for ever.
    """
    for part in vars(Store).values():
        if isinstance(part, cached_property) and hasattr(part, "lock"):
            part.lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_after_fork_in_child)
