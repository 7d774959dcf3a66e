"""Runs programs side by side: starts again what dies, and ends all together.

Each program leads a process group of its own, so that the terminal's Ctrl-C reaches the
stack alone, and what a program leaves behind ends with it. Should the stack itself be
killed, its guard ends them.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pyagent_orch.stack import guard
from pyagent_orch.stack.program import Program
from pyagent_orch.stack.unit import Teller, Unit

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a program that died is started again; doubled each time, and from the
beginning once it has lived for the longest."""
READY_SECONDS = 30.0
"""After so long people are told what is not ready."""
LOOK_SECONDS = 0.1
"""How often a program is asked whether it is ready."""
STOP_SECONDS = 8.0
"""How long programs may take to end before they are killed."""
USAGE_ERROR = 2
"""The exit code of a program that cannot run like this, however often it is started."""


class Stack:
    """Programs that live and end together. `run` once.

    Args:
        units: what to run.
        teller: who shows what happens.
    """

    def __init__(self, units: Sequence[Unit], teller: Teller) -> None:
        self._units, self._teller = units, teller
        self._running: dict[str, Program] = {}
        self._ready: set[str] = set()
        self._began = time.monotonic()
        self._stopping: asyncio.Event
        self._guard: subprocess.Popen[bytes]
        self._killed = self._refused = False

    def run(self) -> bool:
        """Run until a signal ends it (SIGINT, SIGTERM, SIGHUP); a second one kills.

        Returns:
            Whether all is well: no program refused to start, none had to be killed.
        """
        return asyncio.run(self._run())

    async def _run(self) -> bool:
        self._stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        self._guard = subprocess.Popen(  # noqa: ASYNC220, S603 - takes a millisecond; a file of ours
            [sys.executable, "-I", "-S", str(Path(guard.__file__))],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._end_all())
                for unit in self._units:
                    tasks.create_task(self._keep(unit))
        finally:
            if self._guard.stdin is not None:
                self._guard.stdin.close()
            self._guard.wait()
        return not (self._killed or self._refused)

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._kill()
        self._stopping.set()

    # --- one program ----------------------------------------------------------------------

    async def _keep(self, unit: Unit) -> None:
        """Keep a program running until the stack stops."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._live(unit)
            if self._stopping.is_set():
                return
            if code == USAGE_ERROR and unit.name not in self._ready:
                self._note(f"{unit.name} cannot run like this; all ends.")
                self._refused = True
                self._stopping.set()
                return
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            self._note(f"{unit.name} {_how(code)}; it starts again in {pause:g} s.")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _live(self, unit: Unit) -> int:
        """One life of a program, from its start to its end; its exit code."""
        program = await Program.start(unit, lambda text: self._line(unit.name, text))
        self._running[unit.name] = program
        self._tell_guard("+", program.pid)
        if self._stopping.is_set():
            # It came too late to be ended with the others, and has done nothing yet.
            program.kill()
        looking = asyncio.create_task(self._await_ready(unit, program.pid))
        try:
            code = await program.wait()
        finally:
            looking.cancel()
            await program.clear()
            del self._running[unit.name]
            self._tell_guard("-", program.pid)
        await asyncio.wait([looking])
        if not looking.cancelled():
            looking.result()
        return code

    async def _await_ready(self, unit: Unit, pid: int) -> None:
        began, late = time.monotonic(), False
        while not await asyncio.to_thread(unit.ready, pid):
            if not late and time.monotonic() - began > READY_SECONDS:
                late = True
                self._note(f"{unit.name} is not ready after {READY_SECONDS:g} s.")
            await asyncio.sleep(LOOK_SECONDS)
        again = unit.name in self._ready
        self._ready.add(unit.name)
        self._note(f"{unit.name} is ready{' again' if again else ''}. {unit.told}".rstrip())
        if not again and len(self._ready) == len(self._units):
            seconds = time.monotonic() - self._began
            self._note(f"All is ready after {seconds:.1f} s; Ctrl-C ends all.")

    # --- the end ----------------------------------------------------------------------------

    async def _end_all(self) -> None:
        """Wait for the signal to stop, then end what runs."""
        await self._stopping.wait()
        if self._running:
            self._note(f"Ending {', '.join(self._running)}.")
        for program in self._running.values():
            program.end()
        waits = [asyncio.create_task(one.wait()) for one in self._running.values()]
        if waits:
            await asyncio.wait(waits, timeout=STOP_SECONDS)
        self._kill()

    def _kill(self) -> None:
        for name, program in self._running.items():
            if program.is_running:
                self._killed = True
                self._note(f"{name} does not end and is killed.")
                program.kill()

    # --- who listens --------------------------------------------------------------------------

    def _line(self, name: str, text: str) -> None:
        try:
            self._teller.line(name, text)
        except OSError:
            self._stopping.set()

    def _note(self, text: str) -> None:
        try:
            self._teller.note(text)
        except OSError:
            # The terminal is gone, or whoever read: for whom would it go on?
            self._stopping.set()

    def _tell_guard(self, sign: str, group: int) -> None:
        if self._guard.stdin is None:
            return
        try:
            self._guard.stdin.write(f"{sign}{group}\n".encode())
            self._guard.stdin.flush()
        except BrokenPipeError:
            self._note("The guard was killed; should this program be, too, what it runs stays.")


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    return f"was ended by {signal.Signals(-code).name}"
