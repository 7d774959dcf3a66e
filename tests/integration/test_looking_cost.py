"""Looking at an installation costs the same however many tasks have finished."""

from __future__ import annotations

import pytest

from benchmarks.cases.looking import FEW, costs_of_looking, fill
from pyagent_orch import Orchestrator, TaskStatus
from pyagent_orch.embedded.server import PrivateServer

MANY = 20_000


@pytest.mark.slow
def test_top_metrics_and_list_are_as_fast_with_20_000_finished_tasks_as_with_1_000() -> None:
    with PrivateServer() as server:
        costs = costs_of_looking(server.broker_url, FEW, MANY)
    for look, (few, many) in costs.items():
        assert many <= 1.5 * few, f"{look}: {1e3 * few:.2f} ms, {1e3 * many:.2f} ms with {MANY}"


def test_what_is_looked_at_is_there(server: PrivateServer, namespace: str) -> None:
    with Orchestrator(redis_url=server.broker_url, namespace=namespace) as orchestrator:
        fill(orchestrator, 50)
        assert orchestrator.measure().tasks[TaskStatus.COMPLETED] == 50
        listed = orchestrator.tasks(limit=20)
        assert [task.id for task in listed] == [f"done-{n}" for n in range(49, 29, -1)]
        assert listed[0].output == "x"
