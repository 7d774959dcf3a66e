"""The embedded mode: a real server and a real worker that come with the process and go with it."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import Orchestrator, Settings, Task, TaskStatus, agent
from pyagent_orch.embedded.session import EmbeddedSession
from support.fleet import ROOT, TESTS, until
from support.fleet_agents import async_sleep, echo, upper

Make = Callable[..., Orchestrator]


def program(text: str, **options: Any) -> subprocess.Popen[str]:
    """A Python program of a user, with the agents of the tests."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYAGENT_ORCH_")}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(TESTS)])
    return subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        stdin=subprocess.DEVNULL, env=environ, process_group=0, **options,
    )  # fmt: skip


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def server_pid(orch: Orchestrator) -> int:
    return int(orch._store.client.info("server")["process_id"])


# --- first use ---------------------------------------------------------------------------


def test_the_first_result_is_there_soon_after_the_import() -> None:
    with program(
        "import time; began = time.monotonic()\n"
        "from pyagent_orch import Orchestrator\n"
        "result = Orchestrator().submit(lambda text: text.upper(), 'hello').result(timeout=60)\n"
        "print(result, time.monotonic() - began)\n"
    ) as process:
        out, err = process.communicate(timeout=60)
    assert err == ""
    result, seconds = out.split()
    assert result == "HELLO"
    # The promise is two seconds on an idle machine; the benchmarks hold us to it.
    assert float(seconds) < 20


def test_nothing_starts_before_the_first_call(embedded: Make) -> None:
    orch = embedded()
    assert orch.is_embedded
    assert EmbeddedSession._servers == {}
    assert orch.start() is orch
    assert len(EmbeddedSession._servers) == 1


def test_a_url_in_the_environment_means_a_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYAGENT_ORCH_REDIS_URL", "redis://localhost:1")
    assert not Orchestrator().is_embedded


def test_threads_that_come_first_at_once_share_one_server(embedded: Make) -> None:
    one = embedded()
    others = [embedded() for _ in range(4)]
    results: list[Any] = []
    barrier = threading.Barrier(8)

    def use(number: int) -> None:
        barrier.wait()
        orch = one if number < 4 else others[number - 4]
        results.append((orch.submit(echo, number).result(timeout=30), server_pid(orch)))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result for result, _ in results) == list(range(8))
    assert len({pid for _, pid in results}) == 1
    assert len(one.workers()) == 1


# --- sharing --------------------------------------------------------------------------------


def test_orchestrators_of_a_process_share_server_and_worker_until_the_last_one_closes(
    embedded: Make,
) -> None:
    first, second = embedded().start(), embedded().start()
    pid = server_pid(first)
    assert server_pid(second) == pid
    task = first.submit(upper, "x")
    assert second.get_task(task.id).result(timeout=20) == "X"
    assert len(second.workers()) == 1
    first.close()
    assert second.submit(upper, "y").result(timeout=20) == "Y"
    assert is_running(pid)
    second.close()
    assert not is_running(pid)
    # And again, from the start.
    third = embedded()
    assert third.submit(upper, "z").result(timeout=20) == "Z"
    assert server_pid(third) != pid
    assert third.tasks(status="completed", name="upper")[0].output == "Z"
    assert len(third.tasks()) == 1


def test_a_second_namespace_has_a_worker_of_its_own_on_the_same_server(embedded: Make) -> None:
    one, two = embedded(), embedded(namespace="two")
    tasks = [orch.submit(upper, "x", id="the-same") for orch in (one, two)]
    assert [task.result(timeout=20) for task in tasks] == ["X", "X"]
    assert server_pid(one) == server_pid(two)
    assert [len(orch.tasks()) for orch in (one, two)] == [1, 1]
    many = [(orch.submit(echo, n), n) for n in range(100) for orch in (one, two)]
    assert all(task.result(timeout=20) == n for task, n in many)
    assert [orch.counts()[TaskStatus.COMPLETED] for orch in (one, two)] == [101, 101]
    assert [len(orch.workers()) for orch in (one, two)] == [1, 1]
    two.close()
    assert one.submit(upper, "y").result(timeout=20) == "Y"


# --- agents ------------------------------------------------------------------------------------


