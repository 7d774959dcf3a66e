"""Events, handlers and callbacks of one process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pyagent_orch import Event, Orchestrator, Settings, Task, TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from support.fleet import Fleet, until
from support.heard import Heard
from support.standing import standing_fleet


@pytest.fixture(scope="module")
def fleet(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with standing_fleet(server, tmp_path_factory.mktemp("workers"), threads=4) as fleet:
        yield fleet


@pytest.fixture
def orch(fleet: Fleet) -> Iterator[Orchestrator]:
    """A client of its own, so that no test hears another one's handlers."""
    settings = Settings(redis_url=fleet.url, namespace=fleet.namespace, queue="threads")
    with Orchestrator(settings=settings) as orchestrator:
        yield orchestrator


@pytest.fixture
def alone(server: PrivateServer, namespace: str) -> Iterator[Orchestrator]:
    """A namespace without workers, so that nothing happens but what the test does."""
    with Orchestrator(redis_url=server.url, namespace=namespace) as orchestrator:
        yield orchestrator


# --- handlers -------------------------------------------------------------------------------


def test_a_handler_is_called_as_decorator_and_as_argument(alone: Orchestrator) -> None:
    heard = Heard()

    @alone.on("custom.event")
    def decorated(data: Any) -> None:
        heard.append(("decorated", data))

    assert decorated.__name__ == "decorated"
    given = alone.on("custom.event", lambda data: heard.append(("given", data)))
    assert callable(given)
    alone.emit("custom.event", {"key": ["value", None, 1.5]})
    data = {"key": ["value", None, 1.5]}
    assert heard.until(2) == [("decorated", data), ("given", data)]


@pytest.mark.parametrize(
    ("pattern", "heard_of"),
    [
        ("custom.*", ["custom.a", "custom.b"]),
        ("*", ["custom.a", "custom.b", "other.a", "plain"]),
        ("*.a", ["custom.a", "other.a"]),
        ("custom.[ab]", ["custom.a", "custom.b"]),
        ("plain", ["plain"]),
        ("task.*", []),
    ],
)
def test_a_pattern_chooses_events(alone: Orchestrator, pattern: str, heard_of: list[str]) -> None:
    heard, end = Heard(), threading.Event()
    alone.on(pattern, heard)
    alone.on("the.end", lambda _: end.set())
    for event in ("custom.a", "custom.b", "other.a", "plain"):
        alone.emit(event, event)
    alone.emit("the.end", "the.end")
    assert end.wait(10)
    assert [data for data in heard if data != "the.end"] == heard_of


def test_off_ends_a_handler_and_says_whether_it_was_there(alone: Orchestrator) -> None:
    heard, other = Heard(), Heard()
    alone.on("custom.a", heard)
    alone.on("custom.b", heard)
    alone.on("custom.*", other)
    alone.emit("custom.a", 1)
    other.until(1)
    assert alone.off(heard) is True
    assert alone.off(heard) is False
    assert alone.off(print) is False
    alone.emit("custom.a", 2)
    alone.emit("custom.b", 3)
    assert other.until(3) == [1, 2, 3]
    assert heard == [1]


def test_off_finds_a_bound_method(alone: Orchestrator) -> None:
    seen: list[object] = []
    # Python makes a new object at each look at a method.
    alone.on("custom.thing", seen.append)
    assert alone.off(seen.append) is True
    assert alone.off(seen.append) is False


