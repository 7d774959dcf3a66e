"""What a process may run, and what it may not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pyagent_orch.agents import (
    is_registered,
    load_agents,
    register_agent,
    register_tool,
    registered_agents,
    resolve_function,
)
from pyagent_orch.exceptions import AgentNotFoundError, ConfigurationError


@register_agent
def plain_agent(text):
    return text


@register_agent("named agent")
async def other_agent(text):
    return text


def module_level(outputs):
    return outputs


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make an importable module of some source."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return make


def test_a_decorated_function_is_returned_unchanged_and_registered():
    assert plain_agent("x") == "x"
    assert registered_agents()["plain_agent"] is plain_agent
    assert registered_agents()["named agent"] is other_agent
    assert is_registered("plain_agent")
    assert not is_registered("nobody")


def test_the_mapping_of_agents_cannot_be_written():
    with pytest.raises(TypeError):
        registered_agents()["x"] = print


def test_another_function_of_the_same_name_is_refused():
    with pytest.raises(ConfigurationError, match=r"belongs to .*plain_agent already.*module_level"):
        register_agent("plain_agent")(module_level)
    assert registered_agents()["plain_agent"] is plain_agent


def test_a_reloaded_function_replaces_the_old_one():
    def make(answer):
        def reloaded(_):
            return answer

        return reloaded

    register_agent("reloaded")(make(1))
    second = make(2)
    register_agent("reloaded")(second)
    assert resolve_function("reloaded") is second


@pytest.mark.parametrize("name", ["", " padded "])
def test_a_name_must_be_one(name):
    with pytest.raises(ConfigurationError, match="name"):
        register_agent(name)(module_level)


def test_something_that_cannot_be_called_is_no_agent():
    with pytest.raises(ConfigurationError, match="not a callable"):
        register_agent("number")(5)


def test_a_module_level_function_of_a_registering_module_may_run():
    assert resolve_function(f"{__name__}:module_level") is module_level


@pytest.mark.parametrize(
    "path",
    [
        "os:system",
        "subprocess:run",
        "builtins:eval",
        "pyagent_orch.agents.registry:load_agents",
        f"{__name__}:subprocess.run",
        f"{__name__}:load_agents",
        f"{__name__}:sys",
        f"{__name__}:pytest.exit",
        f"{__name__}:",
        ":module_level",
        "module_level",
        "",
    ],
)
def test_nothing_else_may_run(path):
    assert not is_registered(path)
    with pytest.raises(AgentNotFoundError):
        resolve_function(path)


def test_the_error_for_an_unknown_agent_names_the_near_one():
    with pytest.raises(AgentNotFoundError, match="did you mean 'plain_agent'"):
        resolve_function("plain_agnt")


def test_registering_a_function_of_a_library_does_not_open_the_library():
    import textwrap

    register_agent("dedent")(textwrap.dedent)
    assert resolve_function("dedent") is textwrap.dedent
    assert not is_registered("textwrap:dedent")
    assert not is_registered("textwrap:fill")


def test_loading_a_module_opens_its_own_functions_only(module):
    name = module(
        "fleet_agents_one",
        "from os import system\nimport os\n"
        "def build(outputs): return 1\n"
        "class Thing:\n    def method(self): pass\n",
    )
    assert not is_registered(f"{name}:build")
    load_agents([name])
    assert resolve_function(f"{name}:build")({}) == 1
    for path in ("system", "os", "Thing", "Thing.method"):
        assert not is_registered(f"{name}:{path}")


@pytest.mark.parametrize(
    ("source", "reason"),
    [("import no_such_module_here", "no_such_module_here"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_module_that_cannot_be_loaded_is_named_with_its_setting(module, source, reason):
    name = module(f"broken_{abs(hash(source))}", source)
    with pytest.raises(ConfigurationError, match=reason) as caught:
        load_agents([name])
    assert "PYAGENT_ORCH_AGENTS" in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_module_is_named():
    with pytest.raises(ConfigurationError, match=r"cannot import .not\.there."):
        load_agents(["not.there"])


def test_a_tool_is_no_agent():
    @register_tool("only a tool")
    def tool():
        return 1

    assert not is_registered("only a tool")
    assert tool() == 1


def test_nothing_is_imported_to_resolve_a_name():
    code = (
        "import sys\nfrom pyagent_orch.agents import is_registered\n"
        "assert not is_registered('wave:open')\nassert 'wave' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
