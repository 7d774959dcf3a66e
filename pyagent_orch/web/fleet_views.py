"""What the router answers about the installation: workers, queues, counts, dead letters.

Pure, as `views`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pyagent_orch.states import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from pyagent_orch.store.fleet import QueueLength


class RetriedView(BaseModel):
    """What is tried again."""

    ids: list[str]


class WorkerView(BaseModel):
    """A living worker."""

    name: str
    info: dict[str, Any]
    """What it says of itself: `pool`, `concurrency`, `pid`, `queues`, `agents` and more."""
    busy: int = 0
    """How many tasks it runs."""


class WorkerList(BaseModel):
    """The living workers."""

    items: list[WorkerView]


class QueueView(BaseModel):
    """What waits in a queue."""

    name: str
    waiting: int
    oldest_seconds: float | None = None
    workers: list[str]
    """The living workers that serve it; none: nobody will do what waits."""


class QueueList(BaseModel):
    """The queues."""

    items: list[QueueView]


class Overview(BaseModel):
    """What there is, in numbers."""

    namespace: str
    version: str
    read_only: bool
    """Whether this caller may change nothing."""
    specs: bool
    """Whether models may be asked with instructions, besides registered agents."""
    tenant: str | None = None
    tasks: dict[TaskStatus, int] | None = None
    """How many are in each state; null for a caller who sees one tenant."""
    workflows: dict[WorkflowStatus, int] | None = None
    """Likewise."""
    workers: int | None = None
    agents: list[str]
    """The agents that the living workers have registered."""


def queue_view(queue: QueueLength) -> QueueView:
    """What waits in a queue."""
    return QueueView(
        name=queue.name,
        waiting=queue.waiting,
        oldest_seconds=queue.oldest_seconds,
        workers=list(queue.workers),
    )
