"""Lists of tasks and workflows: the sorted sets of the states, merged, filtered, a page at a time.

The times in the sets are those of the last move, by Redis' clock. A page begins where
the one before it ended, by time and id, so that its cost does not grow with its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import Any

import redis

from pyagent_orch.exceptions import ConfigurationError, TaskNotFoundError
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.connection import named_errors

PAGE = 500
"""How many ids, or records, one round trip reads."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a list: after this entry. As text it is what pages are asked for with."""

    moved_ms: int
    id: str

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read what `str` wrote.

        Raises:
            ConfigurationError: it is none.
        """
        moved, colon, name = text.partition(":")
        if not colon or not name or not moved.isdecimal() or len(moved) > _LONGEST_TIME:
            raise ConfigurationError("cursor", f"{ascii(text)[:80]} is not what a page ended with")
        return cls(int(moved), name)

    def __str__(self) -> str:
        return f"{self.moved_ms}:{self.id}"


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing found."""

    id: str
    workflow: str | None = None
    """The id of the workflow that the task is part of; told where records were looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a list."""

    items: list[Listed]
    next: Position | None
    """Where the next page begins; None at the end of the list."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of those in the states that are looked in."""

    name: str | None = None
    """Only those of this name."""
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    """Only those whose metadata has these items."""
    error: str | None = None
    """Only tasks whose last error is of this type."""
    since_ms: int | None = None
    """Only what moved at this time or later."""
    text: str = ""
    """Only those with this in their name or id; capitals or not."""
    alone: bool = False
    """Only tasks that are in no workflow."""

    @property
    def needs_records(self) -> bool:
        """Whether the sorted sets do not tell enough."""
        return bool(self.name is not None or self.metadata or self.error or self.text or self.alone)


class Listing:
    """Finds ids. Safe to share between threads.

    Args:
        client: a client of the server.
        states: maps a state to the key of its sorted set.
        record: gives the key of the record of an id.
        label: the server, for errors.
    """

    def __init__(
        self,
        client: redis.Redis,
        states: Mapping[str, str],
        record: Callable[[str], str],
        label: str,
    ) -> None:
        self._client, self._states, self._record, self._label = client, states, record, label

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
        after = self._position(before) if before else None
        return self.page(statuses, wanted, limit=limit, after=after, workflows=workflows).items

    def page(
        self,
        statuses: Iterable[str],
        wanted: Wanted,
        *,
        limit: int | None,
        after: Position | None = None,
        look_at: int | None = None,
        workflows: bool = False,
    ) -> Found:
        """Find a page of a list, those that moved last first.

        Args:
            statuses: the states to look in.
            wanted: which of them.
            limit: how many at the most, >= 1; None for all.
            after: where the page before this one ended.
            look_at: how many entries are looked at, at the most; a page may then be short, or
                empty, and yet have a next one. None: as many as it takes.
            workflows: whether to tell the workflow of each.
        """
        look = workflows or wanted.needs_records
        size = PAGE if limit is None or wanted.needs_records else min(PAGE, limit + 1)
        found: list[Listed] = []
        looked, last = 0, after
        entries = self._entries(statuses, wanted, after, size)
        while chunk := list(islice(entries, size)):
            ids = [entry.id for entry in chunk]
            fitting = self._matching(ids, wanted) if look else list(map(Listed, ids))
            room = None if limit is None else limit - len(found)
            found += fitting[:room]
            if room is not None and len(fitting) >= room:
                last = chunk[ids.index(found[-1].id)]
                more = last is not chunk[-1] or next(entries, None) is not None
                return Found(found, last if more else None)
            looked, last = looked + len(chunk), chunk[-1]
            if look_at is not None and looked >= look_at:
                return Found(found, last if next(entries, None) is not None else None)
        return Found(found, None)

    def now_ms(self) -> int:
        """The time by Redis' clock."""
        with named_errors(self._label):
            seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def _position(self, task_id: str) -> Position:
        """Where a task stands in the list."""
        pipe = self._client.pipeline(transaction=False)
        for key in self._states.values():
            pipe.zscore(key, task_id)
        with named_errors(self._label):
            scores = [score for score in pipe.execute() if score is not None]
        if not scores:
            raise TaskNotFoundError(task_id)
        return Position(int(max(scores)), task_id)

    def _matching(self, ids: Sequence[str], wanted: Wanted) -> list[Listed]:
        # Errors bring tracebacks along: nothing is read that nobody asked for.
        fields = ["name", "workflow"]
        fields += ["metadata"] if wanted.metadata else []
        fields += ["error"] if wanted.error else []
        pipe = self._client.pipeline(transaction=False)
        for task_id in ids:
            pipe.hmget(self._record(task_id), *fields)
        with named_errors(self._label):
            replies = pipe.execute()
        records = [dict(zip(fields, values, strict=True)) for values in replies]
        return [
            Listed(task_id, record["workflow"])
            for task_id, record in zip(ids, records, strict=True)
            if _fits(wanted, task_id, record)
        ]

    def _entries(
        self, statuses: Iterable[str], wanted: Wanted, after: Position | None, size: int
    ) -> Iterator[Position]:
        """Merge the sorted sets of the states, newest first; by id where times are equal."""
        lowest = "-inf" if wanted.since_ms is None else wanted.since_ms
        highest = "+inf" if after is None else after.moved_ms
        keys = [self._states[status] for status in statuses]

        def read(pipe: Any, key: str, start: int, num: int) -> Any:
            return pipe.zrevrangebyscore(
                key, highest, lowest, start=start, num=num, withscores=True
            )

        def entries(key: str, page: Any) -> Iterator[Position]:
            start, num = 0, size
            while True:
                yield from (Position(int(score), name) for name, score in page)
                if len(page) < num:
                    return
                start, num = start + num, PAGE
                with named_errors(self._label):
                    page = read(self._client, key, start, num)

        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            read(pipe, key, 0, size)
        with named_errors(self._label):
            pages = pipe.execute()
        seen: set[str] = set()
        for entry in merge(*map(entries, keys, pages), reverse=True):
            # A task that moves while we read can stand in two of the sets.
            if entry.id not in seen and (after is None or entry < after):
                seen.add(entry.id)
                yield entry


_LONGEST_TIME = 15


def _fits(wanted: Wanted, name: str, record: Mapping[str, str | None]) -> bool:
    # A record without a name has expired.
    if record["name"] is None or wanted.name not in (None, record["name"]):
        return False
    if wanted.alone and record["workflow"]:
        return False
    text = wanted.text.casefold()
    if text not in record["name"].casefold() and text not in name.casefold():
        return False
    if wanted.error is not None:
        error = record["error"]
        if not error or json.loads(error)["type"] != wanted.error:
            return False
    items = json.loads(record["metadata"] or "{}") if wanted.metadata else {}
    return all(key in items and items[key] == value for key, value in wanted.metadata.items())
