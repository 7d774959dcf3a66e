"""Tasks, as clients submit, read, list, cancel and requeue them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from pyagent_orch.exceptions import IllegalMoveError, TaskNotFoundError
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.acts import CLAIM_FIELDS, Acts
from pyagent_orch.store.clock import now_iso
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.keys import Keys
from pyagent_orch.store.newtasks import NewTask, UnknownAgentHashError, new_tasks
from pyagent_orch.store.runs import Claim

_PAGE = 500
"""How many records one round trip reads."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What the submit act said."""

    created_ms: int
    """When the records were written, by Redis' clock."""
    first_event: str
    """The id of the first event it wrote; empty when every task existed."""
    existing: Mapping[int, str]
    """Maps the place of a task in the batch to the id it has under the same key, or to
    an empty text when its id belongs to another task."""


class Records:
    """Calls on the records of a namespace. Safe to share between threads."""

    def __init__(self, client: redis.Redis, acts: Acts, keys: Keys, label: str) -> None:
        self._client, self._acts, self._keys, self._label = client, acts, keys, label

    def submit(self, tasks: Sequence[NewTask], agents: Mapping[str, str]) -> Submitted:
        """Record tasks and put them on their queues: one act, one round trip, all or nothing.

        Args:
            tasks: what to record.
            agents: maps the content hash of agents that the store may not know to their JSON.

        Raises:
            UnknownAgentHashError: a task's agent is neither known nor in `agents`.
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        args = new_tasks(agents, tasks)
        with named_errors(self._label):
            reply = self._acts.run("submit_v1", args)
        if reply[0] == "agent":
            raise UnknownAgentHashError(reply[1])
        pairs = reply[3:]
        existing = {int(pairs[i]) - 1: pairs[i + 1] for i in range(0, len(pairs), 2)}
        return Submitted(int(reply[1]), reply[2], existing)

    def get(self, task_id: str) -> TaskRecord:
        """Read one record.

        Raises:
            TaskNotFoundError: there is none.
        """
        record = self.get_many([task_id])[0]
        if record is None:
            raise TaskNotFoundError(task_id)
        return record

    def get_many(self, task_ids: Sequence[str]) -> list[TaskRecord | None]:
        """Read records; one round trip for each few hundred. None where there is no record."""
        records: list[TaskRecord | None] = []
        for start in range(0, len(task_ids), _PAGE):
            page = task_ids[start : start + _PAGE]
            pipe = self._client.pipeline(transaction=False)
            for task_id in page:
                pipe.hgetall(self._keys.task(task_id))
                pipe.get(self._keys.result(task_id))
            with named_errors(self._label):
                replies = pipe.execute()
            records += [
                self._read(task_id, replies[2 * i], replies[2 * i + 1])
                for i, task_id in enumerate(page)
            ]
        return records

    @staticmethod
    def _read(task_id: str, fields: dict[str, str], meta: str | None) -> TaskRecord | None:
        if "name" not in fields:
            return None
        output = None
        if meta is not None and fields["status"] == TaskStatus.COMPLETED:
            # The act writes the output last, see write_result in lib.lua.
            output = meta[meta.index(_RESULT) + len(_RESULT) : -1]
        return TaskRecord.from_fields(task_id, fields, output)

    def status(self, task_id: str) -> TaskStatus:
        """Read a task's state only.

        Raises:
            TaskNotFoundError: there is no record.
        """
        with named_errors(self._label):
            status = self._client.hget(self._keys.task(task_id), "status")
        if status is None:
            raise TaskNotFoundError(task_id)
        return TaskStatus(str(status))

    def running_claim(self, task_id: str) -> Claim | None:
        """The claim of a running task, rebuilt; None when it is not running."""
        wanted = ("status", "run", *CLAIM_FIELDS)
        values: Any = self._client.hmget(self._keys.task(task_id), *wanted)
        if values[0] != TaskStatus.RUNNING:
            return None
        return Claim(task_id, values[1], "", dict(zip(CLAIM_FIELDS, values[2:], strict=True)))

    def cancel(self, task_id: str, reason: str) -> bool:
        """Cancel a task; False when it was final already.

        Raises:
            TaskNotFoundError: there is no record.
        """
        with named_errors(self._label):
            reply = self._acts.run("cancel_v1", [task_id, reason, now_iso()])
        if reply[0] == "missing":
            raise TaskNotFoundError(task_id)
        return bool(reply[0] == "ok")

    def requeue(self, task_id: str) -> str | None:
        """Try a task again that failed, was cancelled or was skipped.

        Returns:
            The id of its workflow, when it has one: nothing was done, retry it there.

        Raises:
            TaskNotFoundError: there is no record.
            IllegalMoveError: it completed, or is not final.
        """
        with named_errors(self._label):
            reply = self._acts.run("requeue_v1", [task_id])
        if reply[0] == "missing":
            raise TaskNotFoundError(task_id)
        if reply[0] == "refused":
            raise IllegalMoveError(task_id, reply[1], "retry")
        if reply[0] == "gone":
            raise IllegalMoveError(task_id, "too old: its agent has expired", "retry")
        return str(reply[1]) if reply[0] == "workflow" else None

    def counts(self) -> dict[TaskStatus, int]:
        """How many tasks are in each state."""
        pipe = self._client.pipeline(transaction=False)
        for status in TaskStatus:
            pipe.zcard(self._keys.status(status))
        with named_errors(self._label):
            return dict(zip(TaskStatus, map(int, pipe.execute()), strict=True))

    def newest(
        self,
        statuses: Iterable[TaskStatus],
        *,
        name: str | None = None,
        metadata: Mapping[str, JSONValue] | None = None,
        limit: int,
        before: str | None = None,
    ) -> list[TaskRecord]:
        """List records, those that moved last first.

        Args:
            statuses: the states to look in.
            name: only tasks of this name.
            metadata: only tasks whose metadata has these items.
            limit: how many at the most, >= 1.
            before: the id of a task; only tasks that come after it in the list, for paging.
        """
        found: list[TaskRecord] = []
        ids: list[str] = []
        for task_id in self._ids(statuses, self._moved_ms(before) if before else None):
            ids.append(task_id)
            # Without a filter nothing more than the page is read.
            if len(ids) < (_PAGE if name or metadata else min(_PAGE, limit - len(found))):
                continue
            found += self._matching(ids, name, metadata)
            ids = []
            if len(found) >= limit:
                break
        else:
            found += self._matching(ids, name, metadata)
        return found[:limit]

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

    def _matching(
        self, ids: Sequence[str], name: str | None, metadata: Mapping[str, JSONValue] | None
    ) -> list[TaskRecord]:
        return [
            record
            for record in self.get_many(ids)
            if record is not None
            and (name is None or record.name == name)
            and all(
                key in record.metadata and record.metadata[key] == value
                for key, value in (metadata or {}).items()
            )
        ]

    def _ids(self, statuses: Iterable[TaskStatus], before_ms: int | None) -> Iterator[str]:
        """Merge the sorted sets of the states, newest first, a page at a time."""
        from heapq import merge

        def entries(status: TaskStatus) -> Iterator[tuple[float, str]]:
            start = 0
            highest = "+inf" if before_ms is None else f"({before_ms}"
            while True:
                with named_errors(self._label):
                    page: Any = self._client.zrevrangebyscore(
                        self._keys.status(status),
                        highest,
                        "-inf",
                        start=start,
                        num=_PAGE,
                        withscores=True,
                    )
                yield from ((-score, task_id) for task_id, score in page)
                if len(page) < _PAGE:
                    return
                start += _PAGE

        seen: set[str] = set()
        for _, task_id in merge(*map(entries, statuses)):
            # A task that moves while we read can stand in two of the sets.
            if task_id not in seen:
                seen.add(task_id)
                yield task_id


_RESULT = ',"result":'
