"""Batches of acts on a server that has forgotten the scripts, and what each batch sends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyagent_orch import Orchestrator, SubmitError, Task
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.engine.dispatch import BATCH
from pyagent_orch.store.clock import now_iso
from support import fleet_agents
from support.desk import Desk


@pytest.fixture
def client() -> Iterator[Orchestrator]:
    """On a server of its own, since it is made to forget."""
    with (
        PrivateServer() as server,
        Orchestrator(redis_url=server.broker_url, namespace="batches") as orchestrator,
    ):
        yield orchestrator


def batch(client: Orchestrator, count: int) -> None:
    client.submit_many([Task(fleet_agents.echo, number) for number in range(count)])


def test_a_batch_for_a_server_that_forgot_the_scripts_is_done_whole_and_once(
    client: Orchestrator,
) -> None:
    batch(client, 7)
    client._store.client.script_flush()
    batch(client, 9)
    assert client.counts()["pending"] == 16
    submitted = [event for event in client.events() if event.type == "task.submitted"]
    assert len(submitted) == 16


def test_a_batch_does_not_send_the_script_that_the_server_knows(client: Orchestrator) -> None:
    redis = client._store.client
    batch(client, 3)
    before = redis.info("commandstats").get("cmdstat_script|load", {"calls": 0})["calls"]
    batch(client, 3)
    assert redis.info("commandstats")["cmdstat_script|load"]["calls"] == before >= 1


def test_batches_overlap_and_a_call_whose_id_is_taken_says_exactly_what_was_sent(
    client: Orchestrator,
) -> None:
    client.submit(fleet_agents.echo, "other", id="taken")
    tasks = [Task(fleet_agents.echo, number) for number in range(4 * BATCH)]
    tasks[BATCH + 7] = Task(fleet_agents.echo, "mine", id="taken")
    with pytest.raises(SubmitError) as caught:
        client.submit_many(tasks)
    sent, unsent = caught.value.sent, caught.value.unsent
    assert "taken" in unsent
    assert sorted([*sent, *unsent]) == sorted(task.id for task in tasks)
    assert {task.id for task in client._store.records.get_many(sent) if task} == set(sent)
    left = [one for one in unsent if one != "taken"]
    assert client._store.records.get_many(left) == [None] * len(left)
    # The same again, with what was sent already: no task is there twice.
    tasks[BATCH + 7] = Task(fleet_agents.echo, "mine")
    fresh = [task for task in tasks if task.id not in sent]
    client.submit_many(fresh)
    assert client.counts()["pending"] == 4 * BATCH + 1


def test_batches_keep_their_order(client: Orchestrator) -> None:
    tasks = [Task(fleet_agents.echo, number) for number in range(3 * BATCH + 5)]
    client.submit_many(tasks)
    told = [event.subject for event in client.events() if event.type == "task.submitted"]
    assert told == [task.id for task in tasks]


def test_finishes_of_a_group_are_one_act_in_which_one_does_not_fail_the_others(
    server: PrivateServer,
) -> None:
    desk = Desk(server)
    names = ["a", "broken", "b", "missing"]
    claims = {}
    for name in names:
        desk.submit(name)
        claims[name] = desk.claimed("a", name)
    acts = desk.store.acts
    acts.teach("finish_v1")
    calls = [
        [claims[name].id, claims[name].run, "a", f'"{name}"', "", now_iso(), ""] for name in names
    ]
    desk.client.delete(desk.keys.task("missing"))
    before = desk.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert acts.run_together("finish_v1", [calls[0], calls[3]]) == [["ok"], ["missing"]]
    after = desk.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert after - before == 1
    # Somebody wrote over a record.
    desk.client.delete(desk.keys.task("broken"))
    desk.client.set(desk.keys.task("broken"), "no record")
    first, second = acts.run_together("finish_v1", [calls[1], calls[2]])
    assert "WRONGTYPE" in str(first)
    assert second == ["ok"]
    assert desk.store.records.get("b").output == "b"
    desk.close()
