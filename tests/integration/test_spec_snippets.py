"""The spec's snippets, as they stand in `tests/spec/`, run word for word.

Only the imports are changed, and `task.wait()` added where a result is read at once.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import Orchestrator, Task, TaskStatus, agent
from pyagent_orch.exceptions import TaskExistsError
from support.chat_server import Behaviour, ChatRequest, ChatServer, answer
from support.fleet import until

SNIPPETS = Path(__file__).parents[1] / "spec"


@pytest.fixture
def run() -> Iterator[Callable[..., dict[str, Any]]]:
    """Runs snippets one after the other in one namespace; closes what they opened."""
    names: dict[str, Any] = {"__name__": "snippet"}

    def run_snippet(*snippets: str, **given: object) -> dict[str, Any]:
        names.update(given)
        for snippet in snippets:
            file = SNIPPETS / f"{snippet}.py"
            exec(compile(file.read_text(), file, "exec"), names)
        return names

    yield run_snippet
    if "orch" in names:
        names["orch"].close()


def test_the_quick_start_prints_a_result(
    run: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    names = run("quick_start")
    task, printed = names["task"], capsys.readouterr().out
    assert names["orch"].status(task.id) is TaskStatus.COMPLETED
    assert printed.startswith("completed\n")
    assert "quantum computing" in printed
    assert task.output in printed
    assert task.priority == 1


def test_a_task_written_out_in_full_can_be_submitted(
    run: Callable[..., dict[str, Any]], embedded: Callable[..., Orchestrator]
) -> None:
    task = run("tasks", my_agent=agent("You are a clerk"))["task"]
    assert (task.id, task.name, task.status) == ("task-001", "Research Task", TaskStatus.PENDING)
    orch = embedded()
    assert "Research topic" in orch.submit(task).result(timeout=20)
    assert orch.get_task("task-001").metadata == {"category": "research"}
    with pytest.raises(TaskExistsError):
        orch.submit(task)


def test_submitting_and_checking_status(
    run: Callable[..., dict[str, Any]],
    embedded: Callable[..., Orchestrator],
    capsys: pytest.CaptureFixture[str],
) -> None:
    my_agent = agent("You are a clerk")
    names = run("submitting_tasks", "checking_status", my_agent=my_agent, orch=embedded())
    task: Task = names["task"]
    assert isinstance(names["status"], TaskStatus)
    assert task.status is TaskStatus.COMPLETED
    assert task.started_at is not None
    assert task.completed_at is not None
    assert task.created_at <= task.started_at <= task.completed_at
    printed = ""

    def said_by_the_callback() -> bool:
        nonlocal printed
        printed += capsys.readouterr().out
        return f"Task {task.id} completed: {task.output}" in printed

    until(said_by_the_callback)
    assert f"\n{task.started_at}\n{task.completed_at}\n" in printed
    first = next(t for t in names["orch"].tasks() if t.id != task.id)
    first.wait(timeout=20)
    assert first.metadata == {"user": "alice"}
    assert "Process this data" in first.output


def test_the_event_system(
    run: Callable[..., dict[str, Any]],
    embedded: Callable[..., Orchestrator],
    capsys: pytest.CaptureFixture[str],
) -> None:
    orch = embedded()
    alerts: list[str] = []
    custom: list[object] = []
    alerted, emitted = threading.Event(), threading.Event()
    orch.on("custom.event", lambda data: (custom.append(data), emitted.set()))
    run(
        "event_system",
        orch=orch,
        alert_team=lambda error: (alerts.append(error), alerted.set()),
        generate_report=lambda workflow: pytest.fail("nobody submitted a workflow"),
    )
    assert emitted.wait(10)
    assert custom == [{"key": "value"}]

    def refuse(_: str) -> None:
        raise ValueError("no such customer")

    orch.submit(agent("You are a clerk"), "x", name="Good one").wait(timeout=20)
    orch.submit(refuse, "x").wait(timeout=20)
    assert alerted.wait(10)
    assert alerts == ["ValueError: no such customer"]
    # Events come in order, so the completed one has been told by now.
    assert "Task completed: Good one\n" in capsys.readouterr().out


def test_customer_support_routes_each_ticket_by_what_the_classifier_said(
    run: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def reply(request: ChatRequest) -> Behaviour:
        if not request.instructions.startswith("Classify"):
            return answer("Dear customer, ...")
        kind = re.search("crash|invoice|TECHNICAL|Billing|complaint", request.prompt)
        said = {"crash": "TECHNICAL: a crash", "invoice": "Billing, low", None: "a complaint"}
        return answer(said.get(kind and kind[0], request.prompt))

    with ChatServer(reply) as server:
        monkeypatch.setenv("PYAGENT_ORCH_MODEL", "openai:any")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key")
        tickets = ["It crashes at start", "My invoice is wrong", "I am angry"]
        run("customer_support", incoming_tickets=tickets)
        # For each ticket: classified as a task, classified again and routed by the callback.
        server.wait_for_requests(9)
        until(lambda: len(server.requests) == 9, timeout=1)
    routed = {
        (request.instructions, request.prompt)
        for request in server.requests
        if not request.instructions.startswith("Classify")
    }
    # An agent given a Task takes its output: what the classifier said of the ticket.
    assert routed == {
        ("Provide technical solutions", "TECHNICAL: a crash"),
        ("Handle billing questions", "Billing, low"),
        ("Handle escalations professionally", "a complaint"),
    }
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []
