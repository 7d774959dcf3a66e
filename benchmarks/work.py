"""What the tasks of every contender get and do: nothing, or wait for a gate.

Standard library only: every contender's worker imports it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import uuid4

PIECES, PIECE_SECONDS = 20, 0.1
"""Of a text: how many pieces, and the seconds between two."""
WAIT_SECONDS = 0.5
"""How long a model is waited for."""
ROUNDS = 400_000
"""Of a loop that computes: some 20 ms."""
GATE_SECONDS = 120.0
"""How long a gate is waited for at the most."""


def text_of(number: int) -> str:
    """The input of a no-op task: a short text, as agents get."""
    return f"Summarise item {number} in one sentence."


def small_result(text: str) -> dict[str, int]:
    """The output of a no-op task."""
    return {"length": len(text)}


def compute() -> int:
    """Do arithmetic, and hold the interpreter's lock."""
    total = 0
    for number in range(ROUNDS):
        total += number
    return total


def hold_until(gate: str) -> None:
    """Leave a file that says that this slot waits, and wait until the gate's file exists.

    Raises:
        TimeoutError: it does not after `GATE_SECONDS`.
    """
    deadline = _held(gate)
    while not _is_open(gate, deadline):
        time.sleep(0.002)


async def hold_until_async(gate: str) -> None:
    """Do the same without a thread.

    Raises:
        TimeoutError: it does not after `GATE_SECONDS`.
    """
    deadline = _held(gate)
    while not _is_open(gate, deadline):  # noqa: ASYNC110 - the gate is another process's
        await asyncio.sleep(0.002)


def _held(gate: str) -> float:
    Path(f"{gate}.held.{uuid4().hex}").touch()
    return time.monotonic() + GATE_SECONDS


def _is_open(gate: str, deadline: float) -> bool:
    if time.monotonic() > deadline:
        raise TimeoutError(gate)
    return Path(gate).exists()
