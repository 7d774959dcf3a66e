"""Fixtures: one real server for the session, a fresh namespace for each test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pyagent_orch import Orchestrator
from pyagent_orch.embedded.server import PrivateServer
from support.fleet import Fleet


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    import os

    for name in list(os.environ):
        if name.startswith("PYAGENT_ORCH_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server() -> Iterator[PrivateServer]:
    """A real server, for all tests that do not harm it."""
    with PrivateServer() as server:
        yield server


@pytest.fixture
def namespace() -> str:
    return f"t{uuid4().hex[:10]}"


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Callable[..., Orchestrator]]:
    """Makes embedded orchestrators (a private server and an in-process worker), and closes them."""
    made: list[Orchestrator] = []

    def make(**options: object) -> Orchestrator:
        made.append(Orchestrator(**options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for orchestrator in made:
        orchestrator.close()


@pytest.fixture
def fleet(server: PrivateServer, namespace: str, tmp_path: Path) -> Iterator[Fleet]:
    """Starts workers of a namespace on the session's server; `fleet.orchestrator` is a client."""
    fleet = Fleet(server.broker_url, namespace, tmp_path)
    yield fleet
    fleet.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give integration and browser tests two more tries, which the summary shows as reruns.

    Machines are shared: a process that is not given a core for ten seconds is no
    defect of ours. What fails three times is. The fault suite has no second try: what is
    lost once is lost.
    """
    if not config.pluginmanager.has_plugin("rerunfailures"):
        return
    for item in items:
        if {"integration", "browser"} & set(Path(item.path).parts):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))
