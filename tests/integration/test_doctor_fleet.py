"""The doctor finds workers, queues and records in each bad state, and says what to do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator, Settings, Task
from pyagent_orch.doctor import Severity
from pyagent_orch.embedded.server import PrivateServer
from support.checkup import (
    ALIVE,
    QUICK,
    QUICK_ENV,
    by_id,
    complaint,
    healthy_fleet,
    pretend,
)
from support.command import Command
from support.fleet import Fleet, until


@pytest.fixture
def orch(server: PrivateServer, namespace: str) -> Iterator[Orchestrator]:
    """A client of the session's server, with times that a test can wait for."""
    settings = Settings(redis_url=server.url, namespace=namespace, **QUICK)
    with Orchestrator(settings=settings) as orchestrator:
        yield orchestrator


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with healthy_fleet(tmp_path_factory.mktemp("healthy")) as fleet:
        yield fleet


# --- workers ------------------------------------------------------------------------------------


def test_a_worker_that_died_with_a_task_is_found_when_nobody_heals(fleet: Fleet) -> None:
    worker = fleet.start("threads", 1, env=QUICK_ENV)
    task = fleet.orchestrator.submit("sleep", 60)
    until(lambda: task.status == "running")
    worker.kill_group()
    settings = Settings(redis_url=fleet.url, namespace=fleet.namespace, **QUICK)
    with Orchestrator(settings=settings) as orchestrator:
        found = until(
            lambda: (
                found
                if (found := by_id(orchestrator.doctor()))["tasks.running"].severity.rank
                else None
            ),
            20,
        )
    complaint(found, "tasks.running", "error", task.id, worker.name)
    complaint(found, "workers.alive", "error", "died", worker.name, "pyagent-orch worker")


def test_a_worker_that_hangs_is_found_by_its_heartbeat_and_by_its_silence(fleet: Fleet) -> None:
    worker = fleet.start("threads", 1, env={"PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.1"})
    worker.kill(signal.SIGSTOP)
    try:
        found = until(
            lambda: (
                found
                if (found := by_id(fleet.orchestrator.doctor()))["workers.heartbeats"].severity.rank
                else None
            ),
            8,
        )
        complaint(found, "workers.heartbeats", "warning", worker.name)
        complaint(found, "workers.replies", "warning", worker.name, "restart")
    finally:
        worker.kill(signal.SIGCONT)


def test_workers_that_differ_are_found(fleet: Fleet) -> None:
    # The worker is real; what differs is this client's opinion, and a worker of last year.
    fleet.start("threads", 1, env={"PYAGENT_ORCH_RECORD_TTL_SECONDS": "600"})
    fleet.orchestrator.submit("echo", "x").result(20)
    pretend(fleet.orchestrator, "old@h", version="0.0.1", celery="5.4.0", python="3.10.2")
    found = by_id(fleet.orchestrator.doctor())
    complaint(found, "workers.settings", "warning", "record_ttl_seconds 600", "604800")
    complaint(found, "workers.versions", "warning", "0.0.1: old@h", "Celery", "Python", "restart")
    complaint(found, "results.expiry", "warning", "604800", "PYAGENT_ORCH_RECORD_TTL_SECONDS")


def test_a_patch_release_of_python_is_no_difference(orch: Orchestrator) -> None:
    pretend(orch, "a@h", version="1", celery="5", python="3.12.1")
    pretend(orch, "b@h", version="1", celery="5", python="3.12.9")
    assert "Python" not in by_id(orch.doctor())["workers.versions"].what


def test_a_worker_whose_clock_is_wrong_is_found(orch: Orchestrator) -> None:
    late = (datetime.now(UTC) - timedelta(minutes=7)).isoformat()
    orch._store.acts.run("heartbeat_v1", ["w:1", "late@h", json.dumps(ALIVE), late, 0])
    complaint(by_id(orch.doctor()), "workers.clocks", "warning", "late@h (7 min behind)", "NTP")


