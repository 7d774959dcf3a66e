"""What a worker does while Redis is away: wait, with the answer in its hands.

An answer that took minutes and money is not thrown away because Redis restarts.
Every act is safe to repeat, so repeating is all there is to it.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from pyagent_orch.store import RedisError, is_outage

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_DELAY, LONGEST_DELAY = 0.1, 3.0
"""Seconds between two tries."""
GIVE_UP_AFTER = 3_600.0
"""Seconds."""


def patiently(act: Callable[[], T], what: str, abandoned: Callable[[], bool]) -> T:
    """Run an act, again and again while Redis is out of reach.

    Args:
        act: the call; must be safe to repeat.
        what: for the log, such as `finish of task 17`.
        abandoned: whether nobody waits any more, since the server was ours and is closed.

    Raises:
        RedisError: it is still out of reach after `GIVE_UP_AFTER` seconds,
            or it refuses for another reason.
    """
    delay, began, told = FIRST_DELAY, time.monotonic(), False
    while True:
        try:
            result = act()
        except (RedisError, OSError) as error:
            over = time.monotonic() - began > GIVE_UP_AFTER
            if over or abandoned() or not is_outage(error):
                raise
            if not told:
                logger.warning("Redis is out of reach (%s); %s waits for it", error, what)
                told = True
        else:
            if told:
                logger.warning(
                    "Redis is back; %s done after %.1f s", what, time.monotonic() - began
                )
            return result
        time.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, no secret
        delay = min(LONGEST_DELAY, delay * 2)
