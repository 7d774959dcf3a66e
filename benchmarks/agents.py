"""The agents of our workers in a benchmark (`PYAGENT_ORCH_AGENTS=benchmarks.agents`).

The same work as the tasks of `plain_app`.
"""

from __future__ import annotations

import asyncio
import time

from benchmarks import work
from benchmarks.work import PIECE_SECONDS, PIECES, WAIT_SECONDS, hold_until, small_result
from pyagent_orch import current_run, register_agent


@register_agent
def noop(text: str) -> dict[str, int]:
    """Do nothing, and say so."""
    return small_result(text)


@register_agent
def hold(gate: str) -> None:
    """Keep a worker's slot busy until the gate opens."""
    hold_until(gate)


@register_agent
def wait(_: str) -> None:
    """Wait as for a model, in a library that blocks."""
    time.sleep(WAIT_SECONDS)


@register_agent
async def wait_async(_: str) -> None:
    """Wait as for a model."""
    await asyncio.sleep(WAIT_SECONDS)


@register_agent
def compute(_: str) -> int:
    """Keep a core busy."""
    return work.compute()


@register_agent
async def talk(_: str) -> str:
    """Write a text piece by piece, as a model does; waits in between without a thread's work."""
    run, text = current_run(), ""
    for number in range(PIECES):
        text += (piece := f"word {number} of a longer answer. ")
        run.write(piece)
        await asyncio.sleep(PIECE_SECONDS)
    return text
