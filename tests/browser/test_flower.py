"""Flower as `pyagent-orch flower` starts it: our tasks under their names, in the right states."""

from __future__ import annotations

import re
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from pyagent_orch import Orchestrator, RetryPolicy, Task, TaskStatus
from pyagent_orch.embedded.server import PrivateServer
from support.command import Command
from support.fleet import Fleet, until
from support.standing import standing_fleet

PASSWORD = "correct horse"
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


class Monitor(NamedTuple):
    """A Flower that has asked the workers for task events, and the fleet that it shows."""

    address: str
    fleet: Fleet
    process: subprocess.Popen[str]

    @property
    def orchestrator(self) -> Orchestrator:
        return self.fleet.orchestrator

    def submit(self, agent: str, value: object, **options: Any) -> Task:
        return self.orchestrator.submit(agent, value, queue="threads", **options)

    def open(self, page: Page, task: Task, state: str) -> str:
        """The page of a task, once Flower has heard that it is in this state; its text."""
        address = f"{self.address}/task/{task.id}"

        def told() -> bool:
            answer = page.goto(address)
            return answer is not None and answer.ok and state in page.inner_text("body")

        until(told, 10, pause=0.3)
        return page.inner_text("body")


@pytest.fixture(scope="module")
def monitor(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    directory = tmp_path_factory.mktemp("flower")
    secret = directory / "password"
    secret.write_text(f"{PASSWORD}\n")
    with (
        standing_fleet(server, directory, threads=3) as fleet,
        (directory / "flower.log").open("w+") as log,
        Command(directory, fleet.url, fleet.namespace).running(
            "flower", "--port", "0", env={"PYAGENT_ORCH_FLOWER_PASSWORD_FILE": str(secret)},
            stdout=log, stderr=log,
        ) as process,
    ):  # fmt: skip
        text = (directory / "flower.log").read_text
        try:
            found = until(lambda: re.search(r"Visit me at (http://\S+)", text()), 20)
            until(lambda: "enabled by remote" in fleet.workers[0].text(), 20)
        except AssertionError:
            raise AssertionError(text()) from None
        yield Monitor(found[1], fleet, process)
        assert PASSWORD not in text()


@pytest.fixture
def inside(page: Page, monitor: Monitor) -> Page:
    """The page, logged in."""
    token = b64encode(f"admin:{PASSWORD}".encode()).decode()
    page.context.set_extra_http_headers({"Authorization": f"Basic {token}"})
    return page


def row_of(page: Page, name: str) -> str:
    """What the table of tasks says of a task, by its name."""
    return page.locator("#tasks-table tbody tr", has_text=name).inner_text()


def test_nobody_gets_in_without_the_password(page: Page, monitor: Monitor) -> None:
    for path in ("/", "/workers", "/tasks", "/broker", "/api/tasks"):
        assert page.request.get(monitor.address + path).status == 401, path
    wrong = {"Authorization": f"Basic {b64encode(b'admin:guess').decode()}"}
    assert page.request.get(f"{monitor.address}/tasks", headers=wrong).status == 401


def test_the_password_is_in_no_list_of_processes(monitor: Monitor) -> None:
    shown = subprocess.check_output(
        ["ps", "-ww", "-o", "args=", "-p", str(monitor.process.pid)], text=True
    )
    assert "workers.celery_app flower" in shown
    assert PASSWORD not in shown
    assert monitor.fleet.url not in shown


def test_tasks_have_their_names_and_states(
    inside: Page, monitor: Monitor, shot: Callable[[str], None]
) -> None:
    orchestrator = monitor.orchestrator
    done = monitor.submit("upper", "good morning", name="Greet the team")
    failed = monitor.submit("fail", "the source is gone", name="Read the archive")
    retried = monitor.submit(
        "fail_until", {"attempt": 2}, name="Ask the model",
        retry=RetryPolicy(max_attempts=2, delay_seconds=60),
    )  # fmt: skip
    cancelled = monitor.submit("async_sleep", 60, name="Write the report")
    until(lambda: orchestrator.status(cancelled.id) is TaskStatus.RUNNING)
    cancelled.cancel()
    orchestrator.wait(done, failed, timeout=10)
    until(lambda: orchestrator.status(retried.id) is TaskStatus.RETRYING)

    inside.goto(f"{monitor.address}/tasks")
    states = {
        "Greet the team": "SUCCESS",
        "Read the archive": "FAILURE",
        "Ask the model": "RETRY",
        "Write the report": "REVOKED",
    }

    def shown() -> bool:
        inside.reload()
        inside.wait_for_selector("#tasks-table tbody tr td")
        rows = inside.locator("#tasks-table tbody").inner_text()
        return all(name in rows for name in states) and "REVOKED" in row_of(
            inside, "Write the report"
        )

    until(shown, 15, pause=0.5)
    for name, state in states.items():
        assert state in row_of(inside, name)
    shot("flower-tasks")


def test_a_task_has_a_short_preview_of_its_input_and_output(
    inside: Page, monitor: Monitor, shot: Callable[[str], None]
) -> None:
    task = monitor.submit("upper", "x" * 5_000, name="Long")
    assert task.result(timeout=10) == "X" * 5_000
    text = monitor.open(inside, task, "SUCCESS")
    assert "Long" in text
    assert '"xxxxxxxxxx' in text
    assert "'XXXXXXXXXX" in text
    assert "x" * 200 not in text
    assert "X" * 1_100 not in text


def test_a_failed_task_says_why(
    inside: Page, monitor: Monitor, shot: Callable[[str], None]
) -> None:
    task = monitor.submit("fail", "the source is gone", name="Read the letters")
    task.wait(timeout=10)
    text = monitor.open(inside, task, "FAILURE")
    assert "FAILURE" in text
    assert "ValueError('the source is gone')" in text
    shot("flower-task")


def test_hostile_text_is_shown_as_text(inside: Page, monitor: Monitor) -> None:
    task = monitor.submit("echo", HOSTILE, name=HOSTILE)
    task.wait(timeout=10)
    monitor.open(inside, task, "SUCCESS")
    expect(inside.locator("body")).to_contain_text("onerror")
    inside.goto(f"{monitor.address}/tasks")
    inside.wait_for_selector("#tasks-table tbody tr td")
    expect(inside.locator("#tasks-table tbody")).to_contain_text("onerror")
    assert inside.locator("img[src=x]").count() == 0
    assert "taken" not in inside.title()


def test_workers_and_queues_are_there(
    inside: Page, monitor: Monitor, shot: Callable[[str], None]
) -> None:
    [worker] = monitor.orchestrator.workers()
    inside.goto(f"{monitor.address}/workers")
    expect(inside.locator("#workers-table tbody")).to_contain_text(worker)
    expect(inside.locator("#workers-table tbody")).to_contain_text("Online")
    shot("flower-workers")
    monitor.submit("echo", 1).wait(timeout=10)
    inside.goto(f"{monitor.address}/broker")
    expect(inside.locator("table")).to_contain_text("threads")


def test_its_button_cancels_a_task_for_good(inside: Page, monitor: Monitor) -> None:
    task = monitor.submit("async_sleep", 60, name="Stop me")
    until(lambda: monitor.orchestrator.status(task.id) is TaskStatus.RUNNING)
    monitor.open(inside, task, "STARTED")
    inside.get_by_role("button", name=re.compile("terminate", re.IGNORECASE)).click()
    ended = task.wait(timeout=10)
    assert ended.status is TaskStatus.CANCELLED
    # A pool of threads goes on with its other work.
    assert monitor.submit("upper", "a").result(timeout=10) == "A"
