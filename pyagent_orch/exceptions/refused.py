"""What is refused when it is submitted, scheduled or moved; nothing was done.

Ground layer, standard library only; see the room for how errors are built.
"""

from __future__ import annotations

from pyagent_orch.exceptions.root import PyAgentOrchError


class InvalidTaskError(PyAgentOrchError, ValueError):
    """A task that cannot be submitted as it is.

    Args:
        task: its name or id.
        problem: what is wrong with it and what to do.
    """

    def __init__(self, task: str, problem: str) -> None:
        super().__init__(task, problem)
        self.task, self.problem = task, problem

    def __str__(self) -> str:
        return f"Task {self.task!r}: {self.problem}"


class AgentNotPortableError(InvalidTaskError):
    """The task's agent cannot travel to a worker in another process."""


class InputError(InvalidTaskError):
    """The task's input cannot be sent: not JSON, or not traceable."""


class TaskExistsError(InvalidTaskError):
    """The task's id or object is already in use."""


class SubmitError(PyAgentOrchError):
    """A bulk submit stopped half way.

    Args:
        sent: the ids of the tasks that are recorded, in order.
        unsent: the ids of the tasks that are not.
        reason: why it stopped.
    """

    def __init__(self, sent: list[str], unsent: list[str], reason: str) -> None:
        super().__init__(sent, unsent, reason)
        self.sent, self.unsent, self.reason = sent, unsent, reason

    def __str__(self) -> str:
        return (
            f"{len(self.sent)} tasks were recorded and {len(self.unsent)} were not "
            f"(first: {self.unsent[0] if self.unsent else '-'}): {self.reason}. "
            "Submit those in `unsent` again; their ids make a repeat harmless."
        )


class InvalidWorkflowError(PyAgentOrchError, ValueError):
    """A workflow that cannot be submitted as it is.

    Args:
        workflow: its name or id.
        problem: what is wrong with it and what to do.
    """

    def __init__(self, workflow: str, problem: str) -> None:
        super().__init__(workflow, problem)
        self.workflow, self.problem = workflow, problem

    def __str__(self) -> str:
        return f"Workflow {self.workflow!r}: {self.problem}"


class UnknownDependencyError(InvalidWorkflowError):
    """A dependency names a task that the workflow does not have."""


class DuplicateTaskError(InvalidWorkflowError):
    """Two tasks of a workflow share an id, or a name that a dependency uses."""


class CycleError(InvalidWorkflowError):
    """The dependencies go in a circle.

    Args:
        workflow: its name or id.
        path: the tasks of the circle; the first one stands again at the end.
    """

    def __init__(self, workflow: str, path: list[str]) -> None:
        PyAgentOrchError.__init__(self, workflow, path)
        self.workflow, self.path = workflow, path
        self.problem = f"its dependencies go in a circle: {' -> '.join(path)}"


class WorkflowExistsError(PyAgentOrchError):
    """A workflow of this id is recorded already.

    Args:
        workflow_id: its id.
        status: its state.
    """

    def __init__(self, workflow_id: str, status: str) -> None:
        super().__init__(workflow_id, status)
        self.workflow_id, self.status = workflow_id, status

    def __str__(self) -> str:
        return f"Workflow {self.workflow_id} is recorded already; it is {self.status}."


class ScheduleError(PyAgentOrchError, ValueError):
    """A job that cannot be scheduled as it is.

    Args:
        field: which part of the job is wrong.
        problem: what is wrong with it and what to do.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field, self.problem = field, problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class IllegalMoveError(PyAgentOrchError):
    """A task or workflow cannot be moved from the state it is in.

    Args:
        subject: its id.
        status: the state it is in.
        wanted: what was asked for.
    """

    def __init__(self, subject: str, status: str, wanted: str) -> None:
        super().__init__(subject, status, wanted)
        self.subject, self.status, self.wanted = subject, status, wanted

    def __str__(self) -> str:
        return f"Cannot {self.wanted} {self.subject}: it is {self.status}."
