"""The doctor: each bad state of a real installation is found, named, and has a remedy."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from support.command import Command
from support.fleet import ROOT, Fleet, until
from support.raw_server import PASSWORD, RawServer

from pyagent_orch import Orchestrator, Settings, Task
from pyagent_orch.doctor import CHECKS, Finding, Severity, worst
from pyagent_orch.embedded.server import PrivateServer

QUICK = {"lease_seconds": 1.0, "heartbeat_seconds": 0.1}
QUICK_ENV = {"PYAGENT_ORCH_LEASE_SECONDS": "1", "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.1"}
ALIVE = {"queues": ["agents"], "agents": ["echo"], "tools": [], "pool": "solo"}


@pytest.fixture
def orch(server: PrivateServer, namespace: str) -> Iterator[Orchestrator]:
    """A client of the session's server, with times that a test can wait for."""
    settings = Settings(redis_url=server.url, namespace=namespace, **QUICK)
    with Orchestrator(settings=settings) as orchestrator:
        yield orchestrator


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Callable[..., RawServer]]:
    """Starts servers with options; `bind` and the like without dashes."""
    with ExitStack() as servers:

        def start(**options: str) -> RawServer:
            folder = tmp_path / uuid4().hex
            folder.mkdir()
            named = {name.replace("_", "-"): value for name, value in options.items()}
            return servers.enter_context(RawServer(folder, **named))

        yield start


def by_id(findings: list[Finding]) -> dict[str, Finding]:
    return {one.id: one for one in findings}


def examine(url: str, **settings: Any) -> dict[str, Finding]:
    with Orchestrator(settings=Settings(redis_url=url, **settings)) as orchestrator:
        return by_id(orchestrator.doctor())


def complaint(found: dict[str, Finding], check: str, severity: str, *words: str) -> Finding:
    """The finding of a check, which has to be bad and to say so with these words."""
    finding = found[check]
    assert finding.severity == severity, finding
    for word in words:
        assert word in f"{finding.what} {finding.remedy}", finding
    assert finding.remedy
    return finding


def pretend(orch: Orchestrator, name: str = "w@h", **info: Any) -> str:
    """A worker's heartbeat, as a worker of another release or machine may send it."""
    lease = f"{name}:{uuid4().hex[:6]}"
    orch._store.fleet.heartbeat(lease, name, json.dumps(ALIVE | info), [])
    return lease


# --- all is well --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A server with a password and an append-only file, and a worker."""
    folder = tmp_path_factory.mktemp("healthy")
    with RawServer(folder) as server:
        fleet = Fleet(server.url, f"healthy{uuid4().hex[:6]}", folder)
        try:
            fleet.start("threads", 2)
            fleet.orchestrator.submit("echo", "x").result(20)
            yield fleet
        finally:
            fleet.close()


def test_a_healthy_installation_has_nothing_to_complain_of(healthy: Fleet) -> None:
    store = healthy.orchestrator._store
    before = set(store.client.keys("*"))
    findings = healthy.orchestrator.doctor()
    assert [str(one) for one in findings if one.severity is not Severity.OK] == []
    assert worst(findings) is Severity.OK
    assert [one.id for one in findings] == list(CHECKS)
    assert not any(one.remedy for one in findings)
    assert not set(store.client.keys("*")) - before, "the doctor leaves something behind"


def test_an_embedded_installation_has_nothing_to_complain_of(
    embedded: Callable[..., Orchestrator],
) -> None:
    orchestrator = embedded()
    assert orchestrator.submit(str.upper, "x").result(10) == "X"
    assert [str(one) for one in orchestrator.doctor() if one.severity is not Severity.OK] == []


