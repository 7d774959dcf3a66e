"""Celery's signals, republished as events of the namespace.

What an act already tells (started, completed, failed, retried, cancelled,
worker online, offline and lost) is not told twice. Of the rest, those that
Celery sends for each task are published only when the settings say `all`: each
costs a round trip.

Celery drops receivers that are closures and swallows their errors: so each is
connected with `weak=False` and a `dispatch_uid`, and an error in one is counted
and logged here.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.signals import Signal

from pyagent_orch import tracing
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.models.values import JSONValue

logger = logging.getLogger(__name__)

failures: Counter[str] = Counter()
"""How often a receiver failed, by event type; for metrics and tests."""

CTRL_C_SECONDS = 6.0
"""How long a worker at a terminal waits for its agents after Ctrl-C."""

Details = Callable[[dict[str, Any]], tuple[str, dict[str, JSONValue]]]
"""Takes a signal's arguments; gives the subject's id and the event's data."""


def _request(args: dict[str, Any]) -> tuple[str, dict[str, JSONValue]]:
    request = args["request"]
    return str(request.id), {"name": str(getattr(request, "name", "")) or None}


def _revoked(args: dict[str, Any]) -> tuple[str, dict[str, JSONValue]]:
    subject, data = _request(args)
    return subject, {
        **data,
        "terminated": bool(args["terminated"]),
        "expired": bool(args["expired"]),
    }


def _rejected(args: dict[str, Any]) -> tuple[str, dict[str, JSONValue]]:
    headers = getattr(args["message"], "headers", None) or {}
    return str(headers.get("id", "")), {"error": str(args.get("exc") or "")}


def _unknown(args: dict[str, Any]) -> tuple[str, dict[str, JSONValue]]:
    return str(args["id"]), {"name": str(args["name"]), "error": str(args["exc"])}


def _task(args: dict[str, Any]) -> tuple[str, dict[str, JSONValue]]:
    return str(args["task_id"]), {"name": str(args["sender"].request.shadow or args["sender"].name)}


def _nobody(_: dict[str, Any]) -> tuple[str, dict[str, JSONValue]]:
    return "", {}


RARE: dict[str, tuple[Signal, Details]] = {
    "task.revoked": (signals.task_revoked, _revoked),
    "task.rejected": (signals.task_rejected, _rejected),
    "task.unknown": (signals.task_unknown, _unknown),
    "beat.started": (signals.beat_init, _nobody),
}
PER_TASK: dict[str, tuple[Signal, Details]] = {
    "task.received": (signals.task_received, _request),
    "task.prerun": (signals.task_prerun, _task),
    "task.postrun": (signals.task_postrun, _task),
}


def connect_signals(app: Celery) -> None:
    """Connect the receivers of an app."""
    wanted = {
        "none": {},
        "rare": RARE,
        "all": RARE | PER_TASK,
    }[runtime_of(app).settings.signals]
    for event_type, (signal, details) in wanted.items():
        signal.connect(
            _republisher(app, event_type, details),
            weak=False,
            dispatch_uid=f"pyagent_orch:{id(app)}:{event_type}",
        )
    # Sent by Celery's handler of stop signals: a second one in the middle of the first would
    # wait for ever for a lock that its own thread holds.
    signals.worker_shutting_down.lock = threading.RLock()
    signals.worker_shutting_down.connect(
        _drainer(app), weak=False, dispatch_uid=f"pyagent_orch:{id(app)}:drain"
    )
    signals.worker_init.connect(_quiet_start, weak=False, dispatch_uid="pyagent_orch:worker_init")
    signals.worker_shutdown.connect(
        _on_shutdown, weak=False, dispatch_uid="pyagent_orch:worker_shutdown"
    )
    for ending in (signals.worker_process_shutdown, signals.worker_shutdown):
        ending.connect(_flush_spans, weak=False, dispatch_uid="pyagent_orch:spans")


def _republisher(app: Celery, event_type: str, details: Details) -> Callable[..., None]:
    def republish(**args: Any) -> None:
        if not _concerns(app, args):
            return
        try:
            subject, data = details(args)
            runtime_of(app).store.events.append(event_type, subject, data)
        except Exception:
            failures[event_type] += 1
            logger.exception("Could not publish %s (failure %d)", event_type, failures[event_type])

    return republish


def _concerns(app: Celery, args: dict[str, Any]) -> bool:
    """Whether a signal comes from this app: signals are global to a process."""
    sender = args.get("sender")
    found = getattr(sender, "app", None)
    return found is None or found is app


def _quiet_start(sender: Any = None, **_: Any) -> None:
    """Switch gossip and mingle off, and put our thread pool in the place of Celery's.

    With gossip or mingle, a kill -9 of Redis crashed the worker 6 of 6 times
    (kombu: an acknowledgement on a closed channel), without them 0 of 4.
    """
    if sender is not None and hasattr(sender.app, "pyagent_orch"):
        sender.options["without_gossip"] = True
        sender.options["without_mingle"] = True
        if "concurrency.thread:" in _path_of(sender.pool_cls):
            # Celery's own joins its threads at exit, however long their agents run.
            sender.pool_cls = "pyagent_orch.engine.threads:DaemonPool"


def _path_of(pool: Any) -> str:
    if isinstance(pool, str):
        from celery.concurrency import ALIASES

        return str(ALIASES.get(pool, pool))
    return f"{pool.__module__}:{pool.__qualname__}"


def _drainer(app: Celery) -> Callable[..., None]:
    def drain(sender: Any = None, sig: str = "", how: str = "", **_: Any) -> None:
        runtime = runtime_of(app)
        if how == "Warm" and sender == runtime.worker_name and runtime.keeper is not None:
            limit = runtime.settings.stop_timeout_seconds
            runtime.keeper.drain(min(limit, CTRL_C_SECONDS) if sig == "SIGINT" else limit)

    return drain


def _flush_spans(**_: Any) -> None:
    tracing.flush()


def _on_shutdown(sender: Any = None, **_: Any) -> None:
    if sender is not None and hasattr(sender.app, "pyagent_orch"):
        # Only a worker gets here; a client must not import what a worker needs.
        from pyagent_orch.engine.keeper import stop_keeper

        stop_keeper(sender.app)
