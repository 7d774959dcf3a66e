"""The short way of a claimed task through Celery: the same stations, without what nobody looks at.

Celery makes a message, a request of all its headers and a traced call of each task. Of
a claimed one the record has said it all, so the worker hands it to Celery's pool by a
request that is completed only when more is asked of it (remote control, a time limit).
Whatever ends in anything but an output, and every task while somebody listens to what
lies in between (Celery's signals, task events, traces), goes Celery's own way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import monotonic, time
from typing import Any
from weakref import ref

from celery import current_app, signals
from celery._state import _task_stack
from celery.app import trace
from celery.app.task import Context
from celery.exceptions import TaskRevokedError
from celery.utils.saferepr import saferepr
from celery.worker import state

from pyagent_orch import tracing
from pyagent_orch.engine.ahead import Ahead
from pyagent_orch.engine.faults import fault_point
from pyagent_orch.engine.message import RUN_TASK
from pyagent_orch.engine.request import RunRequest
from pyagent_orch.engine.run import ENDED, run_claim
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.store import TakenTask, delivery_limits
from pyagent_orch.store.runs import Claim

ALL = 1_000_000
"""Slots of a pool that is not limited."""
_received = logging.getLogger("celery.worker.strategy")
"""Celery's own, whose two lines about each task are written here, too."""


def _is_watched() -> bool:
    """Whether somebody listens to the stations of a task that ends well."""
    return bool(
        signals.task_prerun.receivers
        or signals.task_postrun.receivers
        or signals.task_success.receivers
        or tracing.is_enabled()
    )


class ShortWay:
    """Hands claimed tasks to a worker's pool; one for each connection of its consumer.

    Belongs to the thread of the worker's event loop, but for `fill`.

    Args:
        consumer: Celery's consumer of the worker.
        channel: what the tasks are taken with.
        ahead: where those wait for which no slot is free.
    """

    def __init__(self, consumer: Any, channel: Any, ahead: Ahead) -> None:
        self.consumer, self.channel, self.ahead = consumer, channel, ahead
        self.app = consumer.app
        self.task = self.app.tasks[RUN_TASK]

    def is_open(self) -> bool:
        """Whether nobody would miss what is left out."""
        consumer = self.consumer
        events = consumer.event_dispatcher
        return not (
            (events and events.enabled and (not events.groups or "task" in events.groups))
            or signals.task_received.receivers
            or consumer.on_task_message
            or _is_watched()
            or state.revoked_stamps
            # After a connection was lost, Celery counts acknowledgements up to the full prefetch.
            or not consumer._maximum_prefetch_restored  # noqa: SLF001 - Celery has no name for it
        )

    def send(self, tasks: Sequence[TakenTask]) -> None:
        """Hand tasks to the pool; those for which no slot is free wait until one is."""
        qos, ahead = self.channel.qos, self.ahead
        told = _received.isEnabledFor(logging.INFO)
        for taken in tasks:
            request = ClaimedRequest(taken, self)
            if told:
                about = {**_about(taken), "eta": None}
                _received.info(trace.LOG_RECEIVED, about, extra={"data": about})
            qos.append(taken, request.tag)
            ahead.add(request)
        self.fill()

    def fill(self) -> None:
        """Have those that wait take the slots that are free; from any thread."""
        qos, ahead = self.channel.qos, self.ahead
        while qos.in_hand() - len(ahead) < (qos.prefetch_count or ALL):
            request = ahead.next()
            if request is None:
                return
            self.consumer.on_task_request(request)


