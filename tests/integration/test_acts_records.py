"""What the acts leave in Redis: delays, keys, expiry, namespaces, any text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyagent_orch import TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.engine.transport import damage
from pyagent_orch.store.records import NewTask, UnknownAgentHashError
from pyagent_orch.store.runs import Refusal, Refused
from support.desk import AGENTS, Desk
from support.fleet import until


@pytest.fixture
def desk(server: PrivateServer) -> Iterator[Desk]:
    desk = Desk(server)
    yield desk
    desk.close()


# --- delays, keys, submits -------------------------------------------------------------------


def test_a_delayed_task_is_not_started_early_and_pushed_when_due(desk: Desk) -> None:
    desk.submit(delay_ms=300)
    assert desk.messages() == []
    assert desk.claim() == Refused(Refusal.EARLY)
    assert desk.events().count("task.started") == 0
    until(lambda: desk.beat("a") == () and desk.messages())
    record, claim = desk.store.records.get("t"), desk.claimed()
    started = desk.store.records.get("t").started_at
    assert claim.run == "1"
    assert (started - record.created_at).total_seconds() >= 0.3


def test_a_cancelled_delayed_task_is_never_pushed(desk: Desk) -> None:
    desk.submit(delay_ms=50)
    desk.store.records.cancel("t", "changed my mind")
    assert "delayed" not in desk.names()
    assert desk.claim() == Refused(Refusal.FINAL, "cancelled")


def test_a_cancel_reaches_the_worker_that_runs_the_task_once(desk: Desk) -> None:
    desk.submit()
    desk.claimed("b")
    assert desk.store.records.cancel("t", "enough")
    assert desk.beat("a") == ()
    assert desk.beat("b") == ("t",)
    assert desk.beat("b") == ()
    assert desk.store.records.cancel("t", "again") is False


def test_a_submit_with_an_unknown_agent_writes_nothing(desk: Desk) -> None:
    known = NewTask(
        "known", {"name": "n", "agent": "hash", "input": "1", "queue": "q", "priority": 5}
    )
    other = NewTask(
        "other", {"name": "n", "agent": "gone", "input": "1", "queue": "q", "priority": 5}
    )
    with pytest.raises(UnknownAgentHashError):
        desk.store.records.submit([known, other], AGENTS)
    assert desk.store.records.get_many(["known", "other"]) == [None, None]
    assert desk.messages() == []
    assert "agent:hash" not in desk.names()


def test_a_repeat_of_a_submit_is_harmless_and_another_task_with_its_id_is_refused(
    desk: Desk,
) -> None:
    assert desk.submit().existing == {}
    assert desk.submit().existing == {0: "t"}
    assert desk.submit(input='"other"').existing == {0: ""}
    assert len(desk.messages()) == 1
    assert desk.store.records.get("t").input == "x"


def test_the_same_key_gives_the_first_task_for_as_long_as_it_is_recorded(
    server: PrivateServer,
) -> None:
    desk = Desk(server, record_ttl_seconds=1)
    assert desk.submit("one", key="k").existing == {}
    assert desk.submit("two", key="k").existing == {0: "one"}
    desk.finish(desk.claimed(task_id="one"))
    assert desk.submit("three", key="k").existing == {0: "one"}
    until(lambda: desk.submit("four", key="k").existing == {}, pause=0.1)
    assert desk.store.records.get("four").key == "k"
    desk.close()


@pytest.mark.parametrize("end", ["finish", "fail", "cancel"])
def test_expiry_leaves_no_key_behind(server: PrivateServer, end: str) -> None:
    desk = Desk(server, record_ttl_seconds=1)
    # One hash for all that is counted, however much that is.
    empty = desk.names() | {"metrics"}
    desk.submit(key="k", metadata='{"a":1}')
    claim = desk.claimed()
    if end == "cancel":
        desk.store.records.cancel("t", "enough")
    else:
        getattr(desk, end)(claim)
    desk.client.delete(f"{desk.keys.celery_prefix}q\x06\x164")  # as a worker takes it
    left = desk.names() - empty
    assert {"task:t", "celery-task-meta-t", "key:k", "agent:hash"} <= left
    for name in ("task:t", "key:k", "agent:hash"):
        assert 0 < desk.client.pttl(desk.keys.prefix + name) <= 1000

    def only_the_stream() -> bool:
        desk.beat("a")
        desk.beat("b")
        return desk.names() <= empty

    until(only_the_stream, timeout=5, pause=0.1)
    desk.close()


def test_a_task_that_is_tried_again_does_not_expire(server: PrivateServer) -> None:
    desk = Desk(server, record_ttl_seconds=1)
    desk.submit(key="k")
    desk.fail(desk.claimed())
    desk.store.records.requeue("t")
    for name in ("task:t", "key:k", "agent:hash"):
        assert desk.client.pttl(desk.keys.prefix + name) == -1
    assert desk.store.records.get("t").error is None
    assert desk.finish(desk.claimed()).accepted
    desk.close()


# --- namespaces and bytes ----------------------------------------------------------------------


def test_two_namespaces_never_see_each_other(server: PrivateServer) -> None:
    # One name is the beginning of the other.
    name = f"t{uuid4().hex[:10]}"
    one, two = Desk(server, namespace=name), Desk(server, namespace=f"{name}.two")
    one.submit(key="k")
    two.submit(key="k", input='"mine"')
    assert len(one.messages()) == len(two.messages()) == 1
    claim = one.claimed()
    assert two.status() is TaskStatus.PENDING
    assert one.finish(claim).accepted
    assert two.store.records.get("t").output is None
    two.store.records.cancel("t", "x")
    assert (one.status(), two.status()) == (TaskStatus.COMPLETED, TaskStatus.CANCELLED)
    assert "task.cancelled" not in one.events()
    assert "task.completed" not in two.events()
    two.store.fleet.leave("a", "worker-a", [])
    assert set(one.store.fleet.workers()) == {"worker-a", "worker-b"}
    assert one.store.records.counts()[TaskStatus.COMPLETED] == 1
    assert two.store.records.counts()[TaskStatus.COMPLETED] == 0
    one.close()
    two.close()


NASTY = [
    '","result":"',
    '"result":{}}',
    "\x00\x1f\x7f",
    "é漢😀" * 50,
    "]==]",
    "@@id@@",
    "%s{}",
    "\u2028",
]


@pytest.mark.parametrize("text", NASTY)
def test_any_text_comes_back_as_it_was(desk: Desk, text: str) -> None:
    encoded = json.dumps(text, ensure_ascii=False)
    desk.submit(name=text, input=encoded)
    [message] = desk.messages()
    assert damage(message) is None
    assert json.loads(message)["headers"]["shadow"] == text
    desk.finish(desk.claimed(), output=encoded)
    record = desk.store.records.get("t")
    assert (record.name, record.input, record.output) == (text, text, text)
    assert desk.claim() == Refused(Refusal.FINAL, "completed", encoded)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    priority=st.integers(1, 10),
    timeout=st.none() | st.floats(0, 1e300, exclude_min=True),
)
def test_every_message_is_one_that_a_worker_takes(
    desk: Desk, text: str, priority: int, timeout: float | None
) -> None:
    task_id = uuid4().hex
    extra = {} if timeout is None else {"timeout": timeout}
    desk.submit(task_id, name=text, input=json.dumps(text), priority=priority, **extra)
    message = desk.messages(priority=priority)[0]
    assert damage(message) is None
    headers = json.loads(message)["headers"]
    assert (headers["id"], headers["shadow"]) == (task_id, text)
    hard, soft = headers["timelimit"]
    assert (hard is None) == (soft is None) == (timeout is None)
    if timeout is not None:
        assert soft == pytest.approx(timeout)
        assert hard == pytest.approx(timeout + 5)


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ('{"t":["Analyse: ",["g"],"/",["g",0]]}', '"Analyse: {Gather.output}/{Gather.output}"'),
        ('{"r":["g"]}', '"{Gather.output}"'),
        ('{"r":["unknown"]}', '"{unknown.output}"'),
        ('{"f":"module:build"}', '{"f":"module:build"}'),
        ('{"d":{"a":{"r":["g"]}}}', '{"d":{"a":{"r":["g"]}}}'),
        ('{"t":["' + "x" * 5_000 + '",["g"]]}', '{"t":["' + "x" * 110 + "..."),
        ('{"l":' * 2_000 + "1" + "}" * 2_000, ('{"l":' * 30)[:117] + "..."),
    ],
)
def test_a_message_previews_an_input_that_has_outputs_in_it(
    desk: Desk, template: str, shown: str
) -> None:
    fields = {"name": "n", "agent": "hash", "queue": "q", "priority": 5}
    written = {**fields, "template": template, "deps": '{"g":"Gather"}'}
    desk.store.records.submit([NewTask("t", written)], AGENTS)
    [message] = desk.messages()
    assert json.loads(message)["headers"]["argsrepr"] == shown
