"""The web router as a host serves it: submit, look, list, act, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from pyagent_orch import ConfigurationError, Orchestrator
from pyagent_orch.web import create_router
from support.web import app_of, follow, served
from support.web_agents import GATES


@pytest.fixture(scope="module")
def orchestrator() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture(scope="module")
def client(orchestrator: Orchestrator) -> Iterator[httpx.Client]:
    with served(app_of(orchestrator, specs=True)) as client:
        yield client


def submit(client: httpx.Client, agent: str, given: object = None, **more: object) -> dict:
    answer = client.post("/tasks", json={"agent": agent, "input": given, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def ended(client: httpx.Client, task: str) -> dict:
    assert follow(client, f"/tasks/{task}/events")[-1].name == "end"
    return client.get(f"/tasks/{task}").json()


def test_a_router_without_auth_is_refused_unless_it_is_said_to_be_open() -> None:
    with Orchestrator() as orchestrator:
        with pytest.raises(ConfigurationError, match="open=True"):
            create_router(orchestrator)
        with pytest.raises(ConfigurationError, match="leave it out"):
            create_router(orchestrator, auth=lambda: None, open=True)


def test_a_task_is_submitted_and_looked_at(client: httpx.Client) -> None:
    made = submit(
        client, "web_shout", "hello", name="greeting", priority=2, metadata={"user": "ann"},
        timeout=30, retry=2, delay=0,
    )  # fmt: skip
    assert made["status"] in {"pending", "running", "completed"}
    task = ended(client, made["id"])
    assert (task["status"], task["output"], task["input"]) == ("completed", "HELLO", "hello")
    assert (task["name"], task["priority"], task["metadata"]) == ("greeting", 2, {"user": "ann"})
    assert (task["agent"]["kind"], task["agent"]["name"]) == ("callable", "web_shout")
    assert task["attempts"] == 1
    assert task["completed_at"] >= task["started_at"] >= task["created_at"]


def test_a_repeat_with_the_same_idempotency_key_submits_nothing(client: httpx.Client) -> None:
    body = {"agent": "web_shout", "input": "once"}
    first, second = (
        client.post("/tasks", json=body, headers={"Idempotency-Key": "k-1"}).json()["id"]
        for _ in range(2)
    )
    assert first == second
    flow = {"name": "w", "tasks": [{"name": "a", "agent": "web_shout", "input": "x"}]}
    headers = {"Idempotency-Key": "k-2"}
    one = client.post("/workflows", json=flow, headers=headers).json()["id"]
    follow(client, f"/workflows/{one}/events")
    again = client.post("/workflows", json=flow, headers=headers)
    assert (again.json()["id"], again.json()["status"]) == (one, "completed")


def test_a_workflow_is_shown_with_its_tasks_edges_and_output(client: httpx.Client) -> None:
    flow = {
        "name": "report",
        "tasks": [
            {"name": "gather", "agent": "web_shout", "input": "facts"},
            {"name": "write", "agent": "web_echo", "input": "{gather.output}!", "after": "gather"},
        ],
    }
    made = client.post("/workflows", json=flow)
    assert made.status_code == 201, made.text
    name = made.json()["id"]
    assert follow(client, f"/workflows/{name}/events")[-1].data["status"] == "completed"
    shown = client.get(f"/workflows/{name}").json()
    ids = {task["name"]: task["id"] for task in shown["tasks"]}
    assert shown["edges"] == {ids["write"]: [ids["gather"]]}
    assert shown["results"] == [ids["write"]]
    assert (shown["size"], shown["done"]) == (2, 2)
    assert {task["workflow"] for task in shown["tasks"]} == {name}
    assert client.get(f"/workflows/{name}/output").json() == {
        "status": "completed",
        "output": "FACTS!",
    }


def test_a_pattern_is_run_as_a_workflow_whose_added_tasks_are_in_its_stream(
    client: httpx.Client,
) -> None:
    made = client.post(
        "/patterns",
        json={"pattern": "chain_of_thought", "input": "why", "reasoner": "web_shout",
              "steps": ["look", "think"]},
    )  # fmt: skip
    assert made.status_code == 201, made.text
    name = made.json()["id"]
    events = follow(client, f"/workflows/{name}/events?after=0-0")
    done = {one.data["subject"] for one in events if one.data.get("type") == "task.completed"}
    tasks = client.get(f"/workflows/{name}").json()["tasks"]
    assert len(tasks) == 3
    assert done == {task["id"] for task in tasks}


def test_what_failed_is_a_dead_letter_and_is_retried(client: httpx.Client) -> None:
    task = submit(client, "web_break", "no", name="brittle")
    shown = ended(client, task["id"])
    assert (shown["error"]["type"], shown["error"]["message"]) == ("ValueError", "no")
    assert "break_down" in shown["error"]["traceback"]
    letters = client.get("/dead-letters", params={"name": "brittle", "error": "ValueError"}).json()
    assert [one["id"] for one in letters["items"]] == [task["id"]]
    assert letters["items"][0]["error"]["traceback"] is None
    assert client.get("/dead-letters", params={"error": "KeyError"}).json()["items"] == []
    retried = client.post("/dead-letters/retry", json={"name": "brittle"}).json()
    assert retried == {"ids": [task["id"]]}
    assert ended(client, task["id"])["status"] == "failed"
    assert client.post(f"/tasks/{task['id']}/retry").status_code == 200
    assert ended(client, task["id"])["attempts"] >= 1


def test_retry_failed_runs_again_what_a_workflow_did_not_complete(client: httpx.Client) -> None:
    flow = {
        "name": "half",
        "tasks": [
            {"name": "good", "agent": "web_shout", "input": "x"},
            {"name": "bad", "agent": "web_break", "input": "y"},
        ],
    }
    name = client.post("/workflows", json=flow).json()["id"]
    assert follow(client, f"/workflows/{name}/events")[-1].data["status"] == "failed"
    before = {t["name"]: t for t in client.get(f"/workflows/{name}").json()["tasks"]}
    assert client.post(f"/workflows/{name}/retry-failed").status_code == 200
    assert follow(client, f"/workflows/{name}/events")[-1].data["status"] == "failed"
    after = {t["name"]: t for t in client.get(f"/workflows/{name}").json()["tasks"]}
    assert after["good"]["completed_at"] == before["good"]["completed_at"]
    assert after["bad"]["completed_at"] > before["bad"]["completed_at"]


def test_a_running_task_and_a_workflow_are_cancelled(client: httpx.Client) -> None:
    task = submit(client, "web_gate", "cancel-task")
    assert client.post(f"/tasks/{task['id']}/cancel").json()["status"] == "cancelled"
    again = client.post(f"/tasks/{task['id']}/cancel")
    assert (again.status_code, again.json()["type"]) == (409, "urn:pyagent-orch:problem:conflict")
    flow = {"name": "w", "tasks": [{"name": "a", "agent": "web_gate", "input": "cancel-flow"}]}
    name = client.post("/workflows", json=flow).json()["id"]
    assert client.post(f"/workflows/{name}/cancel").json()["status"] == "cancelled"
    assert client.post(f"/workflows/{name}/cancel").status_code == 409
    for gate in ("cancel-task", "cancel-flow"):
        if gate in GATES:
            GATES[gate].set()


def test_jobs_are_added_paused_resumed_run_and_removed(client: httpx.Client) -> None:
    body = {"task": {"agent": "web_shout", "input": "tick"}, "cron": "0 5 * * *", "name": "dawn"}
    made = client.post("/schedules", json=body)
    assert made.status_code == 201, made.text
    path = f"/schedules/{made.json()['id']}"
    assert made.json()["next_run"].endswith("05:00:00Z")
    assert client.post(f"{path}/pause").json()["enabled"] is False
    run = client.post(f"{path}/run")
    assert run.json()["kind"] == "task"
    assert ended(client, run.json()["id"])["output"] == "TICK"
    assert client.get(f"{path}/runs").json()["items"] == [run.json()]
    assert client.post(f"{path}/resume").json()["enabled"] is True
    assert made.json()["id"] in [job["id"] for job in client.get("/schedules").json()["items"]]
    assert client.delete(path).status_code == 204
    assert client.delete(path).status_code == 404


def test_the_installation_is_told_in_numbers(client: httpx.Client) -> None:
    overview = client.get("/overview").json()
    assert overview["workers"] == 1
    assert "web_shout" in overview["agents"]
    assert set(overview["tasks"]) >= {"pending", "completed"}
    (worker,) = client.get("/workers").json()["items"]
    (queue,) = client.get("/queues").json()["items"]
    assert queue["name"] in worker["info"]["queues"]
    assert queue["workers"] == [worker["name"]]


def test_lists_are_filtered_and_paged_to_the_last_item(client: httpx.Client) -> None:
    wanted = {
        submit(client, "web_echo", number, name=f"Page {number}", metadata={"list": "a"})["id"]
        for number in range(7)
    }
    submit(client, "web_echo", 0, metadata={"list": "b"})
    seen, cursor = [], None
    while True:
        query = {"metadata": "list=a", "q": "PAGE", "limit": 3}
        page = client.get("/tasks", params=query | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["items"]) <= 3
        seen += [task["id"] for task in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert set(seen) == wanted
    assert client.get("/tasks", params={"status": "failed", "q": "Page"}).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind", "said"),
    [
        ("GET", "/tasks/none", None, 404, "not-found", "No task 'none'"),
        ("GET", "/workflows/none", None, 404, "not-found", "No workflow 'none'"),
        ("GET", "/tasks/none/events", None, 404, "not-found", "No task"),
        ("GET", "/schedules/none", None, 404, "not-found", "No scheduled job"),
        ("GET", "/nowhere", None, 404, "not-found", "Not Found"),
        ("PUT", "/tasks", None, 405, "method-not-allowed", "Method"),
        ("GET", "/tasks?limit=0", None, 422, "invalid", "query/limit"),
        ("GET", "/tasks?cursor=x", None, 422, "invalid", "cursor"),
        ("GET", "/events?after=x", None, 422, "invalid", "no event's id"),
        ("POST", "/tasks", {"agent": "web_shot"}, 422, "unknown-agent", "did you mean 'web_shout'"),
        ("POST", "/tasks", {"agent": "os:system"}, 422, "invalid", "body/agent"),
        ("POST", "/tasks", {"agent": "a", "id": "x"}, 422, "invalid", "body/id"),
        ("POST", "/tasks", {"agent": "a", "priority": 11}, 422, "invalid", "body/priority"),
        ("POST", "/tasks", {"agent": "web_echo", "name": "\ud800"}, 422, "invalid", ""),
        ("POST", "/tasks", {"agent": "web_echo", "input": "\ud800"}, 422, "invalid",
         "half a character"),
        ("POST", "/workflows", {"name": "w", "tasks": [{"name": "a", "agent": "web_echo",
         "after": "b"}]}, 422, "invalid", "'b'"),
        ("POST", "/workflows", {"name": "w", "tasks": [{"name": "a", "agent": "m:f"}]}, 422,
         "invalid", "registered agent"),
        ("POST", "/workflows", {"name": "w", "id": "mine", "tasks": [{"name": "a", "agent": "b"}]},
         422, "invalid", "ids are made by the server"),
        ("POST", "/workflows", {"name": "w", "tasks": [{"name": "a", "agent": "web_echo"}] * 2},
         422, "invalid", "two tasks are named"),
        ("POST", "/schedules", {"task": {"agent": "web_echo"}, "cron": "nonsense"}, 422, "invalid",
         "cron"),
        ("POST", "/schedules", {"task": {"agent": "web_echo"}}, 422, "invalid", "cron"),
    ],
)  # fmt: skip
def test_errors_are_problem_details(  # noqa: PLR0917 - a table
    client: httpx.Client, method: str, path: str, body: object, status: int, kind: str, said: str
) -> None:
    content = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    answer = client.request(method, path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:pyagent-orch:problem:{kind}"
    assert problem["status"] == status
    assert said in problem["detail"]


def test_bodies_that_are_no_json_or_too_large_are_refused(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    for body in (b"{", b"[" * 100_000, b"\xff", b'{"agent": 1' + b"0" * 10_000 + b"}"):
        broken = client.post("/tasks", content=body, headers=headers)
        assert (broken.status_code, broken.headers["content-type"]) == (
            400,
            "application/problem+json",
        ), body[:20]

    def pieces() -> Iterator[bytes]:
        for _ in range(11):
            yield b" " * 1_000_000

    for content in (b" " * 11_000_000, pieces()):
        large = client.post("/tasks", content=content, headers=headers)
        assert (large.status_code, large.json()["type"][-9:]) == (413, "too-large")


def test_models_are_for_hosts_that_allow_them(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    body = {"agent": {"instructions": "You are brief", "name": "brief"}, "input": "hi"}
    made = client.post("/tasks", json=body)
    assert made.status_code == 201
    assert ended(client, made.json()["id"])["agent"]["kind"] == "model"
    flow = {"name": "w", "tasks": [{"name": "a", "instructions": "You are brief"}]}
    job = {"workflow": flow, "interval_seconds": 3600}
    pattern = {"pattern": "consensus", "input": "x", "agents": [body["agent"]]}
    with served(app_of(orchestrator)) as strict:
        for path, one in (
            ("/tasks", body), ("/workflows", flow), ("/schedules", job), ("/patterns", pattern),
        ):  # fmt: skip
            answer = strict.post(path, json=one)
            assert (answer.status_code, answer.json()["type"][-8:]) == (403, "no-specs"), path


def test_a_read_only_router_changes_nothing(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    task = submit(client, "web_echo", 1)["id"]
    with served(app_of(orchestrator, read_only=True)) as reader:
        assert reader.get(f"/tasks/{task}").status_code == 200
        assert reader.get("/overview").json()["read_only"] is True
        document = reader.get("/openapi.json").json()
        for path, operations in document["paths"].items():
            for method in operations:
                if method != "get":
                    answer = reader.request(method, path.replace("{id}", task))
                    assert answer.status_code == 403, (method, path)
                    assert answer.json()["type"].endswith("read-only")


def test_redis_out_of_reach_is_told_without_its_address() -> None:
    with (
        Orchestrator(redis_url="redis://:secret@127.0.0.1:1/0") as orchestrator,
        served(app_of(orchestrator)) as client,
    ):
        for path in ("/tasks", "/tasks/x/events", "/overview", "/events"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers.get("retry-after")) == (503, "2"), path
            assert "127.0.0.1" not in answer.text
            assert "secret" not in answer.text
