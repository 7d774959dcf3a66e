"""Callbacks: each is called once, and may do what any other code may."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pyagent_orch import Orchestrator, Settings, Task
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


def test_a_callback_is_called_once_whatever_the_end(orch: Orchestrator) -> None:
    heard = Heard()
    done = orch.submit("upper", "x", callback=heard)
    failed = orch.submit("fail", "no", callback=heard)
    cancelled = orch.submit("echo", "x", delay=60, callback=heard)
    cancelled.cancel()
    orch.wait(done, failed, cancelled, timeout=15)
    heard.until(3)
    for task in (done, failed, cancelled):
        # Waiting for what has ended, in whichever way, calls nobody again.
        task.wait()
        orch.wait(task)
    orch.emit("custom.event")
    assert sorted(task.id for task in heard) == sorted([done.id, failed.id, cancelled.id])
    assert all(found in (done, failed, cancelled) for found in heard)


def test_callbacks_and_waits_from_many_threads_meet_each_task_once(orch: Orchestrator) -> None:
    heard = Heard()

    def one(number: int) -> None:
        for _ in range(10):
            task = orch.submit("echo", number, callback=heard)
            task.wait(timeout=30)
            task.wait()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    heard.until(160)
    assert len({task.id for task in heard}) == len(heard) == 160


def test_a_callback_that_raises_stops_nobody(
    orch: Orchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Task) -> None:
        raise SystemExit("of the callback")

    heard = Heard()
    task = orch.submit("echo", 1, callback=broken)
    orch.submit("echo", 2, callback=heard)
    heard.until(1)
    task.wait(timeout=10)
    until(lambda: "of the callback" in caplog.text)
    assert f"callback of task {task.id}" in caplog.text


def test_a_callback_may_submit_and_wait(orch: Orchestrator) -> None:
    heard = Heard()

    def follow_up(task: Task) -> None:
        second = orch.submit("upper", task.output)
        third = orch.submit("upper", "third", callback=heard)
        heard((second.result(timeout=10), third.result(timeout=10)))

    orch.submit("echo", "first", callback=follow_up)
    first, callback_of_third = heard.until(2)
    assert first == ("FIRST", "THIRD")
    assert callback_of_third.output == "THIRD"


def test_a_status_read_inside_a_callback_is_not_frozen(orch: Orchestrator) -> None:
    heard = Heard()

    def watch(_: Task) -> None:
        second = orch.submit("upper", "second")
        deadline = time.monotonic() + 10
        while not second.status.is_final and time.monotonic() < deadline:
            time.sleep(0.01)
        heard(second.output)

    orch.submit("echo", "first", callback=watch)
    assert heard.until(1) == ["SECOND"]


def test_a_wait_with_timeout_inside_a_callback_ends(orch: Orchestrator) -> None:
    heard = Heard()

    def impatient(_: Task) -> None:
        slow = orch.submit("echo", "x", delay=60)
        try:
            slow.wait(timeout=0.2)
        except TimeoutError as error:
            heard(error)
        slow.cancel()

    orch.submit("echo", "first", callback=impatient)
    assert "not final" in str(heard.until(1)[0])


def test_a_callback_of_a_task_that_has_its_key_already_is_called_too(orch: Orchestrator) -> None:
    heard = Heard()
    first = orch.submit("upper", "x", key="the key")
    first.wait(timeout=10)
    second = orch.submit("upper", "x", key="the key", callback=heard)
    assert second.id == first.id
    assert heard.until(1)[0].output == "X"


def test_a_callback_set_on_a_task_that_is_built_is_called(orch: Orchestrator) -> None:
    heard = Heard()
    tasks = orch.submit_many([Task("echo", n, callback=heard) for n in range(20)])
    orch.wait(*tasks, timeout=15)
    assert sorted(task.output for task in heard.until(20)) == list(range(20))


def test_an_async_callback_is_awaited(orch: Orchestrator) -> None:
    heard = Heard()

    async def callback(task: Task) -> None:
        again = await orch.asubmit("upper", task.output)
        heard(await again)

    orch.submit("echo", "x", callback=callback)
    assert heard.until(1) == ["X"]
