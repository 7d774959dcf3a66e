"""What a client loads until its first task is submitted: nothing that only others need."""

from __future__ import annotations

import subprocess
import sys

from pyagent_orch.embedded.server import PrivateServer

NEVER = (
    "croniter",
    "rich",
    "pydantic_ai",
    "celery.fixups.django",
    "celery.worker.worker",
    "celery.beat",
    "pyagent_orch.cli",
    "pyagent_orch.doctor",
    "pyagent_orch.embedded",
    "pyagent_orch.engine.run",
    "pyagent_orch.listener",
    "pyagent_orch.patterns",
    "pyagent_orch.schedules",
    "pyagent_orch.state",
)
PROGRAM = """
import sys
from pyagent_orch import Orchestrator, agent
with Orchestrator(redis_url=sys.argv[1], namespace=sys.argv[2]) as orchestrator:
    print(orchestrator.submit(agent("Answer"), "x").status)
    print("loaded:", *sys.modules)
"""


def test_a_first_submit_loads_nothing_that_only_others_need(
    server: PrivateServer, namespace: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, server.broker_url, namespace],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    status, loaded = done.stdout.split("loaded:")
    assert status.strip() == "pending"
    assert "pyagent_orch.engine.dispatch" in loaded.split()
    assert set(NEVER).isdisjoint(loaded.split())
