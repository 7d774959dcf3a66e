"""The orchestrator that a process shares, for those who do not make their own."""

from __future__ import annotations

import threading

from pyagent_orch.orchestrator.facade import Orchestrator

_shared: Orchestrator | None = None
_sharing = threading.Lock()


def default_orchestrator() -> Orchestrator:
    """The orchestrator that the process shares; made on first use, and anew after its close."""
    global _shared  # noqa: PLW0603 - one for the process
    with _sharing:
        if _shared is None or _shared.is_closed:
            _shared = Orchestrator()
        return _shared
