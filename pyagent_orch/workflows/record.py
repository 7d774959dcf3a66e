"""A workflow as Redis has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pyagent_orch.models.values import JSONValue, from_ms
from pyagent_orch.states import WorkflowStatus

WORKFLOW_FIELDS = (
    "name", "status", "open", "cancelled", "cause", "pattern", "metadata", "results",
    "created", "started", "finished",
)  # fmt: skip
"""What a record is read from: of the same size for a workflow of any size."""


@dataclass(frozen=True, slots=True)
class WorkflowRecord:
    """What is recorded of a workflow. Times are aware and UTC."""

    id: str
    name: str
    status: WorkflowStatus
    size: int = 0
    """How many tasks it has by now; more than were submitted, when tasks were spawned."""
    open: int = 0
    """How many of its tasks are not final."""
    error: str | None = None
    """The first failure, or why it was cancelled."""
    pattern: str | None = None
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    """The ids of the tasks whose outputs are the workflow's."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @classmethod
    def from_fields(
        cls, workflow_id: str, fields: Mapping[str, str | None], size: int
    ) -> WorkflowRecord:
        """Read a record from `WORKFLOW_FIELDS` of its hash and the length of its list of tasks."""
        return cls(
            id=workflow_id,
            name=fields["name"] or "",
            status=WorkflowStatus(fields["status"] or ""),
            size=size,
            open=int(fields["open"] or 0),
            error=fields["cancelled"] or fields["cause"],
            pattern=fields["pattern"],
            metadata=json.loads(fields["metadata"] or "{}"),
            results=tuple((fields["results"] or "").split()),
            created_at=from_ms(fields["created"]),
            started_at=from_ms(fields["started"]),
            completed_at=from_ms(fields["finished"]),
        )
