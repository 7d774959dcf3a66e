"""Metrics: what is counted by the acts is what Prometheus is told."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyagent_orch import Orchestrator, RetryPolicy, Task, Workflow, agent
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.metrics import exposition
from support.command import Command
from support.desk import ERROR, Desk
from support.fleet import ROOT, Fleet, until
from support.raw_server import RawServer

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Samples:
    """Maps a sample's name and its labels to its value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def one(samples: Samples, metric: str, /, **labels: str) -> float | None:
    return samples.get((f"pyagent_orch_{metric}", tuple(sorted(labels.items()))))


@pytest.fixture
def desk(server: PrivateServer) -> Iterator[Desk]:
    desk = Desk(server)
    yield desk
    desk.close()


def scrape(desk: Desk) -> Samples:
    url, namespace = desk.store.address.broker_url, desk.keys.namespace
    with Orchestrator(redis_url=url, namespace=namespace) as orchestrator:
        return read(exposition(orchestrator))


def test_tasks_failures_attempts_and_models_are_counted_by_name(
    embedded: Callable[..., Orchestrator],
) -> None:
    orch = embedded()

    def echo(value: object) -> object:
        return value

    def broken(_: object) -> None:
        raise LookupError("no")

    twice = RetryPolicy(max_attempts=2, delay_seconds=0.0)
    tasks = [orch.submit(echo, n, name="echo") for n in range(5)]
    tasks.append(orch.submit(broken, 1, name="broken", retry=twice))
    tasks.append(orch.submit(agent("You write", name="writer"), "Write", name="text"))
    never = orch.submit(echo, 1, name="late", delay=60)
    never.cancel()
    first = Task(broken, name="first")
    flow = Workflow(
        name="w", tasks=[first, Task(echo, name="then")], dependencies={"then": [first]}
    )
    orch.submit_workflow(flow)
    orch.wait(*tasks, flow, timeout=20)

    found = read(exposition(orch))
    assert one(found, "up") == 1
    assert one(found, "tasks_submitted_total", queue="agents") == 10
    finished = {("echo", "completed"): 5, ("broken", "failed"): 1, ("text", "completed"): 1}
    finished |= {("late", "cancelled"): 1, ("first", "failed"): 1, ("then", "skipped"): 1}
    for (name, status), count in finished.items():
        assert one(found, "tasks_finished_total", name=name, status=status) == count
    assert sum(v for (n, _), v in found.items() if n.endswith("tasks_finished_total")) == 10
    ran = "attempt_duration_seconds_count"
    assert one(found, ran, name="echo", status="completed") == 5
    assert one(found, ran, name="broken", status="retried") == 1
    assert one(found, ran, name="broken", status="failed") == 1
    assert one(found, ran, name="late", status="cancelled") is None, "it never ran"
    assert one(found, "failures_total", kind="LookupError", outcome="retried") == 1
    assert one(found, "failures_total", kind="LookupError", outcome="failed") == 2
    assert one(found, "workflows_finished_total", status="failed") == 1
    assert one(found, "model_requests_total", agent="writer", model="offline") == 1
    tokens = [
        one(found, "tokens_total", agent="writer", model="offline", direction=direction)
        for direction in ("input", "output")
    ]
    usage = tasks[-1].usage
    assert usage is not None
    assert tokens == [usage.input_tokens, usage.output_tokens]
    assert one(found, "workers") == 1
    assert one(found, "worker_slots") == orch.settings.concurrency
    assert one(found, "queue_depth", queue="agents", priority="5") == 0
    assert one(found, "last_sweep_age_seconds") < 30
    assert one(found, "events_total") == len(list(orch.events()))


def test_a_histogram_has_each_attempt_in_its_bucket_and_their_sum(desk: Desk) -> None:
    running = f"{desk.keys.prefix}status:running"
    for task_id, ms in (("a", 7), ("b", 300), ("c", 4_000_000)):
        desk.submit(task_id)
        claim = desk.claimed(task_id=task_id)
        # As if it had begun so long ago.
        desk.client.zadd(running, {task_id: desk.client.zscore(running, task_id) - ms})
        desk.finish(claim)
    found = scrape(desk)
    bucket = "attempt_duration_seconds_bucket"
    labels = {"name": "n", "status": "completed"}
    below = {le: one(found, bucket, **labels, le=le) for le in ("0.25", "0.5", "3600", "+Inf")}
    assert below == {"0.25": 1, "0.5": 2, "3600": 2, "+Inf": 3}
    total = one(found, "attempt_duration_seconds_sum", **labels)
    assert 4000.3 <= total <= 4001


