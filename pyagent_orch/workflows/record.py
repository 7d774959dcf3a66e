"""A workflow as Redis has it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pyagent_orch.models.values import JSONValue, from_ms
from pyagent_orch.states import WorkflowStatus


@dataclass(frozen=True, slots=True)
class WorkflowRecord:
    """What is recorded of a workflow. Times are aware and UTC."""

    id: str
    name: str
    status: WorkflowStatus
    open: int = 0
    """How many of its tasks are not final."""
    error: str | None = None
    """The first failure, or why it was cancelled."""
    pattern: str | None = None
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    """The ids of the tasks whose outputs are the workflow's."""
    edges: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Maps task ids to the ids they wait for, as submitted."""
    task_ids: tuple[str, ...] = ()
    """All tasks in the order they were recorded; spawned ones come after the submitted."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @classmethod
    def from_fields(
        cls, workflow_id: str, fields: Mapping[str, str], task_ids: Sequence[str]
    ) -> WorkflowRecord:
        """Read a record from its hash and its list of tasks."""
        return cls(
            id=workflow_id,
            name=fields["name"],
            status=WorkflowStatus(fields["status"]),
            open=int(fields.get("open", 0)),
            error=fields.get("cancelled") or fields.get("cause"),
            pattern=fields.get("pattern"),
            metadata=json.loads(fields.get("metadata", "{}")),
            results=tuple(fields.get("results", "").split()),
            edges=json.loads(fields.get("edges", "{}")),
            task_ids=tuple(task_ids),
            created_at=from_ms(fields.get("created")),
            started_at=from_ms(fields.get("started")),
            completed_at=from_ms(fields.get("finished")),
        )
