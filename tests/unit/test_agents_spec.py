"""`Agent` and `agent(...)`: fields, names, JSON, refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import pytest
from pydantic import BaseModel, ValidationError

from pyagent_orch.agents import Agent, AgentLimits, agent, to_wire
from pyagent_orch.agents.registry import TOOLS
from pyagent_orch.exceptions import AgentError, ConfigurationError


class Verdict(BaseModel):
    winner: Literal["pro", "con"]
    reasons: list[str]


class Tree(BaseModel):
    children: list[Tree]


def search(query: str) -> str:
    """Search for something."""
    return query


@pytest.mark.parametrize(
    ("instructions", "name"),
    [
        ("You are a research specialist", "research specialist"),
        ("You are an editor. Be brief.", "editor"),
        ("Judge the debate fairly", "Judge the debate fairly"),
        ("  Handle billing questions!\nAnd more.", "Handle billing questions"),
        ("You are", "You are"),
        ("...", "..."),
    ],
)
def test_a_name_is_made_from_the_instructions(instructions, name):
    assert agent(instructions).name == name


def test_a_long_name_is_cut_at_a_word():
    name = agent("Classify support tickets by urgency and type and language").name
    assert name == "Classify support tickets by urgency…"
    assert len(name) <= 40


def test_a_given_name_wins():
    assert agent("You are a researcher", name="scout").name == "scout"


def test_an_agent_survives_json():
    made = agent(
        "Judge {{fairly}}",
        model="openai:gpt-5",
        output_type=Verdict,
        model_settings={"temperature": 0},
        limits={"requests": 3, "tokens": 1000},
        timeout_seconds=5,
        include_context=False,
    )
    again = Agent.model_validate_json(made.model_dump_json())
    assert again == made
    assert again.limits == AgentLimits(requests=3, tokens=1000)
    assert hash(again) == hash(made)


def test_the_wire_leaves_defaults_out_so_that_older_workers_can_read_it():
    assert json.loads(agent("Be brief", name="x").wire.json) == {
        "kind": "model",
        "spec": {"instructions": "Be brief", "name": "x"},
    }


def test_an_unknown_field_is_refused_with_the_near_one():
    with pytest.raises(ValidationError, match="unknown field 'instrctions'; did you mean 'instruc"):
        Agent(instrctions="typo")


def test_an_agent_cannot_be_changed():
    made = agent("You are a researcher")
    with pytest.raises(ValidationError, match="frozen"):
        made.model = "other:model"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"instructions": ""}, "instructions"),
        ({"instructions": "  \n"}, "instructions must say something"),
        ({"instructions": "x", "timeout_seconds": 0}, "timeout_seconds"),
        ({"instructions": "x", "timeout_seconds": float("inf")}, "timeout_seconds"),
        ({"instructions": "x", "limits": {"requests": 0}}, "requests"),
        ({"instructions": "x", "limits": {"money": 5}}, "money"),
        ({"instructions": "x", "output_type": Tree}, "'Tree' contains itself"),
        ({"instructions": "x", "output_type": int, "output_schema": {}}, "not both"),
        ({"instructions": "x", "output_schema": {"$ref": "#/$defs/Gone"}}, "does not define"),
    ],
)
def test_a_wrong_field_is_an_error_that_names_it(fields, problem):
    with pytest.raises(AgentError, match=problem):
        agent(**fields)


@pytest.mark.parametrize("field", ["api_key", "Authorization", "x-api-key", "client_secret"])
def test_a_key_in_the_settings_is_refused_and_not_repeated(field):
    with pytest.raises(AgentError, match="looks like a secret") as caught:
        agent("x", model_settings={"extra_headers": {field: "sk-123456789"}})
    assert "sk-123456789" not in str(caught.value)
    with pytest.raises(ValidationError) as raw:
        Agent(instructions="x", model_settings={field: "sk-123456789"})
    assert "sk-123456789" not in str(raw.value)


def test_max_tokens_is_no_secret():
    assert agent("x", model_settings={"max_tokens": 5}).model_settings == {"max_tokens": 5}


def test_an_output_type_becomes_a_schema_without_references():
    @dataclass
    class Round:
        verdicts: list[Verdict]

    schema = agent("Judge", output_type=Round).output_schema
    assert "$ref" not in json.dumps(schema)
    assert "$defs" not in schema
    assert schema["properties"]["verdicts"]["items"]["properties"]["winner"]["enum"] == [
        "pro",
        "con",
    ]


def test_text_needs_no_schema():
    assert agent("x", output_type=str).output_schema is None


def test_a_function_given_as_tool_is_registered_by_its_name():
    made = agent("Look things up", tools=[search, "other_tool"])
    assert made.tools == ("search", "other_tool")
    assert TOOLS.get("search").call is search
    assert agent("Again", tools=[search]).tools == ("search",)


def test_two_tools_of_one_name_are_refused():
    def make():
        namespace = {"__name__": "elsewhere"}
        exec("def search(q): return q", namespace)
        return namespace["search"]

    agent("Look things up", tools=[search])
    with pytest.raises(ConfigurationError, match=r"belongs to .*:search already"):
        agent("Look things up", tools=[make()])


def test_closures_of_one_name_stay_two_tools():
    def maker(number):
        def tool() -> int:
            return number

        return tool

    one, two = (agent("x", tools=[maker(n)]).tools for n in (1, 2))
    assert one != two


def test_equal_agents_have_one_hash_and_others_another():
    one, two, other = agent("Be brief"), agent("Be brief"), agent("Be long")
    assert to_wire(one, local=False) == to_wire(two, local=False)
    assert to_wire(one, local=False).hash != to_wire(other, local=False).hash


def test_importing_agents_imports_no_model_library_and_no_celery():
    code = (
        "import sys, pyagent_orch.agents\n"
        "heavy = {'pydantic_ai', 'openai', 'anthropic', 'httpx', 'httpx2', 'celery', 'redis'}\n"
        "print(heavy & {name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
