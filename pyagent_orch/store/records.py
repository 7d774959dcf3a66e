"""Tasks, as clients submit, read, list, cancel and requeue them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import redis

from pyagent_orch.exceptions import IllegalMoveError, TaskNotFoundError
from pyagent_orch.models.records import SUMMARY_FIELDS, TaskRecord
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.acts import CLAIM_FIELDS, Acts
from pyagent_orch.store.clock import now_iso
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.keys import Keys
from pyagent_orch.store.listing import PAGE, Listing, Wanted
from pyagent_orch.store.newtasks import NewTask, UnknownAgentHashError, new_tasks
from pyagent_orch.store.runs import Claim


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
        return self.begin_submit(tasks, agents)()

    def begin_submit(
        self, tasks: Sequence[NewTask], agents: Mapping[str, str]
    ) -> Callable[[], Submitted]:
        """Send what `submit` sends, and do not wait for the answer.

        Returns:
            Reads the answer; raises what `submit` raises.
        """
        args = new_tasks(agents, tasks)
        with named_errors(self._label):
            return partial(self._submitted, self._acts.begin("submit_v1", args))

    def _submitted(self, read: Callable[[], Any]) -> Submitted:
        with named_errors(self._label):
            reply = read()
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
        for start in range(0, len(task_ids), PAGE):
            page = task_ids[start : start + PAGE]
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
        found = self.listing.find(
            statuses, Wanted(name=name, metadata=metadata or {}), limit=limit, before=before
        )
        return self.found([one.id for one in found])

    @cached_property
    def listing(self) -> Listing:
        """Finds the ids of tasks by their states and by what is recorded of them."""
        states = {status.value: self._keys.status(status) for status in TaskStatus}
        return Listing(self._client, states, self._keys.task, self._label)

    def summaries(self, task_ids: Sequence[str]) -> list[TaskRecord]:
        """Read records without inputs and outputs, which may be large; less what has expired."""
        records: list[TaskRecord] = []
        for start in range(0, len(task_ids), PAGE):
            page = task_ids[start : start + PAGE]
            pipe = self._client.pipeline(transaction=False)
            for task_id in page:
                pipe.hmget(self._keys.task(task_id), *SUMMARY_FIELDS)
            with named_errors(self._label):
                replies = pipe.execute()
            for task_id, values in zip(page, replies, strict=True):
                fields = dict(zip(SUMMARY_FIELDS, values, strict=True))
                if fields["name"] is not None:
                    present = {name: text for name, text in fields.items() if text is not None}
                    records.append(TaskRecord.from_fields(task_id, present, None))
        return records

    def found(self, task_ids: Sequence[str]) -> list[TaskRecord]:
        """Read what a listing found, less what has expired since."""
        return [record for record in self.get_many(task_ids) if record is not None]


_RESULT = ',"result":'
