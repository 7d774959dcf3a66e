"""Workers that live for a moment: a program that forks one after the other and kills each.

`python -m support.short_lives KIND KILLS`. Forked from a process that has imported all, a worker
takes messages a tenth of a second after its birth; SIGKILL comes while it does. KIND says whose
transport it has: `ours` runs `create_app`'s worker, `kombu` a plain Celery one, both late
acknowledging. Ends well when it has taken so many lives.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from typing import Any

from celery import Celery

URL, NAMESPACE = "SHORT_URL", "SHORT_NAMESPACE"
QUEUE = "short"
READY_SECONDS = 20.0
LONGEST_LIFE = 0.08
"""Seconds that a worker takes messages for, at the most."""
VISIBILITY = 3.0
"""Seconds; as low as kombu's own healing allows to be tested with."""


def plain_app() -> Celery:
    """A plain Celery app on kombu's own transport, set to lose as little as it can."""
    prefix = f"{os.environ[NAMESPACE]}:"
    app = Celery("short", set_as_current=False)
    app.conf.update(
        broker_url=os.environ[URL],
        result_backend=os.environ[URL],
        broker_transport_options={
            "global_keyprefix": prefix,
            "visibility_timeout": VISIBILITY,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            # Else a worker that dies with it stops all restoring for five minutes.
            "unacked_mutex_expire": 1,
        },
        result_backend_transport_options={"global_keyprefix": prefix},
        task_acks_late=True,
        task_default_queue=QUEUE,
        broker_connection_retry_on_startup=True,
    )
    add_task(app)
    return app


def our_app() -> Celery:
    """The app of our workers, with a plain Celery task beside ours."""
    from pyagent_orch import Settings, create_app
    from support import fleet_agents  # noqa: F401 - registers agents

    settings = Settings(
        redis_url=os.environ[URL],
        namespace=os.environ[NAMESPACE],
        queue=QUEUE,
        lease_seconds=1.0,
        heartbeat_seconds=0.2,
        max_worker_losses=1_000,
    )
    app = create_app(settings)
    add_task(app)
    return app


def add_task(app: Celery) -> None:
    """Register a plain Celery task that does nothing."""

    @app.task(name="short.noop", shared=False)
    def noop(number: int) -> int:
        return number


APPS = {"ours": our_app, "kombu": plain_app}


def live(app: Celery, ready: int) -> None:
    """Be a worker until somebody kills this process, or SIGTERM comes."""
    # Threads of Celery's own pool find their app by this.
    app.set_default()
    worker: Any = app.WorkController(
        hostname=f"short-{os.getpid()}@here",
        pool_cls="threads",
        concurrency=4,
        ready_callback=lambda _: os.write(ready, b"r"),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    worker.start()


def birth(app: Celery) -> int:
    """Fork a worker, and wait until it takes messages; returns its process."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            live(app, writer)
        finally:
            os._exit(1)
    os.close(writer)
    if os.read(reader, 1) != b"r":
        raise RuntimeError("a worker did not start")
    os.close(reader)
    return pid


def main(kind: str, kills: int) -> None:
    """Kill so many workers, each while it takes messages."""
    app = APPS[kind]()
    app.finalize()
    for _ in range(kills):
        pid = birth(app)
        signal.sigtimedwait([], random.uniform(0, LONGEST_LIFE))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
