"""Each Lua act on a real server, against the table of legal moves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyagent_orch import IllegalMoveError, TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.states import FINAL_TASK_STATES, TASK_MOVES
from pyagent_orch.store.runs import Claim, Refusal, Refused
from support.desk import Desk
from support.fleet import until

EVENT_OF_STATE = {
    TaskStatus.RUNNING: {"task.started"},
    TaskStatus.RETRYING: {"task.retried"},
    TaskStatus.COMPLETED: {"task.completed"},
    TaskStatus.FAILED: {"task.failed"},
    TaskStatus.CANCELLED: {"task.cancelled"},
    TaskStatus.PENDING: {"task.submitted", "task.released", "task.recovered", "task.requeued"},
}


@pytest.fixture
def desk(server: PrivateServer) -> Iterator[Desk]:
    desk = Desk(server)
    yield desk
    desk.close()


def drive(desk: Desk, state: TaskStatus) -> Claim:
    """Bring task `t` into a state; returns the claim of its last run."""
    desk.submit()
    claim = desk.claimed()
    if state is TaskStatus.PENDING:
        desk.release(claim)
    elif state is TaskStatus.RETRYING:
        desk.retry(claim)
    elif state is TaskStatus.COMPLETED:
        desk.finish(claim)
    elif state is TaskStatus.FAILED:
        desk.fail(claim)
    elif state in (TaskStatus.CANCELLED, TaskStatus.SKIPPED):
        desk.store.records.cancel("t", "by hand")
    if state is TaskStatus.SKIPPED:
        # Only a workflow skips tasks; the acts of a single task just have to respect it.
        desk.client.hset(desk.keys.task("t"), "status", "skipped")
        desk.client.zrem(desk.keys.status("cancelled"), "t")
        desk.client.zadd(desk.keys.status("skipped"), {"t": 1})
    assert desk.status() is state
    return claim


def quietly(act: Callable[[], object]) -> None:
    with suppress(IllegalMoveError):
        act()


ACTS: dict[str, Callable[[Desk, Claim, str], object]] = {
    "claim": lambda desk, _, worker: desk.claim(worker),
    "finish": lambda desk, claim, worker: desk.finish(claim, worker),
    "fail": lambda desk, claim, worker: desk.fail(claim, worker),
    "retry": lambda desk, claim, worker: desk.retry(claim, worker),
    "put off": lambda desk, claim, worker: desk.retry(claim, worker, counts=False),
    "cancel": lambda desk, *_: desk.store.records.cancel("t", "enough"),
    "requeue": lambda desk, *_: quietly(lambda: desk.store.records.requeue("t")),
    "release": lambda desk, claim, worker: desk.release(claim, worker),
    "lose": lambda desk, claim, worker: desk.release(claim, worker, lost=True),
    "leave": lambda desk, _, worker: desk.store.fleet.leave(worker, f"worker-{worker}", []),
    "repeat the submit": lambda desk, *_: desk.submit(),
}
P, R, Y, C, F, X, S = TaskStatus
MOVES: dict[str, dict[TaskStatus, TaskStatus]] = {
    "claim": {P: R, Y: R},
    # An attempt that was taken for dead may answer after all.
    "finish": {P: C, R: C, Y: C},
    "fail": {R: F},
    "retry": {R: Y},
    "put off": {R: Y},
    "cancel": {P: X, R: X, Y: X},
    "requeue": {F: P, X: P, S: P},
    "release": {R: P},
    "lose": {R: P},
    "leave": {R: P},
    "repeat the submit": {},
}
"""Maps an act to the states that it moves a task from, and to which; elsewhere it does nothing."""


@pytest.mark.parametrize("state", TaskStatus)
@pytest.mark.parametrize("act", ACTS)
def test_an_act_moves_a_task_as_the_table_says_and_tells_the_stream(
    desk: Desk, act: str, state: TaskStatus
) -> None:
    claim = drive(desk, state)
    before = desk.events()
    output = desk.store.records.get("t").output
    ACTS[act](desk, claim, "a")
    after = desk.status()
    assert after is MOVES[act].get(state, state)
    assert after is state or after in TASK_MOVES[state]
    assert desk.indexed() == [after]
    told = [event for event in desk.events()[len(before) :] if event.startswith("task.")]
    if after is state:
        assert told == []
        assert desk.store.records.get("t").output == output
    else:
        assert len(told) == 1
        assert told[0] in EVENT_OF_STATE[after]
    running = desk.running("a") | desk.running("b")
    assert running == ({"t"} if after is TaskStatus.RUNNING else set())


def test_every_move_of_a_single_task_in_the_table_is_one_that_an_act_makes() -> None:
    made = {(a, b) for moves in MOVES.values() for a, b in moves.items()}
    legal = {(a, b) for a, targets in TASK_MOVES.items() for b in targets}
    # Only a workflow skips; only the sweep gives a task up that waits.
    of_others = {(a, b) for a, b in legal if b is S} | {(P, F), (Y, F)}
    assert made <= legal
    assert legal - made == of_others


STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from("ab"), st.integers(0, 3)),
    min_size=1,
    max_size=14,
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_no_row_of_acts_makes_an_illegal_move_or_a_second_output(
    server: PrivateServer, steps: list[tuple[str, str, int]]
) -> None:
    desk = Desk(server, max_worker_losses=3)
    try:
        desk.submit()
        claims: list[tuple[Claim, str]] = []
        status, output = TaskStatus.PENDING, None
        for number, (act, worker, back) in enumerate(steps):
            if act == "claim":
                got = desk.claim(worker)
                claims += [(got, worker)] if isinstance(got, Claim) else []
            elif act in ("cancel", "requeue", "leave", "repeat the submit"):
                ACTS[act](desk, Claim("t", "0", "", {}), worker)
                # What leaves may come back.
                desk.beat(worker)
            elif claims:
                # Any of the last runs, so stale ones too, by the worker that had it.
                claim, owner = claims[-1 - min(back, len(claims) - 1)]
                if act == "finish":
                    desk.finish(claim, owner, str(number))
                else:
                    ACTS[act](desk, claim, owner)
            new = desk.status()
            assert new is status or new in TASK_MOVES[status], (act, status, new)
            assert desk.indexed() == [new]
            record = desk.store.records.get("t")
            if status is TaskStatus.COMPLETED:
                assert (new, record.output) == (status, output)
            status, output = new, record.output
            owners = {w for w in "ab" if "t" in desk.running(w)}
            owner = desk.client.hget(desk.keys.task("t"), "owner")
            assert owners == ({owner} if status is TaskStatus.RUNNING else set())
            active = int(desk.client.hget(f"{desk.keys.prefix}agent:hash", "active"))
            assert active == (0 if status in FINAL_TASK_STATES else 1)
    finally:
        for key in desk.client.scan_iter(f"*{desk.keys.namespace}:*"):
            desk.client.delete(key)
        desk.close()


# --- runs ---------------------------------------------------------------------------------


def test_the_first_recorded_result_wins(desk: Desk) -> None:
    desk.submit()
    first = desk.claimed("a")
    desk.lose_lease("a")
    second = desk.claimed("b")
    assert int(second.run) > int(first.run)
    assert desk.finish(second, "b", '"second"').accepted
    late = desk.finish(first, "a", '"first"')
    assert (late.accepted, late.output) == (False, '"second"')
    assert desk.store.records.get("t").output == "second"
    assert desk.events().count("task.completed") == 1


def test_the_answer_of_an_attempt_taken_for_dead_is_taken_and_the_other_one_is_stopped(
    desk: Desk,
) -> None:
    desk.submit()
    first = desk.claimed("a")
    desk.lose_lease("a")
    desk.claimed("b")
    assert desk.finish(first, "a", '"paid for"').accepted
    assert desk.store.records.get("t").output == "paid for"
    assert desk.beat("b") == ("t",)
    assert desk.beat("b") == ()
    assert desk.running("b") == set()


@pytest.mark.parametrize("act", ["fail", "retry"])
def test_the_failure_of_a_stale_run_says_nothing_about_the_one_that_runs(
    desk: Desk, act: str
) -> None:
    desk.submit()
    first = desk.claimed("a")
    desk.release(first, lost=True)
    # The same worker again: it was frozen, and is back.
    desk.claimed("a")
    ACTS[act](desk, first, "a")
    assert desk.status() is TaskStatus.RUNNING
    # Else nobody would find the task if this worker died now.
    assert desk.running("a") == {"t"}
    assert desk.release(first) == "stale"


def test_a_task_under_a_live_lease_is_held_and_under_a_dead_one_is_taken_over(desk: Desk) -> None:
    desk.submit()
    desk.claimed("a")
    assert desk.claim("b") == Refused(Refusal.HELD)
    assert desk.claim("a") == Refused(Refusal.HELD)
    desk.lose_lease("a")
    desk.claimed("b")
    assert desk.running("a") == set()
    assert desk.events()[-2:] == ["task.recovered", "task.started"]


def test_without_a_lease_nothing_is_claimed(desk: Desk) -> None:
    desk.submit()
    desk.lose_lease("a")
    assert desk.claim("a") == Refused(Refusal.HELD)
    assert desk.claim("stranger") == Refused(Refusal.HELD)
    assert desk.status() is TaskStatus.PENDING
    desk.beat("a")
    assert desk.claimed("a").id == "t"


def test_a_task_that_takes_too_many_workers_along_is_failed(server: PrivateServer) -> None:
    desk = Desk(server, max_worker_losses=2)
    desk.submit()
    assert desk.release(desk.claimed(), lost=True) == "ok"
    assert desk.release(desk.claimed(), lost=True) == "failed"
    assert desk.status() is TaskStatus.FAILED
    record = desk.store.records.get("t")
    assert record.error is not None
    assert str(record.error) == "WorkerLostError: worker lost 2 times, last worker-a"
    desk.close()


def test_only_a_death_in_the_middle_of_its_own_run_counts_against_a_task(
    server: PrivateServer,
) -> None:
    desk = Desk(server, max_worker_losses=2)
    desk.submit()
    for _ in range(3):
        # Its worker dies before it has begun with it.
        desk.beat("a", "t")
        desk.lose_lease("a")
        desk.client.delete(f"{desk.keys.prefix}sweeping")
        desk.beat("b")
        assert "worker-a" not in desk.store.fleet.workers()
        # Its worker gives it back, or stops; its agent fails.
        desk.release(desk.claimed("b"), "b")
        desk.claimed("b")
        desk.store.fleet.leave("b", "worker-b", [])
        desk.beat("b")
        desk.retry(desk.claimed("b"), "b")
    assert desk.client.hget(desk.keys.task("t"), "losses") is None
    desk.beat("a")
    assert desk.release(desk.claimed(), lost=True) == "ok"
    assert desk.release(desk.claimed(), lost=True) == "failed"
    # What an operator sends again begins from nothing.
    desk.store.records.requeue("t")
    assert desk.release(desk.claimed(), lost=True) == "ok"
    desk.close()


def test_a_worker_that_stops_gives_back_what_it_has_and_the_attempt_does_not_count(
    desk: Desk,
) -> None:
    desk.submit()
    desk.submit("held")
    desk.claimed()
    desk.client.delete(f"{desk.keys.celery_prefix}q\x06\x164")
    assert desk.store.fleet.leave("a", "worker-a", ["held"]) == 1
    assert desk.store.records.get("t").attempts == 0
    assert {json.loads(text)["headers"]["id"] for text in desk.messages()} == {"t", "held"}
    assert "worker-a" not in desk.store.fleet.workers()


def test_the_sweep_gives_the_tasks_of_a_dead_worker_back(desk: Desk) -> None:
    desk.submit()
    desk.claimed("a")
    desk.lose_lease("a")
    desk.client.delete(f"{desk.keys.prefix}sweeping")
    desk.beat("b")
    assert desk.status() is TaskStatus.PENDING
    assert "worker.lost" in desk.events()
    desk.claimed("b")


def test_a_message_that_is_gone_is_pushed_again_once(desk: Desk) -> None:
    desk.submit()
    desk.client.delete(f"{desk.keys.celery_prefix}q\x06\x164")
    until(lambda: desk.beat("a") == () and desk.messages())
    assert len(desk.messages()) == 1
    assert desk.events()[-1] == "task.recovered"


def test_a_message_that_a_living_worker_holds_is_not_pushed_again(desk: Desk) -> None:
    desk.submit()
    desk.client.delete(f"{desk.keys.celery_prefix}q\x06\x164")
    deadline = time.monotonic() + 0.8
    while time.monotonic() < deadline:
        desk.beat("a", "t")
        desk.beat("b")
    assert desk.messages() == []
