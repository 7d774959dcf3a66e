"""Workers die in the middle of a debate: it ends, and no recorded turn is asked for again.

What was asked is what the model server wrote down, not what our records say.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest

from pyagent_orch import AgentPatterns, DebateResult, agent
from support.chat_server import Behaviour, ChatRequest, ChatServer, answer, tool_call
from support.fleet import Fleet, until

ROUNDS = 6
FAST = {
    # Low, so that a dead worker is found soon; the times of a test, not of production.
    "PYAGENT_ORCH_LEASE_SECONDS": "1.5",
    "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.3",
}


def reply(request: ChatRequest) -> Behaviour:
    if request.instructions == "You judge":
        return tool_call("final_result", winner="con", reasoning="Calmer.")
    return answer(f"{request.instructions}. " + "words " * 20, delay_seconds=0.1)


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.slow
def test_no_recorded_turn_is_asked_again_when_workers_are_killed(fleet: Fleet) -> None:
    with ChatServer(reply) as server:
        environment = FAST | {
            "PYAGENT_ORCH_MODEL": "openai:any",
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": "sk-test-key",
        }
        fleet.start("threads", 2, env=environment)
        found: list[DebateResult] = []
        thread = threading.Thread(target=lambda: found.append(debate(fleet)), daemon=True)
        thread.start()
        killed = 0
        for asked in (3, 6, 9):
            server.wait_for_requests(asked + killed)
            fleet.workers[killed].kill_group()
            killed += 1
            fleet.start("threads", 2, env=environment)
        thread.join(90)
        assert found, "the debate did not end"
        requests = server.requests
    result = found[0]
    assert result.winner == "con"
    assert len(result.transcript) == 2 * ROUNDS
    assert result.turns == 2 * ROUNDS + 1
    asked_for = Counter(request.prompt for request in requests)
    assert len(asked_for) == result.turns
    # Each kill can cost the one call that was on its way, and no other.
    assert len(requests) <= result.turns + killed
    recorded = {task.input: task for task in turns(fleet, result)}
    clocks = time.time() - time.monotonic()
    for request in requests:
        completed_at = recorded[request.prompt].completed_at
        assert completed_at is not None
        assert request.at + clocks < completed_at.timestamp() + 0.01, "asked for after its record"


def debate(fleet: Fleet) -> DebateResult:
    return AgentPatterns.debate(
        "Tea or coffee", agent("You are for tea"), agent("You are for coffee"),
        agent("You judge"), rounds=ROUNDS, orchestrator=fleet.orchestrator,
    )  # fmt: skip


def turns(fleet: Fleet, result: DebateResult) -> list[Any]:
    workflow = fleet.orchestrator.get_workflow(result.workflow_id)
    until(lambda: workflow.status.is_final)
    return [task for task in workflow.tasks if task.metadata.get("pattern") == "debate"]
