"""Who may have a state file, which Redis it belongs to, and what happens when one refuses."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent_orch import (
    Orchestrator,
    StateFileError,
    Task,
    TaskNotFoundError,
    TaskStatus,
    Workflow,
    WorkflowStatus,
)
from pyagent_orch.embedded.server import PrivateServer
from support import fleet_agents, state_files
from support.fleet import Fleet, until
from support.state_files import entries, ids, latest, status

Make = Callable[..., Orchestrator]
LATER = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


# --- one process, one namespace, one Redis -------------------------------------------


def test_a_second_process_is_refused_with_the_first_one_s_id(embedded: Make, path: Path) -> None:
    embedded(state_file=path).start()
    program = (
        "import sys\n"
        "from pyagent_orch import Orchestrator\n"
        "try:\n    Orchestrator(state_file=sys.argv[1]).start()\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    said = state_files.run_program(program, path)
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


def test_what_a_forked_child_submits_comes_into_its_parent_s_file(path: Path) -> None:
    program = (
        "import os, sys\n"
        "from pyagent_orch import Orchestrator, agent\n"
        "orch = Orchestrator(state_file=sys.argv[1]).start()\n"
        "if os.fork() == 0:\n"
        "    task = orch.submit(agent('You are a clerk'), 'from the child')\n"
        "    task.result(timeout=20)\n"
        "    print(task.id, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "orch.close()\n"
    )
    name = state_files.run_program(program, path).strip()
    assert latest(path, name, "task")["record"]["input"] == "from the child"
    assert "from the child" in latest(path, name)["output"]


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


# --- on a Redis of its own -----------------------------------------------------------


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


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """While it is set, the disk takes nothing."""
    real, full = os.pwrite, threading.Event()

    def pwrite(descriptor: int, content: bytes, offset: int) -> int:
        if full.is_set():
            raise OSError(28, "No space left on device")
        return real(descriptor, content, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    return full


def test_a_file_that_cannot_be_written_makes_submit_fail_and_takes_up_later(
    embedded: Make, path: Path, full: threading.Event
) -> None:
    orch = embedded(state_file=path)
    orch.submit(fleet_agents.echo, 0).result(timeout=20)
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


def test_a_full_disk_stops_nobody_who_waits_also_when_redis_was_away(
    path: Path, full: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """Then file and Redis are compared, which the disk refuses: the listener has to live on."""
    import redis

    with (
        PrivateServer() as server,
        Orchestrator(redis_url=server.url, state_file=path) as orch,
        Orchestrator(redis_url=server.url) as other,
        redis.from_url(server.url) as raw,
    ):
        first, second = (orch.submit(fleet_agents.echo, n, delay=LATER) for n in (1, 2))
        full.set()
        other.cancel(first.id)
        assert first.wait(timeout=20).status is TaskStatus.CANCELLED
        raw.client_kill_filter(_type="normal", skipme=True)
        until(lambda: "compared with Redis again" in caplog.text)
        other.cancel(second.id)
        assert second.wait(timeout=20).status is TaskStatus.CANCELLED
        assert status(path, first.id) is None
        full.clear()
        orch.submit(fleet_agents.echo, 3, delay=LATER)
        until(lambda: {status(path, one.id) for one in (first, second)} == {"cancelled"})


def test_the_file_says_its_format_first_and_is_its_owner_s_alone(
    embedded: Make, path: Path
) -> None:
    embedded(state_file=path).start()
    content = json.loads(path.read_text())
    assert list(content)[:2] == ["format", "version"]
    assert path.stat().st_mode & 0o777 == 0o600
