"""The offline model: says so, is deterministic, lets data be seen."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Literal

import pytest
from pydantic import BaseModel

from pyagent_orch.agents import Invocation, agent, invoke, to_wire
from pyagent_orch.agents.offline import key_sentences
from pyagent_orch.exceptions import ModelRequestError

TICKET = (
    "Hello there. My invoice of May was charged twice to my card. "
    "The invoice number is 4711 and the charged amount is wrong. Best regards, Ann"
)


class Ballot(BaseModel):
    vote: Literal["approve", "reject", "abstain"]
    confidence: float
    reasoning: str


@pytest.fixture(autouse=True)
def no_model_in_the_environment(monkeypatch):
    monkeypatch.delenv("PYAGENT_ORCH_MODEL", raising=False)


def test_an_answer_says_that_it_is_offline_and_shows_role_input_and_terms():
    answer = agent("Classify support tickets")(TICKET)
    assert answer.startswith("[offline model] Classify support tickets\n")
    assert "- My invoice of May was charged twice to my card." in answer
    assert "invoice (2)" in answer
    assert "charged (2)" in answer


def test_an_answer_is_the_same_each_time_and_in_each_process():
    made = agent("Vote", output_type=Ballot)
    code = (
        "import sys; sys.path.insert(0, 'tests/unit')\n"
        "from test_agents_offline import *\n"
        "print(agent('Vote', output_type=Ballot)(TICKET).model_dump_json(), end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == made(TICKET).model_dump_json() == made(TICKET).model_dump_json()


def test_voters_with_different_instructions_may_vote_differently():
    votes = [agent(f"You are expert {n}", output_type=Ballot)("Ship it?") for n in range(20)]
    assert {vote.vote for vote in votes} == {"approve", "reject", "abstain"}
    assert all(0 <= vote.confidence <= 1 for vote in votes)
    assert all(vote.reasoning.startswith("[offline model]") for vote in votes)


def test_the_marks_of_one_answer_do_not_pile_up_in_the_next():
    first = agent("You gather")(TICKET)
    second = agent("You write")(f"Write about: {first}")
    assert second.count("[offline model]") == 1 + first.count("Write about: [offline model]")
    assert "charged twice" in second


@pytest.mark.parametrize("text", ["", "   ", "1 2 3", "…", {"a": [1]}, None, "word"])
def test_any_input_gets_an_answer(text):
    assert agent("You read")(text).startswith("[offline model] You read")


def test_a_long_input_is_read_in_a_moment():
    answer = agent("You read")("A sentence about whales and boats. " * 100_000)
    assert len(answer) < 500


def test_key_sentences_keep_their_order_and_are_not_repeated():
    text = "Whales sing songs. Cats sleep. Whales sing songs. Songs of whales carry far."
    assert key_sentences(text, 2) == ["Whales sing songs.", "Songs of whales carry far."]


def test_usage_is_counted_and_costs_nothing():
    invocation = Invocation("t", "t")
    usage = invoke(to_wire(agent("Be brief"), local=False).json, "x" * 40, invocation).usage
    assert (usage.model, usage.requests, usage.cost_usd) == ("offline", 1, 0.0)
    assert usage.input_tokens == 12
    assert usage.output_tokens > 0


def test_a_schema_that_it_cannot_fill_is_an_error_with_the_way_out():
    odd = agent("x", output_schema={"type": "string", "pattern": "^(ab?c){9}$"})
    with pytest.raises(ModelRequestError, match="PYAGENT_ORCH_MODEL"):
        odd("y")


def test_the_log_says_once_per_process_how_to_set_a_model():
    code = (
        "import logging; logging.basicConfig(format='%(levelname)s %(message)s')\n"
        "from pyagent_orch.agents import agent\n"
        "for _ in range(3): agent('Be brief')('x')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("WARNING ")
    assert "PYAGENT_ORCH_MODEL" in done.stderr


def test_no_other_model_is_replaced_by_the_offline_one(caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(ModelRequestError):
        agent("x", model="no-such-provider:model")("y")
