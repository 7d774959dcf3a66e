"""Batches of acts on a server that has forgotten the scripts, and what each batch sends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyagent_orch import Orchestrator, Task
from pyagent_orch.embedded.server import PrivateServer
from support import fleet_agents


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
