"""Agents for workflows in this process: they count their real runs, and wait at gates."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from pyagent_orch import Task

GATE_SECONDS = 10.0
"""No gate holds a thread for longer, should a test fail to open it."""


class Rehearsal:
    """Makes tasks whose agents are counted in `runs`, by the task's name."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self._lock = threading.Lock()

    def task(
        self,
        name: str,
        act: Callable[[Any], Any] | None = None,
        given: object = None,
        **options: Any,
    ) -> Task:
        """A task with an agent of its own; without `act` it gives its name in capitals."""

        def agent(value: Any, context: Any = None) -> Any:
            with self._lock:
                self.runs[name] += 1
            return name.upper() if act is None else act(value)

        return Task(agent, given, name=name, **options)

    def telling(self, name: str, given: object = None, **options: Any) -> Task:
        """A task that gives what it was given: its input and its context."""

        def agent(value: Any, context: Any = None) -> Any:
            with self._lock:
                self.runs[name] += 1
            return [value, context]

        return Task(agent, given, name=name, **options)


class Gate:
    """An agent that says that it has come, and waits until it is let through."""

    def __init__(self, answer: Any = "through") -> None:
        self.answer = answer
        self.came, self.opened = threading.Event(), threading.Event()

    def __call__(self, _: Any) -> Any:
        self.came.set()
        assert self.opened.wait(GATE_SECONDS), "nobody opened the gate"
        return self.answer

    def open(self) -> None:
        self.opened.set()


def fails(_: Any) -> Any:
    """An agent that never comes to an output."""
    raise ValueError("no luck")
