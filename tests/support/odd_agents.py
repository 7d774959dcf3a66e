"""Agents that misbehave; workers get them with PYAGENT_ORCH_AGENTS=support.odd_agents."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from typing import Any

from pyagent_orch import RateLimitedError, current_run, register_agent


@register_agent
def exits(_: Any) -> None:
    sys.exit("an agent that wants to leave")


@register_agent
async def exits_async(_: Any) -> None:
    sys.exit("an agent that wants to leave")


@register_agent
def interrupts(_: Any) -> None:
    raise KeyboardInterrupt


@register_agent
async def cancels_itself(_: Any) -> None:
    raise asyncio.CancelledError


@register_agent
def half_character(_: Any) -> str:
    return "half \ud800"


@register_agent
def not_json(_: Any) -> object:
    return object()


@register_agent
def not_a_number(_: Any) -> float:
    return float("nan")


class UnprintableError(Exception):
    """Cannot even say what is wrong."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@register_agent
def unprintable(_: Any) -> None:
    raise UnprintableError


@register_agent
def talkative(_: Any) -> None:
    raise ValueError("long " * 100_000 + "\ud800")


@register_agent
def endless(_: Any) -> Any:
    return endless(_)


@register_agent
def huge(size: int) -> str:
    return "x" * size


@register_agent
def deaf(seconds: float) -> str:
    """Code that ignores whatever is raised in it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(BaseException):
            time.sleep(0.05)
    return "never heard anything"


@register_agent
def too_fast(value: dict[str, Any]) -> str:
    """Be told to wait on each of the first `value['times']` starts."""
    run = current_run()
    assert run is not None
    starts = _count(f"{value['directory']}/{run.task_id}")
    if starts <= value["times"]:
        raise RateLimitedError("too_fast", "slow down", value["after"])
    return f"start {starts}, attempt {run.attempt}"


def _count(path: str) -> int:
    with open(path, "a") as file:  # noqa: PTH123 - one line
        file.write("x")
    return os.path.getsize(path)  # noqa: PTH202 - the same