def test_the_command_tells_how_it_is_by_text_by_json_and_by_its_code(healthy: Fleet) -> None:
    cli = Command(healthy.directory, healthy.url, healthy.namespace)
    done = cli.here("doctor")
    assert done.returncode == 0, done
    assert len(done.stdout.splitlines()) == len(CHECKS)
    assert re.search(
        r"^ok  redis\.eviction +maxmemory-policy noeviction$", done.stdout, re.MULTILINE
    )
    assert done.stderr.startswith(f"{len(CHECKS)} ok, 0 warnings, 0 errors.")
    assert cli.ok("doctor", "--quiet") == ""
    document = cli.json("doctor")
    assert (document["severity"], document["namespace"]) == ("ok", healthy.namespace)
    assert [one["id"] for one in document["findings"]] == list(CHECKS)
    # Another namespace of this server has no worker: a warning; with a task an error.
    empty = Command(healthy.directory, healthy.url, f"{healthy.namespace}.two")
    warned = empty.here("doctor", "--quiet")
    assert warned.returncode == 1
    first, second = warned.stdout.splitlines()
    assert first == "warning  workers.alive  no worker is alive"
    assert second.strip().startswith("-> start one: pyagent-orch worker")
    empty.ok("submit", "echo", "x")
    bad = empty.here("doctor", "--json", "--quiet")
    assert bad.returncode == 2
    assert json.loads(bad.stdout)["severity"] == "error"
    assert {one["id"] for one in json.loads(bad.stdout)["findings"]} == {
        "workers.alive",
        "queues.served",
    }
    ignored = empty.here("doctor", "--ignore", "workers.alive", "--ignore", "queues.served")
    assert ignored.returncode == 0
    assert "workers.alive" not in ignored.stdout
    unknown = empty.here("doctor", "--ignore", "redis.colour")
    assert unknown.returncode == 2
    assert "redis.eviction" in unknown.stderr


# --- the server ---------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_the_one_finding(tmp_path: Path) -> None:
    found = examine("redis://localhost:1")
    assert list(found) == ["redis.reachable"]
    complaint(found, "redis.reachable", "error", "localhost:1", "PYAGENT_ORCH_REDIS_URL")
    done = Command(tmp_path, "redis://localhost:1").here("doctor", "--json")
    assert done.returncode == 2
    [finding] = json.loads(done.stdout)["findings"]
    assert finding["id"] == "redis.reachable"


def test_a_wrong_password_is_told_and_not_shown(raw: Callable[..., RawServer]) -> None:
    server = raw()
    found = examine(server.url.replace(PASSWORD, "wr0ng-one"))
    finding = complaint(found, "redis.reachable", "error", "login")
    assert "wr0ng-one" not in str(finding)


def test_a_frozen_server_is_told_within_seconds(raw: Callable[..., RawServer]) -> None:
    server = raw()
    server.freeze()
    began = time.monotonic()
    try:
        found = examine(server.url, socket_timeout_seconds=0.5)
    finally:
        server.thaw()
    complaint(found, "redis.reachable", "error", "no answer in time")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("options", "check", "severity", "word"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "redis.eviction", "error", "allkeys-lru"),
        ({"maxmemory-policy": "volatile-ttl"}, "redis.eviction", "warning", "noeviction"),
        ({"appendonly": "no"}, "redis.persistence", "error", "appendonly yes"),
        ({"appendonly": "no", "save": "900 1"}, "redis.persistence", "warning", "snapshots only"),
        ({"appendfsync": "no"}, "redis.persistence", "warning", "appendfsync everysec"),
    ],
)
def test_a_server_that_may_lose_data_is_found(
    raw: Callable[..., RawServer], options: dict[str, str], check: str, severity: str, word: str
) -> None:
    complaint(examine(raw(**options).url), check, severity, word)


def test_a_snapshot_that_could_not_be_written_is_found(raw: Callable[..., RawServer]) -> None:
    server = raw(appendonly="no", save="1 1")
    server.run("SET", "x", "1")
    shutil.rmtree(server.directory)
    with pytest.raises(redis.ResponseError):
        until(lambda: server.run("SET", "x", "1") and None, 20)
    found = examine(server.url)
    complaint(found, "redis.persistence", "error", "snapshot could not be written", "disk")
    complaint(found, "redis.writable", "error", "MISCONF", "room on the server's disk")


def test_a_server_that_fills_up_is_found_before_and_when_it_is_full(
    raw: Callable[..., RawServer],
) -> None:
    server = raw(maxmemory="12mb", appendonly="no")

    def fill(share: float, piece: int) -> None:
        with redis.Redis.from_url(server.url) as client:
            while client.info("memory")["used_memory"] < share * 12 * 1024**2:
                client.rpush("filling", b"x" * piece)

    fill(0.82, 50_000)
    complaint(examine(server.url), "redis.memory", "warning", "of maxmemory", "raise maxmemory")
    for piece in (50_000, 1_000, 10):
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            fill(1.1, piece)
    found = examine(server.url)
    complaint(found, "redis.memory", "error", "raise maxmemory")
    complaint(found, "redis.writable", "error", "maxmemory")


