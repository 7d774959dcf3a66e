"""Agents that test workers register (PYAGENT_ORCH_AGENTS=support.fleet_agents)."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from pyagent_orch import current_run, register_agent


@register_agent
def echo(value: Any) -> Any:
    return value


@register_agent
def upper(text: str) -> str:
    return text.upper()


@register_agent
def fail(message: str) -> None:
    raise ValueError(message)


@register_agent
def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@register_agent
async def async_sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@register_agent
def die(_: Any) -> None:
    """Take the pool process along."""
    os.kill(os.getpid(), signal.SIGKILL)


@register_agent
def append_line(value: dict[str, Any]) -> str:
    """Append a line to a file and say which attempt did: counts real runs across processes."""
    run = current_run()
    assert run is not None
    with Path(value["path"]).open("a") as file:
        file.write(f"{value.get('line', run.task_id)}\n")
    if value.get("sleep"):
        time.sleep(value["sleep"])
    return f"attempt {run.attempt}"


@register_agent
def fail_until(value: dict[str, int]) -> str:
    """Fail on each attempt before `value['attempt']`."""
    run = current_run()
    assert run is not None
    if run.attempt < value["attempt"]:
        raise ConnectionError(f"attempt {run.attempt} fails")
    return f"attempt {run.attempt}"


@register_agent
def run_key(_: Any) -> str:
    run = current_run()
    assert run is not None
    return run.run_key


@register_agent
def note_run_key(value: dict[str, Any]) -> str:
    """Append the run key to a file, then take a while."""
    run = current_run()
    assert run is not None
    with Path(value["path"]).open("a") as file:
        file.write(f"{run.run_key}\n")
    time.sleep(value["sleep"])
    return f"attempt {run.attempt}"


@register_agent
def vote_slowly(seconds: float) -> str:
    time.sleep(seconds)
    return "approve"