class ClaimedRequest(RunRequest):
    """The request of a claimed task; what Celery seldom asks for is made when it is.

    Args:
        taken: the task.
        way: what hands it over.
    """

    def __init__(self, taken: TakenTask, way: ShortWay) -> None:
        self.taken, self._way = taken, way
        self.id, self.tag = taken.id, taken.tag
        self.name = taken.name or RUN_TASK
        self._task, self._app, self._eventer = way.task, way.app, way.consumer.event_dispatcher
        if taken.timeout:
            self.time_limits = delivery_limits(taken.timeout)

    def __getattr__(self, name: str) -> Any:
        """Complete the request: something is asked for that is not there yet."""
        if name.startswith("__") or "_message" in self.__dict__:
            raise AttributeError(name)
        way, taken = self._way, self.taken
        channel = way.channel
        envelope = runtime_of(way.app).envelopes.fill(taken)
        super().__init__(
            channel.Message(envelope, channel=channel),
            app=way.app,
            task=way.task,
            hostname=way.consumer.hostname,
            eventer=self._eventer,
            connection_errors=way.consumer.connection_errors,
            on_reject=self._let_go,
        )
        return getattr(self, name)

    def reserve(self) -> None:
        """Note that it is among what the worker has."""
        state.task_reserved(self)

    def _let_go(self, *_: Any) -> None:
        """A slot is free; the record says what becomes of the task."""
        self._way.channel.let_go(self.tag)

    def acknowledge(self) -> None:
        """The run is over, however; its record is written. Or it waited, and has gone back."""
        if not self.acknowledged:
            self.acknowledged = True
            if self.time_start is not None:
                self._way.ahead.note(time() - self.time_start)
            self._let_go()

    def execute_using_pool(self, pool: Any, **_: Any) -> Any:
        """Have the pool run it.

        Raises:
            TaskRevokedError: it was revoked meanwhile.
        """
        if self.id in state.revoked and self.revoked():
            raise TaskRevokedError(self.id)
        taken, task = self.taken, self._task
        hard, soft = self.time_limits
        result = pool.apply_async(
            run_claimed,
            args=(taken.queue, taken.id, taken.wire, taken.preview),
            accept_callback=self.on_accepted,
            timeout_callback=self.on_timeout,
            callback=self.on_success,
            error_callback=self.on_failure,
            soft_timeout=soft or task.soft_time_limit,
            timeout=hard or task.time_limit,
            correlation_id=taken.id,
        )
        # Not every pool has one.
        self._apply_result = result and ref(result)
        return result

    def on_success(self, failed__retval__runtime: tuple[Any, Any, Any], **options: Any) -> Any:
        """The run is over, with an output or without."""
        failed, output, seconds = failed__retval__runtime
        if failed:
            return super().on_success(failed__retval__runtime, **options)
        state.task_ready(self)
        self.acknowledge()
        # Whoever began to listen while it ran.
        self.send_event("task-succeeded", result=output, runtime=seconds)
        return None


def run_claimed(queue: str, task_id: str, wire: list[Any], preview: str) -> tuple[int, Any, float]:
    """Run a claimed task, in the pool: in the place of Celery's traced call.

    Args:
        queue: where its message stood.
        task_id: the task.
        wire: the claim, as `TakenTask.wire`.
        preview: as `TakenTask.preview`.

    Returns:
        As Celery's: whether it has no output, what it ended in, seconds.
    """
    fault_point("before_claim")
    app = current_app._get_current_object()  # noqa: SLF001 - as Celery's own
    taken = TakenTask(queue, task_id, wire, preview)
    if _is_watched():
        return _traced(app, taken)
    task, began = app.tasks[RUN_TASK], monotonic()
    # What code that an agent calls may look at: its current task, and that one's id.
    request = Context.__new__(Context)
    request.id = request.root_id = request.correlation_id = task_id
    request.shadow, request.called_directly = taken.name, False
    _task_stack.push(task)
    task.request_stack.push(request)
    try:
        output = run_claim(task, request, runtime_of(app), Claim.of(task_id, wire))
    except Exception as error:  # noqa: BLE001 - handed to Celery
        ended = error
    else:
        seconds = monotonic() - began
        if trace.logger.isEnabledFor(logging.INFO):
            shown = saferepr(output, task.resultrepr_maxsize)
            about = {**_about(taken), "return_value": shown, "runtime": seconds}
            trace.info(trace.LOG_SUCCESS, about)
        return 0, None, seconds
    finally:
        task.request_stack.pop()
        _task_stack.pop()
    try:
        return _traced(app, taken, ended)
    finally:
        # It knows this frame, which knows it.
        del ended


def _about(taken: TakenTask) -> dict[str, Any]:
    """What Celery's log says of a task."""
    name = taken.name or RUN_TASK
    return {"id": taken.id, "name": name, "args": taken.shown, "kwargs": ""}


def _traced(app: Any, taken: TakenTask, ended: Exception | None = None) -> tuple[int, Any, float]:
    """Celery's own way: run it, or tell how it has ended already."""
    envelope = runtime_of(app).envelopes.fill(taken)
    properties = envelope["properties"]
    request = {
        **envelope["headers"],
        "properties": properties,
        "reply_to": None,
        "correlation_id": taken.id,
        "delivery_info": {
            **properties["delivery_info"],
            "priority": properties["priority"],
            "redelivered": False,
        },
    }
    if ended is not None:
        request[ENDED] = ended
    found: tuple[int, Any, float] = trace.trace_task_ret(
        RUN_TASK, taken.id, request, envelope["body"], None, None, app=app
    )
    return found
