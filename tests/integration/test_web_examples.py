"""The web examples as a reader runs them: started, asked, followed, stopped."""

from __future__ import annotations

from pathlib import Path

import httpx

from support.example import running
from support.web import Sent, events_of

STORY = "Once there was an owl <b>."


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
        assert client.get("/", headers={"Host": "rebound.example"}).status_code == 400
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
