"""What was paid for is recorded, also where nothing came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pydantic import BaseModel

from pyagent_orch import AgentPatterns, Orchestrator, Task, Usage, Workflow, agent, register_tool
from support.chat_server import ChatServer, answer, failure, hang, tool_call

Make = Callable[..., Orchestrator]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with ChatServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key")
        monkeypatch.setenv("PYAGENT_ORCH_MODEL", "openai:any")
        yield server


class Verdict(BaseModel):
    """What is asked for."""

    winner: str


WRONG = tool_call("final_result", loser="x")
BALLOT = tool_call("final_result", vote="approve", confidence=0.9, reasoning="Good.")
RIGHT = tool_call("final_result", winner="con")


@register_tool
def look() -> str:
    """Look."""
    return "seen"


def bill(usage: Usage | None) -> tuple[int, int, int]:
    assert usage is not None
    return usage.requests, usage.input_tokens, usage.output_tokens


def test_answers_that_did_not_fit_are_on_the_bill_of_the_task(
    server: ChatServer, embedded: Make
) -> None:
    # The model may correct itself twice in an attempt: three requests for nothing, then one.
    server.script(WRONG, WRONG, WRONG, RIGHT)
    task = embedded().submit(agent("Judge", output_type=Verdict), "Who?", retry=2)
    assert task.result(20) == {"winner": "con"}
    assert len(server.requests) == 4
    assert bill(task.usage) == (4, 44, 28)
    assert task.usage is not None
    assert task.usage.model == "openai:any"


def test_a_task_that_failed_says_what_it_cost_and_goes_on_counting(
    server: ChatServer, embedded: Make
) -> None:
    orch = embedded()
    server.script(WRONG, WRONG, WRONG, RIGHT)
    task = orch.submit(agent("Judge", output_type=Verdict), "Who?")
    assert task.wait(20).status == "failed"
    assert bill(task.usage) == (3, 33, 21)
    again = orch.retry(task.id)
    assert again.wait(20).status == "completed"
    assert bill(again.usage) == (4, 44, 28)


def test_calls_before_a_failure_or_a_timeout_are_on_the_bill(
    server: ChatServer, embedded: Make
) -> None:
    orch = embedded()
    server.script(answer("yes"))

    def ask_and_fall(question: str) -> str:
        raise ConnectionError(str(agent("You answer")(question)))

    fallen = orch.submit(ask_and_fall, "?")
    assert fallen.wait(20).status == "failed"
    assert bill(fallen.usage) == (1, 11, 7)
    server.script(tool_call("look"), failure(500), tool_call("look"), hang())
    broken = orch.submit(agent("You look", tools=["look"]), "?")
    assert broken.wait(20).status == "failed"
    assert bill(broken.usage)[1:] == (11, 7)
    late = orch.submit(agent("You look", tools=["look"]), "?", timeout=1.0)
    assert late.wait(20).status == "failed"
    assert bill(late.usage)[1:] == (11, 7)


def test_failed_turns_count_for_the_run_and_its_limits(server: ChatServer, embedded: Make) -> None:
    orch = embedded()
    server.default = lambda request: WRONG if "tester" in request.instructions else BALLOT
    voters = [agent(f"You are {name}") for name in ("a tester", "a writer")]
    result = AgentPatterns.consensus("Ship it?", voters, orchestrator=orch, retry=2)
    asked = len(server.requests)
    # Two attempts of three requests each that came to nothing, and the other voter's.
    assert asked == 7
    assert bill(result.usage) == (asked, 11 * asked, 7 * asked)
    assert bill(orch.get_workflow(result.workflow_id).usage) == bill(result.usage)


def test_a_workflow_sums_attempts_that_failed(server: ChatServer, embedded: Make) -> None:
    server.script(WRONG, WRONG, WRONG, RIGHT, answer("thanks"))
    first = Task(agent("Judge", output_type=Verdict), "Who?", name="first", retry=2)
    second = Task(agent("Thank"), "{first.output}", name="second")
    workflow = embedded().submit_workflow(Workflow("w", [first, second]))
    workflow.result(20)
    assert bill(workflow.usage) == (5, 55, 35)