def test_healing_is_counted(desk: Desk) -> None:
    desk.submit("lost")
    desk.claimed("b", "lost")
    desk.lose_lease("b")
    until(lambda: desk.beat("a") == () and desk.status("lost") == "pending")
    desk.submit("taken")
    desk.client.delete(f"{desk.keys.celery_prefix}q\x06\x164")
    until(lambda: desk.beat("a") == () and len(desk.messages()) == 2, pause=0.1)
    assert desk.release(desk.claimed("a", "taken")) == "ok"
    found = scrape(desk)
    assert one(found, "workers_lost_total") == 1
    assert one(found, "tasks_recovered_total", reason="worker_lost") == 1
    assert one(found, "tasks_recovered_total", reason="message_lost") == 2
    assert one(found, "tasks_released_total") == 1
    assert one(found, "attempt_duration_seconds_count", name="n", status="lost") == 1


def test_queues_tell_depth_and_age_by_priority(desk: Desk) -> None:
    for number in range(3):
        desk.submit(f"t{number}", priority=2)
    index = f"{desk.keys.prefix}queued:q:2"
    desk.client.zadd(index, {"t0": desk.client.zscore(index, "t0") - 90_000})
    desk.submit("later", delay_ms=60_000)
    desk.client.zadd(desk.keys.delayed, {"later": desk.client.zscore(index, "t1") - 5_000})
    found = scrape(desk)
    assert one(found, "queue_depth", queue="q", priority="2") == 3
    assert 90 <= one(found, "queue_oldest_age_seconds", queue="q", priority="2") < 120
    assert one(found, "delayed_tasks") == 1
    assert 5 <= one(found, "delayed_overdue_seconds") < 60
    assert one(found, "tasks", status="pending") == 4
    assert one(found, "tasks", status="running") == 0


def test_money_is_added_up_and_a_missing_price_is_told(desk: Desk) -> None:
    usages = (
        {"model": "m|1", "requests": 2, "input_tokens": 10, "cost_usd": 0.001_25},
        {"model": "m|1", "requests": 1, "output_tokens": 5, "cost_usd": 2.5},
        {"model": "m|1", "requests": 3},
        {"requests": 4, "cost_usd": 1},
    )
    for number, usage in enumerate(usages):
        desk.submit(f"t{number}")
        claim = desk.claimed(task_id=f"t{number}")
        if number == 1:
            desk.store.runs.fail(
                claim, "a", error=ERROR, celery_error="{}", traceback="null",
                usage=json.dumps(usage),
            )  # fmt: skip
        else:
            desk.store.runs.finish(claim, "a", "1", json.dumps(usage))
    found = scrape(desk)
    pair = {"agent": "echo", "model": "m_1"}
    assert one(found, "cost_usd_total", **pair) == pytest.approx(2.50125)
    assert one(found, "model_requests_total", **pair) == 6
    assert one(found, "unpriced_requests_total", **pair) == 3
    assert one(found, "tokens_total", **pair, direction="input") == 10
    assert one(found, "cost_usd_total", agent="echo", model="(several)") == 1


def test_each_attempt_is_paid_for_once(desk: Desk) -> None:
    desk.submit()
    claim = desk.claimed()
    spent = '{"model":"m","requests":1,"input_tokens":10,"cost_usd":0.5}'
    desk.store.runs.retry(claim, "a", 0.0, ERROR, counts=True, usage=spent)
    pair = {"agent": "echo", "model": "m"}
    assert one(scrape(desk), "cost_usd_total", **pair) == pytest.approx(0.5)
    # What a task has cost is told as a sum of its attempts.
    total = '{"model":"m","requests":3,"input_tokens":30,"cost_usd":1.25}'
    desk.store.runs.finish(desk.claimed(), "a", "1", total)
    found = scrape(desk)
    assert one(found, "cost_usd_total", **pair) == pytest.approx(1.25)
    assert one(found, "model_requests_total", **pair) == 3
    assert one(found, "tokens_total", **pair, direction="input") == 30


def test_labels_are_bounded_and_what_comes_later_is_counted_all_the_same(desk: Desk) -> None:
    names = [f"task {number}" for number in range(250)]
    for number, name in enumerate((*names, names[0], names[-1])):
        desk.submit(f"t{number}", name=name)
        desk.store.records.cancel(f"t{number}", "no")
    found = scrape(desk)
    told = {
        dict(labels)["name"]: value
        for (name, labels), value in found.items()
        if name == "pyagent_orch_tasks_finished_total"
    }
    assert len(told) == 201
    assert sum(told.values()) == 252
    assert told["(other)"] == 51
    assert told[names[0]] == 2
    assert desk.client.hlen(desk.keys.metrics) < 500


