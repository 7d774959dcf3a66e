"""No secret leaves: a whole stack runs with planted ones, goes through faults, and is searched."""

from __future__ import annotations

import base64
import socket
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from pyagent_orch import Orchestrator, OrchestratorConnectionError, RetryPolicy, Settings, agent
from support.chat_server import ChatServer, answer, failure
from support.command import Command
from support.fleet import until
from support.otlp_receiver import OtlpReceiver
from support.raw_server import PASSWORD, RawServer
from support.snapshot import dump

API_KEY, FLOWER, TOKEN = "sk-planted-key-4711", "planted-flower-0815", "planted-token-2342"
SECRETS = {"Redis": PASSWORD, "API key": API_KEY, "Flower": FLOWER, "dashboard": TOKEN}
NAMESPACE = "shop"
NOTHING_MORE = RetryPolicy(max_attempts=1)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Stack:
    """Every program of an installation, started as operators do; their words end up in files."""

    def __init__(self, directory: Path, raw: RawServer, env: dict[str, str]) -> None:
        self.directory, self.raw, self.env = directory, raw, env
        self.command = Command(directory, raw.url, NAMESPACE)
        self.ports = {name: free_port() for name in ("metrics", "flower", "dashboard")}
        self.orch = Orchestrator(redis_url=raw.url, namespace=NAMESPACE)
        self._open = ExitStack()

    def start(self) -> None:
        self.run("worker", "-l", "debug", "--log-format", "json", "-n", "first")
        self.run("worker", "-P", "prefork", "-c", "1", "-l", "debug", "-n", "second")
        self.run("beat", "-l", "debug")
        for name, port in self.ports.items():
            self.run(name, "--port", str(port))
        until(lambda: len(self.orch.workers()) == 2, 40)
        for name in self.ports:
            until(lambda name=name: self.page(name), 40, pause=0.2)

    def run(self, *words: str) -> None:
        log = self._open.enter_context((self.directory / f"{'-'.join(words)[:40]}.log").open("w"))
        self._open.enter_context(self.command.running(*words, env=self.env, stdout=log, stderr=log))

    def page(self, name: str, path: str = "") -> str:
        """What a program's page says to somebody who may look."""
        paths = {"metrics": "/metrics", "flower": "/workers", "dashboard": f"/?token={TOKEN}"}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[name]}{path or paths[name]}"
        )
        if name == "flower":
            login = base64.b64encode(f"admin:{FLOWER}".encode()).decode()
            request.add_header("Authorization", f"Basic {login}")
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return str(reply.read().decode(errors="replace"))
        except (urllib.error.URLError, ConnectionError):
            return ""

    def close(self) -> None:
        self._open.close()
        self.orch.close()

    def logs(self) -> dict[str, str]:
        return {
            file.name: file.read_text(errors="replace") for file in self.directory.glob("*.log")
        }


def command_lines(besides: int) -> str:
    """The arguments of every process of this machine that can be read, but one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name != str(besides):
            try:
                found.append((folder / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(found)


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[RawServer]:
    (tmp_path / "redis").mkdir()
    with RawServer(tmp_path / "redis") as raw:
        yield raw


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_no_planted_secret_is_found_anywhere(tmp_path: Path, raw: RawServer) -> None:
    with ChatServer() as chat, OtlpReceiver() as receiver:
        env = receiver.environment | {
            "OPENAI_BASE_URL": chat.url,
            "OPENAI_API_KEY": API_KEY,
            "PYAGENT_ORCH_TRACES": "1",
            "PYAGENT_ORCH_FLOWER_PASSWORD": FLOWER,
            "PYAGENT_ORCH_DASHBOARD_TOKEN": TOKEN,
        }
        stack = Stack(tmp_path, raw, env)
        try:
            stack.start()
            places = goings_on(stack, chat)
            assert raw.process is not None
            places["process arguments"] = command_lines(raw.process.pid)
            with redis.Redis.from_url(raw.url, decode_responses=True) as client:
                places["Redis"] = repr(dump(client))
            places["metrics"] = stack.page("metrics")
            places["Flower"] = stack.page("flower") + stack.page("flower", "/tasks")
            places["dashboard"] = stack.page("dashboard")
        finally:
            stack.close()
        places["traces"] = receiver.raw.decode(errors="replace")
        places |= stack.logs()
    # Each place has something in it, or the search would find nothing in nothing.
    assert "pyagent_orch_up 1" in places["metrics"]
    assert "run writer" in places["traces"]
    assert "celery-task-meta" in places["Redis"]
    assert "workers.celery_app" in places["process arguments"]
    assert "Incorrect API key" in places["error of a task"]
    assert all(places.values()), [place for place, text in places.items() if not text]
    found = [
        (name, place) for name, secret in SECRETS.items() for place, text in places.items()
        if secret in text
    ]  # fmt: skip
    assert found == []


def goings_on(stack: Stack, chat: ChatServer) -> dict[str, str]:
    """What an installation goes through; what was told about it."""
    orch, raw, command = stack.orch, stack.raw, stack.command
    writer = agent("You write", name="writer", model="openai:gpt-4o-mini")
    chat.script(
        answer("fine"),
        # As providers do: they quote the key that they refuse.
        failure(401, f"Incorrect API key provided: {API_KEY}"),
        failure(500, f"trace: Authorization: Bearer {API_KEY}"),
    )
    places: dict[str, str] = {}
    ends = [orch.submit(writer, "x", retry=NOTHING_MORE).wait(timeout=40) for _ in range(3)]
    assert [task.status for task in ends] == ["completed", "failed", "failed"]
    places["error of a task"] = "\n".join(f"{task!r} {task.error!r} {task.error}" for task in ends)
    places["shown"] = command.ok("show", ends[1].id) + command.ok("dead")
    orch.schedule(agent="echo", input="x", interval_seconds=1, id="often")
    until(lambda: orch.job_runs("often"), 20)
    places["events"] = repr(list(orch.events()))
    doctor = command.here("doctor", "--verbose")
    places["doctor"] = doctor.stdout + doctor.stderr
    places["representations"] = repr((orch, orch.settings, Settings(redis_url=raw.url)))
    # Redis goes away under everybody, and comes back.
    raw.kill()
    try:
        orch.submit("echo", 1)
    except OrchestratorConnectionError:
        places["outage"] = traceback.format_exc()
    away = command.here("--verbose", "list")
    places["command in the outage"] = away.stdout + away.stderr
    stack.page("metrics")
    raw.start()
    until(lambda: len(orch.workers()) == 2, 40)
    assert orch.submit("echo", 1).wait(timeout=40).status == "completed"
    # A login that is refused, and a URL that is none.
    for url in (raw.url.replace(":" + PASSWORD, ":x" + PASSWORD), f"rediss:/:{PASSWORD}@h"):
        refused = Command(stack.directory, url, NAMESPACE).here("--verbose", "list")
        assert refused.returncode == 2
        places[f"refused {len(places)}"] = refused.stdout + refused.stderr
    return places
