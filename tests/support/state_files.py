"""What tests of state files share: the file as it is, and an end of the Redis beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyagent_orch.config import state_directory
from pyagent_orch.embedded.directory import WATCHER
from pyagent_orch.embedded.locks import holder
from support.fleet import until

CALLED: list[tuple[str, Any]] = []
"""What `note` was called with: ids and outputs."""


def note(live: Any) -> None:
    """A callback that is found again by its name."""
    CALLED.append((live.id, live.output))


def entries(path: Path) -> list[dict[str, Any]]:
    """The entries of a state file, read as any JSON."""
    content = json.loads(path.read_bytes())
    assert content["format"] == "pyagent_orch state"
    found: list[dict[str, Any]] = content["entries"]
    return found


def edit(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Change the entries of a file that nobody has open, as somebody with an editor."""
    content = json.loads(path.read_bytes())
    content["entries"] = change(content["entries"])
    path.write_text(json.dumps(content, indent=1))


def ids(path: Path, kind: str = "task") -> set[str]:
    """The ids of all entries of a kind."""
    return {entry["id"] for entry in entries(path) if entry["kind"] == kind}


def latest(path: Path, name: str, kind: str = "task.state") -> dict[str, Any]:
    """The last entry of a kind about something."""
    return [one for one in entries(path) if one["kind"] == kind and one["id"] == name][-1]


def status(path: Path, name: str) -> str | None:
    """The state that the file has of a task, None when it has none."""
    states = [one for one in entries(path) if (one["kind"], one["id"]) == ("task.state", name)]
    return str(states[-1]["record"]["status"]) if states else None


def lose_redis(path: Path) -> None:
    """Delete the data of the private server beside a state file, once that has ended."""
    directory = state_directory(path)
    until(lambda: holder(directory / WATCHER) is None)
    if directory.exists():
        shutil.rmtree(directory)


def run_program(program: str, path: Path) -> str:
    """Run a program in another process; returns what it printed."""
    command = [sys.executable, "-W", "ignore", "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_script(script: Path, *arguments: str) -> str:
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
