"""Locks on files that the kernel frees when their holder dies.

Part of the embedded room; standard library only. Each open file has its own
lock, which a forked child shares and a started program does not: Python's file
descriptors are not inherited by `exec`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pyagent_orch.exceptions import EmbeddedServerError

_RETRY_SECONDS = 0.002


def open_lock(path: Path, *, create: bool = True) -> int:
    """Open a lock file, unlocked, for its owner alone.

    Raises:
        OSError: it cannot be opened; FileNotFoundError without `create`.
    """
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)


def try_lock(descriptor: int, *, exclusive: bool) -> bool:
    """Take the lock if it is free; at once in either case.

    Raises:
        OSError: the file system has no locks.
    """
    import fcntl  # not on Windows, where this module must still import

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_lock(descriptor: int, *, exclusive: bool, seconds: float) -> bool:
    """Take the lock, waiting for it; False if it was not free in time.

    It never queues in the kernel: a waiting exclusive lock holds up new shared
    ones on some systems.

    Args:
        descriptor: the open lock file.
        exclusive: alone, or beside other shared holders.
        seconds: how long to wait, >= 0.
    """
    deadline = time.monotonic() + seconds
    while not try_lock(descriptor, exclusive=exclusive):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_RETRY_SECONDS)
    return True


def drop(descriptor: int) -> None:
    """Unlock and close a lock that is held for a moment only.

    Unlocked first, since a child that another thread forks meanwhile has a copy
    of the descriptor, and the lock would stay for as long as the child lives.
    """
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


@contextlib.contextmanager
def held(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold a lock file alone for the block.

    Args:
        path: the lock file; made if it is not there.
        seconds: how long to wait for it.

    Raises:
        EmbeddedServerError: another process held it for all that time.
    """
    descriptor = open_lock(path)
    try:
        if not wait_lock(descriptor, exclusive=True, seconds=seconds):
            raise EmbeddedServerError(
                f"{path}: another process has held this lock for {seconds:.0f} s; "
                "it starts a server there and hangs. End it and try again."
            )
        yield
    finally:
        drop(descriptor)


def holder(path: Path) -> int | None:
    """The process that holds a lock file alone.

    Returns:
        Its id as it wrote it into the file; 0 if it has not written it yet; None
        if nobody holds the lock.
    """
    try:
        descriptor = open_lock(path, create=False)
    except FileNotFoundError:
        return None
    try:
        if try_lock(descriptor, exclusive=False):
            return None
        text = os.pread(descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else 0
    finally:
        drop(descriptor)


def sign(descriptor: int) -> None:
    """Write this process' id into a lock file that it holds, for messages of others."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
