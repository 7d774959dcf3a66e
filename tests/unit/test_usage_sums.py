"""What usages add up to, and how they read."""

from __future__ import annotations

import pytest

from pyagent_orch.models.usage import Usage
from pyagent_orch.patterns.limits import Ledger
from pyagent_orch.states import TaskStatus
from pyagent_orch.workflows import FlowCall
from pyagent_orch.workflows.flows import Outcome

ONE = Usage(model="m", requests=1, input_tokens=7, output_tokens=3, cost_usd=0.01)


def test_a_sum_has_a_price_only_where_all_its_parts_have_one() -> None:
    assert (ONE + ONE).cost_usd == pytest.approx(0.02)
    assert (ONE + ONE.model_copy(update={"cost_usd": None})).cost_usd is None
    # What asked nobody has cost nothing.
    assert (Usage() + ONE).cost_usd == 0.01


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        (ONE, "1 request, 10 tokens, $0.0100"),
        (Usage(requests=3, input_tokens=1250, cost_usd=2), "3 requests, 1,250 tokens, $2.0000"),
        (Usage(requests=1, cost_usd=1e-6), "1 request, 0 tokens, less than $0.0001"),
        (Usage(requests=2, input_tokens=5), "2 requests, 5 tokens, price unknown"),
        (Usage(), "0 requests, 0 tokens"),
    ],
)
def test_a_usage_reads_as_a_bill(usage: Usage, text: str) -> None:
    assert str(usage) == text


def test_failed_attempts_of_turns_that_a_run_ends_without_are_on_its_bill() -> None:
    turns = {
        "a": Outcome("1", TaskStatus.COMPLETED, "yes", ONE),
        "b": Outcome("2", TaskStatus.RETRYING, None, ONE),
        "c": Outcome("3", TaskStatus.RUNNING),
    }
    call = FlowCall("t", "n", {}, "q", {}, turns)
    ledger = Ledger.of(call)
    assert ledger.usage.requests == 1
    assert ledger.total(call).requests == 2