class Nasty(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, Nasty])
def test_a_handler_that_raises_stops_nobody_and_is_logged(
    alone: Orchestrator, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    heard = Heard()

    @alone.on("custom.event")
    def broken(_: Any) -> None:
        raise error("of the handler")

    alone.on("custom.event", heard)
    alone.emit("custom.event", 1)
    alone.emit("custom.event", 2)
    assert heard.until(2) == [1, 2]
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == 2
    assert "custom.event" in logged[0].getMessage()
    assert "of the handler" in caplog.text


def test_an_async_handler_is_awaited_and_its_error_logged(
    alone: Orchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    @alone.on("custom.event")
    async def handler(data: Any) -> None:
        await asyncio.sleep(0.01)
        if data == "bad":
            raise ValueError("of the coroutine")
        heard.append(data)

    alone.emit("custom.event", "bad")
    alone.emit("custom.event", "good")
    assert heard.until(1) == ["good"]
    until(lambda: "of the coroutine" in caplog.text)


def test_an_entry_of_the_stream_that_cannot_be_read_stops_nobody(alone: Orchestrator) -> None:
    heard = Heard()
    alone.on("custom.event", heard)
    store = alone._store
    for fields in (
        {"type": "custom.event", "data": "{not json"},
        {"x": "y"},
        {"type": "task.retried", "id": "t", "attempt": "many", "error": "{"},
        {"type": "task.completed", "id": "t" * 10_000},
    ):
        store.client.xadd(store.keys.events, fields)
    alone.emit("custom.event", "after")
    until(lambda: "after" in heard)
    assert alone.submit("echo", "x").cancel() is True
    assert [event.type for event in alone.events()][-1] == "task.cancelled"


# --- what is told of a task --------------------------------------------------------------------


def test_the_events_of_a_task_come_in_order_with_the_object_that_the_user_holds(
    orch: Orchestrator,
) -> None:
    told: list[tuple[str, Task]] = []
    done = threading.Event()
    for event in ("submitted", "started", "completed"):

        def note(task: Task, event: str = event) -> None:
            told.append((event, task))

        orch.on(f"task.{event}", note)
    task = orch.submit("upper", "x", callback=lambda _: done.set())
    assert done.wait(15)
    until(lambda: ("completed", task) in told)
    mine = [(event, live is task) for event, live in told if live.id == task.id]
    assert mine == [("submitted", True), ("started", True), ("completed", True)]
    assert (task.status, task.output) == (TaskStatus.COMPLETED, "X")


def test_a_handler_of_another_process_gets_a_task_that_is_live(orch: Orchestrator) -> None:
    other = Orchestrator(settings=orch.settings)
    with other:
        heard = Heard()
        other.on("task.completed", heard)
        task = orch.submit("upper", "x", metadata={"user": "alice"})
        until(lambda: task.id in [found.id for found in heard])
        found = next(found for found in heard if found.id == task.id)
        assert found is not task
        assert (found.output, found.metadata, found.attempts) == ("X", {"user": "alice"}, 1)
        assert found.result(timeout=1) == "X"


def test_the_stream_tells_worker_attempt_error_and_delay(orch: Orchestrator) -> None:
    start = list(orch.events())[-1].id
    task = orch.submit("fail", "no", retry=2, name="Failing")
    task.wait(timeout=15)
    told = [event for event in orch.events(since=start) if event.subject == task.id]
    assert [event.type for event in told] == [
        "task.submitted", "task.started", "task.retried", "task.started", "task.failed",
    ]  # fmt: skip
    submitted, started, retried, _, failed = (event.data for event in told)
    assert submitted == {"name": "Failing"}
    assert started == {"name": "Failing", "attempt": 1, "worker": task.worker}
    assert retried["error"]["type"] == "ValueError"  # type: ignore[index,call-overload]
    assert 0 <= retried["delay_ms"] <= 1000  # type: ignore[index,call-overload,operator]
    assert failed["attempt"] == 2  # type: ignore[index,call-overload]
    assert failed["error"]["message"] == "no"  # type: ignore[index,call-overload]
    assert all(abs(event.at - datetime.now(UTC)) < timedelta(minutes=1) for event in told)


def test_workers_tell_that_they_come_and_go(
    server: PrivateServer, namespace: str, tmp_path: Any
) -> None:
    fleet = Fleet(server.broker_url, namespace, tmp_path)
    heard = Heard()
    try:
        fleet.orchestrator.on("worker.*", heard)
        worker = fleet.start("threads", 1)
        online = heard.until(1)[0]
        assert isinstance(online, Event)
        assert online.subject.startswith(worker.name)
        assert "echo" in online.data["info"]["agents"]  # type: ignore[index,call-overload]
        assert worker.stop() == 0
        assert [event.type for event in heard.until(2)] == ["worker.online", "worker.offline"]
    finally:
        fleet.close()


def test_all_of_celerys_signals_are_events_when_asked_for(
    embedded: Any,
) -> None:
    orch = embedded(settings=Settings(signals="all"))
    task = orch.submit(lambda x: x, "x")
    task.wait(timeout=15)
    wanted = ["task.received", "task.prerun", "task.started", "task.completed", "task.postrun"]
    until(lambda: "task.postrun" in [e.type for e in orch.events() if e.subject == task.id])
    told = [event.type for event in orch.events() if event.subject == task.id]
    assert sorted(told) == sorted(["task.submitted", *wanted])
    assert [event for event in told if event in wanted[2:]] == wanted[2:]


# --- the stream -----------------------------------------------------------------------------------


def test_events_since_a_position_are_those_after_it(alone: Orchestrator) -> None:
    first = alone.emit("custom.event", 1)
    second = alone.emit("custom.event", 2)
    third = alone.emit("custom.event", 3)
    assert [event.id for event in alone.events()] == [first, second, third]
    assert [event.data for event in alone.events(since=first)] == [2, 3]
    assert list(alone.events(since=third)) == []


def test_more_events_than_a_page_are_all_read(alone: Orchestrator) -> None:
    for number in range(1_200):
        alone.emit("custom.event", number)
    assert [event.data for event in alone.events()] == list(range(1_200))


def test_following_begins_now_goes_on_and_ends_with_the_orchestrator(
    alone: Orchestrator,
) -> None:
    alone.emit("custom.event", "before")
    got: list[Any] = []
    started = threading.Event()

    def follow() -> None:
        events = alone.events(follow=True)
        started.set()
        got.extend(event.data for event in events)

    thread = threading.Thread(target=follow)
    thread.start()
    assert started.wait(5)
    other = Orchestrator(settings=alone.settings)
    until(lambda: other.emit("custom.event", "now") and got)
    other.close()
    alone.close()
    thread.join(5)
    assert not thread.is_alive()
    assert set(got) == {"now"}


def test_following_from_a_position_misses_nothing(alone: Orchestrator) -> None:
    ids = [alone.emit("custom.event", number) for number in range(5)]
    events = alone.events(since=ids[1], follow=True)
    assert [next(events).data for _ in range(3)] == [2, 3, 4]
    alone.emit("custom.event", 5)
    assert next(events).data == 5
    events.close()  # type: ignore[attr-defined]


def test_events_can_be_awaited(alone: Orchestrator) -> None:
    last = alone.emit("custom.event", 0)

    async def read() -> list[Any]:
        got = []
        async for event in alone.aevents(since=last):
            got.append(event.data)
            if len(got) == 3:
                break
        return got

    async def both() -> list[Any]:
        reading = asyncio.create_task(read())
        for number in (1, 2, 3):
            await asyncio.sleep(0)
            await asyncio.to_thread(alone.emit, "custom.event", number)
        return await asyncio.wait_for(reading, 10)

    assert asyncio.run(both()) == [1, 2, 3]


def test_who_awaits_events_takes_none_of_the_loop_s_threads(alone: Orchestrator) -> None:
    last = alone.emit("custom.event", 0)
    free = threading.Event()

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        events = alone.aevents(since=last)
        alone.emit("custom.event", 1)
        got = [(await anext(events)).data]
        # Somebody else needs the only one.
        busy = loop.run_in_executor(None, free.wait, 30)
        try:
            alone.emit("custom.event", 2)
            got.append((await asyncio.wait_for(anext(events), 20)).data)
        finally:
            free.set()
        await busy
        await events.aclose()  # type: ignore[attr-defined]
        return got

    assert asyncio.run(main()) == [1, 2]


def test_the_stream_is_capped(server: PrivateServer, namespace: str) -> None:
    settings = Settings(redis_url=server.url, namespace=namespace, events_max_length=1_000)
    with Orchestrator(settings=settings) as orch:
        for number in range(3_000):
            orch.emit("custom.event", number)
        kept = list(orch.events())
    # Redis cuts whole nodes of its tree, so about.
    assert 1_000 <= len(kept) <= 1_200
    assert kept[-1].data == 2_999
