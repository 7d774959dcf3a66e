"""Sentinel, TLS and ACL users: a worker, a client and Celery's result backend on each."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pyagent_orch import (
    ConfigurationError,
    Orchestrator,
    OrchestratorConnectionError,
    Settings,
    create_app,
)
from pyagent_orch.embedded.binaries import find_server
from pyagent_orch.store import parse_address
from support.fleet import Fleet, until
from support.fleet_agents import async_sleep, echo
from support.raw_server import PASSWORD, RawServer
from support.tls_proxy import Certificates, TlsProxy


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[RawServer]:
    with RawServer(tmp_path) as server:
        yield server


def assert_works(url: str, directory: Path) -> Fleet:
    """A worker, a client, cancel, events and Celery's own result on this URL."""
    fleet = Fleet(url, "urls", directory)
    try:
        fleet.start("threads", 2)
        seen: list[object] = []
        task = fleet.orchestrator.submit(echo, "hello", callback=lambda t: seen.append(t.output))
        assert task.result(timeout=20) == "hello"
        until(lambda: seen == ["hello"])
        slow = fleet.orchestrator.submit(async_sleep, 60)
        until(lambda: slow.status == "running", 20)
        assert slow.cancel()
        assert slow.wait(timeout=10).status == "cancelled"
        app = create_app(Settings(redis_url=url, namespace="urls"))
        assert app.AsyncResult(task.id).get(timeout=10) == "hello"
        app.close()
    except BaseException:
        fleet.close()
        raise
    return fleet


# --- reading URLs ------------------------------------------------------------------------------


def test_a_sentinel_url_is_read_as_kombu_spells_it() -> None:
    url = f"sentinel://u:{PASSWORD}@a:1;sentinel://b/3?master=main&sentinel_password=other"
    address = parse_address(url)
    assert address.master == "main"
    assert address.sentinels == (("a", 1), ("b", 26_379))
    assert address.login == {"username": "u", "password": PASSWORD, "db": 3}
    assert address.sentinel_login == {"password": "other"}
    # Each with the login: kombu goes on to the next when one fails.
    assert address.broker_url == ";".join(
        f"sentinel://u:{PASSWORD}@{place}/3" for place in ("a:1", "b:26379")
    )
    assert PASSWORD not in repr(address)
    assert "main" in address.label


@pytest.mark.parametrize(
    "url",
    [
        "sentinel://localhost:26379/0",
        "sentinel://localhost:26379/0?master=m&colour=red",
        "sentinel://localhost:26379/zero?master=m",
        "sentinel://localhost:port/0?master=m",
        "rediss://localhost?ssl_cert_reqs=perhaps",
        "rediss://localhost?ssl_colour=red",
    ],
)
def test_a_wrong_option_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis_url"):
        Orchestrator(redis_url=url)


def test_tls_checks_the_certificate_unless_it_is_told_not_to() -> None:
    assert parse_address("redis://localhost").tls is None
    assert parse_address("rediss://localhost").tls == {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }
    assert parse_address("rediss://localhost?ssl_cert_reqs=CERT_NONE").tls == {
        "ssl_cert_reqs": "none",
        "ssl_check_hostname": False,
    }


# --- TLS ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made by the openssl command, which is not here")
    return Certificates(tmp_path_factory.mktemp("certificates"))


def test_tls_works_and_the_certificate_is_checked(
    raw: RawServer, certificates: Certificates, tmp_path: Path
) -> None:
    with TlsProxy(certificates, raw.port) as proxy:
        url = f"rediss://:{PASSWORD}@127.0.0.1:{proxy.port}/0"
        trusting = f"{url}?ssl_ca_certs={certificates.authority}"
        assert_works(trusting, tmp_path).close()
        assert proxy.accepted > 3
        with Orchestrator(redis_url=f"{url}?ssl_cert_reqs=none") as careless:
            careless.start()
        with Orchestrator(redis_url=url) as doubting:
            with pytest.raises(OrchestratorConnectionError, match="certificate") as caught:
                doubting.start()
            assert PASSWORD not in str(caught.value)


