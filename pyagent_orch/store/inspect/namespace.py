"""Looking at one namespace: its workers, queues, tasks, events and leftovers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import redis

from pyagent_orch.models.events import order_of
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.inspect.facts import (
    ExpirySample,
    GroupFacts,
    NamespaceFacts,
    QueueFacts,
    RunningFacts,
    WaitingAgent,
    WorkerFacts,
)
from pyagent_orch.store.keys import Keys

SAMPLE = 500
"""How many tasks of a queue, or of a state, are looked at: the oldest ones."""
EXPIRY_SAMPLE = 50
PRIORITIES = 10


def look_at_namespace(
    client: redis.Redis, keys: Keys, separator: str, record_ttl_seconds: float, label: str
) -> NamespaceFacts:
    """Collect the facts; a dozen round trips, whatever the size of the installation.

    Args:
        client: a client of the server.
        keys: of the namespace.
        separator: what kombu puts between a queue's name and a priority.
        record_ttl_seconds: how long records should stay.
        label: the server, for errors.

    Raises:
        OrchestratorConnectionError: Redis is out of reach or refuses.
    """
    with named_errors(label):
        look = _Look(client, keys, separator)
        workers = look.workers()
        running = look.running()
        return NamespaceFacts(
            workers=workers,
            queues=look.queues(workers),
            agents=look.agents(),
            running=running,
            counts={status: client.zcard(keys.status(status)) for status in TaskStatus},
            swept_seconds=look.swept(),
            overdue_seconds=look.overdue("delayed"),
            jobs=client.zcard(f"{keys.prefix}jobs"),
            jobs_to_come=client.zcard(keys.due_jobs),
            beats=look.beats(),
            overdue_job_seconds=look.overdue("jobs:due"),
            expiry=look.expiry(record_ttl_seconds),
            rejected=client.llen(f"{keys.prefix}rejected"),
            foreign_unacked=look.foreign_unacked(),
            events=client.xlen(keys.events),
            groups=look.groups(),
        )


class _Look:
    def __init__(self, client: redis.Redis, keys: Keys, separator: str) -> None:
        self._client, self._keys, self._separator = client, keys, separator
        seconds, micros = client.time()
        self._now_ms = int(seconds) * 1000 + int(micros) // 1000
        # Each "queue:priority" that has, or had, something in it.
        self._indices = sorted(map(str, client.smembers(f"{keys.prefix}queues")))

    def _age(self, milliseconds: float | str) -> float:
        return (self._now_ms - float(milliseconds)) / 1000

    def workers(self) -> list[WorkerFacts]:
        leases: Any = self._client.zrange(self._keys.workers, 0, -1, withscores=True)
        pipe = self._client.pipeline(transaction=False)
        for lease_id, _ in leases:
            pipe.hmget(self._keys.worker(lease_id), "name", "info", "seen", "clock")
        return [
            WorkerFacts(
                lease_id=lease_id,
                name=name or lease_id,
                info=json.loads(info or "{}"),
                lease_seconds=-self._age(until),
                seen_seconds=self._age(seen) if seen else None,
                clock_skew_seconds=_skew(clock, seen),
            )
            for (lease_id, until), (name, info, seen, clock) in zip(
                leases, pipe.execute(), strict=True
            )
        ]

    def queues(self, workers: Sequence[WorkerFacts]) -> list[QueueFacts]:
        names = {index.rpartition(":")[0] for index in self._indices}
        for worker in workers:
            served = worker.info.get("queues")
            names.update(map(str, served if isinstance(served, list) else ()))
        ordered = sorted(names)
        pipe = self._client.pipeline(transaction=False)
        for name in ordered:
            for priority in range(PRIORITIES):
                index = f"{self._keys.prefix}queued:{name}:{priority + 1}"
                suffix = f"{self._separator}{priority}" if priority else ""
                pipe.zcard(index)
                pipe.zrange(index, 0, 0, withscores=True)
                pipe.llen(f"{self._keys.celery_prefix}{name}{suffix}")
        replies = pipe.execute()
        found = []
        for place, name in enumerate(ordered):
            mine = replies[place * 3 * PRIORITIES : (place + 1) * 3 * PRIORITIES]
            oldest = [self._age(entries[0][1]) for entries in mine[1::3] if entries]
            found.append(
                QueueFacts(name, sum(mine[0::3]), sum(mine[2::3]), max(oldest, default=0.0))
            )
        return found

    def agents(self) -> list[WaitingAgent]:
        pipe = self._client.pipeline(transaction=False)
        for index in self._indices:
            pipe.zrange(f"{self._keys.prefix}queued:{index}", 0, SAMPLE - 1)
        queued = [
            (index.rpartition(":")[0], task_id)
            for index, ids in zip(self._indices, pipe.execute(), strict=True)
            for task_id in ids
        ]
        pipe = self._client.pipeline(transaction=False)
        for _, task_id in queued:
            pipe.hget(self._keys.task(task_id), "agent")
        needed = Counter(
            (queue, agent)
            for (queue, _), agent in zip(queued, pipe.execute(), strict=True)
            if agent
        )
        pipe = self._client.pipeline(transaction=False)
        for _, agent in needed:
            pipe.hget(f"{self._keys.prefix}agent:{agent}", "json")
        return [
            WaitingAgent(queue, text or "", count)
            for ((queue, _), count), text in zip(needed.items(), pipe.execute(), strict=True)
        ]

    def running(self) -> list[RunningFacts]:
        oldest: Any = self._client.zrange(
            self._keys.status(TaskStatus.RUNNING), 0, SAMPLE - 1, withscores=True
        )
        pipe = self._client.pipeline(transaction=False)
        for task_id, _ in oldest:
            pipe.hmget(self._keys.task(task_id), "name", "worker", "owner", "status")
        return [
            RunningFacts(task_id, name, worker or "", owner or "", self._age(moved))
            for (task_id, moved), (name, worker, owner, status) in zip(
                oldest, pipe.execute(), strict=True
            )
            if status == TaskStatus.RUNNING
        ]

    def swept(self) -> float | None:
        moment = self._client.get(f"{self._keys.prefix}swept")
        return self._age(str(moment)) if moment else None

    def beats(self) -> list[str]:
        living = self._client.zrangebyscore(self._keys.beats, self._now_ms, "+inf")
        return [str(name) for name in living]

    def overdue(self, name: str) -> float:
        first: Any = self._client.zrange(f"{self._keys.prefix}{name}", 0, 0, withscores=True)
        return max(0.0, self._age(first[0][1])) if first else 0.0

    def expiry(self, record_ttl_seconds: float) -> list[ExpirySample]:
        pipe = self._client.pipeline(transaction=False)
        # Those of a workflow expire with it: only single tasks tell by themselves.
        for status in (TaskStatus.COMPLETED, TaskStatus.FAILED):
            pipe.zrevrange(self._keys.status(status), 0, EXPIRY_SAMPLE - 1)
        ids = [task_id for page in pipe.execute() for task_id in page]
        pipe = self._client.pipeline(transaction=False)
        for task_id in ids:
            pipe.hmget(self._keys.task(task_id), "finished", "workflow")
            pipe.pttl(self._keys.task(task_id))
            pipe.pttl(self._keys.result(task_id))
        replies = pipe.execute()
        return [
            ExpirySample(
                id=task_id,
                expected_seconds=record_ttl_seconds - self._age(finished),
                record_seconds=_seconds(record),
                has_result=result != _NO_KEY,
                result_seconds=_seconds(result),
            )
            for task_id, (finished, workflow), record, result in zip(
                ids, replies[0::3], replies[1::3], replies[2::3], strict=True
            )
            if finished and not workflow
        ]

    def foreign_unacked(self) -> dict[tuple[str, str], int]:
        found: Counter[tuple[str, str]] = Counter()
        for _, text in self._client.hscan_iter(f"{self._keys.celery_prefix}unacked", count=SAMPLE):
            try:
                message, _, queue = json.loads(text)
                found[str(queue), str(message["headers"].get("task"))] += 1
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
            if found.total() >= SAMPLE:
                break
        return dict(found)

    def groups(self) -> list[GroupFacts]:
        events = self._keys.events
        if not self._client.exists(events):
            return []
        first: Any = self._client.xrange(events, count=1)
        oldest = order_of(first[0][0]) if first else (0, 0)
        return [
            GroupFacts(
                name=str(group["name"]),
                pending=int(group["pending"]),
                lag=None if group.get("lag") is None else int(group["lag"]),
                missed=self._has_missed(group, oldest),
            )
            for group in self._client.xinfo_groups(events)
        ]

    def _has_missed(self, group: Mapping[str, Any], oldest: tuple[int, int]) -> bool:
        """Whether entries were dropped that it had not read, as far as the counters tell."""
        position = order_of(str(group["last-delivered-id"]))
        if position >= oldest:
            return False
        # A group that has read nothing has no counter; one of an empty stream began at 0.
        read = group.get("entries-read") if position > (0, 0) else 0
        stream = self._client.xinfo_stream(self._keys.events)
        added = stream.get("entries-added")
        if read is None or added is None:
            return False
        return int(added) - int(stream["length"]) > int(read)


_NO_KEY = -2


def _seconds(milliseconds: int) -> float | None:
    return milliseconds / 1000 if milliseconds >= 0 else None


def _skew(clock: str | None, seen: str | None) -> float | None:
    if not clock or not seen:
        return None
    return datetime.fromisoformat(clock).timestamp() - int(seen) / 1000
