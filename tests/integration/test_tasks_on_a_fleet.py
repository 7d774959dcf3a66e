"""Tasks on real worker processes."""

from __future__ import annotations

import pytest
from celery import Celery

from pyagent_orch import ExecutionPattern, Task, TaskFailedError, TaskStatus, Workflow, agent
from support.fleet import Fleet


def test_a_task_runs_on_a_prefork_worker_and_is_recorded(fleet: Fleet) -> None:
    fleet.start("prefork", 1)
    task = fleet.orchestrator.submit("upper", "hello", metadata={"user": "alice"})
    assert task.result(timeout=20) == "HELLO"
    again = fleet.orchestrator.get_task(task.id)
    assert again.status is TaskStatus.COMPLETED
    assert again.output == "HELLO"
    assert again.metadata == {"user": "alice"}
    assert again.created_at <= again.started_at <= again.completed_at
    assert again.attempts == 1
    assert again.worker.startswith("w1-")


def test_a_plain_celery_client_gets_outputs_and_errors(fleet: Fleet) -> None:
    fleet.start("threads", 4)
    done = fleet.orchestrator.submit("echo", {"a": [1, None]})
    failed = fleet.orchestrator.submit("fail", "no")
    with pytest.raises(TaskFailedError, match="ValueError: no"):
        failed.result(timeout=20)
    done.wait(timeout=20)
    with Celery(broker=fleet.url, backend=fleet.url, set_as_current=False) as plain:
        plain.conf.result_backend_transport_options = {"global_keyprefix": f"{fleet.namespace}:"}
        result = plain.AsyncResult(done.id)
        assert result.get(timeout=5) == {"a": [1, None]}
        result.forget()
        broken = plain.AsyncResult(failed.id)
        with pytest.raises(ValueError, match="no"):
            broken.get(timeout=5)
        broken.forget()


@pytest.mark.parametrize("pattern", [ExecutionPattern.SUPERVISOR, ExecutionPattern.COLLABORATIVE])
def test_a_pattern_that_is_a_loop_runs_on_a_worker_that_never_planned_one(
    fleet: Fleet, pattern: ExecutionPattern
) -> None:
    fleet.start("threads", 2)
    writers = [Task(agent(f"You write, {n}", name=n), "Write", name=n) for n in ("one", "two")]
    workflow = Workflow(name="led", tasks=writers, pattern=pattern)
    assert fleet.orchestrator.submit_workflow(workflow).result(timeout=30)
