"""What operators watch of a namespace, read in four round trips whatever is stored in it.

Store layer. Counters come from the hash that the acts keep, all else from the sizes
and the first entries of indexes; no record of a task is read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from pyagent_orch.states import TaskStatus, WorkflowStatus
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.counters import Counters
from pyagent_orch.store.keys import Keys

SERVED_PRIORITY = 5
"""A queue that a worker serves has a reading for this priority, also when it is empty."""


@dataclass(frozen=True, slots=True)
class QueueReading:
    """One priority of one queue."""

    queue: str
    priority: int
    """1 to 10; 1 is the highest."""
    depth: int
    """Tasks that wait for a worker."""
    oldest_seconds: float
    """How long the oldest of them has waited; 0 when none does."""


@dataclass(frozen=True, slots=True)
class GroupReading:
    """The processes of one durable handler."""

    name: str
    lag: int | None
    """Events that it was not given yet; None when the server cannot tell."""
    pending: int
    """Events that it was given and has not acknowledged."""


@dataclass(frozen=True, slots=True)
class Measures:
    """A namespace at one moment. Frozen; plain values."""

    namespace: str
    seconds: float
    """How long the reading took."""
    counters: Counters
    tasks: Mapping[TaskStatus, int]
    """Records in each state."""
    workflows: Mapping[WorkflowStatus, int]
    queues: Sequence[QueueReading] = ()
    workers: int = 0
    """Workers with a good lease."""
    slots: int = 0
    """How many tasks they can run at once, together."""
    delayed: int = 0
    delayed_overdue_seconds: float = 0.0
    """How long the first delayed task should have been queued already; 0 when none."""
    jobs: int = 0
    job_overdue_seconds: float = 0.0
    """How long the first due job has been due; 0 when none is."""
    swept_seconds: float | None = None
    """How long ago a worker last looked for lost work; None: never."""
    rejected: int = 0
    """Messages that were put aside."""
    events: int = 0
    """Events written, those that have left the stream included."""
    groups: Sequence[GroupReading] = field(default=())


def take_measures(client: redis.Redis, keys: Keys, label: str) -> Measures:
    """Read everything.

    Args:
        client: a client of the server.
        keys: of the namespace.
        label: the server, for errors.

    Raises:
        OrchestratorConnectionError: Redis is out of reach or refuses.
    """
    began = time.perf_counter()
    with named_errors(label):
        sizes, now_ms = _sizes(client, keys), _now_ms(client)
        living = [lease for lease, ends in sizes["workers"] if float(ends) >= now_ms]
        queues, slots = _queues(client, keys, sorted(sizes["queues"]), living, now_ms)
        events, groups = _events(client, keys, exists=bool(sizes["events"]))
    return Measures(
        namespace=keys.namespace,
        seconds=time.perf_counter() - began,
        counters=Counters.from_fields(sizes["counters"]),
        tasks=dict(zip(TaskStatus, sizes["tasks"], strict=True)),
        workflows=dict(zip(WorkflowStatus, sizes["workflows"], strict=True)),
        queues=queues,
        workers=len(living),
        slots=slots,
        delayed=sizes["delayed"],
        delayed_overdue_seconds=_overdue(sizes["first delayed"], now_ms),
        jobs=sizes["jobs"],
        job_overdue_seconds=_overdue(sizes["first job"], now_ms),
        swept_seconds=(now_ms - float(sizes["swept"])) / 1000 if sizes["swept"] else None,
        rejected=sizes["rejected"],
        events=events,
        groups=groups,
    )


def _now_ms(client: redis.Redis) -> float:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) / 1000


def _sizes(client: redis.Redis, keys: Keys) -> dict[str, Any]:
    """All that needs no other answer first."""
    pipe = client.pipeline(transaction=False)
    pipe.hgetall(keys.metrics)
    for status in TaskStatus:
        pipe.zcard(keys.status(status))
    for workflow_status in WorkflowStatus:
        pipe.zcard(keys.workflow_status(workflow_status))
    pipe.smembers(f"{keys.prefix}queues")
    pipe.zrange(keys.workers, 0, -1, withscores=True)
    pipe.zcard(keys.delayed)
    pipe.zrange(keys.delayed, 0, 0, withscores=True)
    pipe.zcard(keys.jobs)
    pipe.zrange(keys.due_jobs, 0, 0, withscores=True)
    pipe.get(f"{keys.prefix}swept")
    pipe.llen(keys.rejected)
    pipe.exists(keys.events)
    counters, *rest = pipe.execute()
    tasks, rest = rest[: len(TaskStatus)], rest[len(TaskStatus) :]
    workflows, rest = rest[: len(WorkflowStatus)], rest[len(WorkflowStatus) :]
    names = ("queues", "workers", "delayed", "first delayed", "jobs", "first job", "swept")
    sizes = dict(zip((*names, "rejected", "events"), rest, strict=True))
    return {"counters": counters, "tasks": tasks, "workflows": workflows, **sizes}


def _queues(
    client: redis.Redis, keys: Keys, entries: Sequence[str], living: Sequence[str], now_ms: float
) -> tuple[list[QueueReading], int]:
    """The queues that have something in them or are served, and the workers' slots."""
    pipe = client.pipeline(transaction=False)
    for entry in entries:
        pipe.zcard(f"{keys.prefix}queued:{entry}")
        pipe.zrange(f"{keys.prefix}queued:{entry}", 0, 0, withscores=True)
    for lease in living:
        pipe.hget(keys.worker(lease), "info")
    replies = pipe.execute()
    found = []
    for place, entry in enumerate(entries):
        queue, _, priority = entry.rpartition(":")
        depth, first = replies[2 * place : 2 * place + 2]
        oldest = max(0.0, (now_ms - first[0][1]) / 1000) if first else 0.0
        found.append(QueueReading(queue, int(priority), depth, oldest))
    served: set[str] = set()
    slots = 0
    for info in replies[2 * len(entries) :]:
        told = json.loads(info or "{}")
        served.update(map(str, told.get("queues") or ()))
        slots += int(told.get("concurrency") or 0)
    return _with_empty(found, served), slots


def _with_empty(readings: Iterable[QueueReading], served: set[str]) -> list[QueueReading]:
    by_place = {(one.queue, one.priority): one for one in readings}
    for queue in served:
        place = (queue, SERVED_PRIORITY)
        by_place.setdefault(place, QueueReading(*place, depth=0, oldest_seconds=0.0))
    return [by_place[place] for place in sorted(by_place)]


def _overdue(first: Sequence[tuple[str, float]], now_ms: float) -> float:
    return max(0.0, (now_ms - first[0][1]) / 1000) if first else 0.0


def _events(client: redis.Redis, keys: Keys, *, exists: bool) -> tuple[int, list[GroupReading]]:
    if not exists:
        return 0, []
    pipe = client.pipeline(transaction=False)
    pipe.xinfo_stream(keys.events)
    pipe.xinfo_groups(keys.events)
    stream, groups = pipe.execute()
    return int(stream.get("entries-added", stream["length"])), [
        GroupReading(
            str(group["name"]),
            None if group.get("lag") is None else int(group["lag"]),
            int(group["pending"]),
        )
        for group in groups
    ]
