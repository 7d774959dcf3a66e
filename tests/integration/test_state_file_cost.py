"""An operation costs the same however much is in the state file."""

from __future__ import annotations

import pytest

from benchmarks.cases.state_file import FEW, MANY, costs_of
from pyagent_orch.embedded.server import PrivateServer


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_call_costs_the_same_with_100_000_tasks_in_the_file_as_with_1_000() -> None:
    with PrivateServer() as server:
        few, many = costs_of(server.broker_url, FEW, MANY)
    assert many.submit <= 1.5 * few.submit, f"{few} with {FEW}, {many} with {MANY}"
    assert many.cancel <= 1.5 * few.cancel, f"{few} with {FEW}, {many} with {MANY}"
