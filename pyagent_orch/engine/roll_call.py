"""Who answers Celery's remote control, and which queues each of them serves.

The leases tell of our workers only, and their threads renew them even when the
rest of the worker hangs; remote control is answered by the loop that takes
messages, in any Celery worker.
"""

from __future__ import annotations

from celery import Celery
from kombu.exceptions import OperationalError

from pyagent_orch.store import RedisError

ROLL_CALL_SECONDS = 1.0
"""How long answers are waited for; nobody knows how many will come."""


def roll_call(app: Celery, timeout: float = ROLL_CALL_SECONDS) -> dict[str, list[str]] | None:
    """Ask all Celery workers of the app's Redis and namespace for their queues.

    Args:
        app: any app of the installation.
        timeout: seconds to wait for answers; all of them are used.

    Returns:
        Maps the name of each worker that answered to its queues; None when the question
        could not be sent: the server refuses it.
    """
    try:
        answers = app.control.inspect(timeout=timeout).active_queues()
    except (OperationalError, RedisError, OSError):
        return None
    return {
        str(name): sorted(str(queue["name"]) for queue in queues)
        for name, queues in (answers or {}).items()
    }
