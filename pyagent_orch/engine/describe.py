"""What a worker says of itself to people and to `doctor`, with its lease."""

from __future__ import annotations

import os
import platform
import socket
from typing import Any

from pyagent_orch.agents import registered_agents
from pyagent_orch.agents.registry import TOOLS
from pyagent_orch.engine.runtime import runtime_of

SHARED_SETTINGS = {
    *("lease_seconds", "heartbeat_seconds", "record_ttl_seconds"),
    *("events_max_length", "max_worker_losses"),
}
"""What all workers of an installation should agree on, since each acts for all."""


def describe_worker(worker: Any) -> dict[str, Any]:
    """What a worker says of itself."""
    from importlib.metadata import version

    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "pool": pool_name(worker),
        "concurrency": worker.concurrency,
        "queues": sorted(worker.app.amqp.queues.consume_from),
        "agents": sorted(registered_agents()),
        "tools": sorted(TOOLS.names()),
        "python": platform.python_version(),
        "celery": version("celery"),
        "version": version("pyagent-orch"),
        "settings": runtime_of(worker.app).settings.model_dump(include=SHARED_SETTINGS),
    }


def pool_name(worker: Any) -> str:
    """The pool in the words of Celery's `-P`."""
    module = str(worker.pool_cls.__module__).rpartition(".")[2]
    return str(getattr(worker.pool_cls, "name", {"thread": "threads"}.get(module, module)))
