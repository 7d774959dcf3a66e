"""An operation costs the same however much is in the state file."""

from __future__ import annotations

import pytest

from benchmarks.cases.state_file import FEW, MANY, costs_of_submit
from pyagent_orch.embedded.server import PrivateServer


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_submit_costs_the_same_with_100_000_tasks_in_the_file_as_with_1_000() -> None:
    with PrivateServer() as server:
        few, many = costs_of_submit(server.broker_url, FEW, MANY)
    assert many <= 1.5 * few, f"{1e6 * few:.0f} µs with {FEW}, {1e6 * many:.0f} µs with {MANY}"
