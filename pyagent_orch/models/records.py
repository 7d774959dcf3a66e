"""A task as Redis has it.

Read only; what the store gives out and what a live `Task` looks at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue, from_ms
from pyagent_orch.states import TaskStatus

SUMMARY_FIELDS = (
    "name", "status", "priority", "queue", "error", "metadata", "agent", "attempts", "requeues",
    "worker", "usage", "created", "started", "finished", "timeout", "key", "workflow", "parent",
    "inside",
)  # fmt: skip
"""What a record is read from that is to be shown in a list: all but its input and output."""


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why an attempt, or a task, did not come to an output."""

    type: str
    """The name of the error's class."""
    message: str
    traceback: str | None = None
    """The worker's traceback, where there was one."""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What is recorded of a task. Times are aware and UTC."""

    id: str
    name: str
    status: TaskStatus
    priority: int
    queue: str
    input: JSONValue
    output: JSONValue = None
    error: TaskError | None = None
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    agent: str = ""
    """The content hash of its agent's specification."""
    attempts: int = 0
    """How often it was started; waits for a rate limit and hand-overs do not count."""
    requeues: int = 0
    """How often somebody had it tried again; tells an old end from a new one."""
    worker: str | None = None
    """The name of the worker that ran it last."""
    usage: Usage | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    """When it was first started."""
    completed_at: datetime | None = None
    """When it became final, in whichever state."""
    timeout: float | None = None
    key: str | None = None
    workflow: str | None = None
    """The id of the workflow that it is in."""
    parent: str | None = None
    """In a workflow: the task that it is part of, which is a sub-workflow or decides at run
    time what comes next."""

    @classmethod
    def from_fields(cls, task_id: str, fields: Mapping[str, str], output: str | None) -> TaskRecord:
        """Read a record.

        Args:
            task_id: the task's id.
            fields: the hash as Redis returns it.
            output: the recorded output as JSON, None where there is none.
        """
        usage = fields.get("usage")
        timeout = fields.get("timeout")
        metadata = fields.get("metadata")
        error = fields.get("error")
        return cls(
            id=task_id,
            name=fields["name"],
            status=TaskStatus(fields["status"]),
            priority=int(fields["priority"]),
            queue=fields["queue"],
            input=json.loads(fields["input"]) if "input" in fields else None,
            output=json.loads(output) if output is not None else None,
            error=TaskError(**json.loads(error)) if error else None,
            metadata=json.loads(metadata) if metadata else {},
            agent=fields.get("agent", ""),
            attempts=int(fields.get("attempts", 0)),
            requeues=int(fields.get("requeues", 0)),
            worker=fields.get("worker"),
            usage=Usage.model_validate_json(usage) if usage else None,
            created_at=from_ms(fields.get("created")),
            started_at=from_ms(fields.get("started")),
            completed_at=from_ms(fields.get("finished")),
            timeout=float(timeout) if timeout else None,
            key=fields.get("key"),
            workflow=fields.get("workflow"),
            parent=fields.get("parent") or fields.get("inside"),
        )
