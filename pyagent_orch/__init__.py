"""A distributed task system for AI agents on Celery.

Everything that users import is here; see `docs/` and the README. Names are
loaded when they are first used, so that `import pyagent_orch` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyagent_orch.agents import (
        Agent,
        agent,
        current_run,
        register_agent,
        register_tool,
    )
    from pyagent_orch.config import Settings
    from pyagent_orch.engine.app import create_app
    from pyagent_orch.exceptions import (
        AgentError,
        AgentNotFoundError,
        AgentNotPortableError,
        ConfigurationError,
        CycleError,
        DuplicateTaskError,
        EmbeddedServerError,
        IllegalMoveError,
        InputError,
        InvalidTaskError,
        InvalidWorkflowError,
        JobNotFoundError,
        LayoutError,
        ModelError,
        ModelRequestError,
        NoPlanError,
        NotFoundError,
        OrchestratorClosedError,
        OrchestratorConnectionError,
        PyAgentOrchError,
        RateLimitedError,
        ScheduleError,
        StateFileError,
        SubmitError,
        TaskCancelledError,
        TaskExistsError,
        TaskFailedError,
        TaskNotFoundError,
        TaskOutcomeError,
        TaskSkippedError,
        TaskTimeoutError,
        UnknownDependencyError,
        WorkflowCancelledError,
        WorkflowExistsError,
        WorkflowFailedError,
        WorkflowNotFoundError,
        WorkflowOutcomeError,
    )
    from pyagent_orch.inputs.providers import context_provider
    from pyagent_orch.models.events import Event
    from pyagent_orch.models.retry import RetryPolicy
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.models.texts import TextPiece, TextStream
    from pyagent_orch.models.usage import Usage
    from pyagent_orch.orchestrator import Orchestrator
    from pyagent_orch.orchestrator.agent_patterns import AgentPatterns
    from pyagent_orch.orchestrator.shared import default_orchestrator
    from pyagent_orch.patterns import (
        Ballot,
        ChainOfThought,
        ChainOfThoughtResult,
        Consensus,
        ConsensusResult,
        Debate,
        DebateResult,
        Limits,
        Supervisor,
        SupervisorResult,
    )
    from pyagent_orch.schedules.jobs import ScheduledJob
    from pyagent_orch.states import ExecutionPattern, TaskStatus, WorkflowStatus
    from pyagent_orch.workflows import Workflow
    from pyagent_orch.workflows.document import load_workflow

_HOMES = {
    "agents": ("Agent", "agent", "current_run", "register_agent", "register_tool"),
    "config": ("Settings",),
    "engine.app": ("create_app",),
    "exceptions": (
        "JobNotFoundError",
        "LayoutError",
        "ModelRequestError",
        "NoPlanError",
        "NotFoundError",
        "ScheduleError",
        "TaskOutcomeError",
        "WorkflowOutcomeError",
        "AgentError",
        "AgentNotFoundError",
        "AgentNotPortableError",
        "ConfigurationError",
        "EmbeddedServerError",
        "IllegalMoveError",
        "InputError",
        "InvalidTaskError",
        "ModelError",
        "OrchestratorClosedError",
        "OrchestratorConnectionError",
        "PyAgentOrchError",
        "RateLimitedError",
        "StateFileError",
        "SubmitError",
        "TaskCancelledError",
        "TaskExistsError",
        "TaskFailedError",
        "TaskNotFoundError",
        "TaskSkippedError",
        "TaskTimeoutError",
        "CycleError",
        "DuplicateTaskError",
        "InvalidWorkflowError",
        "UnknownDependencyError",
        "WorkflowCancelledError",
        "WorkflowExistsError",
        "WorkflowFailedError",
        "WorkflowNotFoundError",
    ),
    "models.events": ("Event",),
    "models.retry": ("RetryPolicy",),
    "models.tasks": ("Task",),
    "models.texts": ("TextPiece", "TextStream"),
    "models.usage": ("Usage",),
    "orchestrator": ("Orchestrator",),
    "orchestrator.agent_patterns": ("AgentPatterns",),
    "orchestrator.shared": ("default_orchestrator",),
    "patterns": (
        "Ballot",
        "ChainOfThought",
        "ChainOfThoughtResult",
        "Consensus",
        "ConsensusResult",
        "Debate",
        "DebateResult",
        "Limits",
        "Supervisor",
        "SupervisorResult",
    ),
    "workflows": ("Workflow",),
    "workflows.document": ("load_workflow",),
    "inputs.providers": ("context_provider",),
    "schedules.jobs": ("ScheduledJob",),
    "states": ("ExecutionPattern", "TaskStatus", "WorkflowStatus"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Agent",
    "AgentError",
    "AgentNotFoundError",
    "AgentNotPortableError",
    "AgentPatterns",
    "Ballot",
    "ChainOfThought",
    "ChainOfThoughtResult",
    "ConfigurationError",
    "Consensus",
    "ConsensusResult",
    "CycleError",
    "Debate",
    "DebateResult",
    "DuplicateTaskError",
    "EmbeddedServerError",
    "Event",
    "ExecutionPattern",
    "IllegalMoveError",
    "InputError",
    "InvalidTaskError",
    "InvalidWorkflowError",
    "JobNotFoundError",
    "LayoutError",
    "Limits",
    "ModelError",
    "ModelRequestError",
    "NoPlanError",
    "NotFoundError",
    "Orchestrator",
    "OrchestratorClosedError",
    "OrchestratorConnectionError",
    "PyAgentOrchError",
    "RateLimitedError",
    "RetryPolicy",
    "ScheduleError",
    "ScheduledJob",
    "Settings",
    "StateFileError",
    "SubmitError",
    "Supervisor",
    "SupervisorResult",
    "Task",
    "TaskCancelledError",
    "TaskExistsError",
    "TaskFailedError",
    "TaskNotFoundError",
    "TaskOutcomeError",
    "TaskSkippedError",
    "TaskStatus",
    "TaskTimeoutError",
    "TextPiece",
    "TextStream",
    "UnknownDependencyError",
    "Usage",
    "Workflow",
    "WorkflowCancelledError",
    "WorkflowExistsError",
    "WorkflowFailedError",
    "WorkflowNotFoundError",
    "WorkflowOutcomeError",
    "WorkflowStatus",
    "agent",
    "context_provider",
    "create_app",
    "current_run",
    "default_orchestrator",
    "load_workflow",
    "register_agent",
    "register_tool",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
