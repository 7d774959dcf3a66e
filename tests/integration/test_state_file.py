"""A state file: saved after each operation, restored on start, also on a new and empty Redis."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import (
    ExecutionPattern,
    Orchestrator,
    StateFileError,
    Task,
    TaskFailedError,
    TaskNotFoundError,
    TaskStatus,
    Workflow,
    WorkflowStatus,
    agent,
)
from pyagent_orch.embedded.server import PrivateServer
from support import fleet_agents, state_files
from support.fleet import Fleet, until
from support.state_files import entries, ids, latest, lose_redis, status

Make = Callable[..., Orchestrator]
SNIPPET = Path(__file__).parents[1] / "spec" / "state_persistence.py"
LATER = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


@pytest.fixture(autouse=True)
def _forget_calls() -> None:
    state_files.CALLED.clear()


def run_program(program: str, path: Path) -> str:
    """Run a program in another process; returns what it printed."""
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_script(script: Path, *arguments: str) -> str:
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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


# --- callbacks and agents ---------------------------------------------------------------


def test_a_callback_by_name_is_called_once_after_a_restart(embedded: Make, path: Path) -> None:
    orch = embedded(state_file=path)
    before = orch.submit(fleet_agents.echo, "before", callback=state_files.note)
    before.result(timeout=20)
    until(lambda: "task.called" in {one["kind"] for one in entries(path)})
    after = orch.submit(fleet_agents.echo, "after", delay=1.0, callback=state_files.note)
    flow = Workflow(
        "w", [Task(fleet_agents.echo, "in it", name="a", delay=1.0, callback=state_files.note)]
    )
    orch.submit_workflow(flow, callback=state_files.note)
    orch.close()
    assert [(before.id, "before")] == state_files.CALLED
    lose_redis(path)
    orch = embedded(state_file=path)
    wanted = {
        (before.id, "before"),
        (after.id, "after"),
        (flow.id, "in it"),
        (flow.tasks[0].id, "in it"),
    }
    until(lambda: len(state_files.CALLED) == 4, 20)
    assert set(state_files.CALLED) == wanted
    until(lambda: len([one for one in entries(path) if one["kind"].endswith(".called")]) == 4)
    orch.close()
    embedded(state_file=path).close()
    assert len(state_files.CALLED) == 4


def test_a_callback_that_was_due_when_the_process_ended_is_called(
    server: PrivateServer, namespace: str, path: Path, fleet: Fleet
) -> None:
    with Orchestrator(redis_url=server.url, namespace=namespace, state_file=path) as orch:
        task = orch.submit(fleet_agents.echo, "meanwhile", callback=state_files.note)
    fleet.start("threads", 1)
    fleet.orchestrator.get_task(task.id).result(timeout=20)
    assert state_files.CALLED == []
    with Orchestrator(redis_url=server.url, namespace=namespace, state_file=path):
        until(lambda: [(task.id, "meanwhile")] == state_files.CALLED)


def test_what_a_restart_cannot_bring_back_is_said_once(
    embedded: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    orch = embedded(state_file=path)
    for number in range(3):
        orch.submit(lambda x: x, number, callback=lambda task: None).result(timeout=20)
    said = [one.getMessage() for one in caplog.records if one.name.startswith("pyagent_orch.state")]
    assert len(said) == 2
    assert any("Register the function with @register_agent" in text for text in said)
    assert any("cannot be restored from the state file" in text for text in said)


def test_a_lambda_fails_after_a_restart_with_what_to_do(path: Path, tmp_path: Path) -> None:
    """Another process, since the functions of this one are still here."""
    program = (
        "import sys\n"
        "from pyagent_orch import Orchestrator\n"
        "orch = Orchestrator(state_file=sys.argv[1])\n"
        "task = orch.submit(lambda x: x, 'lost', delay=0.5, name='local one')\n"
        "print(task.id, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    name = run_program(program, path).strip()
    lose_redis(path)
    with Orchestrator(state_file=path) as orch:
        task = orch.get_task(name)
        with pytest.raises(TaskFailedError, match=r"No agent .* Register it with @register_agent"):
            task.result(timeout=20)


def test_an_agent_of_the_script_itself_is_found_though_it_stands_below(path: Path) -> None:
    script = path.with_name("script.py")
    script.write_text(
        "import sys, time\n"
        "from pyagent_orch import Orchestrator, register_agent\n"
        f"orch = Orchestrator(state_file={str(path)!r})\n"
        "if sys.argv[1] != 'submit':\n"
        "    time.sleep(1)\n"
        "@register_agent\n"
        "def shout(text):\n"
        "    return text.upper()\n"
        "if sys.argv[1] == 'submit':\n"
        "    print(orch.submit(shout, 'hello', delay=0.1).id, flush=True)\n"
        "    import os; os._exit(0)\n"
        "print(orch.get_task(sys.argv[1]).result(timeout=20), flush=True)\n"
        "orch.close()\n"
    )
    name = run_script(script, "submit")
    assert run_script(script, name) == "HELLO"


def test_a_callback_of_the_script_itself_is_found_though_it_stands_below(path: Path) -> None:
    script = path.with_name("script.py")
    script.write_text(
        "import sys, threading\n"
        "from pyagent_orch import Orchestrator, agent\n"
        f"orch = Orchestrator(state_file={str(path)!r})\n"
        "called = threading.Event()\n"
        "def on_complete(task):\n"
        "    print('called', task.id, flush=True)\n"
        "    called.set()\n"
        "if sys.argv[1] == 'submit':\n"
        "    task = orch.submit(agent('You are a clerk'), 'x', delay=0.2, callback=on_complete)\n"
        "    print(task.id, flush=True)\n"
        "    import os; os._exit(0)\n"
        "assert called.wait(20)\n"
        "orch.close()\n"
    )
    name = run_script(script, "submit")
    assert run_script(script, "resume") == f"called {name}"


# --- one process, one namespace, one Redis ------------------------------------------------


def test_a_second_process_is_refused_with_the_first_one_s_id(embedded: Make, path: Path) -> None:
    embedded(state_file=path).start()
    program = (
        "import sys\n"
        "from pyagent_orch import Orchestrator\n"
        "try:\n    Orchestrator(state_file=sys.argv[1]).start()\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    said = run_program(program, path)
    begin = f"StateFileError State file {path}: it is in use by process {os.getpid()} "
    assert said.startswith(begin)
    assert "use a state file of its own for each process" in said


def test_two_orchestrators_of_one_process_share_the_file(embedded: Make, path: Path) -> None:
    one, two = embedded(state_file=path), embedded(state_file=path)
    first, second = one.submit(fleet_agents.echo, 1), two.submit(fleet_agents.echo, 2)
    assert [first.result(timeout=20), second.result(timeout=20)] == [1, 2]
    one.close()
    third = two.submit(fleet_agents.echo, 3)
    third.result(timeout=20)
    two.close()
    kinds = [one["kind"] for one in entries(path)]
    assert (kinds.count("task"), kinds.count("task.state")) == (3, 3)


def test_another_namespace_and_another_redis_are_refused(
    embedded: Make, path: Path, server: PrivateServer
) -> None:
    embedded(state_file=path).start()
    with pytest.raises(StateFileError, match="for namespace 'default'; use another file for 'x'"):
        embedded(state_file=path, namespace="x")
    with pytest.raises(StateFileError, match="in use in this process for the Redis at"):
        embedded(state_file=path, redis_url=server.url)
    assert path.exists()


def test_a_file_that_is_something_else_is_refused_at_once(embedded: Make, path: Path) -> None:
    path.write_text('{"my": "settings"}')
    with pytest.raises(StateFileError, match="it is there and no state file"):
        embedded(state_file=path)
    assert path.read_text() == '{"my": "settings"}'


def test_a_new_orchestrator_opens_nothing_before_it_is_used(embedded: Make, path: Path) -> None:
    embedded(state_file=path)
    assert list(path.parent.iterdir()) == []


# --- on a Redis of its own --------------------------------------------------------------


def test_a_backend_keeps_a_journal_of_what_it_submitted_only(
    fleet: Fleet, path: Path, namespace: str
) -> None:
    fleet.start("threads", 2)
    with Orchestrator(redis_url=fleet.url, namespace=namespace, state_file=path) as orch:
        mine = orch.submit(fleet_agents.echo, "mine")
        theirs = fleet.orchestrator.submit(fleet_agents.echo, "theirs")
        shared = fleet.orchestrator.submit(fleet_agents.echo, "shared", key="one", delay=LATER)
        # A submit that returned is in the file, also when it found what was there.
        assert orch.submit(fleet_agents.echo, "shared", key="one").id == shared.id
        orch.wait(mine, theirs, timeout=20)
        assert ids(path) == {mine.id, shared.id}
        assert latest(path, mine.id)["output"] == "mine"
        # Somebody else's cancel is seen, too.
        fleet.orchestrator.cancel(shared.id)
        until(lambda: status(path, shared.id) == "cancelled")


def test_a_redis_that_comes_back_empty_gets_back_what_it_lost(path: Path, tmp_path: Path) -> None:
    """Without a restart of the process: the server was restarted without persistence."""
    directory = tmp_path / "redis"
    with (
        PrivateServer(directory) as server,
        Orchestrator(redis_url=server.url, state_file=path) as orch,
    ):
        late = orch.submit(fleet_agents.echo, "late", delay=LATER)
        flow = orch.submit_workflow(
            Workflow("w", [Task(fleet_agents.echo, 1, name="a", delay=LATER)])
        )
        import redis

        with redis.from_url(server.url) as raw:
            raw.flushall()
            raw.client_kill_filter(_type="normal", skipme=True)
        until(lambda: orch.counts()[TaskStatus.PENDING] == 2)
        assert orch.status(late.id) is TaskStatus.PENDING
        assert orch.get_workflow(flow.id).status is WorkflowStatus.PENDING
        assert late.status is TaskStatus.PENDING


def test_an_output_that_only_the_file_has_is_not_asked_for_again(
    fleet: Fleet, path: Path, namespace: str, tmp_path: Path
) -> None:
    """Redis came back from a snapshot that is older than the end of the task."""
    import redis

    runs = tmp_path / "runs"
    worker = fleet.start("threads", 1)
    with Orchestrator(redis_url=fleet.url, namespace=namespace, state_file=path) as orch:
        task = orch.submit(fleet_agents.append_line, {"path": str(runs)})
        follower = Task(fleet_agents.echo, "{first.output}", name="second")
        first = Task(fleet_agents.append_line, {"path": str(runs)}, name="first")
        flow = Workflow("w", [first, follower])
        orch.submit_workflow(flow)
        orch.wait(task, flow, timeout=20)
    worker.stop()
    plain = fleet.url.replace("redis+socket", "unix").partition("?")[0]
    with redis.from_url(plain, decode_responses=True) as raw:
        prefix = f"pyagent:1:{namespace}:"
        key = f"{prefix}task:{task.id}"
        raw.hset(key, "status", "pending")
        raw.hdel(key, "finished")
        raw.zrem(f"{prefix}status:completed", task.id)
        raw.zadd(f"{prefix}status:pending", {task.id: 1})
        raw.delete(f"{namespace}:celery-task-meta-{task.id}")
    with Orchestrator(redis_url=fleet.url, namespace=namespace, state_file=path) as orch:
        assert orch.get_task(task.id).output == "attempt 1"
    assert len(runs.read_text().splitlines()) == 2


def test_what_expired_while_nobody_looked_is_not_run_again(
    server: PrivateServer, namespace: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The fleet finished it long ago: its record went the way of all records."""
    caplog.set_level(logging.INFO, "pyagent_orch")
    from pyagent_orch import Settings

    settings = Settings(redis_url=server.url, namespace=namespace, record_ttl_seconds=1)
    with Orchestrator(settings=settings, state_file=path) as orch:
        task = orch.submit(fleet_agents.echo, "long ago", delay=LATER)
        orch._connection.store.client.delete(orch._connection.store.keys.task(task.id))
    threading.Event().wait(1.1)
    with Orchestrator(settings=settings, state_file=path) as orch, pytest.raises(TaskNotFoundError):
        orch.get_task(task.id)
    assert "1 are too old" in caplog.text
    # On a Redis that has never seen the file it is lost, not expired.
    with PrivateServer() as new:
        settings = Settings(redis_url=new.url, namespace=namespace, record_ttl_seconds=1)
        with Orchestrator(settings=settings, state_file=path) as orch:
            assert "task.gone" in {one["kind"] for one in entries(path)}


def test_a_redis_out_of_reach_at_the_start_is_taken_up_by_the_first_call(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "redis"
    with PrivateServer(directory) as server:
        url = server.url
        with Orchestrator(redis_url=url, state_file=path) as orch:
            task = orch.submit(fleet_agents.echo, "later", delay=LATER)
    orch = Orchestrator(redis_url=url, state_file=path)
    assert "goes on with the first call" in caplog.text
    with PrivateServer(directory), orch:
        assert orch.status(task.id) is TaskStatus.PENDING


def test_a_file_that_cannot_be_written_makes_submit_fail_and_takes_up_later(
    embedded: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orch = embedded(state_file=path)
    orch.submit(fleet_agents.echo, 0).result(timeout=20)
    real, full = os.pwrite, threading.Event()

    def pwrite(descriptor: int, content: bytes, offset: int) -> int:
        if full.is_set():
            raise OSError(28, "No space left on device")
        return real(descriptor, content, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    full.set()
    first = Task(fleet_agents.echo, 1, id="first")
    with pytest.raises(StateFileError, match=r"No space left.*\(first\) is recorded in Redis"):
        orch.submit(first)
    with pytest.raises(StateFileError, match="Nothing was sent"):
        orch.submit(Task(fleet_agents.echo, 2, id="second"))
    with pytest.raises(TaskNotFoundError):
        orch.status("second")
    full.clear()
    assert orch.submit(fleet_agents.echo, 3).result(timeout=20) == 3
    assert orch.get_task("first").result(timeout=20) == 1
    until(lambda: "first" in ids(path) and latest(path, "first")["output"] == 1)


def test_the_file_says_its_format_first_and_is_its_owner_s_alone(
    embedded: Make, path: Path
) -> None:
    embedded(state_file=path).start()
    content = json.loads(path.read_text())
    assert list(content)[:2] == ["format", "version"]
    assert path.stat().st_mode & 0o777 == 0o600
