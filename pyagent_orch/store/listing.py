"""Lists of tasks: the sorted sets of the states, merged, filtered and read a page at a time.

The times in the sets are those of a task's last move, by Redis' clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from typing import Any

import redis

from pyagent_orch.exceptions import TaskNotFoundError
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.keys import Keys

PAGE = 500
"""How many ids, or records, one round trip reads."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A task that a listing found."""

    id: str
    workflow: str | None = None
    """The id of the workflow that it is part of; told where records were looked at."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks of the states that are looked in."""

    name: str | None = None
    """Only tasks of this name."""
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    """Only tasks whose metadata has these items."""
    error: str | None = None
    """Only tasks whose last error is of this type."""
    since_ms: int | None = None
    """Only tasks that moved at this time or later."""

    @property
    def needs_records(self) -> bool:
        """Whether the sorted sets do not tell enough."""
        return bool(self.name is not None or self.metadata or self.error)


class Listing:
    """Finds ids of tasks. Safe to share between threads."""

    def __init__(self, client: redis.Redis, keys: Keys, label: str) -> None:
        self._client, self._keys, self._label = client, keys, label

    def find(
        self,
        statuses: Iterable[TaskStatus],
        wanted: Wanted,
        *,
        limit: int | None,
        before: str | None = None,
        workflows: bool = False,
    ) -> list[Listed]:
        """Find tasks, those that moved last first.

        Args:
            statuses: the states to look in.
            wanted: which of them.
            limit: how many at the most, >= 1; None for all. No more is read than it takes.
            before: the id of a task; only tasks that come after it in the list, for paging.
            workflows: whether to tell the workflow of each.

        Raises:
            TaskNotFoundError: there is no task `before`.
        """
        look = workflows or wanted.needs_records
        found: list[Listed] = []
        page: list[str] = []
        for task_id in self._ids(statuses, wanted, self._moved_ms(before) if before else None):
            page.append(task_id)
            if len(page) < PAGE and (
                limit is None or wanted.needs_records or len(found) + len(page) < limit
            ):
                continue
            found += self._matching(page, wanted) if look else map(Listed, page)
            page = []
            if limit is not None and len(found) >= limit:
                return found[:limit]
        found += self._matching(page, wanted) if look else map(Listed, page)
        return found[:limit]

    def now_ms(self) -> int:
        """The time by Redis' clock."""
        with named_errors(self._label):
            seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def _moved_ms(self, task_id: str) -> int:
        """When a task's state last changed."""
        pipe = self._client.pipeline(transaction=False)
        for status in TaskStatus:
            pipe.zscore(self._keys.status(status), task_id)
        with named_errors(self._label):
            scores = [score for score in pipe.execute() if score is not None]
        if not scores:
            raise TaskNotFoundError(task_id)
        return int(max(scores))

    def _matching(self, ids: Sequence[str], wanted: Wanted) -> list[Listed]:
        # Errors bring tracebacks along: nothing is read that nobody asked for.
        fields = ["name", "workflow"]
        fields += ["metadata"] if wanted.metadata else []
        fields += ["error"] if wanted.error else []
        pipe = self._client.pipeline(transaction=False)
        for task_id in ids:
            pipe.hmget(self._keys.task(task_id), *fields)
        with named_errors(self._label):
            replies = pipe.execute()
        records = [dict(zip(fields, values, strict=True)) for values in replies]
        return [
            Listed(task_id, record["workflow"])
            for task_id, record in zip(ids, records, strict=True)
            if _fits(wanted, record)
        ]

    def _ids(
        self, statuses: Iterable[TaskStatus], wanted: Wanted, before_ms: int | None
    ) -> Iterator[str]:
        """Merge the sorted sets of the states, newest first, a page at a time."""
        lowest = "-inf" if wanted.since_ms is None else wanted.since_ms
        highest = "+inf" if before_ms is None else f"({before_ms}"

        def entries(status: TaskStatus) -> Iterator[tuple[float, str]]:
            start = 0
            while True:
                with named_errors(self._label):
                    page: Any = self._client.zrevrangebyscore(
                        self._keys.status(status),
                        highest,
                        lowest,
                        start=start,
                        num=PAGE,
                        withscores=True,
                    )
                yield from ((-score, task_id) for task_id, score in page)
                if len(page) < PAGE:
                    return
                start += PAGE

        seen: set[str] = set()
        for _, task_id in merge(*map(entries, statuses)):
            # A task that moves while we read can stand in two of the sets.
            if task_id not in seen:
                seen.add(task_id)
                yield task_id


def _fits(wanted: Wanted, record: Mapping[str, str | None]) -> bool:
    # A record without a name has expired.
    if record["name"] is None or wanted.name not in (None, record["name"]):
        return False
    if wanted.error is not None:
        error = record["error"]
        if not error or json.loads(error)["type"] != wanted.error:
            return False
    items = json.loads(record["metadata"] or "{}") if wanted.metadata else {}
    return all(key in items and items[key] == value for key, value in wanted.metadata.items())
