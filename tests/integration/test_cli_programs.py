"""The command line where it is more than a client: workers, the demo, the tour of the docs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from pyagent_orch import Orchestrator
from pyagent_orch.embedded.server import PrivateServer
from support.command import PROGRAM, Command, press_ctrl_c, worker_of
from support.raw_server import PASSWORD, RawServer


def test_a_worker_takes_options_of_ours_and_of_celery_and_ends_on_ctrl_c(
    server: PrivateServer, namespace: str, tmp_path: Path
) -> None:
    command = Command(tmp_path, server.broker_url, namespace)
    ours = ("--pool", "prefork", "-c", "1", "--queues", "slow,agents", "--name", "own")
    with (
        worker_of(command, *ours, "--", "--max-tasks-per-child", "7") as worker,
        Orchestrator(redis_url=command.url, namespace=namespace) as client,
    ):
        (info,) = [info for name, info in client.workers().items() if name.startswith("own@")]
        assert (info["pool"], info["queues"]) == ("prefork", ["agents", "slow"])
        arguments = subprocess.check_output(
            ["ps", "-ww", "-o", "args=", "-p", str(worker.pid)], text=True
        )
        assert "-A workers.celery_app worker" in arguments
        assert "--max-tasks-per-child 7" in arguments
        assert client.submit("upper", "x", queue="slow").result(timeout=10) == "X"
        press_ctrl_c(worker)
        # Celery's own code for a warm shutdown by Ctrl-C.
        assert worker.wait(10) == 1
    log = (tmp_path / "worker.log").read_text()
    assert "Warm shutdown" in log
    assert "Traceback" not in log


def test_the_demo_runs_on_a_folder_and_leaves_its_report(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "one.md").write_text("# One\n\nA text of a few words. It has two sentences.\n")
    unreachable = Command(tmp_path, "redis://localhost:1")
    done = unreachable.run("demo", "texts", "--report", "found.md", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["folder"].endswith("texts")
    assert "one.md" in (tmp_path / "found.md").read_text()


def test_the_tour_of_the_docs_runs_as_it_is_written(
    server: PrivateServer, namespace: str, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (module,) = (text for kind, text in blocks if kind == "python")
    script = "\n".join(text for kind, text in blocks if kind == "bash")
    assert "pyagent-orch worker --agents my_agents\n" in page
    (tmp_path / "my_agents.py").write_text(module)
    command = Command(tmp_path, server.broker_url, namespace)
    env = command.environment()
    env["PATH"] = f"{PROGRAM.parent}:{env['PATH']}"
    with worker_of(command, "--agents", "my_agents"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for expected in ("HELLO\n", "GOOD MORNING\n", "ZeroDivisionError", "cancelled\n"):
        assert expected in done.stdout
    assert json.loads((tmp_path / "task.json").read_text())["output"] == "HELLO"


def test_a_task_runs_embedded_without_any_fleet(tmp_path: Path) -> None:
    (tmp_path / "beside_me.py").write_text(
        "from pyagent_orch import register_agent\n"
        "@register_agent\ndef backwards(text):\n    return text[::-1]\n"
    )
    unreachable = Command(tmp_path, "redis://localhost:1")
    done = unreachable.run("submit", "--embedded", "--agents", "beside_me", "backwards", "abc")
    assert (done.returncode, done.stdout) == (0, "cba\n")


def test_following_goes_on_when_redis_comes_back(tmp_path: Path) -> None:
    with RawServer(tmp_path) as raw, Orchestrator(redis_url=raw.url) as orchestrator:
        first = orchestrator.emit("custom.first")
        command = Command(tmp_path, raw.url)
        words = ("events", "-f", "--since", "1m", "--json", "--limit", "2")
        with command.running(*words) as followed:
            assert followed.stdout
            assert followed.stderr
            assert json.loads(followed.stdout.readline())["id"] == first
            raw.kill()
            said = followed.stderr.readline()
            assert "out of reach" in said
            assert PASSWORD not in said
            raw.start()
            orchestrator.emit("custom.second")
            out, _ = followed.communicate(timeout=15)
            assert [json.loads(line)["type"] for line in out.splitlines()] == ["custom.second"]
            assert followed.returncode == 0
