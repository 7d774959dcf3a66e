"""What a live workflow asks of the orchestrator that it belongs to.

An interface only; `orchestrator/home.py` is what stands behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pyagent_orch.models.tasks import Task
from pyagent_orch.models.texts import TextSource

if TYPE_CHECKING:
    from pyagent_orch.workflows.workflow import Workflow


class WorkflowHome(TextSource, Protocol):
    """What a live workflow asks of the orchestrator that it belongs to."""

    def refresh_workflow(self, workflow: Workflow, *, tasks: bool) -> None:
        """Bring the record, and on demand those of the tasks, up to date."""

    def tasks_of(self, workflow_id: str, known: Iterable[Task]) -> list[Task]:
        """All recorded tasks of a workflow, live; those that are known are among them."""

    def edges_of(self, workflow_id: str) -> Mapping[str, Iterable[str]]:
        """Maps the ids of tasks to the ids they wait for, as submitted."""

    def wait_for_workflow(self, workflow: Workflow, timeout: float | None) -> None:
        """Block until it is final; raise `TaskTimeoutError` after `timeout` seconds."""

    async def await_for_workflow(self, workflow: Workflow) -> None:
        """Wait until it is final without blocking the event loop."""

    def cancel_workflow(self, workflow_id: str) -> bool:
        """Cancel it; False when it was final already."""

    def retry_failed(self, workflow: Workflow) -> int:
        """Run again what did not complete; how many tasks."""

    def rerun(self, workflow_id: str, from_task: str | None) -> Workflow:
        """Start a copy that reuses what is recorded."""

    def canvas_of(self, workflow: Workflow, app: Any) -> Any:
        """The workflow as a Celery canvas, sent by this app if it is not None."""
