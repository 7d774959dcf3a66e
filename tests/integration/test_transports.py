"""Plain Celery on our transport and on kombu's own: canvases, control, delays; the same results.

One worker of `create_app` for each, with plain tasks registered beside our agents.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError, TimeLimitExceeded
from celery.result import AsyncResult, allow_join_result

from pyagent_orch import Orchestrator, Settings, create_app
from pyagent_orch.embedded.server import PrivateServer
from support.fleet import ROOT, TESTS, until
from support.mixed_app import add_tasks

PATIENCE = 15


class Mixed:
    """A worker on one transport, and a client of it."""

    def __init__(self, app: Celery, orch: Orchestrator, log: Path) -> None:
        self.app, self.orch, self.log = app, orch, log

    def __getattr__(self, name: str) -> Any:
        return self.app.tasks[f"mixed.{name}"]

    def inspect(self) -> Any:
        return self.app.control.inspect(timeout=2)

    def only(self, answer: dict[str, Any]) -> Any:
        """What the one worker answered."""
        [value] = answer.values()
        return value


@pytest.fixture(scope="module", params=["pyagent", "kombu"])
def mixed(
    request: pytest.FixtureRequest,
    server: PrivateServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mixed]:
    directory = tmp_path_factory.mktemp("mixed")
    settings = Settings(redis_url=server.broker_url, namespace=f"t{uuid4().hex[:10]}")
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PYAGENT_ORCH_")},
        "PYAGENT_ORCH_REDIS_URL": server.broker_url,
        "PYAGENT_ORCH_NAMESPACE": settings.namespace,
        "PYAGENT_ORCH_TRANSPORT": request.param,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)]),
    }
    log = directory / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "support.mixed_app", "worker"),
                *("-P", "prefork", "-c", "2", "-l", "INFO", "-n", "mixed@%h"),
            ],
            cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: " ready." in log.read_text(), 30)
        with add_tasks(create_app(settings)) as app, Orchestrator(settings=settings) as orch:
            app.set_current()
            yield Mixed(app, orch, log)
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()[-3000:]


def get(result: AsyncResult, **options: Any) -> Any:
    with allow_join_result():
        return result.get(timeout=PATIENCE, interval=0.02, **options)


# --- canvas ----------------------------------------------------------------------------------


def test_a_chain(mixed: Mixed) -> None:
    assert get((mixed.add.s(1, 2) | mixed.add.s(3) | mixed.add.s(4))()) == 10


def test_a_group_in_its_order(mixed: Mixed) -> None:
    assert get(group(mixed.same.s(n) for n in range(30))()) == list(range(30))


def test_a_chord(mixed: Mixed) -> None:
    assert get(chord([mixed.add.s(n, 1) for n in range(20)])(mixed.total.s())) == 210


def test_a_chain_of_a_group_a_body_and_a_link(mixed: Mixed) -> None:
    flow = chain(mixed.same.s(2), group(mixed.add.s(1), mixed.add.s(2)), mixed.total.s())
    assert get((flow | mixed.add.s(100))()) == 107


def test_a_chord_in_a_chord(mixed: Mixed) -> None:
    inner = chord([mixed.add.s(1, 1), mixed.add.s(2, 2)], mixed.total.s())
    assert get(chord([inner, mixed.same.s(10)])(mixed.total.s())) == 16


def test_chunks_and_starmap(mixed: Mixed) -> None:
    pairs = [(n, n) for n in range(6)]
    assert get(mixed.add.chunks(pairs, 2).apply_async()) == [[0, 2], [4, 6], [8, 10]]
    assert get(mixed.add.starmap(pairs).apply_async()) == [0, 2, 4, 6, 8, 10]


def test_a_failure_in_a_chord_reaches_its_body(mixed: Mixed) -> None:
    result = chord([mixed.same.s(1), mixed.fail.s("enough")])(mixed.total.s())
    until(lambda: result.state == "FAILURE", PATIENCE)
    assert isinstance(result.result, ChordError)
    assert "enough" in str(result.result)


def test_a_failure_ends_a_chain(mixed: Mixed) -> None:
    result = (mixed.fail.si("enough") | mixed.add.si(1, 2))()
    with pytest.raises(ValueError, match="enough"):
        get(result.parent)
    # Celery fails what would have come after it, too, a moment later.
    until(lambda: result.state == "FAILURE", PATIENCE)


def test_a_callback_and_an_error_callback(mixed: Mixed) -> None:
    called = mixed.same.si("called").set(task_id=str(uuid4()))
    mixed.add.apply_async((1, 2), link=called)
    assert get(AsyncResult(called.id, app=mixed.app)) == "called"
    told = mixed.same.si("told").set(task_id=str(uuid4()))
    mixed.fail.apply_async(("enough",), link_error=told)
    assert get(AsyncResult(told.id, app=mixed.app)) == "told"


def test_a_task_that_is_replaced(mixed: Mixed) -> None:
    assert get(mixed.once_more.delay(5)) == 7


def test_a_task_that_is_tried_again(mixed: Mixed) -> None:
    assert get(mixed.retried.delay(3)) == 3


# Without kombu's acknowledgements, which are off, nothing marks there what comes again.
@pytest.mark.parametrize("mixed", ["pyagent"], indirect=True)
def test_a_message_that_is_put_back_comes_again(mixed: Mixed) -> None:
    assert get(mixed.put_back.delay()) is True


def test_agents_between_plain_tasks(mixed: Mixed) -> None:
    task = mixed.orch.submit("upper", "between")
    results = [mixed.same.delay(n) for n in range(10)]
    assert task.result(timeout=PATIENCE) == "BETWEEN"
    assert [get(one) for one in results] == list(range(10))


# --- times -----------------------------------------------------------------------------------


def test_a_countdown_and_an_eta(mixed: Mixed) -> None:
    began = time.monotonic()
    late = mixed.same.apply_async((1,), countdown=1.0)
    later = mixed.same.apply_async((2,), eta=datetime.now(UTC) + timedelta(seconds=1.2))
    until(lambda: len(mixed.only(mixed.inspect().scheduled())) == 2, 5)
    assert (get(late), get(later)) == (1, 2)
    assert time.monotonic() - began >= 1.0


def test_what_has_expired_is_not_run(mixed: Mixed) -> None:
    result = mixed.same.apply_async((1,), expires=datetime.now(UTC) - timedelta(seconds=5))
    with pytest.raises(TaskRevokedError):
        get(result)


def test_a_hard_time_limit(mixed: Mixed) -> None:
    with pytest.raises(TimeLimitExceeded):
        get(mixed.sleep.apply_async((30,), time_limit=1))
    assert get(mixed.same.delay("goes on")) == "goes on"


# --- control ---------------------------------------------------------------------------------


def test_what_a_worker_tells_of_itself(mixed: Mixed) -> None:
    inspect = mixed.inspect()
    assert mixed.only(inspect.ping()) == {"ok": "pong"}
    assert "mixed.add" in mixed.only(inspect.registered())
    assert mixed.only(inspect.stats())["pool"]["max-concurrency"] == 2
    assert [queue["name"] for queue in mixed.only(inspect.active_queues())] == ["agents"]


def test_a_running_task_is_seen_and_terminated(mixed: Mixed) -> None:
    result = mixed.sleep.delay(30)
    until(lambda: [one["id"] for one in mixed.only(mixed.inspect().active())] == [result.id], 5)
    [(state, _)] = mixed.only(mixed.inspect().query_task(result.id)).values()
    assert state == "active"
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        get(result)


def test_a_task_that_is_revoked_before_it_runs(mixed: Mixed) -> None:
    result = mixed.same.apply_async((1,), countdown=1.0)
    result.revoke()
    with pytest.raises(TaskRevokedError):
        get(result)


def test_a_queue_that_is_added_and_cancelled(mixed: Mixed) -> None:
    result = mixed.same.apply_async(("added",), queue="extra")
    mixed.app.control.add_consumer("extra", reply=True, timeout=2)
    assert get(result) == "added"
    mixed.app.control.cancel_consumer("extra", reply=True, timeout=2)
    until(
        lambda: [one["name"] for one in mixed.only(mixed.inspect().active_queues())] == ["agents"]
    )
    waiting = mixed.same.apply_async(("waits",), queue="extra")
    assert get(mixed.same.delay("goes on")) == "goes on"
    assert not waiting.ready()
    mixed.app.control.add_consumer("extra", reply=True, timeout=2)
    assert get(waiting) == "waits"
    mixed.app.control.cancel_consumer("extra", reply=True, timeout=2)


def test_nothing_is_left_in_anybodys_hands(mixed: Mixed) -> None:
    assert get(group(mixed.same.s(n) for n in range(20))()) == list(range(20))
    client = mixed.orch._store.client
    prefix = mixed.orch._store.keys.prefix
    until(lambda: not client.keys(f"{prefix}messages:*"))
