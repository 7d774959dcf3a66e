"""Waiting for tasks: wait, result, await, timeouts, closes and forks."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyagent_orch import (
    Orchestrator,
    OrchestratorClosedError,
    Settings,
    Task,
    TaskCancelledError,
    TaskFailedError,
    TaskStatus,
    TaskTimeoutError,
)
from pyagent_orch.embedded.server import PrivateServer
from support.fleet import Fleet, until
from support.fleet_agents import echo, sleep, upper
from support.standing import standing_fleet


@pytest.fixture(scope="module")
def fleet(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with standing_fleet(server, tmp_path_factory.mktemp("workers"), threads=8) as fleet:
        yield fleet


def client(fleet: Fleet) -> Orchestrator:
    return Orchestrator(
        settings=Settings(redis_url=fleet.url, namespace=fleet.namespace, queue="threads")
    )


@pytest.fixture
def orch(fleet: Fleet) -> Iterator[Orchestrator]:
    with client(fleet) as orchestrator:
        yield orchestrator


def test_wait_returns_the_task_itself_whatever_its_end(orch: Orchestrator) -> None:
    done, failed = orch.submit("upper", "x"), orch.submit("fail", "no")
    assert done.wait(timeout=15) is done
    assert failed.wait(timeout=15) is failed
    assert orch.wait(done, failed, timeout=1) == [done, failed]
    assert orch.wait() == []
    assert (done.status, failed.status) == (TaskStatus.COMPLETED, TaskStatus.FAILED)


def test_result_is_the_output_or_the_error_that_says_why(orch: Orchestrator) -> None:
    assert orch.submit("echo", None).result(timeout=15) is None
    assert orch.submit("echo", {"a": [1, 2.5, "é"]}).result(timeout=15) == {"a": [1, 2.5, "é"]}
    failed = orch.submit("fail", "because")
    with pytest.raises(TaskFailedError, match=f"Task {failed.id} failed: ValueError: because"):
        failed.result(timeout=15)
    assert failed.error == "ValueError: because"
    assert failed.error_details is not None
    assert "fleet_agents.py" in str(failed.error_details.traceback)
    cancelled = orch.submit("echo", "x", delay=60)
    cancelled.cancel()
    with pytest.raises(TaskCancelledError, match="cancelled by request"):
        cancelled.result(timeout=15)
    late = orch.submit("async_sleep", 30, timeout=0.2)
    with pytest.raises(TaskTimeoutError) as caught:
        late.result(timeout=15)
    assert isinstance(caught.value, TimeoutError)
    assert late.status is TaskStatus.FAILED


def test_a_wait_that_runs_out_leaves_the_task_alone(orch: Orchestrator) -> None:
    task = orch.submit("sleep", 0.6)
    began = time.monotonic()
    with pytest.raises(TaskTimeoutError, match="it goes on"):
        task.wait(timeout=0.1)
    with pytest.raises(TaskTimeoutError):
        task.result(timeout=0)
    assert time.monotonic() - began < 0.5
    assert task.result(timeout=15) == "slept"


def test_one_timeout_is_for_all_tasks_together(orch: Orchestrator) -> None:
    tasks = [orch.submit("echo", n, delay=60) for n in range(5)]
    began = time.monotonic()
    with pytest.raises(TaskTimeoutError):
        orch.wait(*tasks, timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 1.0
    for task in tasks:
        task.cancel()


def test_many_threads_wait_for_one_task(orch: Orchestrator) -> None:
    task = orch.submit("sleep", 0.3)
    with ThreadPoolExecutor(30) as pool:
        assert set(pool.map(lambda _: task.result(timeout=15), range(30))) == {"slept"}


def test_a_task_of_another_process_can_be_waited_for(orch: Orchestrator, fleet: Fleet) -> None:
    task = orch.submit("sleep", 0.3)
    with client(fleet) as other:
        assert other.get_task(task.id).result(timeout=15) == "slept"
        listed = next(found for found in other.tasks() if found.id == task.id)
        assert listed.result(timeout=1) == "slept"


def test_the_same_task_twice_is_two_objects_that_both_end(orch: Orchestrator) -> None:
    task = orch.submit("sleep", 0.2)
    twin = orch.get_task(task.id)
    assert twin is not task
    assert orch.wait(task, twin, task, timeout=15) == [task, twin, task]
    assert twin.output == task.output == "slept"


def test_a_task_nobody_holds_is_forgotten(orch: Orchestrator) -> None:
    orch.on("no.such.event", print)
    task = orch.submit("sleep", 0.3)
    gone, task_id = weakref.ref(task), task.id
    del task
    gc.collect()
    assert gone() is None
    assert orch.get_task(task_id).result(timeout=15) == "slept"
    listener = orch._connection.listener
    until(lambda: not listener._live and not listener._waiters and not listener._callbacks)


# --- asyncio -----------------------------------------------------------------------------------


def test_tasks_are_awaited_side_by_side(fleet: Fleet) -> None:
    async def main() -> list[str]:
        async with client(fleet) as orch:
            tasks = [await orch.asubmit("async_sleep", 0.5) for _ in range(8)]
            began = time.monotonic()
            results = await asyncio.gather(*tasks)
            assert time.monotonic() - began < 3
            return results

    assert asyncio.run(main()) == ["slept"] * 8


def test_an_await_does_not_block_the_loop_and_raises_what_result_raises(fleet: Fleet) -> None:
    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        async with client(fleet) as orch:
            ticking = asyncio.create_task(tick())
            assert await (await orch.asubmit("sleep", 0.5)) == "slept"
            assert ticks > 10
            with pytest.raises(TaskFailedError, match="no"):
                await (await orch.asubmit("fail", "no"))
            ticking.cancel()

    asyncio.run(main())


def test_an_await_can_be_given_up_and_taken_up_again(fleet: Fleet) -> None:
    async def main() -> None:
        async with client(fleet) as orch:
            task = await orch.asubmit("sleep", 0.5)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await task
            assert await task == "slept"
            # Once more, and in a second place at once.
            assert await asyncio.gather(task_again(task), task_again(task)) == ["slept"] * 2

    async def task_again(task: Task) -> object:
        return await task

    asyncio.run(main())


def test_an_await_in_two_loops_and_a_thread_meet(fleet: Fleet) -> None:
    with client(fleet) as orch:
        task = orch.submit("sleep", 0.4)

        async def main() -> object:
            return await task

        with ThreadPoolExecutor(3) as pool:
            got = [
                pool.submit(asyncio.run, main()),
                pool.submit(asyncio.run, main()),
                pool.submit(task.result, 15),
            ]
            assert [future.result() for future in got] == ["slept"] * 3


# --- while waiting ------------------------------------------------------------


def test_a_cancel_wakes_who_waits(orch: Orchestrator) -> None:
    task = orch.submit("echo", "x", delay=60)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(task.result, 15)
        until(lambda: orch._connection.listener._waiters)
        assert orch.cancel(task.id) is True
        with pytest.raises(TaskCancelledError):
            waiting.result(5)
    assert orch.cancel(task.id) is False


def test_a_close_wakes_who_waits(fleet: Fleet) -> None:
    orch = client(fleet)
    task = orch.submit("echo", "x", delay=60)

    async def awaited() -> None:
        await task

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(task.wait), pool.submit(asyncio.run, awaited())]
        until(lambda: len(orch._connection.listener._waiters) == 1)
        orch.close()
        for future in waiting:
            with pytest.raises(OrchestratorClosedError):
                future.result(5)


def test_a_close_inside_a_callback_ends(fleet: Fleet) -> None:
    orch, closed = client(fleet), threading.Event()

    def close(_: Task) -> None:
        orch.close()
        closed.set()

    orch.submit("echo", "x", callback=close)
    assert closed.wait(15)
    with pytest.raises(OrchestratorClosedError):
        orch.submit("echo", "y")


# --- forks --------------------------------------------------------------------


def in_a_forked_child(work: Callable[[], None]) -> None:
    """Run a function in a forked child and assert that it returned."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the child must end here
            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the child hangs")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("mode", ["embedded", "fleet"])
def test_a_forked_child_uses_the_same_orchestrator_and_the_parent_goes_on(
    fleet: Fleet, mode: str
) -> None:
    with Orchestrator() if mode == "embedded" else client(fleet) as orch:
        heard: list[str] = []
        orch.on("custom.event", heard.append)
        before = orch.submit(echo, "before")
        assert before.result(timeout=15) == "before"
        running = orch.submit(sleep, 0.5, callback=lambda task: heard.append(task.output))

        def child() -> None:
            told = len(heard)
            assert orch.submit(upper, "child").result(timeout=15) == "CHILD"
            assert orch.get_task(before.id).output == "before"
            assert before.status is TaskStatus.COMPLETED
            assert running.result(timeout=15) == "slept"
            got: list[str] = []
            orch.on("child.event", got.append)
            orch.emit("child.event", "x")
            until(lambda: got == ["x"])
            # The callback is the parent's business.
            assert len(heard) == told
            orch.close()

        in_a_forked_child(child)
        in_a_forked_child(child)
        assert running.result(timeout=15) == "slept"
        assert orch.submit(upper, "parent").result(timeout=15) == "PARENT"
        orch.emit("custom.event", "still")
        until(lambda: sorted(heard) == ["slept", "still"])
