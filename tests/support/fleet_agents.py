"""Agents that test workers register (PYAGENT_ORCH_AGENTS=support.fleet_agents)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

from pyagent_orch import current_run, register_agent

MEETINGS: dict[int, asyncio.Barrier] = {}


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
def wait_for_file(path: str) -> str:
    """Wait until a file is there."""
    deadline = time.monotonic() + 60
    while not Path(path).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return "there"


@register_agent
def current_celery_task(_: Any) -> list[str]:
    """What Celery says about the task that this code is part of."""
    from celery import current_task

    return [current_task.request.id, current_task.name]


@register_agent
async def async_sleep(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@register_agent
async def meet(count: int) -> int:
    """Wait until so many are here at once; the process that all of them are in."""
    await MEETINGS.setdefault(count, asyncio.Barrier(count)).wait()
    return os.getpid()


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


@register_agent("tell_words")
def tell(value: dict[str, Any]) -> Any:
    """Write the words of a text one by one; returns the text, or `value['output']`.

    In each attempt before `value['attempt']` it stops half way and waits to be killed, or
    raises if it has `value['raises']`.
    """
    run = current_run()
    assert run is not None
    words = re.findall(r"\s*\S+\s*", value["text"])
    for place, word in enumerate(words):
        if place == len(words) // 2 and run.attempt < value.get("attempt", 1):
            time.sleep(value.get("seconds", 0.01) * 20)
            if value.get("raises"):
                raise ConnectionError("half way")
            time.sleep(600)
        run.write(word)
        time.sleep(value.get("seconds", 0.01))
    return value.get("output", "".join(words))


@register_agent
async def atell(value: dict[str, Any]) -> str:
    """The same in a coroutine, without the attempts."""
    run = current_run()
    assert run is not None
    for word in re.findall(r"\s*\S+\s*", value["text"]):
        run.write(word)
        await asyncio.sleep(value.get("seconds", 0.01))
    return str(value["text"])


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