def test_a_server_short_of_connections_is_found(raw: Callable[..., RawServer]) -> None:
    server = raw(maxclients="10")
    with ExitStack() as held:
        for _ in range(7):
            client = held.enter_context(redis.Redis.from_url(server.url))
            client.ping()
        complaint(examine(server.url), "redis.connections", "warning", "of 10", "maxclients")


def test_a_replica_is_found(raw: Callable[..., RawServer]) -> None:
    primary = raw()
    replica = raw(replicaof=f"127.0.0.1 {primary.port}", masterauth=PASSWORD)
    found = examine(replica.url)
    complaint(found, "redis.role", "error", f"127.0.0.1:{primary.port}", "primary")
    complaint(found, "redis.writable", "error", "primary")


def test_a_cluster_is_found(raw: Callable[..., RawServer]) -> None:
    found = examine(raw(cluster_enabled="yes").url)
    complaint(found, "redis.role", "error", "Cluster", "cluster-enabled no")
    complaint(found, "redis.reachable", "error", "Hash slot not served")


def test_a_server_that_is_open_to_strangers_is_found(raw: Callable[..., RawServer]) -> None:
    server = raw(bind="0.0.0.0", protected_mode="no")
    assert examine(server.url)["redis.access"].what == "a password is needed"
    server.run("CONFIG", "SET", "requirepass", "")
    found = examine(f"redis://127.0.0.1:{server.port}/0")
    complaint(found, "redis.access", "error", "without a password", "0.0.0.0", "requirepass")


def test_a_server_without_a_password_for_this_machine_only_is_fine(
    raw: Callable[..., RawServer],
) -> None:
    server = raw()
    server.run("CONFIG", "SET", "requirepass", "")
    found = examine(f"redis://127.0.0.1:{server.port}/0")
    assert found["redis.access"].severity is Severity.OK


def test_a_user_without_the_permissions_is_found_and_the_rule_of_the_page_suffices(
    raw: Callable[..., RawServer], tmp_path: Path
) -> None:
    server = raw()
    server.run("ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all", "-@scripting", "-info")
    found = examine(f"redis://poor:pw@127.0.0.1:{server.port}/0")
    finding = complaint(found, "redis.permissions", "error", "'poor'", "ACL SETUSER poor")
    assert "EVAL" in finding.what
    assert "INFO" in finding.what
    complaint(found, "redis.memory", "warning", "+info")
    # A key pattern that leaves our keys out.
    server.run("ACL", "SETUSER", "astray", "on", ">pw", "~other:*", "&*", "+@all")
    found = examine(f"redis://astray:pw@127.0.0.1:{server.port}/0")
    complaint(found, "redis.permissions", "error", "'astray'", "XREAD")
    page = (ROOT / "docs" / "doctor.md").read_text()
    [rule] = re.findall(r"^ACL SETUSER agents (.*)$", page, re.MULTILINE)
    words = rule.replace("<password>", "pw").replace("<namespace>", "guarded").split()
    server.run("ACL", "SETUSER", "agents", *words)
    fleet = Fleet(f"redis://agents:pw@127.0.0.1:{server.port}/0", "guarded", tmp_path)
    try:
        worker = fleet.start("threads", 2)
        assert fleet.orchestrator.submit("upper", "x").result(20) == "X"
        found = by_id(fleet.orchestrator.doctor())
        bad = [str(one) for one in found.values() if one.severity is not Severity.OK]
        assert bad == []
    finally:
        fleet.close()
    assert "NOPERM" not in worker.text()


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


# --- the page -----------------------------------------------------------------------------------


def test_the_page_explains_every_check_and_no_other() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text()
    rows = re.findall(r"^\| `([a-z.]+)` \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert [check for check, _, _ in rows] == list(CHECKS)
    for check, looks_at, remedy in rows:
        assert len(looks_at) > 20, check
        assert len(remedy) > 10, check


def test_the_example_of_the_page_runs() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(compile(code, "docs/doctor.md", "exec"), {"__name__": "page"})
