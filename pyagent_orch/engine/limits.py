"""When Celery's soft time limit may interrupt: while an agent runs, and not a moment longer.

In a prefork pool the limit is a signal, whose handler raises wherever the process
is just then. In the middle of recording an answer that is already there, it would
lose the run and have it done, and paid for, a second time.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from billiard.pool import SIG_SOFT_TIMEOUT, soft_timeout_sighandler


@contextmanager
def soft_limit_heard(*, interruptible: bool) -> Iterator[None]:
    """Let the soft time limit raise inside; after it, the signal is ignored.

    Args:
        interruptible: whether tasks run in the main thread of a pool process (prefork).

    Raises:
        SoftTimeLimitExceeded: the limit passed inside.
    """
    if not interruptible or SIG_SOFT_TIMEOUT is None:
        yield
        return
    signal.signal(SIG_SOFT_TIMEOUT, soft_timeout_sighandler)
    try:
        yield
    finally:
        signal.signal(SIG_SOFT_TIMEOUT, signal.SIG_IGN)
