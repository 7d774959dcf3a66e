"""Workflows, as clients submit, read, cancel and retry them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import redis

from pyagent_orch.exceptions import (
    DuplicateTaskError,
    IllegalMoveError,
    WorkflowExistsError,
    WorkflowNotFoundError,
)
from pyagent_orch.states import WorkflowStatus
from pyagent_orch.store.acts import Acts
from pyagent_orch.store.clock import now_iso
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.keys import Keys
from pyagent_orch.store.listing import Listing, Wanted
from pyagent_orch.store.newtasks import NewTask, UnknownAgentHashError, new_tasks
from pyagent_orch.workflows import WorkflowRecord
from pyagent_orch.workflows.record import WORKFLOW_FIELDS


@dataclass(frozen=True, slots=True)
class NewWorkflow:
    """A workflow on its way into the store."""

    id: str
    fields: Mapping[str, str]
    """What its record begins with; `name` among them, and a `token` that no other submit has."""
    tasks: Sequence[NewTask]
    deadline_ms: int = 0
    """Milliseconds for the whole; 0 for no limit."""
    agents: Mapping[str, str] = field(default_factory=dict)
    """Maps the content hash of every agent of its tasks to its JSON."""


class Workflows:
    """Calls on the workflows of a namespace. Safe to share between threads."""

    def __init__(self, client: redis.Redis, acts: Acts, keys: Keys, label: str) -> None:
        self._client, self._acts, self._keys, self._label = client, acts, keys, label

    def submit(self, workflow: NewWorkflow) -> int:
        """Record a workflow with all its tasks and start what can start: one act.

        Returns:
            When it was recorded, by Redis' clock, ms.

        Raises:
            WorkflowExistsError: a workflow has this id already; nothing is written.
            DuplicateTaskError: one of its task ids is taken; nothing is written.
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        args = new_tasks(workflow.agents, workflow.tasks)
        args += (workflow.id, workflow.deadline_ms, 2 * len(workflow.fields))
        for pair in workflow.fields.items():
            args += pair
        with named_errors(self._label):
            reply = self._acts.run("submit_workflow_v1", args)
        if reply[0] == "exists":
            raise WorkflowExistsError(workflow.id, reply[1])
        if reply[0] == "taken":
            raise DuplicateTaskError(
                workflow.fields["name"], f"its task id {reply[1]!r} belongs to another task"
            )
        if reply[0] == "agent":
            raise UnknownAgentHashError(reply[1])
        return int(reply[1])

    def get(self, workflow_id: str) -> WorkflowRecord:
        """Read one record.

        Raises:
            WorkflowNotFoundError: there is none.
        """
        record = self.get_many([workflow_id])[0]
        if record is None:
            raise WorkflowNotFoundError(workflow_id)
        return record

    def get_many(self, workflow_ids: Sequence[str]) -> list[WorkflowRecord | None]:
        """Read records in one round trip; None where there is no record."""
        pipe = self._client.pipeline(transaction=False)
        for workflow_id in workflow_ids:
            pipe.hmget(self._keys.workflow(workflow_id), *WORKFLOW_FIELDS)
            pipe.llen(self._keys.workflow(workflow_id) + ":tasks")
        with named_errors(self._label):
            replies = pipe.execute()
        records: list[WorkflowRecord | None] = []
        for place, workflow_id in enumerate(workflow_ids):
            fields = dict(zip(WORKFLOW_FIELDS, replies[2 * place], strict=True))
            found = fields["status"] is not None
            records.append(
                WorkflowRecord.from_fields(workflow_id, fields, replies[2 * place + 1])
                if found
                else None
            )
        return records

    def task_ids(self, workflow_id: str) -> list[str]:
        """All its tasks in the order they were recorded; spawned ones after the submitted."""
        with named_errors(self._label):
            ids: Any = self._client.lrange(self._keys.workflow(workflow_id) + ":tasks", 0, -1)
        return list(ids)

    def usages(self, workflow_ids: Sequence[str]) -> dict[str, list[str]]:
        """Maps ids to what the tasks of each have cost, as JSON, task by task; two round trips."""
        pipe = self._client.pipeline(transaction=False)
        for workflow_id in workflow_ids:
            pipe.lrange(self._keys.workflow(workflow_id) + ":tasks", 0, -1)
        with named_errors(self._label):
            lists = pipe.execute()
        pipe = self._client.pipeline(transaction=False)
        for task_ids in lists:
            for task_id in task_ids:
                pipe.hget(self._keys.task(task_id), "usage")
        with named_errors(self._label):
            found = iter(pipe.execute())
        return {
            workflow_id: [text for _ in task_ids if (text := next(found))]
            for workflow_id, task_ids in zip(workflow_ids, lists, strict=True)
        }

    def edges(self, workflow_id: str) -> dict[str, list[str]]:
        """Maps the ids of tasks to the ids they wait for, as submitted."""
        with named_errors(self._label):
            text = self._client.hget(self._keys.workflow(workflow_id), "edges")
        edges: dict[str, list[str]] = json.loads(str(text)) if text else {}
        return edges

    def newest(
        self, statuses: Sequence[WorkflowStatus], *, limit: int, name: str | None = None
    ) -> list[WorkflowRecord]:
        """List records, those that moved last first."""
        found = self.listing.page(statuses, Wanted(name=name), limit=limit)
        return self.found([one.id for one in found.items])

    @cached_property
    def listing(self) -> Listing:
        """Finds the ids of workflows by their states and by what is recorded of them."""
        states = {status.value: self._keys.workflow_status(status) for status in WorkflowStatus}
        return Listing(self._client, states, self._keys.workflow, self._label)

    def counts(self) -> dict[WorkflowStatus, int]:
        """How many workflows are in each state."""
        pipe = self._client.pipeline(transaction=False)
        for status in WorkflowStatus:
            pipe.zcard(self._keys.workflow_status(status))
        with named_errors(self._label):
            return dict(zip(WorkflowStatus, map(int, pipe.execute()), strict=True))

    def found(self, workflow_ids: Sequence[str]) -> list[WorkflowRecord]:
        """Read what a listing found, less what has expired since."""
        return [record for record in self.get_many(workflow_ids) if record is not None]

    def raw_tasks(self, task_ids: Sequence[str]) -> list[dict[str, str]]:
        """The records of tasks with every field as stored, for a copy."""
        pipe = self._client.pipeline(transaction=False)
        for task_id in task_ids:
            pipe.hgetall(self._keys.task(task_id))
        with named_errors(self._label):
            return list(pipe.execute())

    def raw(self, workflow_id: str) -> dict[str, str]:
        """A workflow's record with every field as stored, for a copy."""
        with named_errors(self._label):
            fields: Any = self._client.hgetall(self._keys.workflow(workflow_id))
        if not fields:
            raise WorkflowNotFoundError(workflow_id)
        return dict(fields)

    def agents(self, hashes: Sequence[str]) -> dict[str, str]:
        """Maps the content hashes of agents to their JSON, for those that are there."""
        pipe = self._client.pipeline(transaction=False)
        for one in hashes:
            pipe.hget(f"{self._keys.prefix}agent:{one}", "json")
        with named_errors(self._label):
            return {one: text for one, text in zip(hashes, pipe.execute(), strict=True) if text}

    def cancel(self, workflow_id: str, reason: str) -> bool:
        """Cancel all that is not final; False when it was final already.

        Raises:
            WorkflowNotFoundError: there is no record.
        """
        with named_errors(self._label):
            reply = self._acts.run("cancel_workflow_v1", [workflow_id, reason, now_iso()])
        if reply[0] == "missing":
            raise WorkflowNotFoundError(workflow_id)
        return bool(reply[0] == "ok")

    def retry(self, workflow_id: str, task_ids: Sequence[str] = ()) -> int:
        """Run again what did not complete.

        Args:
            workflow_id: the workflow.
            task_ids: only these, with what was skipped because of them; none: all.

        Returns:
            How many tasks were taken up.

        Raises:
            WorkflowNotFoundError: there is no record.
            IllegalMoveError: there is nothing to retry, or an agent has expired.
        """
        with named_errors(self._label):
            reply = self._acts.run("retry_workflow_v1", [workflow_id, *task_ids])
        if reply[0] == "missing":
            raise WorkflowNotFoundError(workflow_id)
        if reply[0] == "refused":
            raise IllegalMoveError(workflow_id, f"{reply[1]} with nothing to retry", "retry")
        if reply[0] == "gone":
            raise IllegalMoveError(workflow_id, "too old: an agent of it has expired", "retry")
        return int(reply[1])
