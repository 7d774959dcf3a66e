"""The directory of a private server: its files, its rights, where its socket lies.

Part of the embedded room; standard library only. Everything that two processes
must agree on to share one server is in this directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pyagent_orch.exceptions import EmbeddedServerError

Persistence = Literal["none", "everysec", "always"]

# The lock files. `watcher.py` writes three of the names again, since it imports
# nothing of the package.
USERS = "users.lock"  # shared: each user; exclusive: the watcher that ends the server
START = "start.lock"  # exclusive: whoever starts, for as long as that takes
OWNER = "owner.lock"  # exclusive: the one process of an exclusive server
WATCHER = "watcher.lock"  # exclusive: the watcher, all its life; holds its process id
SERVER = "server.lock"  # exclusive: the server, all its life; holds its process id

LOG = "server.log"
TEMPORARY_PREFIX = "pyagent-orch-"
_NOTE = "server.json"
_SOCKET = "redis.sock"
_LOG_LIMIT_BYTES = 1 << 20
# `sun_path` has 104 bytes on macOS and 108 on Linux, with the final zero.
_SOCKET_PATH_BYTES = 100
# Redis clients differ in what they unquote in a URL's path; these need no quotes.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class Note:
    """What a process that joins must know of the server that runs in the directory.

    Args:
        address: the socket's path; outside the directory when that one is too long.
        persistence: `none`, or how often the append-only file reaches the disk.
    """

    address: Path
    persistence: Persistence


def prepare(directory: Path) -> None:
    """Make the directory, or check it: closed to all but its owner.

    Raises:
        EmbeddedServerError: it is open to others and holds files that are not ours,
            so that closing it could lock somebody out.
        OSError: it cannot be made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = stat.S_IMODE(directory.stat().st_mode)
    if not mode & 0o077:
        return
    names = {entry.name for entry in directory.iterdir()}
    if names and USERS not in names:
        raise EmbeddedServerError(
            f"{directory} is open to other users (mode {mode:o}) and holds other files; "
            "give the private server a directory of its own, or chmod 700 this one."
        )
    directory.chmod(0o700)


def choose_socket(directory: Path) -> Path:
    """Where the socket of a server in this directory is to lie.

    In the directory, if a socket's address can be so long and a URL can say it as
    it is; else in a new short temporary directory.

    Raises:
        EmbeddedServerError: no temporary directory has a path that is short enough.
    """
    if _fits(directory / _SOCKET):
        return directory / _SOCKET
    for base in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it ours alone
        if _fits(Path(base, TEMPORARY_PREFIX + "12345678", _SOCKET)):
            return Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=base)) / _SOCKET
    raise EmbeddedServerError(
        f"{directory}: the path is too long for a socket, and so is the temporary "
        f"directory {tempfile.gettempdir()!r}. Set TMPDIR to a short path."
    )


def discard_socket(directory: Path, note: Note) -> None:
    """Remove what a dead server left of its socket."""
    with contextlib.suppress(OSError):
        note.address.unlink()
    if note.address.parent != directory:
        with contextlib.suppress(OSError):
            note.address.parent.rmdir()


def write_note(directory: Path, note: Note) -> None:
    """Leave the note for those who join; a reader sees the old one or the new one."""
    fresh = directory / f"{_NOTE}.new"
    fresh.write_text(json.dumps({**asdict(note), "address": str(note.address)}))
    fresh.replace(directory / _NOTE)


def read_note(directory: Path) -> Note | None:
    """The note of the latest server in this directory, running or not."""
    try:
        data = json.loads((directory / _NOTE).read_text())
        return Note(Path(data["address"]), data["persistence"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # A power cut can leave it empty; a server without a note is not joined.
        return None


def open_log(directory: Path) -> int:
    """Open the log to append and to read; one that has grown large is put aside first."""
    path = directory / LOG
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_LIMIT_BYTES:
            path.replace(directory / f"{LOG}.1")
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def log_tail(log: int, since: int, lines: int = 8) -> str:
    """The last lines that were logged after a position, in bytes.

    Args:
        log: the open log; its file may be gone, as a temporary directory's soon is.
        since: how long the log was before.
        lines: how many lines at most.
    """
    text = os.pread(log, _LOG_LIMIT_BYTES, since).decode("utf-8", "replace")
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def _fits(path: Path) -> bool:
    text = str(path)
    return len(text) <= _SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(text) is not None
