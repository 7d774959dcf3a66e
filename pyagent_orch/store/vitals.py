"""Signs of life of one process of a fleet, or of the server: what a health check asks.

Part of the room that knows redis. Knows nothing of Celery, and imports little: a health
check is a process of its own that starts every few seconds.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass

import redis

from pyagent_orch.config import Settings
from pyagent_orch.store.address import parse_address
from pyagent_orch.store.connection import connect, named_errors
from pyagent_orch.store.keys import Keys


@dataclass(frozen=True, slots=True)
class Sign:
    """What the record says of one process."""

    name: str
    """Celery's node name."""
    left_seconds: float
    """How long its lease is still good; negative: for how long it has not been."""
    pid: int | None = None
    """On its own host; None when the record does not say."""
    stalled_seconds: float = 0.0
    """For how long the loop that takes its messages has hung."""

    @property
    def is_alive(self) -> bool:
        """Whether its lease is good."""
        return self.left_seconds >= 0


class Vitals:
    """Calls that a health check makes; opens one connection for each, and closes it.

    Args:
        settings: with a `redis_url`.

    Raises:
        ConfigurationError: its `redis_url` is none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._address = parse_address(settings.redis_url or "")
        self._keys = Keys(settings.namespace)

    @property
    def label(self) -> str:
        """Where the server is, for people."""
        return self._address.label

    def workers(self) -> list[Sign]:
        """The workers that have a lease, or had one a moment ago.

        Raises:
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        with named_errors(self.label), closing(self._client()) as client:
            leases = self._leases(client, self._keys.workers)
            pipe = client.pipeline(transaction=False)
            for lease_id, _ in leases:
                pipe.hget(self._keys.worker(lease_id), "info")
            infos = pipe.execute()
        found = []
        for (lease_id, left), text in zip(leases, infos, strict=True):
            info = json.loads(text or "{}")
            stalled = info.get("stalled_seconds", 0.0)
            # A lease id is the node name, a colon and what makes it unique.
            found.append(Sign(lease_id.rpartition(":")[0], left, info.get("pid"), stalled))
        return found

    def beats(self) -> list[Sign]:
        """The beats that have looked for due jobs lately.

        Raises:
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        with named_errors(self.label), closing(self._client()) as client:
            leases = self._leases(client, self._keys.beats)
        found = []
        for name, left in leases:
            pid = name.partition("@")[0].rpartition("-")[2]
            found.append(Sign(name, left, int(pid) if pid.isdigit() else None))
        return found

    def write(self) -> None:
        """Make sure that the server answers, takes writes and knows our login.

        Raises:
            OrchestratorConnectionError: it does not.
        """
        with named_errors(self.label), closing(self._client()) as client:
            # It expires at once; what counts is that it was taken.
            client.set(f"{self._keys.prefix}health", "1", px=1)

    def _client(self) -> redis.Redis:
        return connect(
            self._address,
            connect_timeout=self._settings.connect_timeout_seconds,
            socket_timeout=self._settings.socket_timeout_seconds,
            retries=0,
        )

    def _leases(self, client: redis.Redis, key: str) -> list[tuple[str, float]]:
        pipe = client.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(key, 0, -1, withscores=True)
        (seconds, micros), leases = pipe.execute()
        now = int(seconds) * 1000 + int(micros) / 1000
        return [(str(name), (float(until) - now) / 1000) for name, until in leases]
