"""Scheduled jobs and beat from the command line."""

from __future__ import annotations

import json
import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator
from pyagent_orch.embedded.server import PrivateServer
from support.command import Command, worker_of
from support.fleet import until


@pytest.fixture
def cli(server: PrivateServer, namespace: str, tmp_path: Path) -> Command:
    return Command(tmp_path, server.broker_url, namespace)


def test_a_job_is_added_listed_paused_resumed_run_and_removed(cli: Command) -> None:
    made = cli.json(
        "schedules", "add", "echo", "hello", "--cron", "0 9 * * MON", "--timezone",
        "Europe/Berlin", "--id", "weekly", "--name", "weekly summary",
    )  # fmt: skip
    assert (made["id"], made["state"], made["runs"]) == ("weekly", "enabled", 0)
    next_run = datetime.fromisoformat(made["next_run"])
    assert (next_run.weekday(), next_run.hour) == (0, 9)
    assert [one["id"] for one in cli.json("schedules", "list")] == ["weekly"]
    assert "weekly summary" in cli.ok("schedules", "list")
    assert cli.json("schedules", "pause", "weekly")["next_run"] is None
    assert "paused" in cli.ok("schedules", "list")
    assert cli.json("schedules", "resume", "weekly")["next_run"] == made["next_run"]
    run = cli.ok("schedules", "run", "weekly")
    assert cli.ok("status", run) == "pending"
    shown = cli.json("schedules", "show", "weekly")
    assert shown["latest_runs"] == [{"id": run, "status": "pending"}]
    assert len(shown["runs_to_come"]) == 3
    assert run in cli.ok("schedules", "show", "weekly")
    assert cli.ok("schedules", "remove", "weekly") == "weekly removed"
    assert cli.here("schedules", "remove", "weekly").returncode != 0


def test_a_preview_needs_no_redis(cli: Command) -> None:
    cli.url = None
    found = cli.json("schedules", "preview", "--cron", "30 2 * * *", "--timezone",
                     "Europe/Berlin", "-n", "400")  # fmt: skip
    moments = [datetime.fromisoformat(one) for one in found]
    # Every day has its run, also the one without a half past two.
    assert {after.date() - before.date() for before, after in zip(moments, moments[1:])} == {  # noqa: B905, RUF007
        timedelta(days=1)
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--cron", "60 * * * *"], "minute '60'"),
        (["--cron", "@daily", "--every", "5m"], "one kind of schedule"),
        (["--cron", "@daily", "--timezone", "Mars/Olympus"], "no time zone 'Mars/Olympus'"),
        (["--every", "0"], "interval_seconds"),
        (["--at", "tomorrow"], "--at 'tomorrow' is no moment"),
        (["--every", "1h", "--end-at", "soon"], "--end-at 'soon' is no moment"),
        (["--every", "1h", "--end-at", "2024-12-25"], "end_at"),
        (["--every", "1h", "--max-runs", "0"], "--max-runs"),
        (["--every", "1h", "--file", __file__], "either AGENT or --file"),
        (["--at", "2024-12-25T09:00+00:00"], "in the past"),
        ([], "give one of"),
    ],
)
def test_what_cannot_be_scheduled_is_told_in_one_line(
    cli: Command, words: list[str], told: str
) -> None:
    done = cli.here("schedules", "add", "echo", "x", *words)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert cli.json("schedules", "list") == []


def test_a_job_has_all_the_options_of_jobs_and_of_its_task(cli: Command) -> None:
    made = cli.json(
        "schedules", "add", "echo", "--json-input", '{"a": 1}', "--every", "1h", "--id", "all",
        "--timezone", "Europe/Berlin", "--end-at", "2099-01-02T03:04", "--max-runs", "7",
        "--jitter", "90", "--overlap", "queue", "--missed", "catch_up", "--catch-up-limit", "3",
        "--priority", "2", "--timeout", "5m", "--retry", "4", "--queue", "slow",
        "--metadata", "user=alice",
    )  # fmt: skip
    assert {key: made[key] for key in ("max_runs", "jitter", "overlap", "missed", "end_at")} == {
        "max_runs": 7, "jitter": 90, "overlap": "queue", "missed": "catch_up",
        "end_at": "2099-01-02T03:04:00+01:00",
    }  # fmt: skip
    with Orchestrator(redis_url=cli.url, namespace=cli.namespace) as client:
        assert client.get_job("all").catch_up_limit == 3
        run = client.get_task(cli.ok("schedules", "run", "all"))
        assert run.input == {"a": 1}
        assert (run.priority, run.timeout, run.queue) == (2, 300, "slow")
        record = client.get_job("all").record
        assert record is not None
        assert '"max_attempts":4' in json.loads(record.work)["fields"]["retry"].replace(" ", "")
        assert run.metadata["user"] == "alice"


def test_the_work_of_a_job_can_be_a_workflow_in_a_file(cli: Command, tmp_path: Path) -> None:
    file = tmp_path / "shout.yaml"
    file.write_text(
        "name: Shout\ntasks:\n"
        "  - {name: say, agent: echo, input: 'run {run}'}\n"
        "  - {name: shout, agent: upper, input: '{say.output}!'}\n"
    )
    made = cli.json("schedules", "add", "--file", str(file), "--cron", "@daily", "--id", "shouts")
    assert made["name"] == "Shout"
    with worker_of(cli), Orchestrator(redis_url=cli.url, namespace=cli.namespace) as client:
        run = client.get_workflow(cli.ok("schedules", "run", "shouts"))
        assert run.wait(20).output == "RUN MANUAL!"
    told = cli.here("schedules", "add", "--file", str(file), "--every", "1h", "--retry", "2")
    assert "retry" in told.stderr
    assert "goes with an agent only" in told.stderr
    file.write_text("name: Shout\ntasks: 1\n")
    told = cli.here("schedules", "add", "--file", str(file), "--every", "1h")
    assert (told.returncode, f"{file}" in told.stderr, "line 2" in told.stderr) == (2, True, True)


def test_beat_fires_what_is_added_while_it_runs(cli: Command) -> None:
    with Orchestrator(redis_url=cli.url, namespace=cli.namespace) as client:
        with cli.running("beat") as beat:
            until(lambda: any(e.type == "beat.started" for e in client.events()), 30)
            job = json.loads(
                cli.ok("schedules", "add", "echo", "{run}", "--every", "200ms", "--json")
            )
            until(lambda: client.get_job(job["id"]).runs >= 3, 10)
            beat.send_signal(signal.SIGTERM)
            assert beat.wait(10) == 0
        assert client.counts()["pending"] >= 3
