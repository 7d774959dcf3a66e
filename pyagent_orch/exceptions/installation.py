"""What cannot be reached, started or written: Redis, the private server, a state file.

Ground layer, standard library only; see the room for how errors are built.
"""

from __future__ import annotations

from pyagent_orch.exceptions.root import PyAgentOrchError


class LayoutError(PyAgentOrchError):
    """A newer version has taken the namespace over; this one must not write there.

    Args:
        where: what the keys of the namespace begin with.
        found: the layout that the namespace is in.
        known: the newest layout that this version knows.
    """

    def __init__(self, where: str, found: int, known: int) -> None:
        super().__init__(where, found, known)
        self.where, self.found, self.known = where, found, known

    def __str__(self) -> str:
        return (
            f"The keys {self.where}* in Redis are in layout {self.found}, which a newer version "
            f"writes; this one knows layouts up to {self.known}. Upgrade pyagent-orch here, or "
            "use another namespace."
        )


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
            f"Redis at {self.address} is out of reach: {self.reason.rstrip('.')}. "
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
