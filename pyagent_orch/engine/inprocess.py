"""A real Celery worker in a thread of this process, for the embedded mode.

The same WorkController, transport and task as in a fleet; only the pool's
threads are daemons, so that a program can end while an agent still runs.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from celery import Celery
from celery.concurrency.base import apply_target
from celery.concurrency.thread import ApplyResult
from celery.concurrency.thread import TaskPool as ThreadPool

from pyagent_orch.engine.keeper import stop_keeper
from pyagent_orch.engine.runtime import runtime_of

START_TIMEOUT = 10.0
"""Seconds."""


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
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """Have a thread make a call."""
        future: Future[Any] = Future()
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
        for _ in self._threads:
            self._calls.put(None)

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
        """End the threads without waiting for agents that run."""
        self.executor.shutdown(cancel_futures=True)

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


class InProcessWorker:
    """A Celery worker in a daemon thread. `start`, then `stop`; not to be started again."""

    def __init__(self, app: Celery, concurrency: int) -> None:
        self._app = app
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._controller: Any = None
        self._concurrency = concurrency
        self._thread = threading.Thread(target=self._run, name="pyagent-worker", daemon=True)

    def start(self) -> None:
        """Start, and wait until the worker takes tasks.

        Raises:
            RuntimeError: it does not after `START_TIMEOUT` seconds.
        """
        runtime_of(self._app).prepare()
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT) or self._problem is not None:
            raise RuntimeError("The in-process worker did not start") from self._problem

    def _run(self) -> None:
        self._app.set_current()
        try:
            self._controller = self._app.WorkController(
                hostname=f"embedded-{os.getpid()}@{socket.gethostname()}",
                pool_cls=DaemonPool,
                concurrency=self._concurrency,
                ready_callback=lambda _: self._ready.set(),
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
                task_events=False,
                optimization="fair",
            )
            self._controller.start()
        except BaseException as error:  # noqa: BLE001 - raised again by start()
            self._problem = error
        finally:
            self._ready.set()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop taking tasks and give back what is held; running agents are abandoned. Idempotent.

        Args:
            timeout: seconds to wait for the worker's thread.
        """
        # First the lease: what still runs goes back to the queue, for whoever comes next.
        stop_keeper(self._app)
        controller, self._controller = self._controller, None
        if controller is not None:
            controller.stop()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)