def test_a_long_or_hostile_name_is_a_label_and_nothing_more(desk: Desk) -> None:
    hostile = 'a"b\\c\nd|e} 1\n# TYPE x counter ' + "é" * 200
    desk.submit(name=hostile)
    desk.finish(desk.claimed())
    found = scrape(desk)
    (name,) = {
        dict(labels)["name"]
        for (sample, labels) in found
        if sample == "pyagent_orch_tasks_finished_total"
    }
    assert hostile.startswith(name.removesuffix("..."))
    assert len(name.encode()) <= 120


def test_the_page_names_every_metric_and_no_other(
    desk: Desk, embedded: Callable[..., Orchestrator]
) -> None:
    orch = embedded()
    orch.on("task.*", lambda _: None, durable="alerts")
    orch.submit(agent("You write"), "x").wait(timeout=20)
    text = exposition(orch)
    made = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in text_string_to_metric_families(text)
    }
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(pyagent_orch_\w+)` \| (\w+)", page, re.MULTILINE)
    assert dict(rows) == made
    for name, labels in re.findall(
        r"^\| `(pyagent_orch_\w+)` \| \w+(?: \(1\))? \| ([^|]*) \|", page, re.MULTILINE
    ):
        told = set(re.findall(r"(?:^|, )`(\w+)`", re.sub(r": .*", "", labels)))
        found = {
            frozenset(sample.labels) - {"le"}
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if name in (family.name, f"{family.name}_total")
        }
        assert found <= {frozenset(told)}, name


def test_the_command_serves_scrapes_until_it_is_stopped_and_says_when_redis_is_away(
    tmp_path: Path,
) -> None:
    with RawServer(tmp_path) as raw:
        command = Command(tmp_path, raw.url, "shop")
        printed = read(command.ok("metrics", "--once"))
        assert one(printed, "workers") == 0
        with command.running("metrics", "--port", "0") as process:
            line = process.stdout.readline()
            url = re.search(r"http://127\.0\.0\.1:\d+/metrics", line)[0]
            served = read(get(url))
            assert one(served, "up") == 1
            raw.kill()
            away = read(get(url))
            assert away == {("pyagent_orch_up", ()): 0}
            raw.start()
            until(lambda: one(read(get(url)), "up") == 1)
            process.terminate()
            assert process.wait(10) == 0, process.stderr.read()
        raw.kill()
        failed = command.here("metrics", "--once")
        assert failed.returncode == 2
        assert f"127.0.0.1:{raw.port}" in failed.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path, server: PrivateServer) -> None:
    command = Command(tmp_path, server.broker_url)
    with command.running("metrics", "--port", "0") as process:
        port = re.search(r":(\d+)/metrics", process.stdout.readline())[1]
        refused = command.run("metrics", "--port", port)
    assert refused.returncode == 2
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "--port" in refused.stderr


def test_runs_of_jobs_and_how_late_they_were_are_counted(fleet: Fleet) -> None:
    fleet.start("threads", 1)
    orch = fleet.orchestrator
    orch.schedule(agent="echo", input="x", interval_seconds=3600, id="j")
    orch.run_now("j").wait(timeout=20)
    found = read(exposition(orch))
    assert one(found, "job_runs_total", how="manual") == 1
    assert one(found, "jobs") == 1
    assert one(found, "job_overdue_seconds") == 0


def test_how_late_a_due_run_was_recorded_is_measured_from_its_due_time(
    embedded: Callable[..., Orchestrator],
) -> None:
    orch = embedded()
    orch.schedule(agent=str.upper, input="x", interval_seconds=1, id="often")
    until(lambda: len(orch.job_runs("often")) >= 2, 20)
    orch.pause("often")
    counters = orch.measure().counters
    assert counters.fired["due"] >= 2
    assert counters.lateness.count == counters.fired["due"]
    # A second is the longest pause between two looks; a machine under load takes longer.
    assert 0 <= counters.lateness.sum_seconds <= 15 * counters.lateness.count
    found = read(exposition(orch))
    assert one(found, "job_lateness_seconds_count") == counters.lateness.count


def test_events_that_a_durable_handler_has_not_had_are_its_lag(
    embedded: Callable[..., Orchestrator],
) -> None:
    orch = embedded()
    orch.start()
    orch._store.events.create_group("asleep")
    for number in range(3):
        orch.emit("user.note", number)
    found = read(exposition(orch))
    assert one(found, "event_lag", group="asleep") == 3
    assert one(found, "event_pending", group="asleep") == 0


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return str(answer.read().decode())
