"""A web app that is really served, on loopback; and a client of its event streams."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from pyagent_orch import Orchestrator
from pyagent_orch.web import create_router, install_problems
from support import web_agents

AGENTS = web_agents.__name__
"""The module whose agents the embedded worker of a test has; importing it registers them."""


@dataclass(frozen=True)
class Sent:
    """One server-sent event."""

    name: str
    data: Any
    id: str


@contextmanager
def served(app: Any) -> Iterator[httpx.Client]:
    """An app on a free port of loopback, and a client of it."""
    config = uvicorn.Config(
        app, port=0, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "the server did not stop"


def app_of(orchestrator: Orchestrator, prefix: str = "", **options: Any) -> FastAPI:
    """A host's app with the router; open unless `auth` is given."""
    app = FastAPI()
    install_problems(app)
    app.include_router(
        create_router(orchestrator, **({"open": "auth" not in options} | options)), prefix=prefix
    )
    return app


def events_of(response: httpx.Response) -> Iterator[Sent]:
    """The events of a stream, as they come."""
    name, data, event_id = "message", [], ""
    for line in response.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            event_id = value
        elif not line and data:
            yield Sent(name, json.loads("\n".join(data)), event_id)
            name, data = "message", []


def follow(client: httpx.Client, path: str, last: str | None = None) -> list[Sent]:
    """A stream to its end."""
    with client.stream("GET", path, headers={"Last-Event-ID": last} if last else {}) as response:
        assert response.status_code == 200, response.read()
        return list(events_of(response))
