"""Our workers' app with plain Celery tasks beside our agents, as a team may have it.

Its worker: `celery -A support.mixed_app worker`.
"""

from __future__ import annotations

import time
from typing import Any

from celery import Celery
from celery.exceptions import Reject

from pyagent_orch import create_app
from support import fleet_agents  # noqa: F401 - registers agents


def add_tasks(app: Celery) -> Celery:
    """Register the tasks in an app; a client's too."""

    def register(function: Any, **options: Any) -> None:
        app.task(function, name=f"mixed.{function.__name__}", shared=False, **options)

    for function in (add, total, same, fail, sleep):
        register(function)
    for function in (retried, once_more, put_back):
        register(function, bind=True)
    return app


def add(x: int, y: int) -> int:
    return x + y


def total(numbers: list[int]) -> int:
    return sum(numbers)


def same(value: Any) -> Any:
    return value


def fail(text: str) -> None:
    raise ValueError(text)


def sleep(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def retried(self: Any, times: int) -> int:
    """Fail so many times, then say how often."""
    if self.request.retries < times:
        raise self.retry(countdown=0.1, max_retries=times)
    return int(self.request.retries)


def once_more(self: Any, x: int) -> Any:
    """Be replaced by a chain."""
    raise self.replace(self.app.tasks["mixed.add"].s(x, 1) | self.app.tasks["mixed.add"].s(1))


def put_back(self: Any) -> bool:
    """Put the message back, until it comes again."""
    if not self.request.delivery_info["redelivered"]:
        raise Reject("not yet", requeue=True)
    return True


def __getattr__(name: str) -> Any:
    """Make the app only where a worker asks for it; it reads the environment."""
    if name != "app":
        raise AttributeError(name)
    return add_tasks(create_app())
