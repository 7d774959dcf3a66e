"""The report of the fault suite, and how many faults of each kind it injects."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.fault_report import Report
from support.rig import Rig

_REPORT = pytest.StashKey[Report]()
DIRECTORY = Path(__file__).parent / "report"


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """What the tests of this session tell of their faults."""
    return pytestconfig.stash.setdefault(_REPORT, Report())


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> int:
    """How many faults of a kind: one in `make test`, `FAULTS` (20) of them in `make faults`."""
    return int(os.environ.get("FAULTS", "20")) if request.node.get_closest_marker("long") else 1


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Makes rigs, and ends them."""
    with ExitStack() as stack:
        made = 0

        def make(**options: object) -> Rig:
            nonlocal made
            made += 1
            return stack.enter_context(Rig(tmp_path / f"rig{made}", **options))  # type: ignore[arg-type]

        yield make


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the table, and keep the one of a whole run."""
    report = config.stash.get(_REPORT, None)
    if report is None or not report.rows:
        return
    terminalreporter.section("faults injected")
    terminalreporter.write_line(report.table())
    if "faults" in (config.option.markexpr or ""):
        report.write(DIRECTORY)
