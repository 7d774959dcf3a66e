"""How a task or workflow ends without an output.

Ground layer, standard library only; see the room for how errors are built.
"""

from __future__ import annotations

from pyagent_orch.exceptions.root import PyAgentOrchError


class TaskOutcomeError(PyAgentOrchError):
    """A task ended without an output.

    Args:
        task_id: its id.
        reason: the recorded error.
    """

    outcome = "ended without an output"

    def __init__(self, task_id: str, reason: str = "") -> None:
        super().__init__(task_id, reason)
        self.task_id, self.reason = task_id, reason

    def __str__(self) -> str:
        return f"Task {self.task_id} {self.outcome}" + (f": {self.reason}" if self.reason else "")


class TaskFailedError(TaskOutcomeError):
    """The task failed for good; the reason is the last attempt's error."""

    outcome = "failed"


class TaskCancelledError(TaskOutcomeError):
    """The task was cancelled."""

    outcome = "was cancelled"


class TaskSkippedError(TaskOutcomeError):
    """The task was skipped: what it depends on did not complete."""

    outcome = "was skipped"


class TaskTimeoutError(TaskOutcomeError, TimeoutError):
    """The task ran, or was waited for, longer than allowed."""

    outcome = "timed out"


class WorkflowOutcomeError(PyAgentOrchError):
    """A workflow ended without its output.

    Args:
        workflow_id: its id.
        reason: the first failure, or why it was cancelled.
    """

    outcome = "ended without an output"

    def __init__(self, workflow_id: str, reason: str = "") -> None:
        super().__init__(workflow_id, reason)
        self.workflow_id, self.reason = workflow_id, reason

    def __str__(self) -> str:
        text = f"Workflow {self.workflow_id} {self.outcome}"
        return text + (f": {self.reason}" if self.reason else "")


class WorkflowFailedError(WorkflowOutcomeError):
    """A task of the workflow failed."""

    outcome = "failed"


class WorkflowCancelledError(WorkflowOutcomeError):
    """The workflow was cancelled, or its deadline passed."""

    outcome = "was cancelled"
