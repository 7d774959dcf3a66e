"""Keys and run keys: what is asked twice is done once."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator, Settings, Task, TaskStatus, current_run
from pyagent_orch.embedded.server import PrivateServer
from support.fleet import ROOT, Fleet, until

SUBMITTER = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from pyagent_orch import Orchestrator

with Orchestrator(redis_url=sys.argv[1], namespace=sys.argv[2]) as orchestrator:
    orchestrator.start()
    print("ready", flush=True)
    sys.stdin.readline()
    together = threading.Barrier(25)

    def submit(number):
        together.wait(10)
        value = {"path": sys.argv[3], "line": "run"}
        return orchestrator.submit("append_line", value, key="order 7", name=f"n{number}").id

    with ThreadPoolExecutor(25) as pool:
        print(*pool.map(submit, range(25)))
"""
FAST = {"PYAGENT_ORCH_LEASE_SECONDS": "1.5", "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.3"}


def submitted(orchestrator: Orchestrator) -> list[str]:
    return [event.subject for event in orchestrator.events() if event.type == "task.submitted"]


# --- the key ------------------------------------------------------------------------------------


def test_a_hundred_submits_of_one_key_from_four_processes_are_one_task(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start("threads", 4)
    runs = tmp_path / "runs"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SUBMITTER, fleet.url, fleet.namespace, str(runs)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=fleet.environment(),
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ids = [task_id for p in processes for task_id in p.communicate(timeout=30)[0].split()]
    assert [process.returncode for process in processes] == [0] * 4
    assert len(ids) == 100
    assert len(set(ids)) == 1
    task = fleet.orchestrator.get_task(ids[0])
    task.result(20)
    assert submitted(fleet.orchestrator) == [task.id]
    assert sum(fleet.orchestrator.counts().values()) == 1
    assert runs.read_text() == "run\n"


def test_a_key_is_free_again_when_its_record_has_expired() -> None:
    with Orchestrator(settings=Settings(record_ttl_seconds=1)) as orchestrator:
        first = orchestrator.submit(str.upper, "a", key="k")
        assert first.result(10) == "A"
        assert orchestrator.submit(str.upper, "b", key="k").id == first.id
        second = until(
            lambda: (
                task
                if (task := orchestrator.submit(str.upper, "b", key="k")).id != first.id
                else None
            ),
            pause=0.1,
        )
        assert second.result(10) == "B"


def test_a_task_that_waits_or_runs_keeps_its_key_however_long() -> None:
    gate = threading.Event()

    def waits(_: object) -> str:
        gate.wait(20)
        return "late"

    with Orchestrator(settings=Settings(record_ttl_seconds=1)) as orchestrator:
        first = orchestrator.submit(waits, "x", key="k")
        until(lambda: first.status is TaskStatus.RUNNING)
        # Longer than the time that finished records live.
        assert not gate.wait(1.3)
        assert orchestrator.submit(waits, "x", key="k").id == first.id
        gate.set()
        assert first.result(10) == "late"


def test_a_failed_task_keeps_its_key_and_is_run_again_only_by_a_retry() -> None:
    runs: list[str] = []

    def second_time(_: object) -> str:
        run = current_run()
        assert run is not None
        runs.append(run.run_key)
        if len(runs) == 1:
            raise ValueError("not yet")
        return "done"

    with Orchestrator() as orchestrator:
        first = orchestrator.submit(second_time, "x", key="k", retry=1).wait(10)
        again = orchestrator.submit(second_time, "x", key="k", retry=1)
        assert (again.id, again.status) == (first.id, TaskStatus.FAILED)
        assert again.wait(10).error == first.error
        orchestrator.retry(first.id).result(10)
        third = orchestrator.submit(second_time, "x", key="k")
        assert (third.id, third.result(10)) == (first.id, "done")
        assert runs == ["k", "k"]
        assert len(submitted(orchestrator)) == 1


def test_keys_of_two_namespaces_have_nothing_to_do_with_each_other(
    server: PrivateServer, namespace: str
) -> None:
    names = (namespace, f"{namespace}.two")
    one, two = (Orchestrator(redis_url=server.url, namespace=name) for name in names)
    with one, two:
        first, second = (o.submit("echo", "x", key="k") for o in (one, two))
        assert first.id != second.id
        assert one.submit("echo", "y", key="k").id == first.id
        assert two.submit("echo", "y", key="k").id == second.id


@pytest.mark.parametrize("key", ["a b\n", "ключ", "x" * 1000, "key:with:colons", "*?[a]"])
def test_any_text_is_a_key(server: PrivateServer, namespace: str, key: str) -> None:
    with Orchestrator(redis_url=server.url, namespace=namespace) as orchestrator:
        first = orchestrator.submit("echo", 1, key=key)
        assert orchestrator.submit("echo", 2, key=key).id == first.id
        assert orchestrator.submit("echo", 2, key=f"{key}2").id != first.id
        assert orchestrator.get_task(first.id).key == key


@pytest.mark.parametrize("count", [2, 700], ids=["one act", "two acts"])
def test_two_equal_keys_in_one_submit_many_are_one_task(
    server: PrivateServer, namespace: str, count: int
) -> None:
    with Orchestrator(redis_url=server.url, namespace=namespace) as orchestrator:
        tasks = [
            Task("echo", place, key="k" if place in (0, count - 1) else None)
            for place in range(count)
        ]
        live = orchestrator.submit_many(tasks)
        assert live[0].id == live[-1].id == tasks[0].id
        assert len({task.id for task in live}) == count - 1 == len(submitted(orchestrator))
        assert [task.input for task in (live[0], live[-1])] == [0, 0]
        assert sum(orchestrator.counts().values()) == count - 1


def test_callbacks_of_all_who_submit_one_key_are_called_once_each() -> None:
    called: Counter[str] = Counter()
    with Orchestrator() as orchestrator:
        tasks = [
            orchestrator.submit(
                str.upper, "x", key="k", callback=lambda task, who=who: called.update([who])
            )
            for who in ("first", "second")
        ]
        orchestrator.wait(*tasks, timeout=10)
        until(lambda: len(called) == 2)
    assert called == {"first": 1, "second": 1}


# --- the run key --------------------------------------------------------------------------------


def test_the_run_key_is_the_same_in_each_attempt_and_after_a_retry() -> None:
    keys: list[tuple[int, str]] = []

    def third_time(_: object) -> str:
        run = current_run()
        assert run is not None
        keys.append((run.attempt, run.run_key))
        if len(keys) < 4:
            raise ConnectionError("no")
        return "done"

    with Orchestrator() as orchestrator:
        from pyagent_orch import RetryPolicy

        twice = RetryPolicy(max_attempts=2, delay_seconds=0)
        task = orchestrator.submit(third_time, "x", retry=twice).wait(10)
        assert task.status is TaskStatus.FAILED
        assert orchestrator.retry(task.id).result(10) == "done"
    assert keys == [(attempt, task.id) for attempt in (1, 2, 3, 4)]


@pytest.mark.faults
def test_the_example_charges_once_though_its_worker_is_killed_after_the_charge(
    fleet: Fleet,
) -> None:
    # `fleet` only for its environment: the example starts a server of its own.
    environment = fleet.environment()
    del environment["PYAGENT_ORCH_REDIS_URL"]
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "charge_once.py"],
        env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "idempotency.md").read_text()
    [shown] = re.findall(
        r"^\$ python examples/charge_once.py\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    )
    assert done.stdout == shown
    assert "requests to the payment service: 2\ncharges: 1," in done.stdout


@pytest.mark.faults
def test_a_run_after_a_lost_worker_has_the_run_key_of_the_first(
    fleet: Fleet, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    first = fleet.start("threads", 1, env=FAST)
    # A task without a key: what its id is for.
    task = fleet.orchestrator.submit("note_run_key", {"path": str(keys), "sleep": 2})
    until(lambda: keys.exists() and keys.read_text().count("\n") == 1, 20)
    first.kill_group()
    fleet.start("threads", 1, env=FAST)
    assert task.result(30) == "attempt 2"
    assert keys.read_text() == f"{task.id}\n{task.id}\n"


def test_the_page_on_idempotency_runs_and_quotes_the_example() -> None:
    page = (ROOT / "docs" / "idempotency.md").read_text()
    runs, quotes = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert quotes in (ROOT / "examples" / "charge_once.py").read_text()
    code = compile(runs, "docs/idempotency.md", "exec")
    exec(code, {"__name__": "page"})


def test_the_example_does_nothing_when_it_is_imported() -> None:
    found = runpy.run_path(str(ROOT / "examples" / "charge_once.py"), run_name="not_main")
    assert "charge_and_confirm" in found
