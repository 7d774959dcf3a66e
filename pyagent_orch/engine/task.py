"""The one Celery task, as clients and workers register it.

What it does is in `run.py`, which workers load before they start; clients never do.
"""

from __future__ import annotations

from typing import Any

from celery import Celery

from pyagent_orch.engine.message import RUN_TASK


def register_run_task(app: Celery) -> None:
    """Register `RUN_TASK` in an app."""
    app.task(
        _run,
        name=RUN_TASK,
        bind=True,
        # finish writes the result, in the same act as the record.
        ignore_result=True,
        Request="pyagent_orch.engine.request:RunRequest",
        # Retries are acts of ours; Celery's own count must not end them.
        max_retries=None,
    )


def _run(self: Any, *received: Any) -> Any:
    """See `run`."""
    from pyagent_orch.engine.run import run

    return run(self, *received)
