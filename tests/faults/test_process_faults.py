"""Workers die, freeze or are asked to stop, under load: no task lost, and healed soon."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent_orch import TaskStatus
from support.fault_report import Report
from support.fleet import Fleet, Worker, until
from support.fleet_agents import append_line
from support.rig import KILLS, Rig

pytestmark = pytest.mark.faults
LONG = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(1200)]

LEASE = 3.0
"""Of the rig's workers."""


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=LONG) for kind in KILLS])
def test_killed_processes_cost_no_task(
    rig: Callable[..., Rig], report: Report, faults: int, kind: str
) -> None:
    pool, who = KILLS[kind]
    it = rig(pool=pool, workers=3, concurrency=2)
    # Few enough that what is taken over has no queue before it: the others are two workers.
    it.begin(seconds=(0.2, 1.0), pause=0.3)
    for _ in range(faults):
        victim = random.choice(it.living)
        it.strike(victim, signal.SIGKILL, who)
        if who == "child":
            it.recover()
        else:
            victim.process.wait(10)
            it.start()
    account = it.settle()
    report.add(f"kill -9: {kind}", it.faults, account)
    # Found when its lease is over, a few heartbeats later; a child by its parent, sooner.
    assert max(account.healing, default=0) < LEASE + 5
    if kind != "prefork parent":
        # A child that outlives its parent may come to its answer while another one is at work.
        assert not account.ended_twice


@pytest.mark.parametrize(
    "pool", [pytest.param(pool, marks=LONG) for pool in ("threads", "prefork", "gevent")]
)
def test_frozen_workers_change_nothing_when_they_come_back(
    rig: Callable[..., Rig], report: Report, faults: int, pool: str
) -> None:
    it = rig(pool=pool, workers=2)
    # Few enough that what is taken over is not queued for longer than the worker is frozen.
    it.begin(seconds=(1.0, 2.0), pause=0.5)
    for _ in range(faults):
        victim = random.choice(it.living)
        it.strike(victim, signal.SIGSTOP)
        # Beyond its lease, so that others take its tasks over.
        until(lambda victim=victim: not it.has_lease(victim), 20)
        victim.thaw()
        until(lambda victim=victim: it.has_lease(victim), 20)
    account = it.settle()
    report.add(f"SIGSTOP beyond the lease: {pool}", it.faults, account)


def interrupt_twice(worker: Worker) -> None:
    """As somebody at a terminal who has no patience."""
    worker.kill(signal.SIGINT)
    time.sleep(0.3)
    if worker.process.poll() is None:
        worker.kill(signal.SIGINT)


STOPS: dict[str, Callable[[Worker], None]] = {
    "SIGTERM": lambda worker: worker.kill(signal.SIGTERM),
    "SIGINT twice": interrupt_twice,
    "SIGQUIT": lambda worker: worker.kill(signal.SIGQUIT),
}


@pytest.mark.parametrize(
    ("how", "pool"),
    [
        ("SIGTERM", "threads"),
        *(
            pytest.param(how, pool, marks=LONG, id=f"{how}, {pool}, many times")
            for how in STOPS
            for pool in ("threads", "prefork", "gevent")
        ),
    ],
)
def test_a_worker_that_is_stopped_leaves_nothing_to_a_lease(
    rig: Callable[..., Rig], report: Report, faults: int, how: str, pool: str
) -> None:
    # A lease that would be noticed, if somebody waited for it.
    env = {"PYAGENT_ORCH_STOP_TIMEOUT_SECONDS": "1", "PYAGENT_ORCH_LEASE_SECONDS": "30"}
    it = rig(pool=pool, workers=2, env=env)
    it.begin(seconds=(0.3, 1.5), pause=0.25)
    for _ in range(faults):
        victim = random.choice(it.living)
        until(lambda victim=victim: it.is_busy(victim), 20)
        it.faults += 1
        it.load.fault()
        STOPS[how](victim)
        victim.process.wait(10)
        it.start()
    account = it.settle()
    report.add(how, it.faults, account)
    # At once; what takes time is that the two workers have all slots full.
    assert max(account.healing, default=0) < 10
    assert not account.ended_twice


def test_a_worker_that_hands_back_does_not_take_it_again(fleet: Fleet, tmp_path: Path) -> None:
    """The loop of a gevent worker hears of a stop up to two seconds late."""
    runs = tmp_path / "runs"
    worker = fleet.start("gevent", 2, env={"PYAGENT_ORCH_STOP_TIMEOUT_SECONDS": "0.5"})
    task = fleet.orchestrator.submit(append_line, {"path": str(runs), "sleep": 60})
    until(runs.exists, 20)
    worker.kill(signal.SIGTERM)
    assert worker.process.wait(30) == 0
    assert fleet.orchestrator.status(task.id) is TaskStatus.PENDING
    told = [event.type for event in fleet.orchestrator.events()]
    assert told.count("task.started") == told.count("task.released") == 1


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param((2.5, 3.0), id="once"),
        pytest.param((6.0, 10.0), id="many times", marks=LONG),
    ],
)
def test_tasks_longer_than_every_timeout_run_once(
    rig: Callable[..., Rig], report: Report, faults: int, seconds: tuple[float, float]
) -> None:
    short = {
        "PYAGENT_ORCH_LEASE_SECONDS": "1",
        "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.2",
        "PYAGENT_ORCH_SOCKET_TIMEOUT_SECONDS": "1",
        "PYAGENT_ORCH_CONNECT_TIMEOUT_SECONDS": "1",
    }
    it = rig(workers=2, concurrency=max(4, faults), env=short)
    load = it.begin(seconds=seconds, pause=0.1)
    until(lambda: len(load.tasks) >= faults, 60)
    account = it.settle()
    report.add("task longer than every timeout", account.tasks, account, [])
    assert not account.started_again
