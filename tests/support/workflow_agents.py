"""Agents for workflows on real workers; some are plain Celery tasks of the worker's app."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task

from pyagent_orch import current_run, register_agent


@register_agent
def tell(value: Any, context: dict[str, Any] | None = None) -> Any:
    """Give what was given: the input, or without one the context."""
    return value if value is not None else context


@register_agent
def shout(text: str) -> str:
    return text.upper()


@register_agent
def fail_once(text: str) -> str:
    run = current_run()
    assert run is not None
    if run.attempt == 1:
        raise ConnectionError("not yet")
    return f"{text} in attempt {run.attempt}"


@register_agent
def fail_always(_: Any) -> None:
    raise ValueError("no luck")


@register_agent
def sleep_shortly(value: Any) -> Any:
    time.sleep(0.3)
    return value


def join_words(outputs: dict[str, Any]) -> str:
    """A function of the outputs."""
    return " ".join(str(outputs[name]) for name in sorted(outputs))


@shared_task(name="legacy.count")
def count(text: str, times: int = 1) -> int:
    """A Celery task that was there before us."""
    return len(text) * times


@shared_task(name="legacy.stamp")
def stamp() -> str:
    """One that takes nothing."""
    return "stamped"
