"""Who may do what: tenants never meet, pages of other sites write nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import httpx
import pytest
from fastapi import Header, HTTPException

from pyagent_orch import Orchestrator
from pyagent_orch.web import Access, create_dashboard
from support.web import app_of, events_of, served


def auth(x_user: Annotated[str, Header()] = "") -> Access:
    match x_user:
        case "ann" | "bob":
            return Access(tenant=x_user)
        case "reader":
            return Access(write=False)
        case "admin":
            return Access()
        case "broken":
            return None  # type: ignore[return-value] # a mistake that hosts make
    raise HTTPException(401, "who are you?", headers={"WWW-Authenticate": "X-User"})


@pytest.fixture(scope="module")
def orchestrator() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture(scope="module")
def client(orchestrator: Orchestrator) -> Iterator[httpx.Client]:
    with served(app_of(orchestrator, auth=auth)) as client:
        yield client


def as_(user: str, **headers: str) -> dict[str, str]:
    return {"X-User": user} | headers


FLOW = {"name": "w", "tasks": [{"name": "a", "agent": "web_shout", "input": "secret of ann"}]}
PATTERN = {"pattern": "chain_of_thought", "input": "q", "reasoner": "web_shout", "steps": ["a"]}
JOB = {"task": {"agent": "web_shout", "input": "secret of ann"}, "interval_seconds": 3600}


def test_who_is_not_known_is_told_so_on_every_route(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method in operations:
            answer = client.request(method, path.replace("{id}", "x"))
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "X-User"


def test_an_auth_that_returns_nothing_lets_nobody_in(client: httpx.Client) -> None:
    answer = client.get("/tasks", headers=as_("broken"))
    assert answer.status_code == 500
    assert answer.json()["type"].endswith("internal")
    assert "Access" not in answer.text


def test_who_may_only_look_changes_nothing(client: httpx.Client) -> None:
    assert client.get("/overview", headers=as_("reader")).json()["read_only"] is True
    answer = client.post("/tasks", json={"agent": "web_shout"}, headers=as_("reader"))
    assert answer.status_code == 403


def test_what_is_another_tenant_s_is_not_there(client: httpx.Client) -> None:
    task = client.post(
        "/tasks", json={"agent": "web_break", "input": "secret of ann"}, headers=as_("ann")
    ).json()
    flow = client.post("/workflows", json=FLOW, headers=as_("ann")).json()
    pattern = client.post("/patterns", json=PATTERN, headers=as_("ann")).json()
    job = client.post("/schedules", json=JOB, headers=as_("ann")).json()
    run = client.post(f"/schedules/{job['id']}/run", headers=as_("ann")).json()
    for path in (f"/tasks/{task['id']}", f"/workflows/{flow['id']}", f"/workflows/{pattern['id']}"):
        with client.stream("GET", f"{path}/events", headers=as_("ann")) as stream:
            assert list(events_of(stream))[-1].name == "end"
    tasks = [task["id"], run["id"]]
    for name in (flow["id"], pattern["id"]):
        shown = client.get(f"/workflows/{name}", headers=as_("ann")).json()
        tasks += [one["id"] for one in shown["tasks"]]
    assert len(tasks) == 5
    flows = [flow["id"], pattern["id"]]
    routes = [
        *((m, f"/tasks/{t}{p}") for t in tasks for m, p in (
            ("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry"))),
        *((m, f"/workflows/{w}{p}") for w in flows for m, p in (
            ("GET", ""), ("GET", "/events"), ("GET", "/output"), ("POST", "/cancel"),
            ("POST", "/retry-failed"), ("POST", "/rerun"))),
        *((m, f"/schedules/{job['id']}{p}") for m, p in (
            ("GET", ""), ("GET", "/runs"), ("POST", "/pause"), ("POST", "/resume"),
            ("POST", "/run"), ("DELETE", ""))),
    ]  # fmt: skip
    for method, path in routes:
        answer = client.request(method, path, headers=as_("bob"))
        assert answer.status_code == 404, (method, path)
        assert "secret" not in answer.text
    for path in ("/tasks", "/workflows", "/dead-letters", "/schedules"):
        assert client.get(path, headers=as_("bob")).json()["items"] == [], path
        assert client.get(path, headers=as_("ann")).json()["items"] != [], path
        query = {"metadata": "tenant=ann"}
        assert client.get(path, params=query, headers=as_("bob")).json()["items"] == [], path
    assert client.post("/dead-letters/retry", json={}, headers=as_("bob")).json()["ids"] == []
    body = {"ids": [task["id"]]}
    assert client.post("/dead-letters/retry", json=body, headers=as_("bob")).json()["ids"] == []
    for one in tasks:
        assert client.get(f"/tasks/{one}", headers=as_("ann")).status_code == 200
        assert client.get(f"/tasks/{one}", headers=as_("admin")).status_code == 200
    for path in ("/workers", "/queues"):
        assert client.get(path, headers=as_("bob")).status_code == 403
    assert client.get("/overview", headers=as_("bob")).json()["tasks"] is None


def test_a_tenant_cannot_be_chosen_nor_a_key_shared(client: httpx.Client) -> None:
    for body, path in (
        ({"agent": "web_shout", "metadata": {"tenant": "ann"}}, "/tasks"),
        ({**FLOW, "metadata": {"tenant": "ann"}}, "/workflows"),
        ({**FLOW, "tasks": [{**FLOW["tasks"][0], "metadata": {"tenant": "ann"}}]}, "/workflows"),
        ({**PATTERN, "metadata": {"tenant": "ann"}}, "/patterns"),
        ({**JOB, "task": {**JOB["task"], "metadata": {"tenant": "ann"}}}, "/schedules"),
    ):
        answer = client.post(path, json=body, headers=as_("bob"))
        assert answer.status_code == 422, path
        assert "set by the server" in answer.text
    key = {"Idempotency-Key": "same"}
    for path, body in (("/tasks", {"agent": "web_shout", "input": "x"}), ("/workflows", FLOW)):
        ids = [
            client.post(path, json=body, headers=as_(user, **key)).json()["id"]
            for user in ("ann", "bob", "ann", "admin")
        ]
        assert len(set(ids)) == 3
        assert ids[0] == ids[2]
    taken = client.post(
        "/tasks", json={"agent": "web_shout"}, headers=as_("admin", **{"Idempotency-Key": "bob:k"})
    )
    assert taken.status_code == 201
    answer = client.post(
        "/tasks", json={"agent": "web_shout"}, headers=as_("bob", **{"Idempotency-Key": "k"})
    )
    assert answer.status_code == 409


def test_a_tenant_s_inputs_reach_no_output_of_another(client: httpx.Client) -> None:
    task = client.post(
        "/tasks", json={"agent": "web_shout", "input": "secret of ann"}, headers=as_("ann")
    ).json()["id"]
    follow_as(client, f"/tasks/{task}/events", "ann")
    flow = {"name": "w", "tasks": [
        {"name": "a", "agent": "web_echo", "input": f"{{{task}.output}} and {{web_shout.output}}"}
    ]}  # fmt: skip
    name = client.post("/workflows", json=flow, headers=as_("bob")).json()["id"]
    follow_as(client, f"/workflows/{name}/events", "bob")
    assert "SECRET" not in client.get(f"/workflows/{name}/output", headers=as_("bob")).text
    after = {"name": "w", "tasks": [{"name": "a", "agent": "web_echo", "after": task}]}
    assert client.post("/workflows", json=after, headers=as_("bob")).status_code == 422


def follow_as(client: httpx.Client, path: str, user: str) -> None:
    with client.stream("GET", path, headers=as_(user)) as stream:
        assert list(events_of(stream))[-1].name == "end"


def test_a_tenant_s_stream_of_everything_has_only_its_own(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    with client.stream("GET", "/events", headers=as_("bob")) as stream:
        events = events_of(stream)
        start = next(events).id
        ann = client.post("/tasks", json={"agent": "web_shout"}, headers=as_("ann")).json()["id"]
        flow = client.post("/patterns", json=PATTERN, headers=as_("ann")).json()["id"]
        orchestrator.get_workflow(flow).wait(20)
        orchestrator.emit("custom.happened", {"of": "all"})
        bob = client.post("/patterns", json=PATTERN, headers=as_("bob")).json()["id"]
        seen = []
        for one in events:
            seen.append(one.data["subject"])
            if one.data["type"] == "workflow.completed":
                break
    shown = client.get(f"/workflows/{bob}", headers=as_("bob")).json()
    assert set(seen) == {bob, *(task["id"] for task in shown["tasks"])}
    assert ann not in seen
    with client.stream("GET", f"/events?after={start}", headers=as_("bob")) as stream:
        again = []
        for one in events_of(stream):
            again.append(one.data["subject"])
            if one.data["type"] == "workflow.completed":
                break
    assert again == seen


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "none"}, 201),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}, 201),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://friend.example"}, 201),
        ({"Origin": "https://friend.example.evil.example"}, 403),
    ],
)
def test_a_page_of_another_site_writes_nothing(
    orchestrator: Orchestrator, headers: dict[str, str], status: int
) -> None:
    with served(app_of(orchestrator, origins=["https://friend.example"])) as client:
        answer = client.post("/tasks", json={"agent": "web_shout"}, headers=headers)
        assert answer.status_code == status
        assert "access-control-allow-origin" not in answer.headers
        preflight = client.options("/tasks", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in preflight.headers


def test_a_form_of_another_site_is_no_body(client: httpx.Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = as_("ann") | ({"Content-Type": kind} if kind else {})
        answer = client.post("/tasks", content=b'{"agent": "web_shout"}', headers=headers)
        assert answer.status_code == 422, kind


def test_every_answer_keeps_the_browser_in(orchestrator: Orchestrator) -> None:
    task = orchestrator.submit("web_shout", "x").wait(20)
    with served(create_dashboard(orchestrator)) as client:
        for path in ("/api/tasks", f"/api/tasks/{task.id}/events", "/api/none", "/api/tasks/none",
                     "/", "/none", "/api/openapi.json"):  # fmt: skip
            headers = client.get(path).headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["x-frame-options"] == "DENY", path
            assert headers["referrer-policy"] == "no-referrer", path
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy, path
            assert "frame-ancestors 'none'" in policy, path
            assert "unsafe" not in policy, path
            assert "access-control-allow-origin" not in headers, path
        assert client.get("/api/tasks").headers["cache-control"] == "no-store"
        assert client.get("/main.js").headers["cache-control"] == "no-cache"
        assert "script-src 'self'" in client.get("/").headers["content-security-policy"]


def test_the_dashboard_opens_with_its_token_only(orchestrator: Orchestrator) -> None:
    with served(create_dashboard(orchestrator, token="right")) as client:
        assert client.get("/api/tasks").status_code == 401
        assert client.get("/").status_code == 200
        assert client.get("/health").json() == {"status": "ok"}
        wrong = client.get("/", params={"token": "wrong"})
        assert (wrong.status_code, wrong.headers.get("set-cookie")) == (303, None)
        assert client.get("/api/tasks").status_code == 401
        bearer = {"Authorization": "Bearer right"}
        assert client.get("/api/tasks", headers=bearer).status_code == 200
        assert client.get("/api/tasks", headers={"Authorization": "Bearer x"}).status_code == 401
        right = client.get("/", params={"token": "right"})
        assert (right.status_code, right.headers["location"]) == (303, "/")
        cookie = right.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        # The client keeps it, as a browser does.
        assert client.get("/api/tasks").status_code == 200


def test_another_name_for_the_dashboard_is_refused(orchestrator: Orchestrator) -> None:
    with served(create_dashboard(orchestrator)) as client:
        for host, status in (("evil.example", 400), ("localhost", 200), ("127.0.0.1:1", 200)):
            assert client.get("/api/overview", headers={"Host": host}).status_code == status
