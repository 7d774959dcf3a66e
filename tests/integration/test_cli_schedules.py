"""Scheduled jobs and beat from the command line."""

from __future__ import annotations

import json
import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pyagent_orch import Orchestrator
from pyagent_orch.embedded.server import PrivateServer
from support.command import Command
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
        (["--at", "tomorrow"], "no moment"),
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
