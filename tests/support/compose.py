"""docker-compose.yml as tests use it: read with a .env, and run without Docker.

Each service runs the very command and environment that the file gives it, as processes of
this machine; what only a container has (addresses, folders) is mapped by text.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import yaml

from pyagent_orch.embedded.binaries import find_server
from support.fleet import ROOT

FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::([-?])((?:[^{}]|\{[^}]*\})*))?\})")
_CLI = """#!{python}
import os, sys, redis
# The server's own client is in its image and in no package of Python; this one says what it says.
port, words = sys.argv[2], sys.argv[3:]
assert sys.argv[1] == "-p"
try:
    client = redis.Redis(port=int(port), password=os.environ.get("REDISCLI_AUTH"), socket_timeout=2)
    print("PONG" if client.execute_command(*words) else "")
except redis.RedisError as error:
    sys.exit(str(error))
"""


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """Fill in `${NAME}`, `${NAME:-otherwise}` and `${NAME:?error}`; `$$` is a dollar."""

    def fill(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if name is None:
            return "$"
        value = environ.get(name, "")
        if not value and kind == "?":
            raise LookupError(f"{name}: {rest}")
        return value or (rest or "" if kind == "-" else "")

    return _VARIABLE.sub(fill, text)


def env_file(path: Path) -> dict[str, str]:
    """The variables of a .env."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def load(environ: Mapping[str, str], replace: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file as Compose reads it, with texts replaced before."""
    text = FILE.read_text()
    if replace:
        # In one go, so that nothing is replaced in what was replaced; the longest first.
        found = re.compile("|".join(map(re.escape, sorted(replace, key=len, reverse=True))))
        text = found.sub(lambda match: replace[match[0]], text)

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return interpolate(value, environ)
        if isinstance(value, list):
            return [walk(one) for one in value]
        if isinstance(value, dict):
            return {key: walk(one) for key, one in value.items()}
        return value

    loaded: dict[str, Any] = walk(yaml.safe_load(text))
    return loaded


def entrypoint() -> list[str]:
    """What the image starts, before a service's command."""
    [words] = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    return list(json.loads(words))


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens at."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Stack:
    """The services of the file as processes; a context manager that leaves none behind.

    Args:
        directory: for data and logs.
        environ: what stands in .env.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        redis, flower, dashboard, metrics, web = free_ports(5)
        self.web = f"http://127.0.0.1:{web}"
        """Where the web example is."""
        data, tools = directory / "data", directory / "bin"
        for folder in (data, tools):
            folder.mkdir()
        self.document = load(
            environ,
            {
                "redis:6379": f"127.0.0.1:{redis}",
                "6379": str(redis),
                "5555": str(flower),
                "8700": str(dashboard),
                "9464": str(metrics),
                "8000": str(web),
                "0.0.0.0": "127.0.0.1",
                "--dir /data": f"--dir {data}",
                "/tmp/server.conf": f"{directory}/server.conf",
                "include /etc/redis.conf": f"include {ROOT}/deploy/redis/redis.conf",
            },
        )
        self.services: dict[str, dict[str, Any]] = self.document["services"]
        self.processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        (tools / "valkey-server").symlink_to(find_server().path)
        if (client := shutil.which("valkey-cli") or shutil.which("redis-cli")) is not None:
            (tools / "valkey-cli").symlink_to(client)
        else:
            (tools / "valkey-cli").write_text(_CLI.format(python=sys.executable))
            (tools / "valkey-cli").chmod(0o755)
        self._path = os.pathsep.join(
            [str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]
        )

    def start(self, service: str) -> None:
        """Start as many of it as the file says."""
        found = self.services[service]
        before = found.get("entrypoint", entrypoint()) if "build" in found else ()
        command = [*before, *found["command"]]
        for number in range(int(found.get("deploy", {}).get("replicas", 1))):
            with (self.directory / f"{service}-{number}.log").open("wb") as log:
                self.processes.setdefault(service, []).append(
                    subprocess.Popen(
                        command,
                        cwd=self._folder(found),
                        env=self.environment(service),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        process_group=0,
                    )
                )

    def _folder(self, service: Mapping[str, Any]) -> Path:
        mounts = dict(str(one).split(":")[1::-1] for one in service.get("volumes", ()))
        return ROOT / mounts["/app"] if "/app" in mounts else self.directory

    def environment(self, service: str) -> dict[str, str]:
        """All that the processes of a service get to see."""
        return {
            "PATH": self._path,
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.directory),
            **{name: str(one) for name, one in self.services[service]["environment"].items()},
        }

    def health(self, service: str) -> subprocess.CompletedProcess[str]:
        """Run a service's health check, as Docker would in one of its containers."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        return subprocess.run(
            words if kind == "CMD" else ["sh", "-c", *words],
            cwd=self.directory, env=self.environment(service), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip

    def is_well(self, service: str) -> bool:
        return self.health(service).returncode == 0

    def run(self, service: str, *words: str) -> subprocess.CompletedProcess[str]:
        """What `docker compose exec SERVICE` does."""
        return subprocess.run(
            words, cwd=self.directory, env=self.environment(service), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=40, check=False,
        )  # fmt: skip

    def signal(self, service: str, number: signal.Signals) -> list[int]:
        """Send a signal to all of a service and wait for their ends; the exit codes."""
        processes = self.processes.pop(service)
        for process in processes:
            process.send_signal(number)
        return [process.wait(40) for process in processes]

    def logs(self) -> str:
        """All that was logged."""
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}"
            for log in sorted(self.directory.glob("*.log"))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in [one for group in self.processes.values() for one in group]:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
