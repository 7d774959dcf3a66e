"""What a worker's consumer takes from its queues in one act, and how it is woken."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from pyagent_orch import TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.store import Taken
from pyagent_orch.store.runs import Claim
from support import fleet_agents
from support.desk import Desk
from support.fleet import Fleet

PROPERTIES = {"delivery_tag": "tag", "delivery_info": {}}
FOREIGN = json.dumps({"headers": {"id": "x", "task": "y"}, "properties": PROPERTIES})


@pytest.fixture
def desk(server: PrivateServer) -> Iterator[Desk]:
    desk = Desk(server)
    yield desk
    desk.close()


def take(
    desk: Desk, room: int, *queues: str, worker: str = "a", done: tuple[str, ...] = ()
) -> Taken:
    store = desk.store
    store.queues.teach()
    command = store.queues.command(
        worker, f"worker-{worker}", room, queues or ("q",), priorities=10, done=done
    )
    return store.queues.read(store.client.execute_command(*command))


def ids(taken: Taken) -> list[str]:
    return [task.id for task in taken.tasks]


def bell(desk: Desk, queue: str = "q") -> int:
    return desk.client.llen(desk.keys.bells + queue)


def push(desk: Desk, text: str, queue: str = "q") -> None:
    desk.client.lpush(f"{desk.keys.celery_prefix}{queue}", text)


def held(desk: Desk, worker: str = "a") -> list[str]:
    return desk.client.hkeys(f"{desk.keys.prefix}messages:{worker}")


def test_tasks_are_taken_by_priority_then_in_their_order_and_run_by_their_records(
    desk: Desk,
) -> None:
    for task_id, priority in (("low", 9), ("one", 5), ("two", 5), ("top", 1)):
        desk.submit(task_id, priority=priority)
    taken = take(desk, 3)
    assert ids(taken) == ["top", "one", "two"]
    assert taken.more
    assert [desk.status(one) for one in ids(taken)] == [TaskStatus.RUNNING] * 3
    assert desk.status("low") is TaskStatus.PENDING
    claim = Claim.of("top", taken.tasks[0].wire)
    assert desk.finish(claim).accepted
    rest = take(desk, 3)
    assert (ids(rest), rest.more) == (["low"], False)


@pytest.mark.parametrize("how", ["it has not begun", "it has run out"])
def test_without_a_lease_nothing_is_taken_since_nobody_would_look_for_it(
    desk: Desk, how: str
) -> None:
    desk.submit()
    push(desk, FOREIGN)
    worker = "c" if how == "it has not begun" else "a"
    if worker == "a":
        desk.lose_lease("a")
    taken = take(desk, 2, worker=worker)
    assert (taken.tasks, taken.others, taken.leased) == ([], [], False)
    assert desk.status("t") is TaskStatus.PENDING
    desk.beat(worker)
    taken = take(desk, 2, worker=worker)
    assert (ids(taken), taken.others, taken.leased) == (["t"], [("q", FOREIGN)], True)


def test_queues_take_turns(desk: Desk) -> None:
    for number in range(4):
        desk.submit(f"a{number}", queue="qa")
        desk.submit(f"b{number}", queue="qb")
    assert ids(take(desk, 5, "qb", "qa")) == ["b0", "a0", "b1", "a1", "b2"]
    assert ids(take(desk, 5, "qa", "qb")) == ["a2", "b3", "a3"]


def test_a_copy_takes_no_slot(desk: Desk) -> None:
    desk.submit("t")
    [message] = desk.messages()
    desk.client.lpush(f"{desk.keys.celery_prefix}q\x06\x164", message, message)
    desk.submit("u")
    taken = take(desk, 2)
    assert ids(taken) == ["t", "u"]
    assert [(one.id, one.reason) for one in taken.dropped] == [("t", "held")] * 2


def test_another_message_is_held_until_it_is_done(desk: Desk) -> None:
    push(desk, FOREIGN)
    assert take(desk, 2).others == [("q", FOREIGN)]
    assert held(desk) == ["tag"]
    take(desk, 2, done=("tag",))
    assert held(desk) == []


@pytest.mark.parametrize("end", ["it leaves", "it dies", "it gives it back"])
def test_another_message_outlives_its_worker(desk: Desk, end: str) -> None:
    push(desk, FOREIGN)
    take(desk, 2)
    if end == "it leaves":
        desk.store.fleet.leave("a", "worker-a", [])
    elif end == "it dies":
        desk.lose_lease("a")
        # The first sweep after a lease ran out; b comes round until it is its turn.
        deadline = time.monotonic() + 5
        while held(desk) and time.monotonic() < deadline:
            desk.beat("b")
    else:
        desk.store.queues.settle("a", "worker-a", [], ["tag"])
    [(queue, text)] = take(desk, 2, worker="b").others
    again = json.loads(text)
    assert queue == "q"
    assert again["properties"]["delivery_info"] == {"redelivered": True}
    assert again["headers"] == json.loads(FOREIGN)["headers"]


def test_a_bell_rings_once_for_what_is_pushed_and_again_for_what_is_left(desk: Desk) -> None:
    for number in range(5):
        desk.submit(f"t{number}")
    assert bell(desk) == 1
    desk.client.delete(desk.keys.bells + "q")
    take(desk, 2)
    assert bell(desk) == 1, "somebody else may take the rest"
    take(desk, 9)
    assert bell(desk) == 0, "there is nothing to wake anybody for"
    assert desk.client.pttl(desk.keys.bells + "q") < 0


def test_an_idle_worker_hears_of_a_task_at_once(fleet: Fleet) -> None:
    fleet.start("threads", 2)
    times = []
    for number in range(15):
        began = time.monotonic()
        assert fleet.orchestrator.submit(fleet_agents.echo, number).result(timeout=10) == number
        times.append(time.monotonic() - began)
    # A worker that looked once a second would need half of one.
    assert sorted(times)[len(times) // 2] < 0.2


def test_a_burst_wakes_all_workers(fleet: Fleet) -> None:
    for _ in range(3):
        fleet.start("threads", 1)
    began = time.monotonic()
    tasks = [fleet.orchestrator.submit(fleet_agents.sleep, 2.0) for _ in range(3)]
    fleet.orchestrator.wait(*tasks, timeout=20)
    assert time.monotonic() - began < 4.0, "one worker did it all"
    assert len({task.worker for task in tasks}) == 3
