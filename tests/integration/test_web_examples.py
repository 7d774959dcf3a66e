"""The web examples as a reader runs them: started, asked, followed, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.fleet import ROOT
from support.web import Sent, events_of

EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES))
STORY = "Once there was an owl <b>."


@contextmanager
def running(example: str, folder: Path) -> Iterator[httpx.Client]:
    """An example on a free port, until Ctrl-C."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYAGENT_ORCH_")}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(EXAMPLES / example)], cwd=folder,
            env=environment | {"PYTHONPATH": str(ROOT), "PORT": str(port)},
            stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 30
            while True:
                try:
                    client.get("/")
                    break
                except httpx.ConnectError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
            yield client
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in {0, -signal.SIGINT, 130}, log.read_text()
        assert "Traceback" not in log.read_text().replace("KeyboardInterrupt", "")
    finally:
        process.kill()
        process.wait()


def told(client: httpx.Client, task: str, cut_after: int = 3) -> tuple[str, list[Sent]]:
    """The text of a task, with one cut in the middle."""
    text, last, events = "", None, []
    for cut in (cut_after, None):
        headers = {"Last-Event-ID": last} if last else {}
        with client.stream("GET", f"/agents/tasks/{task}/events", headers=headers) as stream:
            pieces = 0
            for one in events_of(stream):
                events.append(one)
                last = one.id
                if one.name == "text":
                    text = one.data["text"] if one.data["offset"] == 0 else text + one.data["text"]
                    pieces += 1
                    if pieces == cut:
                        break
            if one.name == "end":
                break
    return text, events


def test_the_fastapi_example_streams_a_story_to_its_page(tmp_path: Path) -> None:
    with running("web_fastapi.py", tmp_path) as client:
        assert "story.js" in client.get("/").text
        assert client.get("/story.js").status_code == 200
        made = client.post("/agents/tasks", json={"agent": "storyteller", "input": "an owl <b>"})
        text, events = told(client, made.json()["id"])
        assert sum(one.name == "text" for one in events) > 1
        assert events[-1].data["status"] == "completed"
        assert text == client.get(f"/agents/tasks/{made.json()['id']}").json()["output"]
        assert text.startswith(STORY)


def test_the_django_example_streams_a_story_to_its_page(tmp_path: Path) -> None:
    with running("web_django.py", tmp_path) as client:
        assert "story.js" in client.get("/").text
        body = {"agent": "storyteller", "input": "an owl <b>"}
        assert client.post("/agents/tasks", json=body).status_code == 403
        token = {"X-CSRFToken": client.cookies["csrftoken"]}
        made = client.post("/agents/tasks", json=body, headers=token)
        text, events = told(client, made.json()["id"])
        assert sum(one.name == "text" for one in events) > 1
        assert events[-1].data == {"status": "completed"}
        assert text.startswith(STORY)
        assert text.endswith("changed. ")
        assert client.get("/agents/tasks/none/events").status_code == 404
