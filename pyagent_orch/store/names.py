"""Names that a person at a prompt may mean: two round trips, whatever is stored.

Part of the room that knows redis. Knows nothing of Celery, and imports little: a shell
starts a process for each completion.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import redis

from pyagent_orch.config import Settings
from pyagent_orch.states import TaskStatus, WorkflowStatus
from pyagent_orch.store.address import parse_address
from pyagent_orch.store.connection import connect, named_errors
from pyagent_orch.store.keys import Keys

TIMEOUT_SECONDS = 0.5
"""Somebody waits, with a finger on a key."""
RECENT = 10
"""So many of each state."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a namespace knows by name."""

    tasks: Mapping[str, str] = field(default_factory=dict)
    """Maps ids of tasks that moved lately to their names, the latest of each state first."""
    workflows: Mapping[str, str] = field(default_factory=dict)
    """The same of workflows."""
    jobs: Mapping[str, str] = field(default_factory=dict)
    """Maps ids of scheduled jobs to their names."""
    agents: tuple[str, ...] = ()
    """Those that living workers have registered."""
    queues: tuple[str, ...] = ()
    """Those that living workers serve."""


def read_names(settings: Settings) -> Names:
    """Read the names.

    Args:
        settings: with a `redis_url`.

    Raises:
        ConfigurationError: its `redis_url` is none.
        OrchestratorConnectionError: Redis is out of reach or refuses.
    """
    address = parse_address(settings.redis_url or "")
    keys = Keys(settings.namespace)
    client = connect(
        address, connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS, retries=0
    )
    with named_errors(address.label), closing(client):
        return _read(client, keys)


def _read(client: redis.Redis, keys: Keys) -> Names:
    pipe = client.pipeline(transaction=False)
    for status in TaskStatus:
        pipe.zrange(keys.status(status), 0, RECENT - 1, desc=True)
    for workflow_status in WorkflowStatus:
        pipe.zrange(keys.workflow_status(workflow_status), 0, RECENT - 1, desc=True)
    pipe.zrange(keys.jobs, 0, 10 * RECENT, desc=True)
    pipe.zrange(keys.workers, 0, -1)
    *lists, jobs, leases = pipe.execute()
    tasks = _joined(lists[: len(TaskStatus)])
    workflows = _joined(lists[len(TaskStatus) :])
    pipe = client.pipeline(transaction=False)
    for key in (
        *map(keys.task, tasks), *map(keys.workflow, workflows), *map(keys.job, jobs)
    ):  # fmt: skip
        pipe.hget(key, "name")
    for lease in leases:
        pipe.hget(keys.worker(lease), "info")
    found = iter(pipe.execute())
    of_tasks, of_workflows, of_jobs = (
        {one: str(name) for one in ids if (name := next(found)) is not None}
        for ids in (tasks, workflows, jobs)
    )
    told = [json.loads(info or "{}") for info in found]
    agents, queues = _all(told, "agents"), _all(told, "queues")
    return Names(of_tasks, of_workflows, of_jobs, agents, queues)


def _joined(lists: Iterable[Iterable[str]]) -> list[str]:
    return [one for ids in lists for one in ids]


def _all(told: Iterable[Mapping[str, list[str]]], what: str) -> tuple[str, ...]:
    return tuple(sorted({str(name) for info in told for name in info.get(what) or ()}))
