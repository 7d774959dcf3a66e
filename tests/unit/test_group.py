"""Group commit: everybody gets his own answer, and what comes at once goes together."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pyagent_orch.store.group import Group


def test_calls_that_come_while_one_is_on_its_way_go_together() -> None:
    sent: list[int] = []
    first, release = threading.Event(), threading.Event()

    def send(calls: Sequence[Any]) -> list[Any]:
        sent.append(len(calls))
        if len(sent) == 1:
            first.set()
            assert release.wait(10)
        return [call[0] * 2 for call in calls]

    group = Group(send)
    with ThreadPoolExecutor(20) as pool:
        leader = pool.submit(group.run, [0])
        assert first.wait(10)
        others = [pool.submit(group.run, [n]) for n in range(1, 20)]
        while len(group._waiting) < 19:
            pass
        release.set()
        assert [one.result(10) for one in [leader, *others]] == [n * 2 for n in range(20)]
    assert sent == [1, 19]


def test_an_error_is_only_told_to_those_whose_it_is() -> None:
    def send(calls: Sequence[Any]) -> list[Any]:
        return [ValueError(call[0]) if call[0] % 2 else call[0] for call in calls]

    group = Group(send)

    def outcome(number: int) -> Any:
        try:
            return group.run([number])
        except ValueError as error:
            return f"error {error}"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(outcome, range(500)))
    assert found == [f"error {n}" if n % 2 else n for n in range(500)]


def test_a_round_trip_that_fails_fails_for_all_in_it_and_the_next_one_goes() -> None:
    broken = True

    def send(calls: Sequence[Any]) -> list[Any]:
        if broken:
            raise ConnectionError("cut")
        return [call[0] for call in calls]

    group = Group(send)
    with pytest.raises(ConnectionError, match="cut"):
        group.run([1])
    broken = False
    assert group.run([2]) == 2