STRANGER = """
from celery import Celery
import sys
url, prefix, queue = sys.argv[1:]
app = Celery(broker=url)
app.conf.broker_transport_options = {"global_keyprefix": prefix}
app.worker_main(["worker", "-P", "solo", "-Q", queue, "-n", "stranger@%h", "-l", "INFO"])
"""


@contextmanager
def stock_worker(fleet: Fleet, queue: str) -> Iterator[None]:
    """A Celery worker as anybody may start one, with Celery's own transport."""
    with (fleet.directory / "stranger.log").open("wb") as log:
        command = [sys.executable, "-c", STRANGER, fleet.url, f"{fleet.namespace}:", queue]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=fleet.environment())
    try:
        ready = fleet.directory / "stranger.log"
        until(lambda: "ready." in ready.read_text(), 30)
        yield
    finally:
        process.kill()
        process.wait(10)


def test_a_stock_celery_worker_on_our_queues_is_found(fleet: Fleet) -> None:
    fleet.orchestrator.start()
    with stock_worker(fleet, "agents"):
        found = by_id(fleet.orchestrator.doctor())
    finding = complaint(found, "workers.strangers", "error", "stranger@", "(agents)")
    assert "visibility_timeout" in finding.remedy


def test_a_stock_celery_worker_on_its_own_queue_is_no_harm(fleet: Fleet) -> None:
    with stock_worker(fleet, "theirs"):
        finding = by_id(fleet.orchestrator.doctor())["workers.strangers"]
    assert finding.severity is Severity.OK
    assert "stranger@" in finding.what


def test_messages_in_the_hands_of_a_stock_transport_are_found(orch: Orchestrator) -> None:
    # As kombu notes what it has taken: [message, exchange, routing key].
    held = json.dumps([{"headers": {"task": "pyagent_orch.run"}}, "", "agents"])
    other = json.dumps([{"headers": {"task": "their.task"}}, "", "theirs"])
    key = f"{orch._store.keys.celery_prefix}unacked"
    orch._store.client.hset(key, mapping={"1": held, "2": held, "3": other, "4": "garbage"})
    complaint(by_id(orch.doctor()), "workers.strangers", "error", "2 of agents")


# --- queues, agents, tasks ----------------------------------------------------------------------


def test_a_queue_that_nobody_serves_is_found(orch: Orchestrator) -> None:
    pretend(orch)
    orch.submit("echo", "x", queue="forgotten", priority=1)
    orch.submit("echo", "x", queue="forgotten", priority=9)
    finding = complaint(
        by_id(orch.doctor()), "queues.served", "error", "forgotten (2 tasks", "--queues forgotten"
    )
    assert "agents" not in finding.what


def test_an_agent_or_a_tool_that_no_worker_has_is_found(orch: Orchestrator) -> None:
    from pyagent_orch import Agent

    orch.submit("ghost", "x")
    orch.submit(Agent(instructions="You are one", name="caller", tools=("lookup",)), "x")
    pretend(orch, "one@h")
    finding = complaint(
        by_id(orch.doctor()), "queues.agents", "error", "PYAGENT_ORCH_AGENTS", "one@h"
    )
    assert "agent 'ghost' (1 task in queue agents)" in finding.what
    assert "tool 'lookup'" in finding.what
    # Half of the workers have it: some of its tasks will fail.
    pretend(orch, "two@h", agents=["echo", "ghost"], tools=["lookup"])
    complaint(by_id(orch.doctor()), "queues.agents", "warning", "on one@h")
    pretend(orch, "three@h", agents=[], queues=["elsewhere"])
    assert "three@h" not in by_id(orch.doctor())["queues.agents"].what


def test_a_delayed_task_that_nobody_queues_is_found(orch: Orchestrator) -> None:
    orch.submit("echo", "x", delay=0.05)
    found = until(
        lambda: found if (found := by_id(orch.doctor()))["tasks.delayed"].severity.rank else None
    )
    complaint(found, "tasks.delayed", "error", "start a worker")


