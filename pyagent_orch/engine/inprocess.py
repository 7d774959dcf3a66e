"""A real Celery worker in a thread of this process, for the embedded mode.

The same WorkController, transport, pool and task as in a fleet.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

from celery import Celery
from celery.exceptions import WorkerShutdown
from kombu.asynchronous import get_event_loop, set_event_loop

from pyagent_orch.engine.keeper import stop_keeper
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.engine.threads import DaemonPool
from pyagent_orch.engine.ticker import TickerThread

START_TIMEOUT = 10.0
"""Seconds."""
_one_at_a_time = threading.Lock()
"""For the hub, which is passed on in a global of kombu's."""


def _shut_down() -> None:
    raise WorkerShutdown(0)


class InProcessWorker:
    """A Celery worker in a daemon thread. `start`, then `stop`; not to be started again."""

    def __init__(self, app: Celery, concurrency: int) -> None:
        self._app = app
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._controller: Any = None
        self._concurrency = concurrency
        self._thread = threading.Thread(target=self._run, name="pyagent-worker", daemon=True)
        # There is no beat here.
        self._ticker = TickerThread(app)

    def start(self) -> None:
        """Start, and wait until the worker takes tasks.

        Raises:
            RuntimeError: it does not after `START_TIMEOUT` seconds.
        """
        runtime_of(self._app).prepare()
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT) or self._problem is not None:
            raise RuntimeError("The in-process worker did not start") from self._problem
        self._ticker.start()

    def _run(self) -> None:
        self._app.set_current()
        try:
            self._controller = self._made(
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

    def _made(self, **options: Any) -> Any:
        """A worker with a hub of its own: Celery's workers share the one of the process.

        There, two workers (of two namespaces) would each serve the other one's sockets.
        """
        with _one_at_a_time:
            before = get_event_loop()
            set_event_loop(None)
            try:
                return self._app.WorkController(**options)
            finally:
                set_event_loop(before)

    def stop(self, timeout: float = 5.0) -> None:
        """Stop taking tasks and give back what is held; running agents are abandoned. Idempotent.

        Args:
            timeout: seconds to wait for the worker's thread.
        """
        runtime_of(self._app).abandoned = True
        self._ticker.stop(timeout)
        # First the lease: what still runs goes back to the queue, for whoever comes next.
        stop_keeper(self._app)
        controller, self._controller = self._controller, None
        if controller is not None:
            controller.pool.abandon()
            # It stops itself, in its own thread: what its loop reads from is not ours to close.
            controller.hub.call_soon(_shut_down)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)
