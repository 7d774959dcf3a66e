"""The whole error tree.

Ground layer, standard library only. Every constructor takes positional
arguments that stay in `args`, and the text is made in `__str__`: Celery's JSON
backend rebuilds an error as `cls(*args)`, so any other style comes back with
its text doubled or its ids lost. No text ever holds a password or a key.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PyAgentOrchError(Exception):
    """The root of every error that this package raises on purpose."""


class ConfigurationError(PyAgentOrchError, ValueError):
    """A setting is missing or wrong.

    Args:
        setting: the name of the setting, as the user wrote it.
        problem: what is wrong with it and what to do.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(setting, problem)
        self.setting, self.problem = setting, problem

    def __str__(self) -> str:
        return f"{self.setting}: {self.problem}"


class OrchestratorConnectionError(PyAgentOrchError, ConnectionError):
    """Redis is out of reach, or refuses.

    Args:
        address: host and port, or the socket's path; never a password.
        reason: what the client library said, without secrets.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return (
            f"Redis at {self.address} is out of reach: {self.reason}. "
            "Check that it runs, or set PYAGENT_ORCH_REDIS_URL."
        )


class OrchestratorClosedError(PyAgentOrchError, RuntimeError):
    """A call on an orchestrator after its `close()`."""

    def __str__(self) -> str:
        return "This orchestrator is closed; create a new Orchestrator()."


class EmbeddedServerError(PyAgentOrchError, RuntimeError):
    """The private server of the embedded mode cannot be started.

    Args:
        problem: what is wrong and the ways out.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


class StateFileError(PyAgentOrchError, RuntimeError):
    """A state file cannot be used, or not any more.

    Args:
        path: the file.
        problem: what is wrong with it and what to do.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path, self.problem = path, problem

    def __str__(self) -> str:
        return f"State file {self.path}: {self.problem}."


# --- what is refused at submit -------------------------------------------------


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


# --- what is not there ------------------------------------------------------------


class NotFoundError(PyAgentOrchError, LookupError):
    """Something asked for by id or name does not exist.

    Args:
        wanted: the id or name asked for.
    """

    kind = "object"
    remedy = ""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted

    def __str__(self) -> str:
        return f"No {self.kind} {self.wanted!r}{self.remedy}"


class TaskNotFoundError(NotFoundError):
    """No record of this task in the namespace; finished records expire."""

    kind = "task"
    remedy = " in this namespace; it was never submitted here, or its record has expired."


class WorkflowNotFoundError(NotFoundError):
    """No record of this workflow in the namespace; finished records expire."""

    kind = "workflow"
    remedy = " in this namespace; it was never submitted here, or its record has expired."


class JobNotFoundError(NotFoundError):
    """No scheduled job of this id in the namespace."""

    kind = "scheduled job"
    remedy = " in this namespace; `jobs()` lists those there are."


class AgentNotFoundError(NotFoundError):
    """No agent is registered under this name in this process.

    Args:
        wanted: the name asked for.
        known: the names that are registered.
    """

    kind = "agent"

    def __init__(self, wanted: str, known: Iterable[str] = ()) -> None:
        PyAgentOrchError.__init__(self, wanted, list(known))
        self.wanted, self.known = wanted, sorted(known)

    def __str__(self) -> str:
        near = get_close_matches(self.wanted, self.known, 1)
        known = ", ".join(self.known[:12]) or "none"
        hint = f"did you mean {near[0]!r}? " if near else ""
        return (
            f"No agent {self.wanted!r}; {hint}known: {known}. Register it with "
            "@register_agent in a module that PYAGENT_ORCH_AGENTS names."
        )


# --- how a task ends ----------------------------------------------------------------


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


# --- what an agent raises -----------------------------------------------------------


class AgentError(PyAgentOrchError):
    """An agent cannot do its work.

    Args:
        agent: the agent's name.
        problem: what is wrong.
    """

    def __init__(self, agent: str, problem: str) -> None:
        super().__init__(agent, problem)
        self.agent, self.problem = agent, problem

    def __str__(self) -> str:
        return f"Agent {self.agent!r}: {self.problem}"


class NoPlanError(AgentError):
    """A supervisor gave no plan that can be carried out.

    Args:
        agent: the supervisor's name.
        tries: how often it was asked.
        problem: what was wrong with the last plan.
    """

    def __init__(self, agent: str, tries: int, problem: str) -> None:
        super().__init__(agent, problem)
        self.args = (agent, tries, problem)
        self.tries = tries

    def __str__(self) -> str:
        return f"{self.agent!r} gave no usable plan in {self.tries} tries; the last: {self.problem}"


class ModelError(AgentError):
    """A model call failed in a way that another attempt may mend."""


class ModelRequestError(AgentError):
    """A model refused the call for good: bad request, bad key, unknown model."""


class RateLimitedError(ModelError):
    """A model's provider said 429; obeying its delay uses up no attempt.

    Args:
        agent: the agent's name.
        problem: what the provider said.
        retry_after: seconds to wait, >= 0.
    """

    def __init__(self, agent: str, problem: str, retry_after: float = 1.0) -> None:
        PyAgentOrchError.__init__(self, agent, problem, retry_after)
        self.agent, self.problem, self.retry_after = agent, problem, retry_after
