"""Workflows: submitting them, finding them, and giving them as a canvas.

A part of the facade. What a workflow becomes is the engine's plan; here is only who is
asked when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyagent_orch.exceptions import IllegalMoveError, WorkflowExistsError
from pyagent_orch.models.tasks import Task
from pyagent_orch.states import ExecutionPattern, WorkflowStatus
from pyagent_orch.workflows import Workflow
from pyagent_orch.workflows.checks import pattern_of
from pyagent_orch.workflows.copies import copy_of

if TYPE_CHECKING:
    from pyagent_orch.orchestrator.connection import Connection
    from pyagent_orch.orchestrator.home import Home


class Workflows:
    """The calls about workflows; a base of `Orchestrator`."""

    _connection: Connection
    _home: Home

    def submit_workflow(
        self,
        workflow: Workflow,
        pattern: ExecutionPattern | str | None = None,
        callback: Callable[[Workflow], object] | None = None,
        *,
        rerun: bool = False,
    ) -> Workflow:
        """Submit a workflow; returns the same object at once, live.

        Args:
            workflow: what to run.
            pattern: how its tasks follow each other; the workflow's own when not given.
            callback: called once with the workflow when it is final, in a thread of this process.
            rerun: whether one that is final is run again, under a new id.

        Returns:
            The workflow; when its id belongs to one that has not ended, that run. One that
            was submitted already is run beside that, as a copy, when another pattern is named.

        Raises:
            InvalidWorkflowError: it cannot be run as it is; nothing was sent.
            InvalidTaskError: a task of it cannot be sent; nothing was.
            IllegalMoveError: its id belongs to a workflow that is final, and `rerun` is not set.
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        if workflow.is_live:
            if pattern is None or pattern_of(workflow.name, pattern) is workflow.pattern:
                return self._again(workflow, rerun=rerun)
            workflow = copy_of(workflow)
        workflow.pattern = pattern_of(workflow.name, pattern) or workflow.pattern
        workflow.callback = callback or workflow.callback
        tasks = [task for task in workflow.tasks if isinstance(task, Task)]
        try:
            with self._connection.tracking([workflow, *tasks]):
                dispatcher = self._connection.client.dispatcher
                plan = dispatcher.plan(workflow)
                dispatcher.send_plan(plan)
                self._home.adopt_submitted(plan)
        except WorkflowExistsError:
            found = self.get_workflow(workflow.id)
            return self._again(found, rerun=rerun)
        return workflow

    def _again(self, workflow: Workflow, *, rerun: bool) -> Workflow:
        """A workflow that is recorded already: the run itself, or a new one if asked for."""
        if not workflow.status.is_final:
            return workflow
        if not rerun:
            raise IllegalMoveError(
                workflow.id, f"{workflow.status.value} already (rerun=True runs it anew)", "submit"
            )
        return self._home.rerun(workflow.id, None)

    async def asubmit_workflow(
        self,
        workflow: Workflow,
        pattern: ExecutionPattern | str | None = None,
        callback: Callable[[Workflow], object] | None = None,
        *,
        rerun: bool = False,
    ) -> Workflow:
        """`submit_workflow`, without blocking the event loop."""
        return await asyncio.to_thread(
            self.submit_workflow, workflow, pattern, callback, rerun=rerun
        )

    def get_workflow(self, id: str) -> Workflow:  # noqa: A002 - the public contract's name
        """A workflow with its tasks, live.

        Raises:
            WorkflowNotFoundError: there is no record of it.
        """
        return self._home.workflow(self._connection.store.workflows.get(id))

    async def aget_workflow(self, id: str) -> Workflow:  # noqa: A002
        """`get_workflow`, without blocking the event loop."""
        return await asyncio.to_thread(self.get_workflow, id)

    def workflows(
        self,
        *,
        status: WorkflowStatus | str | None = None,
        name: str | None = None,
        limit: int = 20,
    ) -> list[Workflow]:
        """List workflows; those whose state changed last come first."""
        statuses = list(WorkflowStatus) if status is None else [WorkflowStatus(status)]
        records = self._connection.store.workflows.newest(statuses, limit=limit, name=name)
        return [self._home.workflow(record) for record in records]

    def to_canvas(self, workflow: Workflow, app: Any = None) -> Any:
        """A workflow as a real `celery` canvas; see `Workflow.to_canvas`."""
        return self._home.canvas_of(workflow, app)
