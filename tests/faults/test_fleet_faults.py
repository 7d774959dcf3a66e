"""What happens to a whole fleet and its clients: kills, long tasks, wrong clocks, copies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyagent_orch import Task
from support.fault_agents import noted
from support.fault_report import Report
from support.fleet import ROOT, TESTS, until
from support.fleet_agents import die
from support.load import Account
from support.rig import AGENTS, FAST, KILLS, Rig
from support.shifted_clock import ShiftedClock

pytestmark = [
    pytest.mark.faults, pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(1200),
]  # fmt: skip


@pytest.mark.parametrize("kind", KILLS)
def test_killed_workers_at_the_default_settings_are_healed_within_15_seconds(
    rig: Callable[..., Rig], report: Report, faults: int, kind: str
) -> None:
    pool, who = KILLS[kind]
    # A task that is taken over runs at the moment of the next kill; else the defaults.
    defaults = {"PYAGENT_ORCH_MAX_WORKER_LOSSES": FAST["PYAGENT_ORCH_MAX_WORKER_LOSSES"]}
    rigs = [rig(pool=pool, workers=2, concurrency=2, env=defaults) for _ in range(4)]
    for it in rigs:
        # Two workers have room for what a third one left.
        it.begin(seconds=(1.0, 3.0), pause=0.8)

    def strike(it: Rig) -> None:
        victim = random.choice(it.living)
        it.strike(victim, signal.SIGKILL, who)
        if who == "child":
            it.recover()
            return
        victim.process.wait(10)
        it.start()
        until(lambda: not it.has_lease(victim), 20)

    with ThreadPoolExecutor(len(rigs)) as pool:
        for _ in range(-(-faults // len(rigs))):
            list(pool.map(strike, rigs))
    for it in rigs:
        account = it.settle()
        report.add(f"kill -9: {kind}, defaults", it.faults, account)
        # A child that outlives its parent may come to its answer while another one is at work.
        assert kind == "prefork parent" or not account.ended_twice
        assert account.healing
        assert max(account.healing) < 15


def test_the_clocks_of_workers_do_not_matter(
    rig: Callable[..., Rig], report: Report, faults: int
) -> None:
    """One worker an hour ahead, one an hour behind: leases and delays go by Redis' clock."""
    it = rig(workers=0)
    for shift in (3600, -3600):
        clock = ShiftedClock(it.directory / f"clock{shift}")
        clock.set(shift)
        it.fleet.start("threads", 4, env={**it.env, **clock.of_python(ROOT, TESTS)})
    it.begin(pause=0.2)
    delayed = [
        Task(noted, {"log": os.devnull, "seconds": 0.0}, delay=2.0) for _ in range(max(2, faults))
    ]
    it.orchestrator.submit_many(delayed)
    it.orchestrator.wait(*delayed, timeout=30)
    for task in delayed:
        assert 2.0 <= (task.started_at - task.created_at).total_seconds() < 8
    until(lambda: len(it.load.tasks) > faults, 60)
    account = it.settle()
    report.add("clock of the worker 1 h off", account.tasks, account, [])
    assert not account.started_again
    assert {task.worker.split("@")[0] for task in it.load.tasks.values()} == {
        worker.name for worker in it.fleet.workers
    }


def test_a_worker_whose_clock_steps_by_a_minute_runs_nothing_twice(
    rig: Callable[..., Rig], report: Report, faults: int
) -> None:
    it = rig(workers=0)
    clock = ShiftedClock(it.directory / "clock")
    for _ in range(2):
        it.fleet.start("threads", 4, env={**it.env, **clock.of_python(ROOT, TESTS)})
    steps(it, clock, faults)
    account = it.settle()
    report.add("clock of the workers steps by 1 min", it.faults, account, it.recoveries)
    assert not account.started_again


