"""The dashboard for browser tests: a private server, a worker and the page, in this process."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Locator, Page

from pyagent_orch import Orchestrator, Task, Workflow, current_run
from pyagent_orch.web.dashboard import create_dashboard
from pyagent_orch.web.hub import Hub

TOKEN = "token-of-the-test"
POEM = [f"line {number}: äöü 🦉 <b>\n" for number in range(20)]
SOURCES = ("news", "papers", "forums")
HOSTILE = (
    '<img src=x onerror="window.hacked = 1"> <script>window.hacked = 1</script> \u202e\x1b[31m'
)


def echo(text: Any) -> Any:
    """Answer what it was given."""
    return text


def hold(gate: str) -> str:
    """Wait until a file is there."""
    deadline = time.monotonic() + 60
    while not Path(gate).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(gate)
        time.sleep(0.005)
    return "held"


def need(path: str) -> str:
    """Fail unless a file is there."""
    if not Path(path).exists():
        raise ValueError(f"{HOSTILE} is missing")
    return "found"


def recite(folder: str) -> str:
    """Write a piece of text each time that the next file is there."""
    run = current_run()
    for number, part in enumerate(POEM):
        hold(f"{folder}/{number}")
        run.write(part)
    hold(f"{folder}/end")
    return "".join(POEM)


def box(page: Page, name: str, state: str) -> Locator:
    """The box of a task in the graph of a run, in this state."""
    return page.get_by_role("button", name=re.compile(f"^{name} \\S {state}"))


class Desk:
    """An orchestrator and the page that shows it."""

    def __init__(self, orchestrator: Orchestrator, address: str, hub: Hub) -> None:
        self.orchestrator, self.address, self._hub = orchestrator, address, hub

    @property
    def entrance(self) -> str:
        """The address with the token."""
        return f"{self.address}/?token={TOKEN}"

    def cut_streams(self) -> None:
        """End all event streams; browsers come back."""
        self._hub.cut_all()

    def report(self, folder: Path) -> Workflow:
        """Submit a workflow: one that waits for `folder/gate`, one that needs `folder/thing`."""
        workflow = Workflow(
            name="weekly report",
            tasks=[
                *(Task(echo, source, name=f"search {source}") for source in SOURCES),
                Task(echo, "the facts", name="gather"),
                Task(hold, str(folder / "gate"), name="analyse"),
                Task(need, str(folder / "thing"), name="check", retry=1),
                Task(echo, "the end", name="write"),
            ],
            dependencies={
                "gather": [f"search {source}" for source in SOURCES],
                "analyse": ["gather"],
                "check": ["gather"],
                "write": ["analyse"],
            },
        )
        return self.orchestrator.submit_workflow(workflow)


@contextmanager
def page_desk(*, read_only: bool = False) -> Iterator[Desk]:
    """Serve the page on a free port; it ends with the block."""
    orchestrator = Orchestrator()
    app = create_dashboard(orchestrator, token=TOKEN, read_only=read_only)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline, "the page's server did not start"
            assert thread.is_alive(), "the page's server has ended"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Desk(orchestrator, f"http://127.0.0.1:{port}", app.state.hub)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        orchestrator.close()
