"""Who works on what at this moment, in two round trips whatever is stored.

Store layer. Reads leases and the tasks that run, a few fields of each; no input, no output.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import redis

from pyagent_orch.states import TaskStatus
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.keys import Keys


@dataclass(frozen=True, slots=True)
class WorkerActivity:
    """A worker with a good lease."""

    name: str
    pool: str
    slots: int
    """How many tasks it can run at once."""
    busy: int
    """How many it runs."""
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task that a worker has."""

    id: str
    name: str
    worker: str
    attempt: int
    seconds: float
    """For how long."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What happens in a namespace at one moment."""

    workers: Sequence[WorkerActivity]
    """By name."""
    running: Sequence[RunningTask]
    """Those that have run for the longest, first."""


def look_at_activity(client: redis.Redis, keys: Keys, label: str, limit: int) -> Activity:
    """Read it.

    Args:
        client: a client of the server.
        keys: of the namespace.
        label: the server, for errors.
        limit: how many running tasks to tell at the most.

    Raises:
        OrchestratorConnectionError: Redis is out of reach or refuses.
    """
    with named_errors(label):
        pipe = client.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(keys.workers, 0, -1, withscores=True)
        # Nothing moves within this state: the score is when a task began.
        running_index = keys.status(TaskStatus.RUNNING)
        pipe.zrangebyscore(running_index, "-inf", "+inf", start=0, num=limit, withscores=True)
        (seconds, micros), leases, running = pipe.execute()
        now = int(seconds) * 1000 + int(micros) / 1000
        living = [str(lease) for lease, ends in leases if float(ends) >= now]
        pipe = client.pipeline(transaction=False)
        for lease in living:
            pipe.hmget(keys.worker(lease), "name", "info")
            pipe.scard(f"{keys.prefix}running:{lease}")
        for task_id, _ in running:
            pipe.hmget(keys.task(task_id), "name", "worker", "attempts")
        replies = pipe.execute()
    count = 2 * len(living)
    workers = [
        _worker(replies[place], int(replies[place + 1]))
        for place in range(0, count, 2)
        if replies[place][0]
    ]
    tasks = [
        RunningTask(
            str(task_id), name, worker or "", int(attempts or 1), max(0.0, (now - began) / 1000)
        )
        for (task_id, began), (name, worker, attempts) in zip(running, replies[count:], strict=True)
        # It may have expired in between.
        if name is not None
    ]
    return Activity(sorted(workers, key=lambda one: one.name), tasks)


def _worker(fields: Sequence[str], busy: int) -> WorkerActivity:
    name, info = fields
    told = json.loads(info or "{}")
    queues = tuple(map(str, told.get("queues") or ()))
    return WorkerActivity(
        name, str(told.get("pool", "")), int(told.get("concurrency") or 0), busy, queues
    )
