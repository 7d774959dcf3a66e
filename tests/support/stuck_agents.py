"""Agents of a worker whose loop hangs in the receiver of a signal, while a file is there."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import signals

from support.fleet_agents import echo

__all__ = ["echo"]


@signals.task_received.connect(weak=False)
def hang(**_: object) -> None:
    stuck = Path(os.environ["STUCK"])
    while stuck.exists():
        time.sleep(0.05)
