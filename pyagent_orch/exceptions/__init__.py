"""The whole error tree.

Ground layer, standard library only. Every constructor takes positional
arguments that stay in `args`, and the text is made in `__str__`: Celery's JSON
backend rebuilds an error as `cls(*args)`, so any other style comes back with
its text doubled or its ids lost. No text ever holds a password or a key.
"""

from pyagent_orch.exceptions.agents import (
    AgentError,
    ModelError,
    ModelRequestError,
    NoPlanError,
    RateLimitedError,
)
from pyagent_orch.exceptions.installation import (
    EmbeddedServerError,
    LayoutError,
    OrchestratorClosedError,
    OrchestratorConnectionError,
    StateFileError,
)
from pyagent_orch.exceptions.missing import (
    AgentNotFoundError,
    JobNotFoundError,
    NotFoundError,
    TaskNotFoundError,
    WorkflowNotFoundError,
)
from pyagent_orch.exceptions.outcomes import (
    TaskCancelledError,
    TaskFailedError,
    TaskOutcomeError,
    TaskSkippedError,
    TaskTimeoutError,
    WorkflowCancelledError,
    WorkflowFailedError,
    WorkflowOutcomeError,
)
from pyagent_orch.exceptions.refused import (
    AgentNotPortableError,
    CycleError,
    DuplicateTaskError,
    IllegalMoveError,
    InputError,
    InvalidTaskError,
    InvalidWorkflowError,
    ScheduleError,
    SubmitError,
    TaskExistsError,
    UnknownDependencyError,
    WorkflowExistsError,
)
from pyagent_orch.exceptions.root import ConfigurationError, PyAgentOrchError

__all__ = [
    "AgentError",
    "AgentNotFoundError",
    "AgentNotPortableError",
    "ConfigurationError",
    "CycleError",
    "DuplicateTaskError",
    "EmbeddedServerError",
    "IllegalMoveError",
    "InputError",
    "InvalidTaskError",
    "InvalidWorkflowError",
    "JobNotFoundError",
    "LayoutError",
    "ModelError",
    "ModelRequestError",
    "NoPlanError",
    "NotFoundError",
    "OrchestratorClosedError",
    "OrchestratorConnectionError",
    "PyAgentOrchError",
    "RateLimitedError",
    "ScheduleError",
    "StateFileError",
    "SubmitError",
    "TaskCancelledError",
    "TaskExistsError",
    "TaskFailedError",
    "TaskNotFoundError",
    "TaskOutcomeError",
    "TaskSkippedError",
    "TaskTimeoutError",
    "UnknownDependencyError",
    "WorkflowCancelledError",
    "WorkflowExistsError",
    "WorkflowFailedError",
    "WorkflowNotFoundError",
    "WorkflowOutcomeError",
]

# The name that users import, tracebacks show and Celery's results keep: in whichever file of
# this room a class stands, a client and a worker of another release find it here.
for _name in __all__:
    globals()[_name].__module__ = __name__
