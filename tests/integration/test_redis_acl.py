"""The ACL users of docs/reliability.md can do their work, and nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from pyagent_orch import Orchestrator, Task, Workflow
from pyagent_orch.doctor import Severity
from support.acl import add_user
from support.fleet import Fleet, until
from support.fleet_agents import async_sleep, echo, fail, tell
from support.raw_server import RawServer


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[RawServer]:
    with RawServer(tmp_path) as server:
        yield server


@pytest.mark.parametrize(
    ("namespace", "worker", "client"),
    [("shop", "shop-worker", "shop-client"), ("default", "worker", "client")],
)
def test_the_users_of_the_document_can_do_their_work(
    raw: RawServer, tmp_path: Path, namespace: str, worker: str, client: str
) -> None:
    fleet = Fleet(add_user(raw, worker), namespace, tmp_path)
    orch = Orchestrator(redis_url=add_user(raw, client), namespace=namespace)
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
        # What somebody else pushed into a queue is put aside where the doctor looks, and the
        # worker lives on.
        queue = "agents" if namespace == "default" else f"{namespace}:agents"
        raw.run("LPUSH", queue, "no message")
        assert orch.submit(echo, "behind it").result(timeout=20) == "behind it"
        assert raw.run("LRANGE", f"pyagent:1:{namespace}:rejected", 0, -1) == ["no message"]
        found = {one.id: one for one in fleet.orchestrator.doctor()}
        assert "1 message" in found["messages.rejected"].what
        assert found["redis.permissions"].severity is Severity.OK, found["redis.permissions"]
        assert len(orch.tasks()) == 6
        told = orch.submit(tell, {"text": "a b c d e f", "seconds": 0.06})
        assert next(p.text for p in told.stream(timeout=20)).startswith("a b")
        assert len(orch.workers()) == 1
        # And again after Redis has come back, when all has to be declared anew.
        raw.kill()
        raw.start()
        for user in (worker, client):
            add_user(raw, user)
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
    with (
        redis.Redis.from_url(add_user(raw, user)) as connection,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        connection.execute_command(*command)


def test_a_client_cannot_take_messages(raw: RawServer) -> None:
    with redis.Redis.from_url(add_user(raw, "shop-client")) as connection:
        for command in (["BRPOP", "shop:agents", 1], ["RPOP", "shop:agents"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                connection.execute_command(*command)
