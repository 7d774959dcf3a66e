"""A state file: saved after each operation, restored on start, also on a new and empty Redis."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import (
    ExecutionPattern,
    Orchestrator,
    Task,
    TaskFailedError,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    agent,
)
from support import fleet_agents
from support.fleet import until
from support.state_files import entries, ids, latest, lose_redis

Make = Callable[..., Orchestrator]
SNIPPET = Path(__file__).parents[1] / "spec" / "state_persistence.py"
LATER = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def test_the_spec_s_snippet_resumes_what_was_pending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Orchestrator(state_file="./state.json") as before:
        task = before.submit(fleet_agents.echo, "still to do", delay=1.0)
    names: dict[str, Any] = {"Orchestrator": Orchestrator}
    exec(compile(SNIPPET.read_text(), SNIPPET, "exec"), names)
    orch = names["orch"]
    try:
        assert until(lambda: orch.status(task.id) is TaskStatus.COMPLETED, 20)
        assert orch.get_task(task.id).output == "still to do"
    finally:
        for connection in list(sys.modules["pyagent_orch.orchestrator.connection"]._open):
            connection.close()


def test_each_operation_is_in_the_file_when_it_returns(embedded: Make, path: Path) -> None:
    orch = embedded(state_file=path)
    done = orch.submit(fleet_agents.echo, {"a": ["b"]}, metadata={"user": "alice"}, name="first")
    assert done.id in ids(path)
    done.result(timeout=20)
    end = latest(path, done.id)
    assert (end["record"]["status"], end["output"]) == ("completed", {"a": ["b"]})
    # Nobody serves this queue: after the retry it waits.
    late = orch.submit(fleet_agents.echo, "x", queue="nobody", key="k-1")
    assert latest(path, late.id, "task")["record"]["key"] == "k-1"
    orch.cancel(late.id)
    assert latest(path, late.id)["record"]["status"] == "cancelled"
    orch.retry(late.id)
    assert latest(path, late.id)["record"]["status"] == "pending"
    many = orch.submit_many([Task(fleet_agents.echo, n, delay=LATER) for n in range(1200)])
    assert {task.id for task in many} <= ids(path)
    waiting = Task(fleet_agents.echo, 1, name="a", delay=LATER)
    flow = Workflow("w", [waiting, Task(fleet_agents.echo, 2, name="b")], {"b": ["a"]})
    orch.submit_workflow(flow)
    assert flow.id in ids(path, "workflow")
    assert {task.id for task in flow.tasks} <= ids(path)
    flow.cancel()
    assert latest(path, flow.id, "workflow.state")["record"]["status"] == "cancelled"
    assert {latest(path, task.id)["record"]["status"] for task in flow.tasks} == {"cancelled"}
    # An agent is in the file once, however many tasks use it.
    assert len([one for one in entries(path) if one["kind"] == "agent"]) == 1


def test_finished_tasks_are_readable_on_a_new_and_empty_redis(embedded: Make, path: Path) -> None:
    orch = embedded(state_file=path)
    tasks = [
        orch.submit(fleet_agents.echo, {"n": n, "text": "é" * 9000}, name=f"t{n}") for n in range(3)
    ]
    broken = orch.submit(fleet_agents.fail, "out of paper", metadata={"by": "bob"})
    gone = orch.submit(fleet_agents.echo, "x", delay=LATER)
    gone.cancel()
    orch.wait(*tasks, broken, gone, timeout=20)
    model = orch.submit(agent("You are a clerk"), "Hello")
    answer = model.result(timeout=20)
    before = {task.id: orch.get_task(task.id).record for task in [*tasks, broken, gone, model]}
    orch.close()
    lose_redis(path)
    orch = embedded(state_file=path)
    after = {name: orch.get_task(name).record for name in before}
    assert after == before
    assert orch.get_task(model.id).output == answer
    assert orch.get_task(model.id).usage == model.usage
    found = orch.get_task(broken.id)
    assert found.error == "ValueError: out of paper"
    assert found.error_details is not None
    assert "fleet_agents.py" in (found.error_details.traceback or "")
    with pytest.raises(TaskFailedError, match="out of paper"):
        found.result(timeout=1)
    assert [task.id for task in orch.tasks(status="cancelled")] == [gone.id]
    assert [task.id for task in orch.tasks(metadata={"by": "bob"})] == [broken.id]
    # Plain Celery finds the results, too.
    from celery.result import AsyncResult

    app = orch._connection.client.app
    assert AsyncResult(tasks[0].id, app=app).get(timeout=2) == tasks[0].output
    with pytest.raises(Exception, match="out of paper") as caught:
        AsyncResult(broken.id, app=app).get(timeout=2)
    assert type(caught.value).__name__ == "ValueError"
    assert AsyncResult(gone.id, app=app).status == "REVOKED"
    # What failed can be tried again, since its agent is there.
    assert orch.retry(broken.id).wait(timeout=20).status is TaskStatus.FAILED
    assert orch.get_task(broken.id).attempts == before[broken.id].attempts + 1


def test_pending_tasks_go_on_under_their_ids_on_a_new_and_empty_redis(
    embedded: Make, path: Path, tmp_path: Path
) -> None:
    orch = embedded(state_file=path)
    done = orch.submit(fleet_agents.append_line, {"path": str(tmp_path / "runs"), "line": "done"})
    done.result(timeout=20)
    open_ones = [
        orch.submit(
            fleet_agents.append_line, {"path": str(tmp_path / "runs"), "line": f"open {n}"},
            delay=1.5, priority=n + 1, name=f"n{n}", key=f"key-{n}", timeout=30, retry=2,
        )
        for n in range(4)
    ]  # fmt: skip
    late = orch.submit(fleet_agents.echo, "tomorrow", delay=LATER)
    orch.close()
    lose_redis(path)
    orch = embedded(state_file=path)
    for task in open_ones:
        found = orch.get_task(task.id)
        assert (found.name, found.priority, found.key) == (task.name, task.priority, task.key)
        assert found.created_at == task.created_at
        assert found.result(timeout=20) == "attempt 1"
    assert orch.status(late.id) is TaskStatus.PENDING
    lines = (tmp_path / "runs").read_text().splitlines()
    assert sorted(lines) == ["done", "open 0", "open 1", "open 2", "open 3"]
    restored = [event for event in orch.events() if event.type == "task.restored"]
    assert {event.subject for event in restored} == {task.id for task in [*open_ones, late]}
    # The same key still finds the same task.
    again = orch.submit(fleet_agents.append_line, {"other": 1}, key="key-2")
    assert again.id == open_ones[2].id


def test_a_task_that_was_being_tried_again_keeps_its_attempts(embedded: Make, path: Path) -> None:
    from pyagent_orch import RetryPolicy

    orch = embedded(state_file=path)
    policy = RetryPolicy(max_attempts=2, delay_seconds=3, jitter=0)
    task = orch.submit(fleet_agents.fail, "no", retry=policy)
    until(lambda: orch.status(task.id) is TaskStatus.RETRYING)
    until(lambda: "task.state" in {one["kind"] for one in entries(path)})
    orch.close()
    lose_redis(path)
    orch = embedded(state_file=path)
    # Not before its delay is over, and not more often than allowed.
    assert (orch.status(task.id), orch.get_task(task.id).attempts) == (TaskStatus.PENDING, 1)
    ended = orch.get_task(task.id).wait(timeout=20)
    assert (ended.status, ended.attempts) == (TaskStatus.FAILED, 2)


def test_a_workflow_keeps_what_completed_and_does_the_rest(
    embedded: Make, path: Path, tmp_path: Path
) -> None:
    """A diamond of which one side is done, and a task that runs only if another fails."""
    runs = tmp_path / "runs"

    def line(name: str, **options: Any) -> Task:
        return Task(
            fleet_agents.append_line, {"path": str(runs), "line": name}, name=name, **options
        )

    orch = embedded(state_file=path)
    broken = Task(fleet_agents.fail, "torn", name="broken")
    flow = Workflow(
        "diamond",
        [
            line("a"), line("b"), line("c", delay=1.0), line("d"), broken,
            line("rescue", on_failure=broken), line("never", on_failure="a"),
            Task(fleet_agents.echo, "{a.output} {c.output}", name="text"),
        ],
        {"b": ["a"], "c": ["a"], "d": ["b", "c"], "text": ["a", "c"]},
        metadata={"order": 7},
    )  # fmt: skip
    orch.submit_workflow(flow)
    b = next(task for task in flow.tasks if task.name == "b")
    rescue = next(task for task in flow.tasks if task.name == "rescue")
    never = next(task for task in flow.tasks if task.name == "never")
    orch.wait(b, rescue, never, timeout=20)
    orch.close()
    lose_redis(path)
    orch = embedded(state_file=path)
    found = orch.get_workflow(flow.id)
    assert found.metadata == {"order": 7}
    found.wait(timeout=20)
    # Its first failure is still what it failed of, though another Redis saw it.
    assert found.status is WorkflowStatus.FAILED
    assert "broken failed: ValueError: torn" in str(found.error)
    states = {task.name: task.status for task in found.tasks}
    assert states == {
        "a": "completed", "b": "completed", "c": "completed", "d": "completed",
        "broken": "failed", "rescue": "completed", "never": "skipped", "text": "completed",
    }  # fmt: skip
    assert found.outputs["text"] == "attempt 1 attempt 1"
    assert sorted(runs.read_text().splitlines()) == ["a", "b", "c", "d", "rescue"]
    types = [event.type for event in orch.events() if event.subject == flow.id]
    assert types[0] == "workflow.restored"
    assert types[-1] == "workflow.failed"


def test_a_finished_workflow_is_readable_and_can_be_retried(embedded: Make, path: Path) -> None:
    orch = embedded(state_file=path)
    flow = Workflow(
        "two", [Task(fleet_agents.echo, 1, name="a"), Task(fleet_agents.fail, "no", name="b"),
                Task(fleet_agents.echo, 3, name="c")],
        {"b": ["a"], "c": ["b"]},
    )  # fmt: skip
    orch.submit_workflow(flow).wait(timeout=20)
    before = orch.get_workflow(flow.id).record
    orch.close()
    lose_redis(path)
    orch = embedded(state_file=path)
    found = orch.get_workflow(flow.id)
    assert found.record == before
    assert found.outputs == {"a": 1}
    found.retry_failed().wait(timeout=20)
    assert [found.status, *(task.status for task in found.tasks)] == [
        WorkflowStatus.FAILED, TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.SKIPPED,
    ]  # fmt: skip
    assert orch.get_task(found.tasks[0].id).attempts == 1


@pytest.mark.parametrize("pattern", [ExecutionPattern.SEQUENTIAL, None])
def test_what_flows_have_spawned_is_restored_with_them(
    embedded: Make, path: Path, tmp_path: Path, pattern: ExecutionPattern | None
) -> None:
    """A map whose items are half done: those are not done again."""
    runs = tmp_path / "runs"
    orch = embedded(state_file=path)
    items = [
        {"path": str(runs), "line": f"item {n}", "sleep": 0.0 if n < 3 else 2.0} for n in range(5)
    ]
    flow = Workflow(
        "mapped",
        [
            Task(fleet_agents.echo, items, name="list"),
            Task(fleet_agents.append_line, name="each", map="list"),
            Task(fleet_agents.echo, "{each.output}", name="end"),
        ],
        {"end": ["each"]},
        pattern=pattern,
    )
    orch.submit_workflow(flow)

    def three_done() -> bool:
        return len([e for e in orch.events() if e.type == "task.completed"]) >= 4

    until(three_done)
    until(lambda: len([e for e in entries(path) if "final" in e]) >= 4)
    orch.close()
    lose_redis(path)
    orch = embedded(state_file=path)
    found = orch.get_workflow(flow.id)
    assert found.result(timeout=30) == ["attempt 1"] * 5
    lines = runs.read_text().splitlines()
    # Those that had ended are not run again; those that ran when the process ended are.
    assert [lines.count(f"item {n}") for n in range(3)] == [1, 1, 1]
    assert all(lines.count(f"item {n}") >= 2 for n in (3, 4))


def test_what_redis_has_is_the_truth_and_the_file_takes_it(embedded: Make, path: Path) -> None:
    """The file is older than the Redis beside it, as when the last lines were cut off."""
    orch = embedded(state_file=path)
    first = orch.submit(fleet_agents.echo, "in the file")
    first.result(timeout=20)
    orch.close()
    older = path.read_bytes()
    orch = embedded(state_file=path)
    second = orch.submit(fleet_agents.echo, "in Redis only")
    third = orch.submit(fleet_agents.echo, "waits", delay=LATER)
    flow = orch.submit_workflow(Workflow("w", [Task(fleet_agents.echo, 5, name="a")]))
    orch.wait(second, flow, timeout=20)
    orch.close()
    path.write_bytes(older)
    orch = embedded(state_file=path)
    assert ids(path) == {first.id, second.id, third.id, flow.tasks[0].id}
    assert ids(path, "workflow") == {flow.id}
    assert latest(path, second.id)["output"] == "in Redis only"
    assert latest(path, flow.id, "workflow.state")["record"]["status"] == "completed"
    orch.close()
    lose_redis(path)
    orch = embedded(state_file=path)
    assert orch.get_task(second.id).output == "in Redis only"
    assert orch.status(third.id) is TaskStatus.PENDING
    assert orch.get_workflow(flow.id).output == 5
