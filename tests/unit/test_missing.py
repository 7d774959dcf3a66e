"""What a keeper believes to be lost, while takes are on their way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pyagent_orch import Settings, create_app
from pyagent_orch.engine.missing import Missing
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.engine.transport.taker import REMEMBERED, Taker
from pyagent_orch.store import CLAIM_FIELDS

EMPTY: list[Any] = [[], [], [], ""]
FIELDS = [None] * len(CLAIM_FIELDS)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def taker(clock: Clock) -> Iterator[Taker]:
    app = create_app(Settings(redis_url="redis://127.0.0.1:1/0"))
    yield Taker(runtime_of(app), 10, clock)
    runtime_of(app).close()
    app.close()


def ask(taker: Taker) -> None:
    taker.request(8, ["q"])


def answer(taker: Taker, *brought: str) -> list[str]:
    reply = [[["q", one, "1", FIELDS, "{}", [], 0, ""] for one in brought], [], [], ""]
    taken = taker.receive(reply)
    taker.end()
    return [task.id for task in taken.tasks]


def look(missing: Missing, taker: Taker, *names: str) -> set[str]:
    return missing.believed(set(names), taker, taker.answered)


def test_what_is_on_its_way_is_not_lost_however_often_it_is_looked_for(taker: Taker) -> None:
    missing = Missing()
    ask(taker)
    assert [look(missing, taker, "t") for _ in range(5)] == [set()] * 5
    assert answer(taker, "t") == ["t"]
    # Run, put off and taken again, before the next look: it is on its way once more.
    ask(taker)
    assert [look(missing, taker, "t") for _ in range(5)] == [set()] * 5


def test_what_no_answer_brought_is_lost(taker: Taker) -> None:
    missing = Missing()
    ask(taker)
    assert look(missing, taker, "t") == set()
    answer(taker, "other")
    # A later take may be under way: it cannot bring what an earlier one claimed.
    ask(taker)
    assert look(missing, taker, "t") == {"t"}


def test_what_was_here_and_is_gone_twice_is_lost(taker: Taker) -> None:
    missing = Missing()
    ask(taker)
    answer(taker, "t")
    assert look(missing, taker, "t") == set()
    assert look(missing, taker) == set()
    assert look(missing, taker, "t") == set(), "it was here in between"
    assert look(missing, taker, "t") == {"t"}


def test_without_takes_what_is_gone_twice_is_lost() -> None:
    missing = Missing()
    assert missing.believed({"t"}, None, 0) == set()
    assert missing.believed({"t"}, None, 0) == {"t"}


def test_an_answer_older_than_the_lease_is_not_used(taker: Taker, clock: Clock) -> None:
    ask(taker)
    clock.now += 9.0
    assert answer(taker, "in time") == ["in time"]
    ask(taker)
    clock.now += 11.0
    missing = Missing()
    assert look(missing, taker, "late") == set()
    assert answer(taker, "late") == []
    # So the keeper gives it back, as one that never came here.
    assert "late" not in taker.brought
    assert look(missing, taker, "late") == {"late"}


def test_an_answer_that_never_comes_is_given_up(taker: Taker, clock: Clock) -> None:
    missing = Missing()
    ask(taker)
    assert look(missing, taker, "t") == set()
    clock.now += 19.0
    assert look(missing, taker, "t") == set()
    clock.now += 2.0
    assert look(missing, taker, "t") == {"t"}


def test_only_the_last_messages_are_remembered(taker: Taker) -> None:
    ask(taker)
    for number in range(REMEMBERED + 10):
        taker.note_brought(str(number))
    assert len(taker.brought) == REMEMBERED
    assert "0" not in taker.brought
    assert str(REMEMBERED) in taker.brought
