"""The agents of a fleet's worker: the modules that `PYAGENT_ORCH_AGENTS` names."""

from __future__ import annotations

from pyagent_orch.agents import load_agents
from pyagent_orch.config import Settings


def load(settings: Settings) -> None:
    """Import the modules, so that what they register can run here.

    Raises:
        ConfigurationError: a module cannot be imported.
    """
    load_agents(settings.agents)
