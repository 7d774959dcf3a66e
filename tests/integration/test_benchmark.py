"""The benchmark runs: on tiny rounds, for the shape of what it prints and not for the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from support.fleet import ROOT


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
def test_both_sides_work_off_their_queues_and_the_ratio_is_told() -> None:
    done = run("--rounds", "2", "--scale", "0.05", "--json", "costs-threads", "submit-one")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    figures = {metric["name"]: metric for metric in report["metrics"]}
    submit = figures["submit, one at a time"]
    assert {name: len(rounds) for name, rounds in submit["figures"].items()} == {
        "plain Celery": 2, "pyagent_orch": 2
    }  # fmt: skip
    assert submit["ratios"]["pyagent_orch"] > 0
    reads = figures["threads 8: reads of the server per task"]
    # Ours takes and ends many tasks in one read; plain Celery needs several for each.
    assert 0 < reads["medians"]["pyagent_orch"] < reads["medians"]["plain Celery"]
    assert reads["medians"]["plain Celery"] > 1


def test_a_case_that_does_not_exist_is_said_so() -> None:
    done = run("no-such-case")
    assert done.returncode == 2
    assert "--list" in done.stderr
    assert "Traceback" not in done.stderr