def test_only_who_has_a_certificate_is_let_in_where_one_is_asked_for(
    raw: RawServer, certificates: Certificates, tmp_path: Path
) -> None:
    with TlsProxy(certificates, raw.port, asks=True) as proxy:
        url = f"rediss://:{PASSWORD}@127.0.0.1:{proxy.port}/0?ssl_ca_certs={certificates.authority}"
        with Orchestrator(redis_url=url) as stranger, pytest.raises(OrchestratorConnectionError):
            stranger.start()
        assert proxy.accepted == 0
        shown = f"&ssl_certfile={certificates.certificate}&ssl_keyfile={certificates.key}"
        assert_works(url + shown, tmp_path).close()


# --- Sentinel ------------------------------------------------------------------------------------


class Sentinel:
    """A master, a replica and a Sentinel that promotes it within a second or two."""

    def __init__(self, directory: Path) -> None:
        folders = [directory / name for name in ("first", "second", "sentinel")]
        for folder in folders:
            folder.mkdir()
        quick = {"repl-diskless-sync-delay": "0", "masterauth": PASSWORD}
        self.first = RawServer(folders[0], **quick)
        self.second = RawServer(folders[1], **quick)
        self.first.start()
        self.second.start()
        self.second.run("REPLICAOF", "127.0.0.1", self.first.port)
        # Only for a free port.
        self.port = RawServer(folders[2]).port
        config = folders[2] / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folders[2]}\n"
            f"sentinel monitor main 127.0.0.1 {self.first.port} 1\n"
            f"sentinel auth-pass main {PASSWORD}\n"
            "sentinel down-after-milliseconds main 700\n"
            "sentinel failover-timeout main 4000\n"
        )
        with (folders[2] / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [find_server().path, str(config), "--sentinel"], stdout=log, stderr=log
            )

    @property
    def url(self) -> str:
        # The second one is nobody: the first that answers is asked.
        return f"sentinel://:{PASSWORD}@127.0.0.1:{self.port};sentinel://127.0.0.1:1/0?master=main"

    def is_ready(self) -> bool:
        """Whether it knows a replica that could be promoted."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            try:
                replicas = client.sentinel_slaves("main")
            except redis.ConnectionError:
                return False
        return any(replica["master-link-status"] == "ok" for replica in replicas)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        for server in (self.first, self.second):
            server.__exit__()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[Sentinel]:
    sentinel = Sentinel(tmp_path)
    yield sentinel
    sentinel.close()


def test_sentinel_names_the_master_and_a_failover_loses_nothing(
    sentinel: Sentinel, tmp_path: Path
) -> None:
    until(sentinel.is_ready, 20)
    fleet = assert_works(sentinel.url, tmp_path)
    try:
        running = fleet.orchestrator.submit(async_sleep, 3)
        until(lambda: running.status == "running", 20)
        assert sentinel.first.run("WAIT", 1, 5_000) == 1
        sentinel.first.kill()

        def submitted() -> object:
            try:
                return fleet.orchestrator.submit(echo, "after", id="after")
            except OrchestratorConnectionError:
                return None

        after = until(submitted, 30, pause=0.1)
        assert after.result(timeout=30) == "after"
        assert running.result(timeout=30) == "slept"
        assert running.attempts == 1
        assert len(fleet.orchestrator.workers()) == 1
    finally:
        fleet.close()


def test_a_sentinel_that_does_not_answer_is_told(tmp_path: Path) -> None:
    url = f"sentinel://:{PASSWORD}@127.0.0.1:1/0?master=main"
    with Orchestrator(redis_url=url) as orch:
        began = time.monotonic()
        with pytest.raises(OrchestratorConnectionError, match="main") as caught:
            orch.start()
        assert time.monotonic() - began < 5
        assert PASSWORD not in str(caught.value)
