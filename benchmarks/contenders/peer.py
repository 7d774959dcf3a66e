"""The other task queues: a client process and a worker of each, in its own virtual environment.

Knows `peers/` by its commands only: what they import cannot live beside Celery's redis-py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contender import Contender
from benchmarks.peers import REQUIREMENTS
from benchmarks.processes import ROOT, WorkerProcess, clean_environment
from benchmarks.server import Server

ENVIRONMENTS = ROOT / ".venv-peers"
"""Where the virtual environments are; may be deleted at any time."""


class Peer(Contender):
    """One of `peers/`, behind pipes."""

    key: str
    """The name of its file in `peers/`, and what pip is told."""
    imports = "pass"
    program = "pass"

    def __init__(self, server: Server, directory: Path) -> None:
        super().__init__(server, directory)
        self._client: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The server's URL."""
        return {"BENCHMARK_PEER_URL": self.server.url(self.database)}

    @property
    def python(self) -> Path:
        """The interpreter of its virtual environment, which is made when it is not there.

        Raises:
            subprocess.CalledProcessError: pip failed.
        """
        home = ENVIRONMENTS / self.key
        wanted = "\n".join(REQUIREMENTS[self.key])
        stamp = home / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            venv.create(home, clear=True, with_pip=True)
            pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--no-input"]
            subprocess.run([*pip, *REQUIREMENTS[self.key]], check=True, stdout=sys.stderr)
            stamp.write_text(wanted)
        return home / "bin/python"

    def open(self) -> None:
        """Start the client's process."""
        log = self.directory / f"{self.key}-client.log"
        with log.open("wb") as errors:
            self._client = subprocess.Popen(
                [self.python, "-m", "benchmarks.peers.client", f"{self.key}_peer"],
                cwd=self.directory,
                env=clean_environment(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def close(self) -> None:
        """End both processes."""
        self.stop_worker()
        client, self._client = self._client, None
        if client is not None and client.stdin and client.stdout:
            client.stdin.close()
            client.stdout.close()
            client.kill()
            client.wait()

    def start_worker(self, pool: str, concurrency: int) -> None:
        """Start the library's own worker command."""
        found = subprocess.run(
            [self.python, "-c", _ARGUMENTS, f"{self.key}_peer", pool, str(concurrency)],
            env=clean_environment(self.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if "NotImplementedError" in found.stderr:
            raise NotImplementedError(found.stderr.strip().splitlines()[-1])
        if found.returncode:
            raise RuntimeError(found.stderr)
        self.worker = WorkerProcess(
            json.loads(found.stdout),
            self.environment,
            self.directory / f"{self.key}-{pool}.log",
            python=self.python,
        )
        self._ask("ready", None)

    def submit(self, number: int) -> object:  # noqa: ARG002 - the client counts
        """Submit one."""
        return self.submit_many(1)[0]

    def submit_singly(self, count: int) -> float:
        """The client's own clock."""
        return float(self._ask("submit_singly", count)[1])

    def submit_many(self, count: int) -> Sequence[object]:
        """One command over the pipe."""
        found: list[str] = self._ask("submit_many", count)[0]
        return found

    def hold(self, gate: Path) -> object:
        """Submit one."""
        return self._ask("hold", str(gate))[0]

    def call(self, number: int) -> object:  # noqa: ARG002 - the client counts
        """Call one."""
        return self._ask("call_times", 1)[0]

    def call_times(self, count: int) -> list[float]:
        """The client's own clock."""
        found: list[float] = self._ask("call_times", count)[0]
        return found

    def count_done(self, handles: Sequence[object]) -> int:
        """One command over the pipe."""
        return int(self._ask("count_done", list(handles))[0])

    def _ask(self, command: str, argument: object) -> list[Any]:
        client = self._client
        assert client is not None
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(f"{json.dumps([command, argument])}\n")
        client.stdin.flush()
        answer = client.stdout.readline()
        if not answer:
            log = (self.directory / f"{self.key}-client.log").read_text()
            raise RuntimeError(f"The client of {self.name} has ended:\n{log[-3000:]}")
        found: list[Any] = json.loads(answer)
        return found


_ARGUMENTS = """
import importlib, json, sys
peer = importlib.import_module("benchmarks.peers." + sys.argv[1])
print(json.dumps(peer.arguments(sys.argv[2], int(sys.argv[3]))))
"""


def _peer(place: int, name: str) -> type[Peer]:
    return type(
        name.title(), (Peer,), {"name": name, "key": name, "database": place, "__doc__": f"{name}."}
    )


PEERS: tuple[type[Peer], ...] = tuple(
    _peer(place, name) for place, name in enumerate(REQUIREMENTS, start=2)
)
