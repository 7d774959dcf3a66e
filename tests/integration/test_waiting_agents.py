"""How many agents that wait one worker process holds at once."""

from __future__ import annotations

import pytest

from pyagent_orch import Task
from support.fleet import Fleet

CALLS = 500


@pytest.mark.timeout(60)
def test_one_worker_process_holds_500_asynchronous_agents_that_wait_at_once(fleet: Fleet) -> None:
    worker = fleet.start("threads", CALLS)
    tasks = fleet.orchestrator.submit_many([Task("meet", CALLS) for _ in range(CALLS)])
    # Each waits until all are there: one that were not taken would hold up the others for ever.
    fleet.orchestrator.wait(*tasks, timeout=40)
    assert {task.result() for task in tasks} == {worker.pid}
