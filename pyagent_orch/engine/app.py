"""The Celery app: every setting that matters, each with its reason."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

from pyagent_orch import tracing
from pyagent_orch.config import Settings
from pyagent_orch.engine.logs import FORMAT, connect_log
from pyagent_orch.engine.runtime import Runtime
from pyagent_orch.engine.signals import connect_signals
from pyagent_orch.engine.task import register_run_task
from pyagent_orch.exceptions import ConfigurationError
from pyagent_orch.store import Address, parse_address, sentinel_options
from pyagent_orch.store.keys import Keys

TRANSPORT = "pyagent_orch.engine.transport:Transport"
SENTINEL_TRANSPORT = "pyagent_orch.engine.transport:SentinelTransport"
SOCKET_AMQP = "pyagent_orch.engine.amqp:SocketAMQP"
CONSUMER = "pyagent_orch.engine.consumer:Consumer"
BEAT = "pyagent_orch.engine.beat:JobScheduler"
SOCKET_TRANSPORT = "pyagent-orch"
"""The transport's name in URLs: of `redis+socket://` kombu takes the stock transport from
the URL's scheme, whatever `broker_transport` says, and it wants a plain word there."""
KEEPER_STEP = "pyagent_orch.engine.keeper:KeeperStep"
TASK_EVENTS_STEP = "pyagent_orch.engine.task_events:TaskEventsStep"
"""Named, not imported: a client needs nothing of a worker."""


def create_app(settings: Settings | None = None, *, address: Address | None = None) -> Celery:
    """Build the Celery app of an installation; opens no connection.

    Args:
        settings: the installation's settings; from the environment when not given.
        address: where Redis is, when `settings.redis_url` does not say so (embedded mode).

    Raises:
        ConfigurationError: neither names a Redis.
    """
    settings = settings or Settings.from_env()
    if address is None:
        if settings.redis_url is None:
            raise ConfigurationError(
                "PYAGENT_ORCH_REDIS_URL",
                "a worker, beat or client of a fleet needs the URL of its Redis, "
                "such as redis://localhost:6379/0",
            )
        address = parse_address(settings.redis_url)
    TRANSPORT_ALIASES[SOCKET_TRANSPORT] = TRANSPORT
    app = Celery(
        "pyagent_orch",
        set_as_current=False,
        amqp=SOCKET_AMQP if address.is_socket else None,
        fixups=_fixups(),
    )
    app.conf.update(_configuration(settings, address))
    register_run_task(app)
    app.pyagent_orch = Runtime(app, settings, address)
    app.steps["worker"].add(KEEPER_STEP)
    app.steps["consumer"].add(TASK_EVENTS_STEP)
    connect_signals(app)
    connect_log(app)
    if settings.traces:
        tracing.enable()
    return app


def _fixups() -> list[str] | None:
    """Celery's own, which do nothing outside of Django but load the whole worker."""
    return None if "DJANGO_SETTINGS_MODULE" in os.environ else []


def _sentinel_options(address: Address, settings: Settings) -> dict[str, Any]:
    """What kombu and Celery's backend want to know beside the URL; empty without Sentinel."""
    if address.master is None:
        return {}
    login = sentinel_options(
        address,
        connect_timeout=settings.connect_timeout_seconds,
        socket_timeout=settings.socket_timeout_seconds,
    )
    return {"master_name": address.master, "sentinel_kwargs": login}


def _configuration(settings: Settings, address: Address) -> dict[str, Any]:
    keys = Keys(settings.namespace)
    # A socket file has no network to keep alive, and redis-py refuses to be told.
    keep_alive = {} if address.is_socket else {"socket_keepalive": True}
    sockets = {
        # Without these a call on a frozen Redis hangs for ever.
        "socket_timeout": settings.socket_timeout_seconds,
        "socket_connect_timeout": settings.connect_timeout_seconds,
        **keep_alive,
    }
    # A copy for each: Celery's backend puts its own words into it.
    tls = dict(address.tls) if address.tls is not None else None
    sentinel = _sentinel_options(address, settings)
    return {
        "broker_url": address.broker_url.replace(
            "redis+socket://", f"{SOCKET_TRANSPORT}+socket://", 1
        ),
        "broker_transport": SENTINEL_TRANSPORT if sentinel else TRANSPORT,
        **({"broker_use_ssl": tls, "redis_backend_use_ssl": tls} if tls else {}),
        "result_backend": address.broker_url,
        "broker_transport_options": {
            # The record is the truth and a message is a hint: safety does not rest on
            # kombu's emulation of acknowledgements, which loses messages on kill -9, runs
            # again what takes longer than its time-out, and costs two thirds of the throughput.
            "ack_emulation": False,
            # One list for each priority; the default's four steps make 3, 4 and 5 one.
            "priority_steps": list(range(10)),
            "global_keyprefix": keys.celery_prefix,
            "rejected_key": keys.rejected,
            "bells": keys.bells,
            **sockets,
            **sentinel,
        },
        "result_backend_transport_options": {
            "global_keyprefix": keys.celery_prefix,
            "retry_policy": {"timeout": 5.0},
            **sentinel,
        },
        "redis_socket_timeout": settings.socket_timeout_seconds,
        "redis_socket_connect_timeout": settings.connect_timeout_seconds,
        "redis_socket_keepalive": bool(keep_alive),
        # One backend for all threads: each of its own would keep a connection, and results of
        # a canvas that subscribe to their keys.
        "result_backend_thread_safe": True,
        # Celery's results live as long as our records do.
        "result_expires": settings.record_ttl_seconds,
        # Nothing executable is in a message.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": settings.queue,
        "task_default_exchange": settings.queue,
        "task_default_routing_key": settings.queue,
        # No more messages than the pool can run: what waits in a worker's memory knows
        # no priority, and has to be given back when the worker goes. What our transport takes
        # ahead while tasks are short is its own business (engine/ahead.py).
        "worker_prefetch_multiplier": 1,
        "task_acks_late": True,
        # The record decides about a second run, not the transport.
        "task_reject_on_worker_lost": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # A worker that starts before its Redis, or outlives it, goes on trying.
        "broker_connection_retry_on_startup": True,
        "broker_connection_retry": True,
        "broker_connection_max_retries": None,
        # Task events cost 40 % of the throughput: off until Flower asks (see task_events).
        "worker_send_task_events": settings.task_events,
        "task_send_sent_event": False,
        # Nobody limits rates per worker here, and without this each task asks.
        "worker_disable_rate_limits": True,
        "enable_utc": True,
        "timezone": "UTC",
        # The acts write results; Celery's own write would be a second one.
        "task_ignore_result": False,
        "task_store_errors_even_if_ignored": False,
        "worker_consumer": CONSUMER,
        "worker_hijack_root_logger": True,
        "worker_log_format": FORMAT,
        "worker_task_log_format": FORMAT,
        # An agent's prints are its own business.
        "worker_redirect_stdouts": False,
        "worker_proc_alive_timeout": 30.0,
        "beat_scheduler": BEAT,
        # A new job takes effect after so long at the most; Celery's default is five minutes.
        "beat_max_loop_interval": 1,
    }
