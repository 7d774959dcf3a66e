"""Records with every field as stored: read for a state file, and written back from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import redis

from pyagent_orch.states import TaskStatus, WorkflowStatus
from pyagent_orch.store.acts import Acts
from pyagent_orch.store.connection import named_errors
from pyagent_orch.store.keys import Keys

PAGE = 500
"""How many records one round trip reads."""
_RESULT = ',"result":'
Noun = Literal["task", "workflow"]


class Standing(NamedTuple):
    """How a record stands."""

    status: str
    created: int
    """When it was recorded, ms."""
    finished: int | None
    """When it became final, ms; None as long as it is not."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record as it is stored."""

    id: str
    fields: Mapping[str, str]
    output: str | None = None
    """JSON; None where there is none."""
    due: int | None = None
    """When it may start, ms; None when it may now, or has."""


@dataclass(frozen=True, slots=True)
class LostTask:
    """A task on its way back into the store."""

    id: str
    fields: Mapping[str, str | int | float]
    """What its record had; `status` and `created` (and `finished` when final) among them."""
    delay_ms: int = 0
    """From when it was created."""
    key: str = ""
    result: str = ""
    """The value of Celery's result of one that is final, JSON."""
    done: str = ""
    """When it became final, ISO 8601."""

    def arguments(self) -> list[str | int | float]:
        """The task as the act takes it (see restore_v1.lua)."""
        arguments: list[str | int | float] = [
            self.id, self.delay_ms, self.key, self.result, self.done, 2 * len(self.fields)
        ]  # fmt: skip
        for pair in self.fields.items():
            arguments += pair
        return arguments


@dataclass(frozen=True, slots=True)
class LostWorkflow:
    """A workflow on its way back into the store."""

    id: str
    fields: Mapping[str, str | int | float]
    tasks: Sequence[LostTask] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class LostJob:
    """A scheduled job on its way back into the store."""

    id: str
    fields: Mapping[str, str | int | float]
    due: int | None = None
    """When it runs next, ms; None when it does not."""


class Snapshots:
    """Calls of a state file. Safe to share between threads."""

    def __init__(self, client: redis.Redis, acts: Acts, keys: Keys, label: str) -> None:
        self._client, self._acts, self._keys, self._label = client, acts, keys, label

    def _key(self, noun: Noun, name: str) -> str:
        return self._keys.task(name) if noun == "task" else self._keys.workflow(name)

    def standing(self, noun: Noun, ids: Sequence[str]) -> Iterator[Standing | None]:
        """How records stand, in the order of the ids; None where there is no record."""
        for start in range(0, len(ids), PAGE):
            pipe = self._client.pipeline(transaction=False)
            for name in ids[start : start + PAGE]:
                pipe.hmget(self._key(noun, name), "status", "created", "finished")
            with named_errors(self._label):
                replies = pipe.execute()
            for status, created, finished in replies:
                known = status is not None and created is not None
                yield (
                    Standing(status, int(created), int(finished) if finished else None)
                    if known
                    else None
                )

    def tasks(self, ids: Sequence[str]) -> Iterator[RawRecord | None]:
        """Read tasks with their outputs; None where there is no record."""
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            pipe = self._client.pipeline(transaction=False)
            for name in page:
                pipe.hgetall(self._keys.task(name))
                pipe.get(self._keys.result(name))
                pipe.zscore(self._keys.delayed, name)
            with named_errors(self._label):
                replies = pipe.execute()
            for place, name in enumerate(page):
                fields, meta, due = replies[3 * place : 3 * place + 3]
                output = None
                if meta is not None and fields.get("status") == TaskStatus.COMPLETED:
                    output = meta[meta.index(_RESULT) + len(_RESULT) : -1]
                if "name" not in fields:
                    yield None
                else:
                    yield RawRecord(name, fields, output, int(due) if due else None)

    def workflows(self, ids: Sequence[str]) -> Iterator[RawRecord | None]:
        """Read workflows; None where there is no record."""
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            pipe = self._client.pipeline(transaction=False)
            for name in page:
                pipe.hgetall(self._keys.workflow(name))
            with named_errors(self._label):
                replies = pipe.execute()
            for name, fields in zip(page, replies, strict=True):
                yield RawRecord(name, fields) if "name" in fields else None

    def jobs(self, ids: Sequence[str]) -> Iterator[RawRecord | None]:
        """Read scheduled jobs; None where there is none."""
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            pipe = self._client.pipeline(transaction=False)
            for name in page:
                pipe.hgetall(self._keys.job(name))
                pipe.zscore(self._keys.due_jobs, name)
            with named_errors(self._label):
                replies = pipe.execute()
            for place, name in enumerate(page):
                fields, due = replies[2 * place : 2 * place + 2]
                if "created" not in fields:
                    yield None
                else:
                    yield RawRecord(name, fields, due=int(due) if due is not None else None)

    def everything(self) -> tuple[list[str], list[str], list[str]]:
        """The ids of all tasks, of all workflows and of all scheduled jobs of the namespace."""
        tasks = [self._keys.status(status) for status in TaskStatus]
        workflows = [self._keys.workflow_status(status) for status in WorkflowStatus]
        return (
            self._members(tasks),
            self._members(workflows),
            self._members([self._keys.jobs]),
        )

    def _members(self, keys: Sequence[str]) -> list[str]:
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            pipe.zrange(key, 0, -1)
        with named_errors(self._label):
            pages: list[Any] = pipe.execute()
        return list(dict.fromkeys(name for page in pages for name in page))

    def restore(
        self,
        agents: Mapping[str, str],
        tasks: Sequence[LostTask],
        workflow: LostWorkflow | None = None,
    ) -> list[str]:
        """Write records that are not there: one act.

        Args:
            agents: maps the content hashes of the tasks' agents to their JSON.
            tasks: tasks that are in no workflow; with `workflow` none.
            workflow: a workflow with all its tasks.

        Returns:
            The ids of tasks that are there already, and stay as they are; with a workflow
            that is there, all.
        """
        args: list[str | int | float] = [len(agents)]
        for pair in agents.items():
            args += pair
        if workflow is None:
            args += ("", 0)
        else:
            args += (workflow.id, 2 * len(workflow.fields))
            for field_pair in workflow.fields.items():
                args += field_pair
            tasks = workflow.tasks
        args.append(len(tasks))
        for task in tasks:
            args += task.arguments()
        with named_errors(self._label):
            reply = self._acts.run("restore_v1", args)
        if reply[0] == "exists":
            return [task.id for task in tasks]
        return [str(name) for name in reply[1:]]

    def restore_job(self, job: LostJob) -> bool:
        """Write a scheduled job that is not there: one act; False when it is."""
        args: list[str | int | float] = [job.id, "" if job.due is None else job.due]
        for pair in job.fields.items():
            args += pair
        with named_errors(self._label):
            return bool(self._acts.run("restore_job_v1", args)[0] == "ok")

    def mark(self, file_id: str) -> bool:
        """Note that a state file has been compared with this Redis.

        Returns:
            Whether it had been before: what is missing now has then expired, or was deleted.
        """
        with named_errors(self._label):
            return not self._client.set(self._keys.state_file(file_id), "1", nx=True)
