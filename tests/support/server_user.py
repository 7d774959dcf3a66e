"""A process that uses a private server, to be told to leave, or to be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from pyagent_orch.embedded.server import PrivateServer

ROOT = Path(__file__).parents[2]

_PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from pyagent_orch.embedded.server import PrivateServer
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"interrupted\\n"))
options = json.loads(sys.argv[1])
directory = options.pop("directory", None)
server = PrivateServer(directory and Path(directory), **options)
try:
    server.start()
except Exception as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    sys.exit(3)
print(json.dumps({"url": server.url, "directory": str(server.directory)}), flush=True)
if sys.stdin.readline():
    server.close()
    print("closed", flush=True)
    sys.stdin.readline()
"""


class ServerUser:
    """Another process with a `PrivateServer`; the context ends it.

    Args:
        wait: read at once what it says of its start.
        options: the arguments of its `PrivateServer`.
    """

    def __init__(self, *, wait: bool = True, **options: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps(options, default=str)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # So that a test can press Ctrl-C in its terminal and not in ours.
            process_group=0,
        )
        self.said: dict[str, str] = {}
        if wait:
            self.listen()

    def listen(self) -> dict[str, str]:
        self.said = json.loads(self.read())
        return self.said

    def read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        """Tell it to close its server, and wait until it has."""
        assert self.process.stdin
        self.process.stdin.write("close\n")
        self.process.stdin.flush()
        assert self.read() == "closed"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def url(self) -> str:
        return self.said["url"]

    @property
    def directory(self) -> Path:
        return Path(self.said["directory"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()


def holder_of(directory: Path | None, lock: str) -> int:
    """The process that has written its id into `watcher.lock` or `server.lock`."""
    assert directory is not None
    return int((directory / lock).read_text())


def processes_of(server: PrivateServer | ServerUser) -> tuple[int, int]:
    """The ids of a running server's watcher and of the server itself."""
    return (
        holder_of(server.directory, "watcher.lock"),
        holder_of(server.directory, "server.lock"),
    )


def is_running(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()


def becomes_true(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether a condition outside this process comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def answers(url: str) -> bool:
    """Whether a server answers there now."""
    client = redis.from_url(url)
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    finally:
        client.close()


def run(url: str, *command: str) -> Any:
    """Run one command on a server and return its answer."""
    with redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*command)
