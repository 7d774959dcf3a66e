"""Leases and lost messages after an outage of Redis, act by act."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from pyagent_orch import TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.store.runs import Refusal, Refused
from support.desk import Desk

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


def test_what_a_lost_worker_ran_comes_before_what_has_not_begun(desk: Desk) -> None:
    for task_id in ("one", "two", "three", "four"):
        desk.submit(task_id)
    desk.client.rpop(f"{desk.keys.celery_prefix}q\x06\x164", 2)
    for claim in [desk.claimed("a", task_id) for task_id in ("one", "two")]:
        desk.release(claim, lost=True)
    ids = [json.loads(text)["headers"]["id"] for text in reversed(desk.messages())]
    assert ids == ["two", "one", "three", "four"]
    # And nobody takes those behind it for lost.
    for _ in range(3):
        desk.client.delete(f"{desk.keys.prefix}sweeping")
        desk.beat("b")
    assert not desk.client.exists(f"{desk.keys.prefix}suspects")
    assert len(desk.messages()) == 4


def test_a_message_that_is_lost_is_found_behind_one_that_was_put_first(desk: Desk) -> None:
    for task_id in ("one", "two"):
        desk.submit(task_id)
    desk.client.rpop(f"{desk.keys.celery_prefix}q\x06\x164")
    desk.release(desk.claimed("a", "one"), lost=True)
    # Taken from the queue, and its worker died before the claim.
    desk.client.rpop(f"{desk.keys.celery_prefix}q\x06\x164")
    desk.client.delete(f"{desk.keys.prefix}sweeping")
    desk.beat("b")
    assert desk.client.zrange(f"{desk.keys.prefix}suspects", 0, -1) == ["one"]
