"""A server process on a TCP port with a password, for tests that stop, freeze or kill it.

Not the private server of the package: that one has a watcher which starts it again.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

import redis

from pyagent_orch.embedded.binaries import find_server
from support.fleet import until

PASSWORD = "s3cr3t-pa55word"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class RawServer:
    """A server on loopback; a context manager.

    Args:
        directory: where its append-only file lies.
        environment: of its process; None: ours.
        options: further options of the server, without the dashes.
    """

    def __init__(
        self, directory: Path, environment: dict[str, str] | None = None, **options: str
    ) -> None:
        self.directory, self.environment, self.options = directory, environment, options
        self.port = _free_port()
        if options.get("cluster-enabled") == "yes":
            # By itself 10,000 above the port, which need not exist.
            self.options = {"cluster-port": str(_free_port()), **options}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        options = {
            "port": str(self.port), "bind": "127.0.0.1", "requirepass": PASSWORD,
            "dir": str(self.directory), "save": "", "appendonly": "yes", **self.options,
        }  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [find_server().path, *words], env=self.environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        until(self.answers)
        return self

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def run(self, *command: str | int) -> object:
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        """SIGKILL; it is refused from now on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def freeze(self) -> None:
        """Connections are taken, nothing is answered."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