def test_jobs_without_a_beat_are_found_before_one_is_overdue(
    orch: Orchestrator, server: PrivateServer, tmp_path: Path
) -> None:
    job = orch.schedule(agent="echo", input="x", interval_seconds=3600)
    complaint(by_id(orch.doctor()), "schedules.beat", "warning", "no beat is alive", "beat")
    command = Command(tmp_path, server.broker_url, orch.settings.namespace)
    with (tmp_path / "beat.log").open("w") as log, command.running("beat", stdout=log, stderr=log):
        found = until(
            lambda: (
                one
                if (one := by_id(orch.doctor())["schedules.beat"]).severity is Severity.OK
                else None
            ),
            30,
        )
        assert "1 beat: beat-" in found.what
    orch.pause(job.id)
    assert by_id(orch.doctor())["schedules.beat"].severity is Severity.OK


def test_a_scheduled_job_that_nobody_fires_is_found(orch: Orchestrator) -> None:
    store = orch._store
    assert by_id(orch.doctor())["schedules.beat"].what == "no scheduled jobs"
    long_ago = int(time.time() * 1000) - 60_000
    for name in ("jobs", "jobs:due"):
        store.client.zadd(f"{store.keys.prefix}{name}", {"job": long_ago})
    complaint(by_id(orch.doctor()), "schedules.beat", "error", "60 s", "beat")


# --- what is left behind ------------------------------------------------------------------------


def test_results_that_are_gone_before_their_records_are_found(healthy: Fleet) -> None:
    task = healthy.orchestrator.submit("echo", "x")
    task.result(20)
    store = healthy.orchestrator._store
    store.client.delete(store.keys.result(task.id))
    found = by_id(healthy.orchestrator.doctor())
    complaint(found, "results.expiry", "error", task.id, "forget")
    store.client.zrem(store.keys.status("completed"), task.id)


def test_messages_that_were_put_aside_are_found(healthy: Fleet) -> None:
    store = healthy.orchestrator._store
    store.client.lpush(f"{store.keys.celery_prefix}agents", "no JSON at all")
    key = f"{store.keys.prefix}rejected"
    until(lambda: store.client.llen(key) == 1)
    found = by_id(healthy.orchestrator.doctor())
    finding = complaint(found, "messages.rejected", "warning", "1 message")
    # The command that the remedy names is the right one.
    assert f"LRANGE {key} 0 -1" in finding.remedy
    store.client.delete(key)


def test_a_stream_beyond_its_length_is_found(server: PrivateServer, namespace: str) -> None:
    with Orchestrator(redis_url=server.url, namespace=namespace) as long:
        long.submit_many([Task("echo", 1) for _ in range(2000)])
    with Orchestrator(
        settings=Settings(redis_url=server.url, namespace=namespace, events_max_length=1000)
    ) as short:
        found = by_id(short.doctor())
    complaint(found, "events.length", "warning", "2000 entries", "EVENTS_MAX_LENGTH")


def test_durable_handlers_that_are_behind_or_missed_events_are_found(orch: Orchestrator) -> None:
    store = orch._store
    store.events.create_group("alerts")
    orch.submit_many([Task("echo", 1) for _ in range(1001)])
    complaint(by_id(orch.doctor()), "events.handlers", "warning", "alerts (1001)", "durable")
    store.client.xtrim(store.keys.events, maxlen=500, approximate=False)
    complaint(by_id(orch.doctor()), "events.handlers", "error", "alerts", "XGROUP DESTROY")


def test_a_handler_that_was_made_when_the_stream_was_young_has_missed_nothing(
    orch: Orchestrator,
) -> None:
    store = orch._store
    store.events.create_group("early")
    orch.submit("echo", 1)
    assert by_id(orch.doctor())["events.handlers"].severity is Severity.OK
