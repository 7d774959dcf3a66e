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

import redis

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_DELAY, LONGEST_DELAY = 0.1, 3.0
"""Seconds between two tries."""
GIVE_UP_AFTER = 3_600.0
"""Seconds."""


def patiently(act: Callable[[], T], what: str) -> T:
    """Run an act, again and again while Redis is out of reach.

    Args:
        act: the call; must be safe to repeat.
        what: for the log, such as `finish of task 17`.

    Raises:
        redis.exceptions.RedisError: it is still out of reach after `GIVE_UP_AFTER` seconds,
            or it refuses for another reason.
    """
    delay, began, told = FIRST_DELAY, time.monotonic(), False
    while True:
        try:
            result = act()
        except redis.exceptions.AuthenticationError:
            raise
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
            problem: Exception = error
        except redis.exceptions.ResponseError as error:
            # Full, still loading or failing over: passes as an outage does.
            if not str(error).startswith(("OOM", "LOADING", "READONLY", "MISCONF", "BUSY")):
                raise
            problem = error
        else:
            if told:
                logger.warning("Redis is back; %s done after %.1f s", what, time.monotonic() - began)
            return result
        if time.monotonic() - began > GIVE_UP_AFTER:
            raise problem
        if not told:
            logger.warning("Redis is out of reach (%s); %s waits for it", problem, what)
            told = True
        time.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, no secret
        delay = min(LONGEST_DELAY, delay * 2)
