"""`pyagent-orch dashboard`: on loopback, opened by the token that it prints, ended by Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pyagent_orch.cli import run
from pyagent_orch.cli.exits import Exit
from support.fleet import Fleet
from support.web import events_of


@contextmanager
def dashboard(fleet: Fleet, *options: str, **env: str) -> Iterator[tuple[str, httpx.Client]]:
    program = "from pyagent_orch.cli import main; main()"
    command = [sys.executable, "-c", program, "dashboard", "--port", "0", *options]
    process = subprocess.Popen(
        command, env=fleet.environment(env), cwd=fleet.directory, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        parts = urlsplit(address)
        with httpx.Client(base_url=f"http://{parts.netloc}", timeout=20) as client:
            yield address, client
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode in {0, Exit.INTERRUPTED}, errors
        assert "Traceback" not in errors
        secret = env.get("PYAGENT_ORCH_DASHBOARD_TOKEN") or parse_qs(parts.query)["token"][0]
        assert secret not in errors
    finally:
        process.kill()
        process.communicate()


def test_the_printed_address_opens_it_and_ctrl_c_ends_it_with_open_streams(fleet: Fleet) -> None:
    task = fleet.orchestrator.submit("echo", "x", delay=3600)
    with dashboard(fleet) as (address, client):
        assert urlsplit(address).hostname == "127.0.0.1"
        assert client.get("/api/tasks").status_code == 401
        assert client.get(address).headers["location"] == "/"
        assert client.get("/").status_code == 200
        assert client.get("/health").status_code == 200
        assert [one["id"] for one in client.get("/api/tasks").json()["items"]] == [task.id]
        assert client.post(f"/api/tasks/{task.id}/cancel").json()["status"] == "cancelled"
        stream = client.send(client.build_request("GET", "/api/events"), stream=True)
        assert next(events_of(stream)).name == "snapshot"


def test_read_only_and_a_token_of_one_s_own(fleet: Fleet) -> None:
    task = fleet.orchestrator.submit("echo", "x", delay=3600)
    own = {"PYAGENT_ORCH_DASHBOARD_TOKEN": "my-own-token"}
    with dashboard(fleet, "--read-only", **own) as (address, client):
        # One that was chosen is known already, and is not printed.
        assert "my-own-token" not in address
        assert client.get("/api/overview").status_code == 401
        client.headers["Authorization"] = "Bearer my-own-token"
        assert client.get("/api/overview").json()["read_only"] is True
        assert client.post(f"/api/tasks/{task.id}/cancel").status_code == 403


def test_a_port_that_is_taken_is_told_in_one_line(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fleet.environment().items():
        if name.startswith("PYAGENT_ORCH_"):
            monkeypatch.setitem(os.environ, name, value)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["dashboard", "--port", str(port)]) == Exit.ERROR
    errors = capsys.readouterr().err
    assert f"127.0.0.1:{port}: cannot be listened on" in errors
    assert errors.count("\n") == 1
