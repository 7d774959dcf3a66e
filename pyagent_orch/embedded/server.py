"""A private Redis or Valkey server that lives exactly as long as its users.

Part of the embedded room; standard library only. Whoever uses the server holds a
lock that the kernel frees at any death, and a small watcher process ends the
server when no user is left: see `watcher.py`.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pyagent_orch.embedded.binaries import ServerBinary, find_server
from pyagent_orch.embedded.directory import (
    OWNER,
    START,
    TEMPORARY_PREFIX,
    USERS,
    Persistence,
    prepare,
)
from pyagent_orch.embedded.life import (
    LOADING_SECONDS,
    START_SECONDS,
    STOP_SECONDS,
    join,
    launch,
    leave,
)
from pyagent_orch.embedded.locks import held, holder, open_lock, sign, try_lock, wait_lock
from pyagent_orch.exceptions import ConfigurationError, EmbeddedServerError

__all__ = ["PrivateServer", "ServerBinary", "find_server"]


class PrivateServer:
    """One user's share in a private server on a Unix socket.

    Without a directory the server is temporary: it has a directory of its own,
    writes nothing to the disk, and all is removed with its last user. With one,
    every process that names the same directory shares one server.

    The server stays while any user lives: this object until `close`, and every
    child forked from this process, until each has ended or closed its copy.
    A program started by `exec` is no user. `start` and `close` are for one thread
    at a time; the URLs are for any thread and process.

    Args:
        directory: where the server's files lie; made with mode 700. None: temporary.
        persistent: keep the data in an append-only file in the directory.
        fsync: how often that file reaches the disk: each second, or before each
            answer. Matters for a power cut only; a killed server loses nothing.
        exclusive: refuse the directory to any other exclusive user.

    Raises:
        ConfigurationError: persistent or exclusive without a directory, or an
            unknown `fsync`.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        persistent: bool = False,
        fsync: Literal["everysec", "always"] = "everysec",
        exclusive: bool = False,
    ) -> None:
        if directory is None and (persistent or exclusive):
            option = "persistent" if persistent else "exclusive"
            raise ConfigurationError(option, "it needs a directory; give one.")
        if fsync not in ("everysec", "always"):
            raise ConfigurationError("fsync", f"{fsync!r} is neither 'everysec' nor 'always'.")
        self._given = None if directory is None else Path(directory).expanduser().resolve()
        self._persistence: Persistence = fsync if persistent else "none"
        self._exclusive = exclusive
        self._home: Path | None = None
        self._address: Path | None = None
        self._users: int | None = None
        self._owner: int | None = None

    @property
    def directory(self) -> Path | None:
        """Where the server's files lie; None while a temporary one is not started."""
        return self._home or self._given

    @property
    def url(self) -> str:
        """The server's URL for Redis clients, `unix:///...`.

        Raises:
            EmbeddedServerError: it is not started, or closed.
        """
        return f"unix://{self._started()}"

    @property
    def broker_url(self) -> str:
        """The server's URL for Celery and kombu, `redis+socket:///...`.

        Raises:
            EmbeddedServerError: it is not started, or closed.
        """
        return f"redis+socket://{self._started()}"

    def start(self) -> str:
        """Join the server of the directory, or start one; again is harmless.

        Takes about a tenth of a second, and longer with much data to read.

        Returns:
            The URL for Redis clients.

        Raises:
            EmbeddedServerError: no binary, an old one, no answer within 10 s, a
                directory that is not ours or that another process holds, or
                Windows; the text says what to do.
        """
        if self._address is not None:
            return self.url
        if sys.platform == "win32":
            raise EmbeddedServerError(
                "The embedded mode does not run on Windows; set PYAGENT_ORCH_REDIS_URL to "
                "a Redis that runs."
            )
        try:
            self._start()
        except OSError as error:
            self.close()
            where = error.filename or self._given or tempfile.gettempdir()
            raise EmbeddedServerError(
                f"{where}: {error.strerror or error}; the private server cannot start there."
            ) from error
        except BaseException:
            self.close()
            raise
        return self.url

    def close(self) -> None:
        """Let go of the server; the last user waits until it is gone. Again is harmless."""
        home, self._home = self._home, None
        users, self._users = self._users, None
        owner, self._owner = self._owner, None
        self._address = None
        try:
            if users is not None and home is not None:
                # Not unlocked, only closed: forked children share the lock.
                os.close(users)
                leave(home, temporary=self._given is None)
            elif home is not None and self._given is None:
                shutil.rmtree(home, ignore_errors=True)
        finally:
            if owner is not None:
                os.close(owner)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        if self._given is None:
            home = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX)).resolve()
        else:
            home = self._given
            prepare(home)
        self._home = home
        if self._exclusive:
            self._own(home)
        with held(home / START, seconds=START_SECONDS + LOADING_SECONDS):
            users = open_lock(home / USERS)
            self._users = users
            # The watcher of an earlier server holds it while it ends that one.
            if not wait_lock(users, exclusive=False, seconds=START_SECONDS + STOP_SECONDS):
                raise EmbeddedServerError(f"{home}: an earlier server there does not end.")
            self._address = join(home, self._persistence) or launch(
                home, self._persistence, temporary=self._given is None
            )

    def _own(self, home: Path) -> None:
        owner = open_lock(home / OWNER)
        if not try_lock(owner, exclusive=True):
            os.close(owner)
            pid = holder(home / OWNER)
            raise EmbeddedServerError(
                f"{home} is in use by process {pid or 'unknown'} (or a child of it), and is for "
                "one process only. End that one, or use another state file."
            )
        sign(owner)
        self._owner = owner

    def _started(self) -> Path:
        if self._address is None:
            raise EmbeddedServerError("The private server is not started; call start().")
        return self._address
