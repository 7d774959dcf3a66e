"""A deploy: the workers of a fleet are replaced one after the other while tasks come in."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from support.fault_report import Report
from support.fleet import until
from support.rig import Rig

pytestmark = pytest.mark.faults
WORKERS = 4
LONG = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("times", ["once", pytest.param("often", marks=LONG)])
def test_a_rolling_restart_under_load_costs_no_task_and_no_second_run(
    rig: Callable[..., Rig], report: Report, faults: int, times: str
) -> None:
    # At the default settings: what is restarted is given time to end.
    it = rig(workers=WORKERS, env={})
    it.begin(seconds=(0.2, 1.5))
    for _ in range(1 if times == "once" else -(-faults // WORKERS)):
        for old in it.living:
            it.start()
            until(lambda old=old: it.is_busy(old), 40)
            it.faults += 1
            it.load.fault()
            old.kill(signal.SIGTERM)
            assert old.process.wait(40) == 0, old.text()
    account = it.settle()
    report.add(f"rolling restart of {WORKERS} workers", it.faults, account)
    assert not account.started_again
