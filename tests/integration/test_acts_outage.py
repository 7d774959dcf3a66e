"""Leases and lost messages after an outage of Redis, act by act."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from support.desk import Desk

from pyagent_orch import TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.store.runs import Refusal, Refused

LEASE = 10.0


@pytest.fixture
def desk(server: PrivateServer) -> Iterator[Desk]:
    desk = Desk(server, lease_seconds=LEASE)
    yield desk
    desk.close()


def outage(desk: Desk, seconds: float) -> None:
    """As after an outage that has just ended: nobody swept or renewed a lease meanwhile."""
    now = time.time() * 1000
    leases = desk.client.zrange(desk.keys.workers, 0, -1)
    desk.client.zadd(desk.keys.workers, dict.fromkeys(leases, now + (LEASE - seconds) * 1000))
    desk.client.set(f"{desk.keys.prefix}swept", int(now - seconds * 1000))
    desk.client.delete(f"{desk.keys.prefix}sweeping")


def test_the_first_worker_after_an_outage_lets_the_others_renew(desk: Desk) -> None:
    desk.submit()
    desk.claimed("a")
    outage(desk, 30)
    desk.beat("b")
    assert desk.status() is TaskStatus.RUNNING
    assert desk.client.zscore(desk.keys.workers, "a") > time.time() * 1000 + LEASE * 900


def test_a_worker_that_starts_right_after_an_outage_takes_nobody_for_dead(desk: Desk) -> None:
    desk.submit()
    desk.claimed("a")
    outage(desk, 30)
    desk.beat("new")
    assert desk.status() is TaskStatus.RUNNING
    # Half a lease at least: less would not do for who waits out a time-out first.
    left = desk.client.zscore(desk.keys.workers, "a") - time.time() * 1000
    assert left > LEASE * 400


def test_a_worker_that_was_away_alone_is_found(desk: Desk) -> None:
    desk.submit()
    desk.claimed("a")
    desk.beat("b")
    desk.lose_lease("a")
    desk.client.delete(f"{desk.keys.prefix}sweeping")
    desk.beat("new")
    assert desk.status() is TaskStatus.PENDING


def test_a_copy_of_a_message_right_after_an_outage_takes_nothing_over(desk: Desk) -> None:
    desk.submit()
    claim = desk.claimed("a")
    outage(desk, 30)
    assert desk.claim("b") == Refused(Refusal.HELD)
    assert desk.finish(claim, "a").accepted
