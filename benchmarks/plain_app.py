"""Plain Celery, as its guide sets it up: Redis as broker and backend, results stored.

Stock settings. The environment says where the server is, as it does for a worker of ours.
"""

from __future__ import annotations

import os

from celery import Celery

from benchmarks.work import hold_until, small_result

URL = "BENCHMARK_PLAIN_URL"
"""The variable that holds the URL of the broker and the backend."""
EVERY = "BENCHMARK_PLAIN_EVERY"
"""The variable that holds how often beat sends a task; seconds."""

app = Celery("plain", broker=os.environ[URL], backend=os.environ[URL], set_as_current=False)


@app.task(name="plain.noop")  # type: ignore[untyped-decorator] # Celery has no types
def noop(text: str) -> dict[str, int]:
    """Do nothing, and say so."""
    return small_result(text)


@app.task(name="plain.hold")  # type: ignore[untyped-decorator] # Celery has no types
def hold(gate: str) -> None:
    """Keep a worker's slot busy until the gate opens."""
    hold_until(gate)


if EVERY in os.environ:
    app.conf.beat_schedule = {
        "noop": {"task": "plain.noop", "schedule": float(os.environ[EVERY]), "args": ["x"]}
    }
