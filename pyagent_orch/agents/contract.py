"""What passes between an engine and the agents: the wire form, the run, the outcome.

Ground of the agents' room: plain frozen values and the context variable that
tells running code which run it belongs to. Knows no model and no event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue


@dataclass(frozen=True, slots=True)
class AgentWire:
    """How an agent crosses the wire: JSON, never code.

    Immutable and shared; one agent object has one wire form for its whole life.
    """

    json: str
    """Canonical JSON with a `kind`: `model`, `callable` or `local`."""
    hash: str
    """The content's hash, 16 hexadecimal digits; equal agents have equal hashes."""
    name: str
    """The name for people."""


class TextSink(Protocol):
    """Takes the text of a run while it is written. Safe to share between threads; no I/O."""

    def write(self, text: str) -> None:
        """Add to the text."""

    def start_over(self) -> None:
        """What is written from now on takes the place of what was written before."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One attempt to run an agent for a task.

    Immutable; what `current_run()` gives to the agent's own code and to its tools.
    """

    task_id: str
    name: str
    """The task's name."""
    attempt: int = 1
    """1 for the first attempt."""
    run_key: str = ""
    """The same in each attempt: what to hand to another system as idempotency key."""
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)
    """The task's metadata."""
    context: Mapping[str, JSONValue] = field(default_factory=dict)
    """Maps the name of each task that this one depends on to its output."""
    deadline_seconds: float | None = None
    """Seconds for the whole call, > 0; None for no limit."""
    default_model: str | None = None
    """The model of agents that name none; None is the offline model."""
    interruptible: bool = False
    """Whether a signal can end a synchronous callable here: true in the main thread of a
    prefork child. Elsewhere a callable with a deadline runs in a thread of its own."""
    text: TextSink | None = field(default=None, repr=False, compare=False)
    """Who watches the run's text; None: nobody does."""

    def write(self, text: str) -> None:
        """Show a text to who streams the task, behind what was written before.

        From any thread or coroutine of the run; takes no time. It reaches them in pieces, some
        ten a second. What counts in the end is what the agent returns: when that is a text,
        and another one, it takes the place of what was written.
        """
        if self.text is not None and text:
            self.text.write(text)


@dataclass(frozen=True, slots=True)
class AgentOutcome:
    """What a run of an agent gave."""

    output: JSONValue
    usage: Usage | None = None
    """None if no model was asked."""


@dataclass(frozen=True, slots=True)
class RunState:
    """The run that the code at hand belongs to, with what only this room may see.

    Lives as long as one `invoke`. Shared by all threads and coroutines of the
    run; `spent` is only appended to, which is atomic.
    """

    invocation: Invocation
    ends_at: float | None
    """When the deadline is, on the monotonic clock; None for no limit."""
    spent: list[Callable[[], Usage]] = field(default_factory=list)
    """Each says what a model call of this run cost, the nested ones included; that of a call
    that runs, what it cost so far."""

    def remaining(self) -> float | None:
        """Seconds to the deadline, >= 0; None for no limit."""
        return None if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())

    def total_usage(self) -> Usage | None:
        """The sum of what was spent; None if no model was asked."""
        total: Usage | None = None
        for spent in list(self.spent):
            usage = spent()
            if usage.requests:
                total = usage if total is None else total + usage
        return total


RUN: ContextVar[RunState | None] = ContextVar("pyagent_orch_run", default=None)
"""The run of the code at hand; set by `invoke`, inherited by its threads and coroutines."""


TEXT: ContextVar[TextSink | None] = ContextVar("pyagent_orch_text", default=None)
"""Where the model call at hand writes its answer while it comes; set by `ask`."""


def current_run() -> Invocation | None:
    """The run that this code is part of; None outside any.

    Visible in synchronous and asynchronous callables and in tools. `run_key` is
    what a tool with side effects hands on, so that a retry is recognised.
    """
    state = RUN.get()
    return None if state is None else state.invocation


def shorter(*limits: float | None) -> float | None:
    """The shortest of several time limits in seconds; None stands for no limit."""
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None
