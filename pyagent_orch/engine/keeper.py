"""The keeper: a thread in each worker that renews its lease and puts things right.

One act every heartbeat. It holds the worker's lease, pushes delayed tasks that
are due, finds work of dead workers (the act does that for the whole fleet),
stops runs that were cancelled, and gives back runs whose pool process died.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from celery import Celery, bootsteps
from celery.worker import state as worker_state

from pyagent_orch.agents import cancel_run
from pyagent_orch.engine import run as _run  # noqa: F401 - loaded before a pool forks
from pyagent_orch.engine.ahead import Ahead
from pyagent_orch.engine.attempts import end_attempt
from pyagent_orch.engine.describe import describe_worker, pool_name
from pyagent_orch.engine.missing import Missing
from pyagent_orch.engine.runtime import Runtime, runtime_of
from pyagent_orch.exceptions import LayoutError, TaskTimeoutError
from pyagent_orch.models.values import to_json
from pyagent_orch.store import RedisError, Store, read_acts

logger = logging.getLogger(__name__)

MAINTAIN_SECONDS = 0.3
"""How often a prefork pool replaces processes that ended."""
TURN_SECONDS = 0.5
"""How often the loop that takes messages says that it came round."""
STALLED_LEASES = 3
"""A loop that has not come round for so many leases hangs."""
STOP_TIMEOUT = 5.0
"""Seconds that a stop waits for the last act."""


class Keeper:
    """Keeps one worker's lease from `start` to `stop`.

    Args:
        runtime: the engine's state of the worker's app.
        pool: Celery's pool of the worker.
        info: what the worker says of itself.
    """

    def __init__(self, runtime: Runtime, pool: Any, info: dict[str, Any]) -> None:
        self._runtime, self._pool = runtime, pool
        self._about, self._info = info, to_json(info)
        self._turned: float | None = None
        self._stalled = False
        self._stopping = threading.Event()
        self._orphans, self._strays = Missing(), Missing()
        self._timed_out: dict[str, float] = {}
        self._drained_at: float | None = None
        self.has_handed_back = False
        """Whether what still ran went back to its queues, and its processes were ended."""
        self._thread = threading.Thread(target=self._keep, name="pyagent-keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the lease and give back what the worker holds. Idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT)

    def drain(self, seconds: float) -> None:
        """Hand back what still runs after so many seconds; from any thread.

        Safe in a signal handler: it takes no lock, which the interrupted code might
        hold. The thread sees it at its next heartbeat.
        """
        self._drained_at = time.monotonic() + seconds
        if self._runtime.taker is not None:
            self._runtime.taker.ahead.closed = True

    def note_turn(self) -> None:
        """Remember that the loop that takes messages came round; called by that loop.

        This thread goes on when that one hangs, and must not hide it from health checks.
        """
        self._turned = time.monotonic()

    def note_time_limit(self, task_id: str, timeout: float) -> None:
        """Remember that Celery's hard time limit ended this task's process; from any thread."""
        self._timed_out[task_id] = timeout

    # --- the thread -----------------------------------------------------------------

    def _keep(self) -> None:
        interval = self._runtime.settings.heartbeat_seconds
        # A store of its own: the pool forks while this thread holds connections.
        store = self._runtime.new_store()
        wait, away = 0.0, False
        try:
            while True:
                if self._stopping.wait(self._until_drained(wait)):
                    break
                try:
                    if self._until_drained(1.0) == 0.0:
                        self._hand_back(store)
                        return
                    # 0: more is due than one heartbeat pushes.
                    due = self._beat(store)
                    wait = interval if due is None else min(interval, due)
                    if away:
                        logger.warning("Redis is back; the lease is renewed")
                    away = False
                except (RedisError, OSError) as error:
                    if not away:
                        logger.warning("Heartbeat failed, trying on: %s", error)
                    away, wait = True, interval
                    # The loop waits for Redis as well, and has its time again afterwards.
                    self._turned = self._turned and time.monotonic()
                except LayoutError as error:
                    logger.critical("The worker stops: %s", error)
                    worker_state.should_stop = os.EX_CONFIG
                    break
                except Exception:
                    # One record that cannot be read must not cost the worker its lease.
                    logger.exception("Heartbeat failed in %s, trying on", self._runtime.lease_id)
                    wait = interval
            self._leave(store)
        finally:
            store.close()

    def _until_drained(self, wait: float) -> float:
        if self._drained_at is None:
            return wait
        return max(0.0, min(wait, self._drained_at - time.monotonic()))

    def _hand_back(self, store: Store) -> None:
        """The time to stop is over: processes end, then the queues get back what they ran."""
        self.has_handed_back = True
        for request in _active_requests():
            pid = getattr(request, "worker_pid", None)
            if pid and pid != os.getpid():
                self._pool.terminate_job(pid, signal.SIGKILL)
        if hasattr(self._pool, "abandon"):
            self._pool.abandon()
        # Not before: another worker would run what a process here has not been stopped in.
        self._leave(store)

    def _beat(self, store: Store) -> float | None:
        runtime = self._runtime
        here = self._ids_in_hand()
        info = self._told()
        pulse = store.fleet.heartbeat(runtime.lease_id, runtime.worker_name, info, here)
        for task_id in pulse.cancelled:
            self._stop_run(task_id)
        taker = runtime.taker
        if taker is not None:
            self._give_back_ahead(store, taker.ahead)
        # Before a look at what is here: what is answered by now is seen then.
        answered = taker.answered if taker is not None else 0
        gone = set(pulse.running) - set(here) - set(self._ids_in_hand())
        self._give_up_orphans(store, self._orphans.believed(gone, taker, answered))
        if taker is not None:
            never_came = set(pulse.holding) - taker.known()
            for tag in self._strays.believed(never_came, taker, answered):
                # The answer that brought it was lost.
                taker.give_back(tag)
        return pulse.next_due

    def _told(self) -> str:
        """What the worker says of itself; also that its loop hangs, where it does."""
        # A worker that stops takes no more messages.
        if self._turned is None or self._drained_at is not None:
            return self._info
        stalled = time.monotonic() - self._turned
        if stalled < STALLED_LEASES * self._runtime.settings.lease_seconds:
            self._stalled = False
            return self._info
        if not self._stalled:
            logger.error("The loop that takes messages has not come round for %.0f s", stalled)
        self._stalled = True
        return to_json({**self._about, "stalled_seconds": round(stalled)})

    def _ids_in_hand(self) -> list[str]:
        """Ids of the messages that this worker has taken and not dealt with."""
        taker = self._runtime.taker
        # These first: what leaves them meanwhile is among the others then.
        ahead = taker.ahead.ids() if taker is not None else []
        # After a lost connection Celery forgets what it had taken and not started, though its
        # pool still starts it: that is held, too.
        return list({*ahead, *_copied(worker_state.requests), *(r.id for r in _active_requests())})

    def _give_back_ahead(self, store: Store, ahead: Ahead) -> None:
        """Give back what has waited too long for a slot, behind tasks that were thought short."""
        runtime = self._runtime
        for one in ahead.overdue():
            request = ahead.remove(one.id)
            if request is None:
                continue
            ahead.note_slow()
            run, lease, name = str(one.taken.wire[0]), runtime.lease_id, runtime.worker_name
            try:
                store.runs.release(one.id, run, lease, name, lost=False)
            except (RedisError, OSError):
                ahead.add(request)
                raise
            request.acknowledge()

    def _leave(self, store: Store) -> None:
        runtime = self._runtime
        try:
            if runtime.taker is not None:
                runtime.taker.ahead.clear()
                # What is done must not be given back.
                runtime.taker.settle(store)
            given_back = store.fleet.leave(
                runtime.lease_id, runtime.worker_name, self._ids_in_hand()
            )
            if given_back:
                logger.warning("Stopped with %d tasks running; they went back", given_back)
        except (RedisError, OSError) as error:
            logger.warning("Could not end the lease (%s); it runs out by itself", error)

    def _stop_run(self, task_id: str) -> None:
        taker = self._runtime.taker
        waiting = taker.ahead.remove(task_id) if taker is not None else None
        if waiting is not None:
            waiting.acknowledge()
            return
        if cancel_run(task_id):
            return
        request = worker_state.requests.get(task_id)
        pid = getattr(request, "worker_pid", None)
        if request in worker_state.active_requests and pid and pid != os.getpid():
            self._pool.terminate_job(pid)

    def _give_up_orphans(self, store: Store, orphans: set[str]) -> None:
        """Give back what the record says we run and we do not: its pool process died."""
        runtime = self._runtime
        for task_id in orphans:
            timeout = self._timed_out.pop(task_id, None)
            if timeout is None:
                # What never came here is nobody's fault: the answer that brought it was lost.
                lost = runtime.taker is None or task_id in runtime.taker.brought
                if lost:
                    logger.warning("The process that ran task %s died", task_id)
                store.runs.release(task_id, "", runtime.lease_id, runtime.worker_name, lost=lost)
            elif (claim := store.records.running_claim(task_id)) is not None:
                error = TaskTimeoutError(task_id, f"its process was ended after {timeout} s")
                end_attempt(runtime, store.runs, claim, error)


def _active_requests() -> list[Any]:
    return _copied(worker_state.active_requests)


def _copied(changing: Iterable[Any]) -> list[Any]:
    """A copy of what other threads change."""
    while True:
        try:
            return list(changing)
        except RuntimeError:
            # One of them did while it was read; nothing to wait for.
            continue


class KeeperStep(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """Runs the keeper while the worker runs (a Celery bootstep).

    It outlasts the step's own stop: a warm shutdown waits for running tasks
    after that, and they need their lease until `worker_shutdown` (see signals).
    """

    # Behind all that forks at the start: its thread may hold a lock just then.
    requires = ("celery.worker.components:Pool", "celery.worker.components:Beat")

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        runtime = runtime_of(worker.app)
        runtime.prepare()
        read_acts()
        runtime.warn_if_exposed()
        runtime.worker_name = worker.hostname
        runtime.lease_id = f"{worker.hostname}:{uuid4().hex[:12]}"
        runtime.interruptible = pool_name(worker) == "prefork"

    def start(self, worker: Any) -> None:
        """Start the keeper; the pool exists by now."""
        runtime = runtime_of(worker.app)
        runtime.keeper = Keeper(runtime, worker.pool, describe_worker(worker))
        runtime.keeper.start()

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Watch the loop, and have the pool look for ended processes far more often than Celery.

        Celery looks when a process closes its end of a pipe, at which moment the kernel
        does not yet call it ended, and then not for five seconds: so long a slot stayed
        empty after each cancel (measured, 3 of 3).
        """
        keeper = runtime_of(worker.app).keeper
        # A pool without threads or processes runs its tasks in that very loop.
        if keeper is not None and pool_name(worker) != "solo":
            keeper.note_turn()
            hub.call_repeatedly(TURN_SECONDS, keeper.note_turn)
        if hasattr(worker.pool, "maintain_pool"):
            hub.call_repeatedly(MAINTAIN_SECONDS, worker.pool.maintain_pool)

    def terminate(self, worker: Any) -> None:
        """Cold shutdown: hand everything back before the pool is torn down."""
        stop_keeper(worker.app)


def stop_keeper(app: Celery) -> None:
    """Stop the app's keeper, if it has one."""
    runtime = runtime_of(app)
    keeper, runtime.keeper = runtime.keeper, None
    if keeper is not None:
        keeper.stop()
