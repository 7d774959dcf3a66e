"""Health checks of one process: green while it lives, red when it is dead or hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator
from pyagent_orch.cli.fleet import own_name
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.engine.keeper import STALLED_LEASES
from support.command import Command, worker_of
from support.fleet import until
from support.raw_server import PASSWORD, RawServer

QUICK = {"PYAGENT_ORCH_LEASE_SECONDS": "1", "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.3"}


class QuickCommand(Command):
    """With a lease of a second, so that what hangs is found soon."""

    def environment(self, extra: object = None) -> dict[str, str]:
        return super().environment({**QUICK, **(extra or {})})  # type: ignore[dict-item]


@pytest.fixture
def command(server: PrivateServer, namespace: str, tmp_path: Path) -> Command:
    return QuickCommand(tmp_path, server.broker_url, namespace)


def verdict(command: Command, *words: str) -> tuple[int, str]:
    done = command.here("health", *words)
    return done.returncode, done.stdout + done.stderr


def green(command: Command, *words: str) -> bool:
    return verdict(command, *words)[0] == 0


def red(command: Command, *words: str) -> bool:
    return verdict(command, *words)[0] == 1


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_is_well_until_it_hangs_or_dies(command: Command, pool: str) -> None:
    assert "no living worker" in verdict(command, "worker")[1]
    assert red(command, "worker")
    with worker_of(command, "--pool", pool, "--concurrency", "1") as worker:
        assert green(command, "worker")
        assert green(command, "worker", "--name", f"worker-{worker.pid}")
        assert red(command, "worker", "--name", "somebody-else")
        # The whole of it, in a process of its own, as a container runs it.
        assert command.run("health", "worker").returncode == 0
        worker.send_signal(signal.SIGSTOP)
        until(lambda: red(command, "worker"), 10)
        worker.send_signal(signal.SIGCONT)
        until(lambda: green(command, "worker"), 10)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(10)
        # At once, though its lease is still good.
        assert red(command, "worker")


@pytest.mark.slow
def test_a_worker_whose_loop_hangs_is_not_well_though_its_heart_beats(tmp_path: Path) -> None:
    stuck = tmp_path / "stuck"
    with RawServer(tmp_path) as server:
        command = QuickCommand(tmp_path, server.url, "hangs")
        env = {"PYAGENT_ORCH_AGENTS": "support.stuck_agents", "STUCK": str(stuck)}
        words = ("worker", "--concurrency", "1")
        with (
            (tmp_path / "log").open("w") as log,
            command.running(*words, env=env, stdout=log, stderr=log),
        ):
            until(lambda: green(command, "worker"), 30)
            # A loop that was begun anew after its connection was lost is watched as well.
            server.run("CLIENT", "KILL", "TYPE", "normal")
            with Orchestrator(redis_url=server.url, namespace="hangs") as orchestrator:
                ended = time.monotonic() + STALLED_LEASES + 1
                while time.monotonic() < ended:
                    orchestrator.submit("echo", "x").result(20)
                assert green(command, "worker")
                stuck.touch()
                task = orchestrator.submit("echo", "x")
                until(lambda: red(command, "worker"), 20)
                assert "takes no messages" in verdict(command, "worker", "--liveness")[1]
                assert red(command, "worker", "--liveness")
                stuck.unlink()
                until(lambda: green(command, "worker"), 20)
                assert task.result(20) == "x"
        assert (tmp_path / "log").read_text().count("has not come round") == 1


@pytest.fixture
def beat(command: Command) -> Iterator[subprocess.Popen[str]]:
    with (
        (command.directory / "beat.log").open("w") as log,
        command.running("beat", stdout=log, stderr=log) as beat,
    ):
        yield beat


def test_a_beat_is_well_until_it_hangs_or_dies(
    command: Command, beat: subprocess.Popen[str]
) -> None:
    until(lambda: green(command, "beat"), 30)
    beat.send_signal(signal.SIGSTOP)
    until(lambda: red(command, "beat"), 10)
    assert red(command, "beat", "--liveness")
    beat.send_signal(signal.SIGCONT)
    until(lambda: green(command, "beat"), 10)
    beat.kill()
    beat.wait(10)
    assert red(command, "beat")


def test_a_redis_that_is_away_is_no_reason_to_restart_a_worker(tmp_path: Path) -> None:
    with RawServer(tmp_path) as server:
        command = Command(tmp_path, server.url, "away")
        assert red(command, "worker", "--liveness")
        server.kill()
        for what in ("worker", "beat"):
            assert red(command, what)
            assert green(command, what, "--liveness")
        code, told = verdict(command, "worker")
    assert code == 1
    assert f"127.0.0.1:{server.port}" in told
    assert PASSWORD not in told


def test_a_redis_that_does_not_take_writes_is_not_well(tmp_path: Path) -> None:
    with RawServer(tmp_path) as server:
        command = Command(tmp_path, server.url, "full")
        assert green(command, "redis")
        until(lambda: server.run("KEYS", "*") == [])
        server.run("CONFIG", "SET", "maxmemory", "1")
        assert red(command, "redis")
        server.run("CONFIG", "SET", "maxmemory", "0")
        wrong = Command(tmp_path, server.url.replace(PASSWORD, "wr0ng-one"), "full")
        code, told = verdict(wrong, "redis")
        assert code == 1
        assert "refuses the login" in told
        assert "wr0ng-one" not in told
        server.freeze()
        impatient = {"PYAGENT_ORCH_SOCKET_TIMEOUT_SECONDS": "0.3"}
        try:
            assert command.run("health", "redis", env=impatient).returncode == 1
        finally:
            server.thaw()


class Page(BaseHTTPRequestHandler):
    """Well at /healthcheck, broken elsewhere."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthcheck" else 500)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_an_address_is_well_when_it_answers_with_success(command: Command) -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as web:
        threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
        where = f"http://127.0.0.1:{web.server_port}"
        assert green(command, "url", f"{where}/healthcheck")
        assert "500" in verdict(command, "url", f"{where}/broken")[1]
        assert red(command, "url", f"{where}/broken")
        web.shutdown()
    assert red(command, "url", f"{where}/healthcheck")
    assert verdict(command, "url", "file:///etc/passwd")[0] == 2


def test_workers_of_many_containers_have_names_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert own_name() == f"worker-{os.getpid()}"
    # Where every worker is process 1, on a host name that the containers may share.
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert len({own_name() for _ in range(8)}) == 8


@pytest.mark.parametrize("program", ["worker", "beat"])
def test_a_redis_that_is_open_to_strangers_is_told_once_with_the_remedy(
    tmp_path: Path, program: str
) -> None:
    def log_of(url: str) -> str:
        """Until it has tried to reach Redis, which comes after the warning."""
        log = tmp_path / "log"
        with log.open("w") as output:
            command = Command(tmp_path, url, "open")
            with command.running(program, stdout=output, stderr=output):
                tried = ("Heartbeat failed", "wait for Redis")
                until(lambda: any(words in log.read_text() for words in tried), 30)
        return log.read_text()

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        told = log_of(f"redis://redis.invalid:{port}/0")
        assert told.count("Set requirepass or ACL users") == 1
        assert f"redis.invalid:{port}" in told
        assert "requirepass" not in log_of(f"redis://:secret@redis.invalid:{port}/0")
        assert "requirepass" not in log_of(f"redis://127.0.0.1:{port}/0")
