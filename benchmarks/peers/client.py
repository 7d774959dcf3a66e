"""What a peer's client does, and the loop that does it for the benchmark's process.

`python -m benchmarks.peers.client NAME`: a JSON command on each line of stdin, an answer on each
line of stdout. Times are taken here, so that the pipe is not measured.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from typing import Any

from benchmarks.work import text_of

URL = "BENCHMARK_PEER_URL"
"""The variable that holds the server's URL."""
WAIT_SECONDS = 60.0


def url() -> str:
    """The server's URL."""
    return os.environ[URL]


class Client(ABC):
    """One library's client. Handles are the ids of its tasks."""

    @abstractmethod
    def submit(self, text: str) -> str:
        """Submit a no-op task."""

    @abstractmethod
    def hold(self, gate: str) -> str:
        """Submit a task that keeps a slot busy until the gate exists."""

    @abstractmethod
    def call(self, text: str) -> object:
        """Submit a no-op task and wait for its output."""

    @abstractmethod
    def count_done(self, ids: Sequence[str]) -> int:
        """How many of these have a stored result."""

    def submit_many(self, texts: Sequence[str]) -> list[str]:
        """Submit in the fastest way that the library documents; a loop if there is none."""
        return [self.submit(text) for text in texts]

    def ready(self) -> bool:
        """Whether a worker takes tasks: one has run."""
        self.call("ready?")
        return True


class AsyncClient(Client):
    """A client whose library is asynchronous: one loop for all calls."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def run(self, waiting: Awaitable[Any]) -> Any:
        """Wait for something on the loop."""

        async def wait() -> Any:
            return await waiting

        return self._runner.run(wait())


def main() -> None:
    """Serve until stdin ends."""
    client: Client = importlib.import_module(f"benchmarks.peers.{sys.argv[1]}").make_client()
    for line in sys.stdin:
        command, argument = json.loads(line)
        began = time.perf_counter()
        found: object = None
        if command == "submit_singly":
            for number in range(argument):
                client.submit(text_of(number))
        elif command == "submit_many":
            found = client.submit_many([text_of(number) for number in range(argument)])
        elif command == "hold":
            found = client.hold(argument)
        elif command == "call_times":
            found = [_timed_call(client, number) for number in range(argument)]
        elif command == "count_done":
            found = client.count_done(argument)
        elif command == "ready":
            found = client.ready()
        else:
            raise ValueError(command)
        seconds = time.perf_counter() - began
        print(json.dumps([found, seconds]), flush=True)


def _timed_call(client: Client, number: int) -> float:
    began = time.perf_counter()
    client.call(text_of(number))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
