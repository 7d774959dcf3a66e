"""From a user's task to what the submit act takes."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pyagent_orch.agents import is_registered, to_wire
from pyagent_orch.config import Settings
from pyagent_orch.exceptions import (
    AgentNotFoundError,
    InputError,
    InvalidTaskError,
    OrchestratorConnectionError,
    SubmitError,
    TaskExistsError,
)
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.models.tasks import Task
from pyagent_orch.models.values import JSONValue, from_ms, to_json
from pyagent_orch.states import TaskStatus
from pyagent_orch.store import Store
from pyagent_orch.store.records import NewTask, UnknownAgentHashError

BATCH = 500
"""How many tasks one act records; a larger one would hold Redis up for others."""
_FLEET_AGENTS_SECONDS = 10.0
"""How long the names that the fleet's workers know are believed."""


class Dispatcher:
    """Submits tasks to one store. Safe to share between threads.

    Args:
        store: where they go.
        settings: the defaults of what a task does not say.
        local: whether the worker is in this process, so that any callable can be an agent.
    """

    def __init__(self, store: Store, settings: Settings, *, local: bool) -> None:
        self._store, self._settings, self._local = store, settings, local
        self._agents: dict[str, str] = {}
        self._sent: set[str] = set()
        self._fleet_agents: tuple[float, frozenset[str] | None] = (float("-inf"), None)

    def submit(self, tasks: Sequence[Task]) -> dict[int, str]:
        """Record tasks and queue them; one round trip for each `BATCH`.

        Returns:
            Maps the place of each task that existed already to its id.

        Raises:
            InvalidTaskError: a task cannot be sent as it is; nothing was sent.
            SubmitError: Redis went away between two batches.
            OrchestratorConnectionError: Redis is out of reach; nothing was sent.
        """
        prepared = [self._prepare(task) for task in tasks]
        existing: dict[int, str] = {}
        for start in range(0, len(tasks), BATCH):
            batch = prepared[start : start + BATCH]
            try:
                existing |= self._send(tasks, batch, start)
            except OrchestratorConnectionError as error:
                if not start:
                    raise
                ids = [task.id for task in tasks]
                raise SubmitError(ids[:start], ids[start:], str(error)) from error
        return existing

    def _send(self, tasks: Sequence[Task], batch: Sequence[NewTask], start: int) -> dict[int, str]:
        used = {str(new.fields["agent"]) for new in batch}
        unknown = {key: self._agents[key] for key in used if key not in self._sent}
        try:
            done = self._store.records.submit(batch, unknown)
        except UnknownAgentHashError:
            # Expired since, or Redis is new.
            done = self._store.records.submit(batch, {key: self._agents[key] for key in used})
        self._sent |= used
        existing: dict[int, str] = {}
        for place, task_id in done.existing.items():
            task = tasks[start + place]
            if not task_id:
                raise TaskExistsError(
                    task.name, f"its id {task.id!r} belongs to another task; choose another id"
                )
            existing[start + place] = task_id
        created = from_ms(done.created_ms)
        for place, new in enumerate(batch):
            if place in done.existing:
                continue
            task = tasks[start + place]
            task.update(
                TaskRecord(
                    id=new.id,
                    name=task.name,
                    status=TaskStatus.PENDING,
                    priority=task.priority,
                    queue=str(new.fields["queue"]),
                    input=_plain(task.input),
                    metadata=task.metadata,
                    agent=str(new.fields["agent"]),
                    created_at=created,
                    timeout=task.timeout,
                    key=task.key,
                )
            )
        return existing

    def _prepare(self, task: Task) -> NewTask:
        wire = self._wire(task)
        fields: dict[str, str | int | float] = {
            "name": task.name,
            "agent": wire,
            "input": encode(task.name, task.input, "input"),
            "queue": task.queue or self._settings.queue,
            "priority": task.priority,
        }
        if task.metadata:
            fields["metadata"] = encode(task.name, task.metadata, "metadata")
        if task.timeout is not None:
            fields["timeout"] = task.timeout
        if task.retry is not None:
            fields["retry"] = task.retry.model_dump_json(exclude_defaults=True)
        return NewTask(task.id, fields, int(task.delay * 1000), task.key or "")

    def _wire(self, task: Task) -> str:
        """The content hash of the task's agent, whose JSON is kept for the store."""
        try:
            wire = to_wire(task.agent, local=self._local)
        except InvalidTaskError as error:
            raise type(error)(task.name, error.problem) from None
        if isinstance(task.agent, str) and not is_registered(task.agent):
            self._check_fleet_knows(task.agent)
        self._agents[wire.hash] = wire.json
        return wire.hash

    def _check_fleet_knows(self, name: str) -> None:
        """Refuse a name that no living worker has; without any worker it may yet come."""
        asked, names = self._fleet_agents
        if names is None or name not in names or time.monotonic() - asked > _FLEET_AGENTS_SECONDS:
            names = self._store.fleet.known_agents()
            self._fleet_agents = (time.monotonic(), names)
        if names is not None and name not in names:
            raise AgentNotFoundError(name, names)


def encode(task: str, value: object, what: str) -> str:
    """Write a value of a task as JSON.

    Raises:
        InputError: it has no JSON form.
    """
    try:
        text = to_json(value)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            task,
            f"its {what} cannot be sent as JSON ({error}); give text, numbers, lists, "
            "dictionaries with text keys, or a pydantic model",
        ) from None
    return text


def _plain(value: object) -> JSONValue:
    """An input as the sender's own record shows it; what is read back is plain JSON."""
    return value if isinstance(value, str | int | float | list | dict) else None
