"""Redis comes back without its data: nothing hangs, and whoever waits for what is gone is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyagent_orch import Task, TaskNotFoundError, Workflow, WorkflowNotFoundError
from support.fault_agents import noted
from support.fleet import until
from support.fleet_agents import echo
from support.rig import Rig

pytestmark = pytest.mark.faults


def test_redis_that_comes_back_empty_is_told_and_everybody_goes_on(
    rig: Callable[..., Rig], caplog: pytest.LogCaptureFixture
) -> None:
    it = rig(workers=1, concurrency=1, server={"appendonly": "no"})
    orch, seen = it.orchestrator, []
    orch.on("task.completed", lambda task: seen.append(task.id), durable="group")
    # So that all is followed from its submit on, and waiting reads nothing.
    orch.on("task.started", lambda task: None)
    value = {"log": str(it.directory / "runs"), "seconds": 2.0}
    running = orch.submit(noted, value)
    until(lambda: running.status == "running", 20)
    waiting = [orch.submit(echo, number) for number in range(3)]
    workflow = orch.submit_workflow(Workflow("lost", tasks=[Task(echo, 1), Task(echo, 2)]))

    async def wait_in_loop() -> object:
        return await waiting[1]

    with ThreadPoolExecutor() as pool:
        waits = [
            pool.submit(running.wait),
            pool.submit(waiting[0].wait),
            pool.submit(lambda: asyncio.run(wait_in_loop())),
            pool.submit(workflow.wait),
        ]
        until(lambda: len(orch._connection.listener._waiters) == len(waits), 10)
        it.raw.kill()
        it.raw.start()
        for wait in waits[:3]:
            with pytest.raises(TaskNotFoundError):
                wait.result(20)
        with pytest.raises(WorkflowNotFoundError):
            waits[3].result(20)
    # Who waits only now is told at once, and so is who asks for its state.
    with pytest.raises(TaskNotFoundError):
        waiting[2].wait(timeout=10)
    with pytest.raises(TaskNotFoundError):
        orch.status(waiting[2].id)
    # The same worker, client, listener and durable handler go on.
    after = orch.submit(echo, "after")
    assert after.result(timeout=20) == "after"
    until(lambda: after.id in seen, 15)
    assert len(it.living) == 1
    assert "came back without" in caplog.text
    assert it.raw.run("EXISTS", f"pyagent:1:rig:task:{running.id}") == 0


def test_a_task_whose_record_has_expired_is_not_waited_for(rig: Callable[..., Rig]) -> None:
    it = rig(workers=0)
    task = it.orchestrator.submit(echo, 1)
    it.raw.run("DEL", f"pyagent:1:rig:task:{task.id}")
    with pytest.raises(TaskNotFoundError):
        task.wait()
