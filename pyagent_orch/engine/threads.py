"""Celery's thread pool over daemon threads, for fleets and for the embedded mode.

A thread cannot be ended from outside. So that a worker, or a user's program, can
end all the same while an agent runs, its threads are never joined at exit.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from celery import Celery
from celery.concurrency.base import apply_target
from celery.concurrency.thread import ApplyResult
from celery.concurrency.thread import TaskPool as ThreadPool


class DaemonExecutor:
    """Threads that take calls, started when first needed, and never waited for at exit.

    `ThreadPoolExecutor` joins its threads when the interpreter ends, which held
    a program up for as long as its longest agent ran.
    """

    def __init__(self, max_workers: int, initializer: Callable[[], None]) -> None:
        self._max, self._initializer = max_workers, initializer
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], Any] | None] = (
            queue.SimpleQueue()
        )
        self._idle = threading.Semaphore(0)
        self._changed = threading.Condition()
        self._busy = 0
        self._abandoned = False
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have a thread make a call."""
        future: Future[Any] = Future()
        with self._changed:
            self._busy += 1
        self._calls.put((future, call, args))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._max:
            name = f"pyagent-worker-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def shutdown(self, *, cancel_futures: bool = False) -> None:
        """End the threads once they are idle; running calls are not waited for."""
        while cancel_futures:
            try:
                entry = self._calls.get_nowait()
            except queue.Empty:
                break
            if entry is not None:
                entry[0].cancel()
                self._ended()
        for _ in self._threads:
            self._calls.put(None)

    def drain(self) -> None:
        """Wait until no call runs, or until `abandon`."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0 or self._abandoned)

    def abandon(self) -> None:
        """Wait for nothing any more; what runs ends with the process."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def _ended(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def _work(self) -> None:
        self._initializer()
        while (entry := self._calls.get()) is not None:
            future, call, args = entry
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call(*args))
                except BaseException as error:  # noqa: BLE001 - handed to whoever holds the future
                    future.set_exception(error)
            self._idle.release()
            self._ended()


class DaemonPool(ThreadPool):  # type: ignore[misc] # Celery has no types
    """Celery's thread pool over daemon threads."""

    name = "threads"
    # True would forbid AsyncResult.get() in the whole process, the user's threads too.
    task_join_will_block = False

    def __init__(self, *args: Any, app: Celery, **kwargs: Any) -> None:
        super().__init__(*args, app=app, **kwargs)
        self.executor: Any
        self.executor.shutdown()
        # Celery finds the app by thread; making ours the default app of the
        # process would take that place from the user's own.
        self.executor = DaemonExecutor(self.limit, app.set_current)

    def on_stop(self) -> None:
        """End the threads when their agents are done, or given up by `abandon`."""
        self.executor.shutdown(cancel_futures=True)
        self.executor.drain()

    def on_terminate(self) -> None:
        """End without waiting."""
        self.abandon()

    def terminate_job(self, pid: int, signal: int | None = None) -> None:  # noqa: ARG002 - Celery's
        """Give the agents up: a thread cannot be ended, but it need not be waited for.

        Celery asks for this at a cold shutdown, before it stops the pool.
        """
        self.abandon()

    def abandon(self) -> None:
        """Wait for no agent any more."""
        self.executor.abandon()

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> ApplyResult:
        """Run a task in one of the threads."""
        return ApplyResult(
            self.executor.submit(apply_target, target, args, kwargs, callback, accept_callback)
        )

    def _get_info(self) -> dict[str, Any]:
        return {"max-concurrency": self.limit, "threads": self.limit}
