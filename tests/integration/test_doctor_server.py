"""The doctor finds a Redis in each bad state, and says what to do."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from pyagent_orch.doctor import Severity
from support.acl import add_user
from support.checkup import (
    by_id,
    complaint,
    examine,
)
from support.command import Command
from support.fleet import Fleet, until
from support.raw_server import PASSWORD, RawServer


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
    fleet = Fleet(add_user(server, "shop-worker"), "shop", tmp_path)
    try:
        worker = fleet.start("threads", 2)
        assert fleet.orchestrator.submit("upper", "x").result(20) == "X"
        found = by_id(fleet.orchestrator.doctor())
        bad = [str(one) for one in found.values() if one.severity is not Severity.OK]
        assert bad == []
    finally:
        fleet.close()
    assert "NOPERM" not in worker.text()
