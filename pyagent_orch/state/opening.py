"""Taking a state file for this process: locked, made, checked, repaired.

Part of the room of the state file; knows the document, no entries.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pyagent_orch.embedded.locks import holder, open_lock, sign, try_lock
from pyagent_orch.exceptions import StateFileError
from pyagent_orch.state.document import (
    Identity,
    inspect,
    put_aside,
    saved_lines,
    sync_directory,
    write_new,
)
from pyagent_orch.state.pages import BLOCK, Pages

logger = logging.getLogger(__name__)


def lock_file(path: Path) -> int:
    """Lock a file beside the state file, which itself is replaced from time to time.

    Raises:
        StateFileError: another process holds the lock.
        OSError: the file system has no locks, or it cannot be written.
    """
    beside = path.with_name(path.name + ".lock")
    lock = open_lock(beside)
    if not try_lock(lock, exclusive=True):
        os.close(lock)
        raise StateFileError(
            str(path),
            f"it is in use by process {holder(beside) or 'unknown'} (or a child of it), and is for "
            "one process only. End that one, or use a state file of its own for each process",
        )
    sign(lock)
    return lock


def open_file(path: Path, namespace: str) -> tuple[Identity, int, Pages]:
    """Open the file, make it, or make a sound one of what can be read.

    Raises:
        StateFileError: it is something else, of a later release or of another namespace.
        OSError: the disk refuses.
    """
    path.with_name(path.name + ".new").unlink(missing_ok=True)
    if _is_empty(path):
        identity = Identity(namespace)
        descriptor, pages, fresh = write_new(path, identity)
        _take_place(descriptor, fresh, path)
        return identity, descriptor, pages
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        found = inspect(descriptor, path)
        _check_namespace(path, found.identity, namespace)
        if found.clean:
            return found.identity, descriptor, Pages(descriptor, found.end, found.size)
        sound, pages, fresh = write_new(path, found.identity, saved_lines(descriptor, found))
        aside = put_aside(path, found.bad)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    _take_place(sound, fresh, path)
    if aside is not None:
        logger.warning(
            "The state file %s was damaged, as after a power cut. What can be read of it is kept; "
            "what cannot is in %s.",
            path,
            aside,
        )
    return found.identity, sound, pages


def _is_empty(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return not file.read(BLOCK).strip()
    except FileNotFoundError:
        return True


def _take_place(descriptor: int, fresh: Path, path: Path) -> None:
    os.fsync(descriptor)
    fresh.replace(path)
    sync_directory(path)


def _check_namespace(path: Path, identity: Identity, namespace: str) -> None:
    if identity.namespace != namespace:
        raise StateFileError(
            str(path),
            f"it belongs to namespace {identity.namespace!r}, not to {namespace!r}; "
            "use another file for this one",
        )
