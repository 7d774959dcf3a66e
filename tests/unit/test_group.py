"""Group commit: everybody gets his own answer, and what comes at once goes together."""

from __future__ import annotations

import subprocess
import sys
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


ENDED = """
from gevent import monkey; monkey.patch_all()
import gevent, threading
from pyagent_orch.store.group import Group

came, release = threading.Event(), threading.Event()
sent = []

def send(calls):
    sent.append([call[0] for call in calls])
    if len(sent) == 1:
        came.set()
        release.wait()
    return [call[0] for call in calls]

def answer(number):
    try:
        return group.run([number])
    except ConnectionAbortedError:
        return "again"

group = Group(send, most=2)
runs = [gevent.spawn(answer, 0)]
came.wait()
runs += [gevent.spawn(answer, number) for number in range(1, 7)]
gevent.sleep(0)
%s
release.set()
gevent.joinall(runs, timeout=20)
print([run.value if run.successful() else "?" for run in runs], sent)
assert group.run([9]) == 9
"""


@pytest.mark.parametrize(
    ("end", "told"),
    [
        # Killed while it waits for its answer: the one whose turn would be next, and another.
        ("runs[1].kill(); runs[4].kill()", "[0, {}, 2, 3, {}, 5, 6] [[0], [2, 3], [5, 6]]"),
        # It was made the next to send already, and has not begun to.
        ("release.set(); gevent.sleep(0); runs[1].kill(block=False)", None),
        # Killed while it sends: who went along has to ask again.
        ("runs[0].kill()", "[{}, 1, 2, 3, 4, 5, 6] [[0], [1, 2], [3, 4], [5, 6]]"),
    ],
    ids=["waiting", "chosen", "sending"],
)
def test_a_run_that_is_ended_in_its_group_holds_nobody_up(end: str, told: str | None) -> None:
    """A gevent pool ends the greenlet of a run that is cancelled, wherever that waits."""
    done = subprocess.run(
        [sys.executable, "-c", ENDED % end], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    if told is not None:
        assert done.stdout.strip() == told.format("GreenletExit()", "GreenletExit()")


def test_who_went_along_with_one_that_is_ended_asks_again() -> None:
    class End(BaseException):
        pass

    came, release = threading.Event(), threading.Event()
    sent: list[int] = []

    def send(calls: Sequence[Any]) -> list[Any]:
        sent.append(len(calls))
        if len(sent) == 1:
            came.set()
            assert release.wait(10)
        elif len(sent) == 2:
            raise End
        return [call[0] for call in calls]

    group = Group(send)

    def outcome(number: int) -> Any:
        try:
            return group.run([number])
        except (ConnectionAbortedError, End) as error:
            return type(error)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(outcome, 0)
        assert came.wait(10)
        others = [pool.submit(outcome, n) for n in (1, 2)]
        while len(group._waiting) < 2:
            pass
        release.set()
        assert first.result(10) == 0
        assert {one.result(10) for one in others} == {End, ConnectionAbortedError}
    assert group.run([3]) == 3
