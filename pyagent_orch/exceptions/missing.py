"""What was asked for and is not there.

Ground layer, standard library only; see the room for how errors are built.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pyagent_orch.exceptions.root import PyAgentOrchError


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
