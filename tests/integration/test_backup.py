"""The backup of docs/production.md: files copied from a running Redis, and what comes of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from support.fleet import ROOT, Fleet
from support.raw_server import RawServer


@pytest.mark.timeout(90)
def test_a_copy_of_the_running_servers_files_goes_on_where_it_was_made(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "production.md").read_text()
    [settings] = re.findall(r"CONFIG SET (auto-aof-rewrite-percentage) 0", page)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    with RawServer(first) as server:
        fleet = Fleet(server.url, "kept", first)
        try:
            worker = fleet.start("threads", 2)
            done = fleet.orchestrator.submit("upper", "done before")
            assert done.result(20) == "DONE BEFORE"
            worker.stop()
            waiting = fleet.orchestrator.submit("upper", "waits")
            # As the page has it, while the server runs.
            server.run("CONFIG", "SET", settings, "0")
            assert "aof_rewrite_in_progress:0" in _info(server)
            shutil.copytree(first / "appendonlydir", second / "appendonlydir")
            later = fleet.orchestrator.submit("upper", "after the copy")
        finally:
            fleet.close()
    with RawServer(second) as server:
        fleet = Fleet(server.url, "kept", second)
        try:
            assert fleet.orchestrator.get_task(done.id).output == "DONE BEFORE"
            fleet.start("threads", 2)
            assert fleet.orchestrator.get_task(waiting.id).result(20) == "WAITS"
            known = {task.id for task in fleet.orchestrator.tasks()}
            assert known == {done.id, waiting.id}
            assert later.id not in known
        finally:
            fleet.close()


def _info(server: RawServer) -> str:
    found = server.run("INFO", "persistence")
    if isinstance(found, dict):
        return "\n".join(f"{name}:{value}" for name, value in found.items())
    return str(found)
