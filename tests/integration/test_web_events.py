"""Server-sent events of the router: exact across cuts, ended when there is nothing to come."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from pyagent_orch import Orchestrator, Task
from pyagent_orch.embedded.server import PrivateServer
from support.web import Sent, app_of, events_of, follow, served
from support.web_agents import GATES


@pytest.fixture(scope="module")
def orchestrator() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture(scope="module")
def client(orchestrator: Orchestrator) -> Iterator[httpx.Client]:
    with served(app_of(orchestrator)) as client:
        yield client


def gate(name: str) -> threading.Event:
    return GATES.setdefault(name, threading.Event())


def types_of(events: list[Sent]) -> list[str]:
    return [one.data["type"] for one in events if one.name == "event"]


def test_a_stream_begins_with_a_snapshot_and_ends_with_the_task(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    task = orchestrator.submit("web_gate", "one")
    with client.stream("GET", f"/tasks/{task.id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = events_of(response)
        first = next(events)
        assert first.name == "snapshot"
        assert first.data["status"] in {"pending", "running"}
        gate("one").set()
        rest = list(events)
    assert types_of(rest)[-1] == "task.completed"
    assert rest[-1].name == "end"
    assert rest[-1].data["status"] == "completed"
    assert rest[-1].id == "end"
    again = client.get(f"/tasks/{task.id}/events", headers={"Last-Event-ID": "end"})
    assert again.status_code == 204


def test_every_event_comes_once_wherever_the_stream_was_cut(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    flow = {
        "name": "w",
        "tasks": [{"name": f"t{n}", "agent": "web_shout", "input": "x"} for n in range(5)],
    }
    name = client.post("/workflows", json=flow).json()["id"]
    orchestrator.get_workflow(name).wait(20)
    whole = follow(client, f"/workflows/{name}/events?after=0-0")
    events = [one for one in whole if one.name == "event"]
    assert types_of(events).count("task.completed") == 5
    assert types_of(events)[-1] == "workflow.completed"
    for place, one in enumerate(events):
        rest = follow(client, f"/workflows/{name}/events", last=one.id)
        assert [r.data for r in rest if r.name == "event"] == [e.data for e in events[place + 1 :]]
        assert rest[-1].name == "end"


def test_between_a_page_and_its_stream_nothing_is_missed(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    flow = {"name": "w", "tasks": [{"name": "a", "agent": "web_gate", "input": "page"}]}
    name = client.post("/workflows", json=flow).json()["id"]
    as_of = client.get(f"/workflows/{name}").json()["as_of"]
    gate("page").set()
    orchestrator.get_workflow(name).wait(20)
    events = follow(client, f"/workflows/{name}/events?after={as_of}")
    assert [one.name for one in events].count("snapshot") == 0
    assert types_of(events)[-2:] == ["task.completed", "workflow.completed"]


def test_who_comes_back_from_a_stream_that_is_gone_loads_anew(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    task = orchestrator.submit("web_shout", "x").wait(20)
    events = follow(client, f"/tasks/{task.id}/events", last="99999999999999-0")
    assert [one.name for one in events if one.name != "text"] == ["snapshot", "end"]


@pytest.mark.parametrize("cuts", [0, 20])
def test_text_is_streamed_and_equal_to_the_output_however_often_the_connection_is_cut(
    orchestrator: Orchestrator, client: httpx.Client, cuts: int
) -> None:
    name = f"text-{cuts}"
    parts = [f"Teil {n}: äöü 🦉 <b>\n" for n in range(max(5, cuts))]
    task = orchestrator.submit("web_writer", [name, *parts])
    text, last, seen = b"", None, 0
    gate(name).set()
    for _ in range(cuts + 2):
        headers = {"Last-Event-ID": last} if last else {}
        with client.stream("GET", f"/tasks/{task.id}/events", headers=headers) as response:
            if response.status_code == 204:
                break
            for one in events_of(response):
                last = one.id
                if one.name == "text":
                    seen += 1
                    text = text[: one.data["offset"]] + one.data["text"].encode()
                    gate(name).set()
                    if seen <= cuts:
                        # Here the connection is cut.
                        break
    # Each piece is written when the one before it is here; the rest comes with the output.
    assert seen >= len(parts)
    assert text.decode() == "".join(parts) == task.wait(20).output


def test_a_workflow_s_stream_has_the_text_of_its_tasks(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    flow = {
        "name": "w",
        "tasks": [
            {"name": "a", "agent": "web_shout", "input": "first"},
            {"name": "b", "agent": "web_writer", "input": ["flow", "one ", "two"], "after": "a"},
        ],
    }
    name = client.post("/workflows", json=flow).json()["id"]
    ids = {task["name"]: task["id"] for task in client.get(f"/workflows/{name}").json()["tasks"]}
    orchestrator.get_task(ids["a"]).wait(20)
    texts: dict[str, str] = {}
    with client.stream("GET", f"/workflows/{name}/events") as response:
        gate("flow").set()
        for one in events_of(response):
            if one.name == "text":
                before = texts.get(one.data["task"], "")[: one.data["offset"]]
                texts[one.data["task"]] = before + one.data["text"]
                gate("flow").set()
    assert texts == {ids["b"]: "one two"}


def test_the_stream_of_everything_tells_of_all_that_is_submitted(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    with client.stream("GET", "/events") as response:
        events = events_of(response)
        assert next(events).name == "snapshot"
        task = orchestrator.submit("web_shout", "all")
        mine = []
        for one in events:
            if one.data["subject"] == task.id:
                mine.append(one.data["type"])
                if one.data["type"] == "task.completed":
                    break
    assert mine == ["task.submitted", "task.started", "task.completed"]


def test_a_stream_of_everything_begins_before_anything_has_happened(
    server: PrivateServer, namespace: str
) -> None:
    with (
        Orchestrator(redis_url=server.url, namespace=namespace) as quiet,
        served(app_of(quiet)) as client,
        client.stream("GET", "/events") as response,
    ):
        events = events_of(response)
        first = next(events)
        assert (first.name, first.id) == ("snapshot", "0-0")
        quiet.emit("first.happened")
        assert next(events).data["type"] == "first.happened"


def test_a_task_that_is_retried_in_its_stream_goes_on(
    orchestrator: Orchestrator, client: httpx.Client
) -> None:
    task = orchestrator.submit("web_break", "no").wait(20)
    orchestrator.retry(task.id)
    events = follow(client, f"/tasks/{task.id}/events?after=0-0")
    assert types_of(events).count("task.failed") == 2
    assert events[-1].name == "end"


def test_there_is_an_end_to_the_number_of_streams(orchestrator: Orchestrator) -> None:
    with served(app_of(orchestrator, max_streams=1)) as client:
        task = orchestrator.submit("web_gate", "most")
        with client.stream("GET", f"/tasks/{task.id}/events") as response:
            events = events_of(response)
            assert next(events).name == "snapshot"
            second = client.get(f"/tasks/{task.id}/events")
            assert (second.status_code, second.headers["retry-after"]) == (503, "2")
            gate("most").set()


def test_streams_end_with_the_orchestrator_and_leave_no_thread() -> None:
    def hubs() -> int:
        return sum("pyagent-listener" in thread.name for thread in threading.enumerate())

    before = hubs()
    with Orchestrator() as orchestrator, served(app_of(orchestrator)) as client:
        task = orchestrator.submit(Task("web_shout", "x", delay=3600))
        with client.stream("GET", f"/tasks/{task.id}/events") as response:
            events = events_of(response)
            assert next(events).name == "snapshot"
            assert hubs() > before
    assert hubs() == before
