"""What the router tells of one task: the input that its agent was given, and what happened."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from pyagent_orch import Orchestrator, Task, TaskFailedError, Workflow, agent
from pyagent_orch.web import create_dashboard
from support.web import app_of, follow, served
from support.web_agents import GATES


@pytest.fixture(scope="module")
def orchestrator() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture(scope="module")
def client(orchestrator: Orchestrator) -> Iterator[httpx.Client]:
    with served(app_of(orchestrator)) as client:
        yield client


def upper(outputs: dict[str, str]) -> str:
    return outputs["first"].upper()


def test_an_input_that_is_made_of_outputs_is_shown_as_the_agent_is_given_it(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    second = Task("web_echo", {"name": "{first.output}", "n": 1}, name="second")
    workflow = orchestrator.submit_workflow(
        Workflow(
            name="inputs",
            tasks=[
                Task("web_gate", "details-1", name="first"),
                second,
                Task("web_echo", upper, name="function"),
            ],
            dependencies={"function": ["first"]},
        )
    )
    assert client.get(f"/tasks/{second.id}").json()["input"] is None
    GATES.setdefault("details-1", threading.Event()).set()
    assert workflow.wait(20).status == "completed"
    given = client.get(f"/tasks/{second.id}").json()["input"]
    assert given == {"name": "through details-1", "n": 1}
    # A function of the outputs is called on workers only.
    assert client.get(f"/tasks/{workflow.tasks[2].id}").json()["input"] is None
    # In a copy, templates name the tasks of the first run.
    again = client.post(f"/workflows/{workflow.id}/rerun?from_task=second").json()["id"]
    copied = {t["name"]: t["id"] for t in client.get(f"/workflows/{again}").json()["tasks"]}
    assert copied["second"] != second.id
    assert client.get(f"/tasks/{copied['second']}").json()["input"] == given


def test_the_history_of_a_task_has_its_attempts_with_their_errors(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    other = orchestrator.submit("web_shout", "x").wait(20)
    body = {"agent": "web_break", "input": "no", "retry": {"max_attempts": 2, "delay_seconds": 0}}
    task = client.post("/tasks", json=body).json()["id"]
    follow(client, f"/tasks/{task}/events")
    told = client.get(f"/tasks/{task}/history").json()
    assert told["whole"] is True
    assert [one["type"] for one in told["items"]] == [
        "task.submitted", "task.started", "task.retried", "task.started", "task.failed",
    ]  # fmt: skip
    assert told["items"][2]["data"]["error"]["message"] == "no"
    assert {str(one["data"].get("attempt")) for one in told["items"][1:3]} == {"1"}
    assert [one["type"] for one in client.get(f"/tasks/{other.id}/history").json()["items"]] == [
        "task.submitted", "task.started", "task.completed",
    ]  # fmt: skip
    assert client.get("/tasks/none/history").status_code == 404


def test_the_instructions_of_a_model_are_told_by_its_task_only(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    task = orchestrator.submit(agent("You are brief", model="offline"), "x", name="model").wait(20)
    assert client.get(f"/tasks/{task.id}").json()["agent"]["instructions"] == "You are brief"
    (listed,) = client.get("/tasks", params={"name": "model"}).json()["items"]
    assert listed["agent"]["instructions"] is None


def test_a_worker_tells_how_many_tasks_it_runs(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    task = orchestrator.submit("web_gate", "busy")
    with client.stream("GET", f"/tasks/{task.id}/events?after=0-0") as stream:
        next(line for line in stream.iter_lines() if "task.started" in line)
    assert client.get("/workers").json()["items"][0]["busy"] >= 1
    GATES.setdefault("busy", threading.Event()).set()
    task.wait(20)


def test_a_dashboard_that_is_mounted_in_another_app_opens_with_its_token(
    orchestrator: Orchestrator,
) -> None:
    app = FastAPI()
    app.mount("/runs", create_dashboard(orchestrator, token="right"))
    with served(app) as client:
        assert client.get("/runs/api/overview").status_code == 401
        answer = client.get("/runs/", params={"token": "right"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/runs/")
        assert client.get("/runs/api/overview").status_code == 200
        assert "main.js" in client.get("/runs/").text


def test_every_call_that_asks_redis_can_be_awaited(orchestrator: Orchestrator) -> None:
    async def main() -> None:
        task = await orchestrator.asubmit("web_break", "no")
        with pytest.raises(TaskFailedError):
            await task
        assert await orchestrator.astatus(task.id) == "failed"
        found = await orchestrator.aget_task(task.id)
        assert found.error == "ValueError: no"
        again = await orchestrator.aretry(task.id)
        with pytest.raises(TaskFailedError):
            await again
        flow = Workflow(name="awaited", tasks=[Task("web_gate", "awaited", name="a")])
        workflow = await orchestrator.asubmit_workflow(flow)
        assert await orchestrator.acancel(workflow.id)
        assert (await orchestrator.aget_workflow(workflow.id)).status == "cancelled"

    asyncio.run(main())
