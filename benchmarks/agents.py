"""The agents of our workers in a benchmark (`PYAGENT_ORCH_AGENTS=benchmarks.agents`).

The same work as the tasks of `plain_app`.
"""

from __future__ import annotations

from benchmarks.work import hold_until, small_result
from pyagent_orch import register_agent


@register_agent
def noop(text: str) -> dict[str, int]:
    """Do nothing, and say so."""
    return small_result(text)


@register_agent
def hold(gate: str) -> None:
    """Keep a worker's slot busy until the gate opens."""
    hold_until(gate)
