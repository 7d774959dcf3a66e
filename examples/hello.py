"""The agents of the fleet in docker-compose.yml; put your own in their place.

A worker imports this module because PYAGENT_ORCH_AGENTS names it:

    pyagent-orch worker --agents hello
    pyagent-orch submit hello world --wait
"""

from __future__ import annotations

from pyagent_orch import register_agent


@register_agent
def hello(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"
