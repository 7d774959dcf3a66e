"""One life of a program: its process, and what it prints."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from pyagent_orch.stack.unit import Unit

LINE_BYTES = 65_536
"""A line that is longer is shown in parts."""
DRAIN_SECONDS = 1.0
"""How long to read on from a program that has ended: what left its process group may hold
the pipe for ever."""


class Program(asyncio.SubprocessProtocol):
    """A running program, the leader of a process group of its own.

    Made by `start`. asyncio's own `Process.wait` also waits for the pipe, which the children of
    a killed program keep open; so this listens to the end of the process itself.

    Args:
        show: takes each line that it prints.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show, self._rest = show, b""
        self._ended, self._closed = asyncio.Event(), asyncio.Event()
        self._transport: asyncio.SubprocessTransport
        self.pid = 0

    @classmethod
    async def start(cls, unit: Unit, show: Callable[[str], None]) -> Program:
        """Start a unit's program.

        Raises:
            OSError: there is no such program.
        """
        _, program = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(show), *unit.command, env=dict(unit.environment),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        return program

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has started."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - asyncio's
        """It has printed something."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._tell(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """It prints nothing more."""
        if self._rest:
            self._tell(self._rest)
            self._rest = b""
        self._closed.set()

    def process_exited(self) -> None:
        """It has ended; its children may not have."""
        self._ended.set()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    async def wait(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        await self._ended.wait()
        code = self._transport.get_returncode()
        return 0 if code is None else code

    async def clear(self) -> None:
        """End what it left behind, such as the processes of a pool, and read what is unread."""
        self.kill()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), DRAIN_SECONDS)
        self._transport.close()

    def end(self) -> None:
        """Ask the program to end; how its children do is its own business."""
        if self.is_running:
            with suppress(ProcessLookupError):
                self._transport.terminate()

    def kill(self) -> None:
        """Kill its whole group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _tell(self, line: bytes) -> None:
        self._show(line.decode("utf-8", "replace").rstrip("\r"))
