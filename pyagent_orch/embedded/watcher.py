"""The watcher of a private server: starts it, restarts it, ends it with its last user.

A program of its own, run as `python -I -S watcher.py DIRECTORY SOCKET keep|remove
COMMAND...`; standard library only, imports nothing of the package, so that it is
up in a few milliseconds and outlives any of its users. Every user holds a shared
lock on `users.lock`; the kernel frees it however the user ends, and when this
process gets it alone, nobody is left.
"""

# pathlib is left out, since importing it takes longer than all that happens here.
# ruff: noqa: PTH106, PTH108, PTH110, PTH120
from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import time

POLL_SECONDS = 0.2
STOP_SECONDS = 10.0
"""How long the server may take to write its data out before it is killed."""
EARLY_SECONDS = 10.0
"""A server that ends by itself this soon after its first start cannot run here."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0
"""Between two restarts; doubled each time, until the server has lived for the longest."""

_DEFAULTS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGURG)


def main(arguments: list[str]) -> None:
    """Become a process of our own, with the watcher's lock, and watch.

    Args:
        arguments: the directory; the socket's path; `remove` or `keep` for what
            becomes of the directory; the server's command.
    """
    directory, address, fate, *command = arguments
    os.umask(0o077)
    os.chdir(directory)
    lock = _open("watcher.lock")
    fcntl.flock(lock, fcntl.LOCK_EX)
    # The starter waits for this process, and so knows that the lock is held and
    # never has a zombie: what goes on is nobody's child but init's.
    if os.fork():
        os._exit(0)
    _sign(lock, os.getpid())
    watcher = Watcher(address, command)
    try:
        watcher.run()
    finally:
        watcher.stop()
        if os.path.dirname(address) != directory:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(address))
        if fate == "remove":
            import shutil

            shutil.rmtree(directory, ignore_errors=True)
        # Before the users' lock, which the process' end frees: whoever gets that
        # one must find this one free.
        os.close(lock)


class Watcher:
    """One server and the wait for the end of its last user.

    Args:
        address: the server's socket.
        command: the server's program and its arguments.
    """

    def __init__(self, address: str, command: list[str]) -> None:
        self.address, self.command = address, command
        self.server = 0
        self.ending = False
        self.pause = FIRST_PAUSE_SECONDS
        self.users = _open("users.lock")
        self.wake, wake_end = os.pipe()
        for end in (self.wake, wake_end):
            os.set_blocking(end, False)
        # What the starter had blocked or ignored is inherited; start from a clean slate.
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # SIGURG: a user leaves, look now. By default it is ignored, so that it can
        # harm nobody who gets it by mistake.
        for number in (signal.SIGCHLD, signal.SIGURG):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def run(self) -> None:
        """Keep the server up until nobody is left, or until told to end."""
        first, started, start_at = True, 0.0, 0.0
        while not self.ending and not self._is_alone():
            now = time.monotonic()
            if self.server:
                status = self._reap()
                if status is not None:
                    lived = now - started
                    _say(f"the server ended after {lived:.1f} s with wait status {status}")
                    if first and lived < EARLY_SECONDS and self._cannot_run(status):
                        return
                    first = False
                    if lived > LONGEST_PAUSE_SECONDS:
                        self.pause = FIRST_PAUSE_SECONDS
                    start_at = now + self._next_pause()
            if not self.server and now >= start_at:
                started = now
                try:
                    self._launch()
                except OSError as error:
                    _say(f"the server cannot be started: {error}")
                    if first:
                        return
                    start_at = now + self._next_pause()
            pause = 0.0 if self.server else start_at - now
            self._sleep(min(POLL_SECONDS, pause) if pause > 0 else POLL_SECONDS)

    def stop(self) -> None:
        """End the server, if it runs, and remove its socket."""
        if self.server:
            os.kill(self.server, signal.SIGTERM)
            # A server looks at signals ten times a second, at commands at once.
            self._ask_to_end()
            deadline = time.monotonic() + STOP_SECONDS
            while self._reap() is None:
                if time.monotonic() > deadline:
                    _say(f"the server did not end within {STOP_SECONDS:.0f} s and is killed")
                    os.kill(self.server, signal.SIGKILL)
                    deadline += STOP_SECONDS
                self._sleep(POLL_SECONDS)
        with contextlib.suppress(OSError):
            os.unlink(self.address)

    def _next_pause(self) -> float:
        pause = self.pause
        self.pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return pause

    def _launch(self) -> None:
        # The server inherits this lock, and so do the children it forks to rewrite
        # its file: as long as one of them lives, no second server may touch the data.
        lock = _open("server.lock")
        try:
            if not _try_alone(lock):
                _say("an earlier server has not ended yet; waiting for it")
                return
            os.set_inheritable(lock, True)
            self.server = os.posix_spawn(
                self.command[0], self.command, os.environ, setsigmask=(), setsigdef=_DEFAULTS
            )
            _sign(lock, self.server)
        finally:
            os.close(lock)

    def _reap(self) -> int | None:
        pid, status = os.waitpid(self.server, os.WNOHANG)
        if not pid:
            return None
        self.server = 0
        return status

    def _cannot_run(self, status: int) -> bool:
        code = os.waitstatus_to_exitcode(status)
        # Somebody's kill says nothing about the server; a crash before it listens does.
        killed = code == -signal.SIGKILL
        return code > 0 or not (killed or os.path.exists(self.address))

    def _ask_to_end(self) -> None:
        import socket

        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        ):
            connection.settimeout(0.5)
            connection.connect(self.address)
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")

    def _is_alone(self) -> bool:
        return _try_alone(self.users)

    def _end(self, *_: object) -> None:
        self.ending = True

    def _sleep(self, seconds: float) -> None:
        if select.select([self.wake], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self.wake, 4096)


def _open(name: str) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try_alone(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(lock: int, pid: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(pid).encode(), 0)


def _say(text: str) -> None:
    sys.stderr.write(f"watcher {os.getpid()}: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
