"""The ACL users of docs/reliability.md can do their work, and nothing beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pyagent_orch import Orchestrator, Task, Workflow
from support.fleet import Fleet, until
from support.fleet_agents import async_sleep, echo, fail
from support.raw_server import RawServer

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


def rules(user: str) -> list[str]:
    """The words behind `ACL SETUSER <user>` in the document."""
    found = re.search(rf"^ACL SETUSER {user} ((?:.*\\\n)*.*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert found is not None, user
    return found[1].replace("\\\n", " ").replace("<password>", f"{user}-password").split()


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[RawServer]:
    with RawServer(tmp_path) as server:
        yield server


def url_of(raw: RawServer, user: str) -> str:
    return f"redis://{user}:{user}-password@127.0.0.1:{raw.port}/0"


@pytest.mark.parametrize(
    ("namespace", "worker", "client"),
    [("shop", "shop-worker", "shop-client"), ("default", "worker", "client")],
)
def test_the_users_of_the_document_can_do_their_work(
    raw: RawServer, tmp_path: Path, namespace: str, worker: str, client: str
) -> None:
    for user in (worker, client):
        raw.run("ACL", "SETUSER", user, *rules(user))
    fleet = Fleet(url_of(raw, worker), namespace, tmp_path)
    orch = Orchestrator(redis_url=url_of(raw, client), namespace=namespace)
    try:
        fleet.start("threads", 2)
        told: list[object] = []
        durable: list[str] = []
        orch.on("task.completed", lambda task: durable.append(task.id), durable="group")
        task = orch.submit(echo, "x", key="k", delay=0.5, callback=lambda t: told.append(t.output))
        assert task.result(timeout=20) == "x"
        until(lambda: told == ["x"])
        until(lambda: durable == [task.id])
        slow = orch.submit(async_sleep, 60)
        until(lambda: slow.status == "running", 10)
        assert slow.cancel()
        assert slow.wait(timeout=10).status == "cancelled"
        assert orch.submit(fail, "no").wait(timeout=10).status == "failed"
        parts = [Task(echo, 1, name="a"), Task(echo, "{a.output}", name="b")]
        workflow = Workflow(name="w", tasks=parts, dependencies={"b": ["a"]})
        assert orch.submit_workflow(workflow).result(timeout=20) == 1
        assert len(orch.tasks()) == 5
        assert len(orch.workers()) == 1
        # And again after Redis has come back, when all has to be declared anew.
        raw.kill()
        raw.start()
        for user in (worker, client):
            raw.run("ACL", "SETUSER", user, *rules(user))
        until(lambda: again(orch), 20, pause=0.1)
        fleet.workers[0].stop()
        denied = [entry for entry in raw.run("ACL", "LOG") if "auth" not in str(entry)]
        assert not denied, denied
    finally:
        orch.close()
        fleet.close()


def again(orch: Orchestrator) -> bool:
    try:
        return orch.submit(echo, "again").result(timeout=10) == "again"
    except ConnectionError:
        return False


@pytest.mark.parametrize("user", ["shop-worker", "shop-client"])
@pytest.mark.parametrize(
    "command",
    [
        ["GET", "pyagent:1:other:task:1"],
        ["LPUSH", "other:agents", "x"],
        ["FLUSHALL"],
        ["KEYS", "*"],
        ["CONFIG", "GET", "*"],
        ["EVAL", "return 1", "0"],
    ],
    ids=" ".join,
)
def test_they_can_do_nothing_else(raw: RawServer, user: str, command: list[str]) -> None:
    raw.run("ACL", "SETUSER", user, *rules(user))
    with (
        redis.Redis.from_url(url_of(raw, user)) as connection,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        connection.execute_command(*command)


def test_a_client_cannot_take_messages(raw: RawServer) -> None:
    raw.run("ACL", "SETUSER", "shop-client", *rules("shop-client"))
    with redis.Redis.from_url(url_of(raw, "shop-client")) as connection:
        for command in (["BRPOP", "shop:agents", 1], ["RPOP", "shop:agents"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                connection.execute_command(*command)