class Greeter:
    """Has state, and methods as agents."""

    def __init__(self, greeting: str) -> None:
        self.greeting = greeting

    def greet(self, name: str) -> str:
        return f"{self.greeting}, {name}"

    async def greet_later(self, name: str) -> str:
        return f"{self.greeting} later, {name}"

    def __call__(self, name: str) -> str:
        return f"{self.greeting}!, {name}"


def test_any_callable_is_an_agent(embedded: Make) -> None:
    orch = embedded()
    suffix = "!"

    def closure(text: str) -> str:
        return text + suffix

    async def later(text: str) -> str:
        return text + " later"

    greeter = Greeter("Hello")
    agents: list[tuple[Any, Any]] = [
        (lambda text: text * 2, "xx"),
        (lambda text: later(text), "x later"),  # noqa: PLW0108 - a lambda that gives a coroutine
        (closure, "x!"),
        (later, "x later"),
        (functools.partial(max, "a"), "x"),
        (greeter.greet, "Hello, x"),
        (greeter.greet_later, "Hello later, x"),
        (greeter, "Hello!, x"),
        (len, 1),
        (str.upper, "X"),
        ("upper", "X"),
    ]
    tasks = [(orch.submit(who, "x"), wanted) for who, wanted in agents]
    assert [task.result(timeout=20) for task, _ in tasks] == [wanted for _, wanted in tasks]


def test_the_offline_model_answers_and_says_so(embedded: Make) -> None:
    task = embedded().submit(agent("You are a researcher"), "Research quantum computing trends")
    answer = task.result(timeout=20)
    assert answer.startswith("[offline model]")
    assert "quantum computing" in answer
    assert task.usage is not None
    assert (task.usage.model, task.usage.cost_usd) == ("offline", 0.0)


def test_hundreds_of_waiting_agents_fit_into_one_worker(embedded: Make) -> None:
    orch = embedded(settings=Settings(concurrency=250))
    began = time.monotonic()
    tasks = orch.submit_many([Task(async_sleep, 1.0) for _ in range(250)])
    orch.wait(*tasks, timeout=30)
    assert time.monotonic() - began < 10
    assert {task.status for task in tasks} == {TaskStatus.COMPLETED}


# --- the end -------------------------------------------------------------------------------------

BUSY = """
import asyncio, sys, time
from pyagent_orch import Orchestrator
orch = Orchestrator()
async def later(_): await asyncio.sleep(60)
tasks = [orch.submit(who, 0) for who in (lambda _: time.sleep(60), later) * 3]
orch.on("task.*", lambda task: None)
orch.on("task.*", lambda task: None, durable="group")
while any(task.status != "running" for task in tasks): time.sleep(0.01)
info = orch._store.client.info("server")
print(info["process_id"], orch._connection.client.store.address.label, flush=True)
"""


@pytest.mark.parametrize(
    "end",
    ["", "orch.close()", "sys.exit(0)", "orch.close(); orch.close()", "del orch"],
)
def test_a_program_ends_at_once_and_quietly_with_tasks_running(end: str) -> None:
    with program(BUSY + end) as process:
        began = time.monotonic()
        out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert process.returncode == 0
    # What did not end is said in one line; nothing is an error.
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 1
    pid, socket = out.split()
    until(lambda: not is_running(int(pid)))
    assert not Path(socket).parent.exists()


def test_ctrl_c_ends_a_waiting_program_within_ten_seconds() -> None:
    with program(BUSY + "tasks[0].wait()\n") as process:
        assert process.stdout
        pid, socket = process.stdout.readline().split()
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    # Python's own traceback of the interrupted wait, and no other.
    assert err.count("Traceback") == 1
    assert "\nKeyboardInterrupt\n" in err
    until(lambda: not is_running(int(pid)))
    assert not Path(socket).parent.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_program_leaves_nothing_behind(number: signal.Signals) -> None:
    with program(BUSY + "time.sleep(60)\n") as process:
        assert process.stdout
        pid, socket = process.stdout.readline().split()
        assert is_running(int(pid))
        process.send_signal(number)
        process.wait(20)
        until(lambda: not is_running(int(pid)), timeout=5)
        until(lambda: not Path(socket).parent.exists(), timeout=5)
