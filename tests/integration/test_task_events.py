"""Celery's task events: none until somebody asks, none when nobody asks any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest

from pyagent_orch import Settings, Task, TaskStatus, create_app
from support.fleet import Fleet, until


class Listener:
    """Hears Celery's events from `start` to `stop`, as Flower does."""

    def __init__(self, app: Any) -> None:
        self._connection = app.connection()
        self._receiver = app.events.Receiver(self._connection, handlers={"*": self._hear})
        self._receiver.on_consume_ready = lambda *_, **__: self._ready.set()
        self._ready = threading.Event()
        self._heard: list[dict[str, Any]] = []
        self._thread = threading.Thread(
            target=self._receiver.capture, kwargs={"wakeup": False}, daemon=True
        )

    def _hear(self, event: dict[str, Any]) -> None:
        self._heard.append(event)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.should_stop = True
        self._thread.join(10)
        self._connection.release()

    def of(self, task: Task) -> list[str]:
        """The types of a task's events so far, in their order."""
        return [event["type"] for event in self._heard if event.get("uuid") == task.id]

    def until(self, task: Task, *types: str) -> None:
        """Wait until these are all of a task's events."""
        try:
            until(lambda: self.of(task) == list(types), 5)
        except AssertionError:
            raise AssertionError(self.of(task)) from None


@pytest.fixture
def app(fleet: Fleet) -> Iterator[Any]:
    """A plain Celery client of the installation."""
    with create_app(Settings(redis_url=fleet.url, namespace=fleet.namespace)) as app:
        yield app


def test_a_worker_sends_task_events_once_it_is_asked(fleet: Fleet, app: Any) -> None:
    fleet.start("threads", 2)
    orchestrator = fleet.orchestrator
    with Listener(app) as events:
        before = orchestrator.submit("upper", "a")
        assert before.result(timeout=10) == "A"
        [answer] = app.control.enable_events(reply=True, timeout=5, limit=1)
        assert list(answer.values()) == [{"ok": "task events enabled"}]
        after = orchestrator.submit("upper", "a", name="Greet")
        assert after.result(timeout=10) == "A"
        events.until(after, "task-received", "task-started", "task-succeeded")
        assert events.of(before) == []


def test_the_setting_has_them_sent_all_the_time(fleet: Fleet, app: Any) -> None:
    fleet.start("threads", 2, env={"PYAGENT_ORCH_TASK_EVENTS": "true"})
    with Listener(app) as events:
        task = fleet.orchestrator.submit("fail", "no")
        task.wait(timeout=10)
        events.until(task, "task-received", "task-started", "task-failed")


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_cancelled_run_ends_as_revoked(fleet: Fleet, app: Any, pool: str) -> None:
    fleet.start(pool, 1, "-E")
    orchestrator = fleet.orchestrator
    with Listener(app) as events:
        running = orchestrator.submit("async_sleep", 60)
        queued = orchestrator.submit("upper", "a")
        until(lambda: orchestrator.status(running.id) is TaskStatus.RUNNING)
        queued.cancel()
        running.cancel()
        events.until(running, "task-received", "task-started", "task-revoked")
        last = orchestrator.submit("upper", "a")
        events.until(last, "task-received", "task-started", "task-succeeded")
        # No worker was ever given it.
        assert events.of(queued) == []


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_celerys_own_revoke_cancels_the_task(fleet: Fleet, app: Any, pool: str) -> None:
    fleet.start(pool, 1)
    orchestrator = fleet.orchestrator
    running, queued = orchestrator.submit("async_sleep", 60), orchestrator.submit("upper", "a")
    until(lambda: orchestrator.status(running.id) is TaskStatus.RUNNING)
    app.control.revoke(queued.id, reply=True, timeout=5, limit=1)
    app.control.revoke(running.id, terminate=True, reply=True, timeout=5, limit=1)
    orchestrator.wait(running, queued, timeout=15)
    assert running.status is queued.status is TaskStatus.CANCELLED
    assert "remote control" in str(queued.error)
    # The pool is whole, also one of threads.
    assert orchestrator.submit("upper", "a").result(timeout=15) == "A"


def test_they_end_when_nobody_asks_any_more(fleet: Fleet, app: Any) -> None:
    agents = "support.fleet_agents,support.brief_asking"
    worker = fleet.start("threads", 2, env={"PYAGENT_ORCH_AGENTS": agents})
    with Listener(app) as events:
        app.control.enable_events(reply=True, timeout=5, limit=1)
        first = fleet.orchestrator.submit("upper", "a")
        events.until(first, "task-received", "task-started", "task-succeeded")
        until(lambda: "Nobody asks for task events any more" in worker.text(), 10)
        later = fleet.orchestrator.submit("upper", "a")
        assert later.result(timeout=10) == "A"
        app.control.enable_events(reply=True, timeout=5, limit=1)
        last = fleet.orchestrator.submit("upper", "a")
        events.until(last, "task-received", "task-started", "task-succeeded")
        assert events.of(later) == []


def test_a_task_that_a_stopping_worker_gives_back_is_not_told_as_revoked(
    fleet: Fleet, app: Any
) -> None:
    worker = fleet.start("prefork", 1, "-E", env={"PYAGENT_ORCH_STOP_TIMEOUT_SECONDS": "0.3"})
    with Listener(app) as events:
        task = fleet.orchestrator.submit("sleep", 60)
        until(lambda: events.of(task) == ["task-received", "task-started"])
        assert worker.stop() == 0
        assert fleet.orchestrator.status(task.id) is TaskStatus.PENDING
        assert events.of(task) == ["task-received", "task-started"]
    told = [event.type for event in fleet.orchestrator.events()]
    assert "task.released" in told
    assert "task.revoked" not in told