def test_tasks_run_once_though_redis_clock_steps_by_a_minute(
    rig: Callable[..., Rig], tmp_path: Path, report: Report, faults: int
) -> None:
    """Ahead, all leases look old; back, all of them last longer."""
    clock = ShiftedClock(tmp_path / "clock")
    environment = clock.of_a_server()
    if environment is None:
        pytest.skip("a C compiler (cc) is needed to set a server's clock")
    it = rig(workers=2, concurrency=8, server_environment=environment)
    steps(it, clock, faults)
    account = it.settle()
    report.add("clock of Redis steps by 1 min", it.faults, account, it.recoveries)
    assert not account.started_again


def steps(it: Rig, clock: ShiftedClock, faults: int) -> None:
    """Under load, set a clock a minute ahead and back again."""
    it.begin(seconds=(0.3, 2.0), pause=0.2)
    for number in range(faults):
        it.outage(lambda number=number: clock.set(60 * (1 - number % 2)), lambda: None, 1.5)


def test_every_message_pushed_three_times_runs_once(
    rig: Callable[..., Rig], report: Report, faults: int
) -> None:
    it = rig(workers=0)
    load = it.load_only(pause=0.01)
    until(lambda: len(load.tasks) >= max(50, faults), 60)
    copies = 0
    for key in it.raw.run("KEYS", "rig:agents*"):
        for message in it.raw.run("LRANGE", key, 0, -1):
            it.raw.run("LPUSH", key, message, message)
            copies += 2
    it.start()
    it.start()
    account = it.settle()
    report.add("message pushed three times", copies, account, [])
    assert not account.started_again


CLIENT = """
import os, sys
from pyagent_orch import Orchestrator
from support.fault_agents import noted
url, log, returned = sys.argv[1:]
orchestrator = Orchestrator(redis_url=url, namespace="rig")
file = os.open(returned, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while True:
    task = orchestrator.submit(noted, {"log": log, "seconds": 0.01})
    os.write(file, task.id.encode() + b"\\n")
"""


def test_clients_killed_while_they_submit_leave_whole_tasks(
    rig: Callable[..., Rig], report: Report, faults: int
) -> None:
    it = rig(workers=2, concurrency=8)
    log = it.directory / "runs"

    def client(number: int) -> list[str]:
        returned = it.directory / f"returned{number}"
        words = [sys.executable, "-c", CLIENT, it.raw.url, str(log), str(returned)]
        with (it.directory / "clients.log").open("ab") as output:
            process = subprocess.Popen(
                words, env=it.fleet.environment(AGENTS), stdout=output, stderr=output
            )
            until(lambda: returned.exists() and returned.stat().st_size, 30)
            time.sleep(random.uniform(0, 0.2))
            process.kill()
            process.wait(10)
        # A line that it could not finish was not told to anybody.
        return returned.read_text().rpartition("\n")[0].split()

    with ThreadPoolExecutor(2) as pool:
        told = [task_id for ids in pool.map(client, range(faults)) for task_id in ids]
    until(lambda: not it.orchestrator.tasks(status="pending", limit=1), 60)
    until(lambda: not it.orchestrator.tasks(status="running", limit=1), 60)
    lost = [i for i in told if it.orchestrator.status(i) != "completed"]
    starts = Counter(
        line.split('"')[3] for line in log.read_text().splitlines() if '"start"' in line
    )
    twice = [task_id for task_id, count in starts.items() if count > 1]
    account = Account(len(starts), lost, [], [], [], twice, twice)
    report.add("client killed while it submits", faults, account)
    assert not lost
    assert not twice
    assert set(told) <= set(starts)


def test_a_task_that_kills_its_process_is_given_up_after_three_losses(
    rig: Callable[..., Rig], report: Report, faults: int
) -> None:
    default = {**FAST, "PYAGENT_ORCH_MAX_WORKER_LOSSES": "3"}
    it = rig(pool="prefork", workers=1, concurrency=4, env=default)
    it.begin(seconds=(0.0, 0.1), pause=0.2)
    deadly = [it.orchestrator.submit(die, None, priority=1) for _ in range(-(-faults // 3))]
    it.orchestrator.wait(*deadly, timeout=300)
    for task in deadly:
        assert task.status == "failed"
        assert "worker lost 3 times" in str(task.error)
        assert task.attempts == 3
    account = it.settle()
    report.add("task that kills its process", 3 * len(deadly), account)
