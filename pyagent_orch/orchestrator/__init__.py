"""The facade: what users call, the connection behind it, and how live objects wait."""

from pyagent_orch.orchestrator.facade import Orchestrator

__all__ = ["Orchestrator"]
