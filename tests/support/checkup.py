"""What the tests of the doctor share: examining, and what a finding has to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from pyagent_orch import Orchestrator, Settings
from pyagent_orch.doctor import Finding
from support.fleet import Fleet
from support.raw_server import RawServer

QUICK = {"lease_seconds": 1.0, "heartbeat_seconds": 0.1}
QUICK_ENV = {"PYAGENT_ORCH_LEASE_SECONDS": "1", "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.1"}
ALIVE = {"queues": ["agents"], "agents": ["echo"], "tools": [], "pool": "solo"}


def by_id(findings: list[Finding]) -> dict[str, Finding]:
    return {one.id: one for one in findings}


def examine(url: str, **settings: Any) -> dict[str, Finding]:
    with Orchestrator(settings=Settings(redis_url=url, **settings)) as orchestrator:
        return by_id(orchestrator.doctor())


def complaint(found: dict[str, Finding], check: str, severity: str, *words: str) -> Finding:
    """The finding of a check, which has to be bad and to say so with these words."""
    finding = found[check]
    assert finding.severity == severity, finding
    for word in words:
        assert word in f"{finding.what} {finding.remedy}", finding
    assert finding.remedy
    return finding


def pretend(orch: Orchestrator, name: str = "w@h", **info: Any) -> str:
    """A worker's heartbeat, as a worker of another release or machine may send it."""
    lease = f"{name}:{uuid4().hex[:6]}"
    orch._store.fleet.heartbeat(lease, name, json.dumps(ALIVE | info), [])
    return lease


@contextmanager
def healthy_fleet(folder: Path) -> Iterator[Fleet]:
    """A server with a password and an append-only file, and a worker."""
    with RawServer(folder) as server:
        fleet = Fleet(server.url, f"healthy{uuid4().hex[:6]}", folder)
        try:
            fleet.start("threads", 2)
            fleet.orchestrator.submit("echo", "x").result(20)
            yield fleet
        finally:
            fleet.close()
