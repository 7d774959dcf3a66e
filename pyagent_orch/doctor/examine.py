"""The examination: collect the facts, run every check."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from pyagent_orch.agents import registered_agents
from pyagent_orch.config import Settings
from pyagent_orch.doctor import fleet, records, server
from pyagent_orch.doctor.finding import Case, Finding, Severity, Verdict, fine
from pyagent_orch.engine.roll_call import roll_call
from pyagent_orch.exceptions import OrchestratorConnectionError
from pyagent_orch.store.inspect import NamespaceFacts

if TYPE_CHECKING:
    from pyagent_orch.engine.client import Client

REACHABLE = "redis.reachable"


def _reachable(case: Case) -> Verdict:
    """Whether the server answers."""
    return fine(f"{case.server.label} answers")


CHECKS: Mapping[str, Callable[[Case], Verdict]] = {
    REACHABLE: _reachable,
    "redis.version": server.version,
    "redis.role": server.role,
    "redis.writable": server.writable,
    "redis.permissions": server.permissions,
    "redis.access": server.access,
    "redis.eviction": server.eviction,
    "redis.persistence": server.persistence,
    "redis.memory": server.memory,
    "redis.connections": server.connections,
    "redis.latency": server.latency,
    "redis.clock": server.clock,
    "workers.alive": fleet.alive,
    "workers.heartbeats": fleet.heartbeats,
    "workers.clocks": fleet.clocks,
    "workers.replies": fleet.replies,
    "workers.versions": fleet.versions,
    "workers.settings": fleet.settings,
    "workers.strangers": fleet.strangers,
    "queues.served": fleet.served,
    "queues.agents": fleet.agents,
    "tasks.running": records.running,
    "tasks.delayed": records.delayed,
    "schedules.beat": records.beat,
    "results.expiry": records.expiry,
    "messages.rejected": records.rejected,
    "events.length": records.stream,
    "events.handlers": records.groups,
}
"""Maps the id of each check to it, in the order that they are told. Each is in `docs/doctor.md`."""


def examine(
    client: Client, settings: Settings, *, embedded: bool = False, lasting: bool = False
) -> list[Finding]:
    """Look at a live installation; takes about a second, since workers are asked.

    Args:
        client: of the installation.
        settings: those of whoever asks.
        embedded: whether its server is the private one of this process.
        lasting: embedded: whether the state is meant to outlive the process.

    Returns:
        A finding of each check, in the order of `CHECKS`; of `redis.reachable` alone when
        the server does not answer, and of the `redis` checks when it refuses to be read.
    """
    store = client.store
    try:
        facts = store.inspect_server()
    except OrchestratorConnectionError as problem:
        return [_unreachable(problem)]
    try:
        namespace = store.inspect_namespace()
    except OrchestratorConnectionError as problem:
        # It answers and says no: what it is, and what we may do there, tells why.
        case = Case(settings, facts, NamespaceFacts(), embedded=embedded, lasting=lasting)
        checks = {name: check for name, check in CHECKS.items() if name.startswith("redis.")}
        checks.pop(REACHABLE)
        return [_unreachable(problem), *(_finding(name, checks[name](case)) for name in checks)]
    case = Case(
        settings=settings,
        server=facts,
        namespace=namespace,
        embedded=embedded,
        lasting=lasting,
        roll=roll_call(client.app),
        here={
            "version": version("pyagent-orch"),
            "celery": version("celery"),
            "python": platform.python_version(),
        },
        agents=frozenset(registered_agents()),
        pid=os.getpid(),
    )
    return [_finding(name, check(case)) for name, check in CHECKS.items()]


def _unreachable(problem: OrchestratorConnectionError) -> Finding:
    return Finding(
        REACHABLE,
        Severity.ERROR,
        str(problem),
        "start the server, or correct PYAGENT_ORCH_REDIS_URL (host, port, user, password); "
        "from this machine `redis-cli -u <the URL> ping` must answer PONG",
    )


def _finding(check: str, verdict: Verdict) -> Finding:
    return Finding(check, verdict.severity, verdict.what, verdict.remedy)
