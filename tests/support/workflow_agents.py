"""Agents for workflows on real workers; some are plain Celery tasks of the worker's app."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery import shared_task

from pyagent_orch import current_run, register_agent


@register_agent
def tell(value: Any, context: dict[str, Any] | None = None) -> Any:
    """Give what was given: the input, or without one the context."""
    return value if value is not None else context


@register_agent
def name_dependencies(_: Any, context: dict[str, Any]) -> list[str]:
    """Give the names of the tasks whose outputs came as context."""
    return sorted(context)


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


def _note(path: str, line: str) -> None:
    # One write of a short line: whole, however many processes append.
    with Path(path).open("a") as file:
        file.write(line + "\n")


@register_agent
def in_new_words(value: dict[str, Any]) -> str:
    """Answer differently in each run, as a model does; leave a line for the run in a file.

    In its first run it makes the file `touch` when it has come so far, and waits until
    there is the file `until`.
    """
    run = current_run()
    assert run is not None
    answer = uuid4().hex
    _note(value["log"], f"{run.name} {answer}")
    if run.attempt == 1:
        if value.get("touch"):
            Path(value["touch"]).touch()
        give_up = time.monotonic() + 20
        while value.get("until") and not Path(value["until"]).exists():
            assert time.monotonic() < give_up
            time.sleep(0.02)
    return answer


@register_agent
def join_noted(value: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    """The body of a join: give what it was given, and do what `in_new_words` does."""
    in_new_words(value)
    return context
