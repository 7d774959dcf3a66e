"""Workers and their leases, and how long the queues are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from pyagent_orch.models.values import JSONValue
from pyagent_orch.store.acts import Acts
from pyagent_orch.store.clock import now_iso
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.keys import Keys


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a heartbeat brought back."""

    next_due: float | None
    """Seconds until the next delayed task; None when there is none."""
    cancelled: tuple[str, ...]
    """Ids of tasks that this worker runs and should stop."""
    running: tuple[str, ...]
    """Ids of tasks that, by their records, this worker runs."""
    holding: tuple[str, ...]
    """Tags of other messages than ours that its lease holds."""


@dataclass(frozen=True, slots=True)
class QueueLength:
    """What waits in a queue."""

    name: str
    waiting: int
    """How many tasks are queued, those that a worker has fetched and not started among them."""
    oldest_seconds: float | None
    """For how long the first of them has waited; None when there is none."""
    workers: tuple[str, ...]
    """The living workers that serve it."""


class Fleet:
    """Calls about workers. Safe to share between threads."""

    def __init__(self, client: redis.Redis, acts: Acts, keys: Keys, label: str) -> None:
        self._client, self._acts, self._keys, self._label = client, acts, keys, label

    def heartbeat(self, lease_id: str, name: str, info: str, held: Sequence[str]) -> Pulse:
        """Renew a worker's lease and do what is due for the fleet.

        Args:
            lease_id: unique for each start of a worker.
            name: Celery's node name.
            info: what the worker is, JSON.
            held: ids of tasks taken from queues and not started.
        """
        reply = self._acts.run("heartbeat_v1", [lease_id, name, info, now_iso(), len(held), *held])
        next_due = int(reply[0]) / 1000 if reply[0] else None
        return Pulse(next_due, *map(tuple, reply[1:]))

    def leave(self, lease_id: str, name: str, held: Sequence[str]) -> int:
        """End a worker's lease and give back what it holds.

        Returns:
            How many running tasks went back to their queues.
        """
        return int(self._acts.run("leave_v1", [lease_id, name, *held]))

    def workers(self) -> dict[str, dict[str, JSONValue]]:
        """The workers that hold a lease: name to what they say of themselves.

        Raises:
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        with named_errors(self._label):
            leases = [str(lease) for lease in self._client.zrange(self._keys.workers, 0, -1)]
            pipe = self._client.pipeline(transaction=False)
            for lease in leases:
                pipe.hmget(self._keys.worker(lease), "name", "info")
            found = pipe.execute()
        return {name: json.loads(info) for name, info in found if name}

    def queues(self) -> list[QueueLength]:
        """The queues that have, or had, something in them, and those that workers serve.

        Raises:
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        serving: dict[str, list[str]] = {}
        for worker, info in self.workers().items():
            served = info.get("queues")
            for queue in served if isinstance(served, list) else ():
                serving.setdefault(str(queue), []).append(worker)
        with named_errors(self._label):
            indices = sorted(map(str, self._client.smembers(self._keys.prefix + "queues")))
            pipe = self._client.pipeline(transaction=False)
            pipe.time()
            for index in indices:
                pipe.zcard(f"{self._keys.prefix}queued:{index}")
                pipe.zrange(f"{self._keys.prefix}queued:{index}", 0, 0, withscores=True)
            (seconds, micros), *replies = pipe.execute()
        now = int(seconds) + int(micros) / 1_000_000
        waiting = dict.fromkeys(serving, 0)
        oldest: dict[str, float] = {}
        for place, index in enumerate(indices):
            queue = index.rpartition(":")[0]
            waiting[queue] = waiting.get(queue, 0) + int(replies[2 * place])
            for _, queued in replies[2 * place + 1]:
                oldest[queue] = max(oldest.get(queue, 0.0), now - queued / 1000)
        return [
            QueueLength(name, waiting[name], oldest.get(name), tuple(sorted(serving.get(name, ()))))
            for name in sorted(waiting)
        ]

    def known_agents(self) -> frozenset[str] | None:
        """Names of the agents that living workers have registered; None without any worker."""
        workers = self.workers().values()
        if not workers:
            return None
        names: set[str] = set()
        for worker in workers:
            agents = worker.get("agents")
            names.update(map(str, agents if isinstance(agents, list) else ()))
        return frozenset(names)
