"""How many tasks may wait in a worker for a slot, and what becomes of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from pyagent_orch.engine.ahead import AHEAD_SECONDS, MOST_PER_SLOT, Ahead


class Waiting(SimpleNamespace):
    """As much of a request as waits."""

    __hash__ = object.__hash__

    def reserve(self) -> None:
        state.task_reserved(self)


@pytest.fixture
def ahead() -> Any:
    yield Ahead()
    state.reset_state()


def short_runs(ahead: Ahead, count: int = 100, seconds: float = 0.001) -> None:
    for _ in range(count):
        ahead.note(seconds)


def test_nothing_waits_before_many_short_runs_have_ended(ahead: Ahead) -> None:
    assert ahead.limit(8) == 0
    short_runs(ahead, 10)
    assert ahead.limit(8) == 0
    short_runs(ahead)
    assert ahead.limit(8) == MOST_PER_SLOT * 8


def test_no_more_wait_than_will_be_done_in_the_time(ahead: Ahead) -> None:
    short_runs(ahead, 200, AHEAD_SECONDS / 2)
    assert ahead.limit(4) == 8
    short_runs(ahead, 200, AHEAD_SECONDS)
    assert ahead.limit(4) == 4


@pytest.mark.parametrize("seconds", [AHEAD_SECONDS * 1.1, 60.0])
def test_one_long_run_ends_it(ahead: Ahead, seconds: float) -> None:
    short_runs(ahead)
    ahead.note(seconds)
    assert ahead.limit(8) == 0


def test_what_waited_longest_is_next_and_is_the_workers_from_then_on(ahead: Ahead) -> None:
    first, second = Waiting(id="1", name="a"), Waiting(id="2", name="b")
    ahead.add(first)
    ahead.add(second)
    assert (len(ahead), ahead.ids()) == (2, ["1", "2"])
    assert ahead.next() is first
    assert (ahead.ids(), list(state.requests)) == (["2"], ["1"])
    assert ahead.remove("1") is None
    assert ahead.remove("2") is second
    assert ahead.next() is None


def test_a_worker_that_stops_begins_nothing(ahead: Ahead) -> None:
    short_runs(ahead)
    one = Waiting(id="1", name="a")
    ahead.add(one)
    assert ahead.overdue() == []
    ahead.closed = True
    assert ahead.next() is None
    assert ahead.limit(8) == 0
    assert ahead.overdue() == [one]
    ahead.clear()
    assert ahead.ids() == []
