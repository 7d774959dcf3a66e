"""The one background event loop of a process, and daemon threads for what cannot be awaited.

All model calls and async agents of a process share one loop: HTTP clients belong
to the loop that opened their connections, so that a loop for each thread costs
either errors or a pool of connections each. Knows no agent and no model.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

from pyagent_orch.exceptions import AgentError, TaskCancelledError, TaskTimeoutError

T = TypeVar("T")


class BackgroundLoop:
    """An event loop in a daemon thread, made once per process and kept to its end.

    Safe to use from any thread but its own. Holds what is bound to the loop, such
    as HTTP clients, in `resources`; only code on the loop touches those.
    """

    def __init__(self) -> None:
        self.resources: dict[object, Any] = {}
        self.loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._runs: dict[str, set[Future[Any]]] = {}
        self._cancelled: set[Future[Any]] = set()
        self._thread = threading.Thread(target=self._serve, name="pyagent-orch-loop", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        while True:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                # A coroutine called `sys.exit()`: whoever waits for it is told, and asyncio
                # ends the loop, which all others need.
                continue
            return

    def is_this_thread(self) -> bool:
        """Whether the calling code runs on this loop."""
        return threading.current_thread() is self._thread

    def run(
        self, work: Coroutine[Any, Any, T], *, task_id: str, agent: str, limit: float | None
    ) -> T:
        """Run a coroutine and wait for it.

        Args:
            work: the coroutine; it sees the caller's context variables.
            task_id: what `cancel` finds it by.
            agent: the agent's name, for errors.
            limit: seconds, >= 0; None waits for ever.

        Raises:
            TaskTimeoutError: it took longer; the coroutine is cancelled.
            TaskCancelledError: `cancel` was called for the task.
            AgentError: called on the loop itself, where waiting would stop everything.
        """
        if self.is_this_thread():
            work.close()
            raise AgentError(
                agent,
                "it was called like a function inside async code that runs on the agents' event "
                "loop, which would wait for itself; write `await agent.acall(...)` there",
            )
        with self._started(work, task_id) as future:
            # `wait`, since `future.result(timeout)` raises the same TimeoutError for the deadline
            # as for a timeout inside the coroutine.
            wait([future], limit)
            if not future.done():
                raise self._too_late(task_id, agent, limit)
            if future.cancelled() and not self._was_asked(future):
                raise AgentError(agent, "its coroutine cancelled itself")
            return future.result()

    async def run_from(
        self, work: Coroutine[Any, Any, T], *, task_id: str, agent: str, limit: float | None
    ) -> T:
        """Run a coroutine and await it, on this loop or another one; as `run` otherwise."""
        if self.is_this_thread():
            # Part of the run that awaits it, which is what `cancel` knows.
            return await self._in_time(work, task_id, agent, limit)
        with self._started(work, task_id) as future:
            return await self._in_time(asyncio.wrap_future(future), task_id, agent, limit)

    async def _in_time(
        self, work: Awaitable[T], task_id: str, agent: str, limit: float | None
    ) -> T:
        try:
            async with asyncio.timeout(limit) as clock:
                return await work
        except TimeoutError:
            if clock.expired():
                raise self._too_late(task_id, agent, limit) from None
            raise

    @staticmethod
    def _too_late(task_id: str, agent: str, limit: float | None) -> TaskTimeoutError:
        return TaskTimeoutError(task_id, f"agent {agent!r} did not answer within {limit:.3g} s")

    def _was_asked(self, future: Future[Any]) -> bool:
        with self._lock:
            return future in self._cancelled

    @contextmanager
    def _started(self, work: Coroutine[Any, Any, T], task_id: str) -> Iterator[Future[T]]:
        """Start a coroutine that `cancel` finds, and that ends with the block."""
        with self._lock:
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
            self._runs.setdefault(task_id, set()).add(future)
        try:
            yield future
        except (CancelledError, asyncio.CancelledError):
            if self._was_asked(future):
                raise TaskCancelledError(task_id) from None
            raise
        finally:
            # Reached on signals too (Celery's soft time limit, Ctrl-C): nothing runs on unwatched.
            future.cancel()
            with self._lock:
                self._cancelled.discard(future)
                self._runs[task_id].discard(future)
                if not self._runs[task_id]:
                    del self._runs[task_id]

    def cancel(self, task_id: str) -> bool:
        """Cancel what runs for a task; whoever waits for it is released at once.

        Returns:
            Whether anything was running for it.
        """
        with self._lock:
            futures = list(self._runs.get(task_id, ()))
            self._cancelled.update(futures)
        # Outside the lock, since cancelling runs callbacks; all of them, so no short cut.
        stopped = [future.cancel() for future in futures]
        return any(stopped)


_loops: dict[int, BackgroundLoop] = {}
_making = threading.Lock()


def background_loop() -> BackgroundLoop:
    """The loop of this process, started on first use.

    A forked child gets a loop of its own, without the parent's connections. The
    parent's stays referenced there and is never closed: closing it in the child
    would take the parent's descriptors out of the shared epoll set.
    """
    pid = os.getpid()
    loop = _loops.get(pid)
    if loop is None:
        with _making:
            loop = _loops.get(pid)
            if loop is None:
                loop = _loops[pid] = BackgroundLoop()
    return loop


def cancel_on_loop(task_id: str) -> bool:
    """Cancel what runs on this process' loop for a task, without starting a loop for it."""
    loop = _loops.get(os.getpid())
    return loop is not None and loop.cancel(task_id)


def _after_fork_in_child() -> None:
    """Give the child its own lock: another thread may have held the parent's."""
    global _making  # noqa: PLW0603 - one lock per process
    _making = threading.Lock()
    # A dead ancestor may have had this process' number.
    dead = _loops.pop(os.getpid(), None)
    if dead is not None:
        _loops[-len(_loops) - 1] = dead


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_after_fork_in_child)


def in_daemon_thread(function: Callable[[], T]) -> Future[T]:
    """Start a function in a thread of its own that does not outlive the process.

    It sees the caller's context variables. Whoever gives up waiting just leaves
    the thread behind: Python has no way to end one.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    context = copy_context()

    def work() -> None:
        try:
            result = context.run(function)
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits, whatever it is
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=work, name="pyagent-orch-call", daemon=True).start()
    return future


async def from_thread(function: Callable[[], T]) -> T:
    """Await a function that blocks, in a daemon thread; cancelling leaves the thread behind.

    Not the loop's default executor: that has a few dozen threads for all runs, and
    the process waits for them at its end.
    """
    return await asyncio.wrap_future(in_daemon_thread(function))
