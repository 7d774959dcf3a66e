"""A plain Celery app of somebody else's, with tasks of its own, on the Redis of a test.

Its worker: `celery -A support.plain_app worker -Q plain`. It knows nothing of us.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

app = Celery("plain", set_as_current=False)
app.conf.update(
    broker_url=os.environ.get("PLAIN_URL", "memory://"),
    result_backend=os.environ.get("PLAIN_URL", "cache+memory://"),
    # So that each test is alone on the server; an installation has no prefix.
    broker_transport_options={"global_keyprefix": os.environ.get("PLAIN_PREFIX", "")},
    result_backend_transport_options={"global_keyprefix": os.environ.get("PLAIN_PREFIX", "")},
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task
def begin(text: str) -> str:
    return f"{text} begun"


@app.task
def end(value: Any) -> dict[str, Any]:
    return {"ended with": value}


@app.task
def note(task_id: str) -> None:
    """An error callback: writes down whose failure it hears of."""
    app.backend.client.rpush(f"{os.environ['PLAIN_PREFIX']}noted", task_id)
