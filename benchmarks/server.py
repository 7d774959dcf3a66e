"""The one server of a benchmark, and what it tells about its own work.

Knows no contender. Each contender has a database of its own, so that neither
sees the other's keys.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import redis

from pyagent_orch.embedded.server import PrivateServer


@dataclass(frozen=True, slots=True)
class Work:
    """What the server has done since it started."""

    calls: Mapping[str, int]
    """Maps a command to how often it ran; commands inside scripts count, too."""
    reads: int
    """How often it read from a connection: about one for each round trip."""
    bytes_in: int
    bytes_out: int
    cpu_seconds: float
    memory: int
    """Bytes in use, now."""


class Server:
    """A private server that listens on loopback, as a fleet's would on its network.

    `with` starts and ends it.
    """

    def __init__(self) -> None:
        self._server = PrivateServer()
        self._clients: dict[int, redis.Redis] = {}
        self._port = 0

    def __enter__(self) -> Self:
        self._server.start()
        with redis.Redis.from_url(self._server.url) as client, socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
            probe.close()
            client.config_set("bind", "127.0.0.1")
            client.config_set("port", self._port)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients.values():
            client.close()
        self._server.close()

    def url(self, database: int) -> str:
        """The URL of a database."""
        return f"redis://127.0.0.1:{self._port}/{database}"

    def client(self, database: int) -> redis.Redis:
        """A client that looks at a database from outside."""
        if database not in self._clients:
            self._clients[database] = redis.Redis.from_url(self.url(database))
        return self._clients[database]

    def describe(self) -> str:
        """Name and version."""
        info: Any = self.client(0).info("server")
        if "valkey_version" in info:
            return f"valkey {info['valkey_version']} over TCP on loopback"
        return f"redis {info['redis_version']} over TCP on loopback"

    def work(self) -> Work:
        """What it has done so far."""
        client = self.client(0)
        stats: Any = client.info("stats")
        cpu: Any = client.info("cpu")
        memory: Any = client.info("memory")
        commands: Any = client.info("commandstats")
        return Work(
            {name.removeprefix("cmdstat_"): entry["calls"] for name, entry in commands.items()},
            stats["total_reads_processed"],
            stats["total_net_input_bytes"],
            stats["total_net_output_bytes"],
            cpu["used_cpu_sys"] + cpu["used_cpu_user"],
            memory["used_memory"],
        )

    def clear(self) -> None:
        """Remove everything; only while no worker runs."""
        self.client(0).flushall()
