"""Every public call of an Orchestrator that talks to Redis, by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pyagent_orch import Orchestrator, Task
from support.fleet_agents import echo

CALLS: dict[str, Callable[[Orchestrator], object]] = {
    "start": lambda orch: orch.start(),
    "submit": lambda orch: orch.submit(echo, "x"),
    "submit by name": lambda orch: orch.submit("not_registered_here", "x"),
    "submit with callback": lambda orch: orch.submit(echo, "x", callback=print),
    "submit_many": lambda orch: orch.submit_many([Task(echo, n) for n in range(3)]),
    "asubmit": lambda orch: asyncio.run(orch.asubmit(echo, "x")),
    "status": lambda orch: orch.status("one"),
    "get_task": lambda orch: orch.get_task("one"),
    "tasks": lambda orch: orch.tasks(),
    "counts": lambda orch: orch.counts(),
    "workers": lambda orch: orch.workers(),
    "cancel": lambda orch: orch.cancel("one"),
    "retry": lambda orch: orch.retry("one"),
    "emit": lambda orch: orch.emit("custom.event"),
    "events": lambda orch: list(orch.events()),
    "follow": lambda orch: next(iter(orch.events(follow=True))),
    "on": lambda orch: orch.on("task.*", print),
    "on, durable": lambda orch: orch.on("task.*", print, durable="group"),
}
