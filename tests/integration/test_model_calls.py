"""Model calls over real HTTP, against a server that answers and misbehaves as scripted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from pyagent_orch.agents import (
    Invocation,
    agent,
    cancel_run,
    current_run,
    invoke,
    register_tool,
    to_wire,
)
from pyagent_orch.exceptions import (
    AgentError,
    ModelError,
    ModelRequestError,
    RateLimitedError,
    TaskCancelledError,
    TaskTimeoutError,
)
from pyagent_orch.models.usage import Usage
from tests.support.chat_server import (
    ChatServer,
    answer,
    cut,
    failure,
    hang,
    malformed,
    rate_limited,
    tool_call,
)

KEY = "sk-very-secret-key-0123456789"
ROOT = Path(__file__).parents[2]
MODEL = "openai:gpt-4o-mini"
helper = agent("You are a helper", model=MODEL)


class Ballot(BaseModel):
    vote: Literal["approve", "reject"]
    confidence: float


@pytest.fixture
def server(monkeypatch):
    with ChatServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.delenv("PYAGENT_ORCH_MODEL", raising=False)
        yield running


def run(target=helper, value="hi", **fields):
    invocation = Invocation(**{"task_id": "t1", "name": "n", "deadline_seconds": 20, **fields})
    return invoke(to_wire(target, local=True).json, value, invocation)


# --- what is sent and what comes back ---


def test_a_model_is_asked_with_instructions_and_input_and_its_usage_is_counted(server):
    server.script(answer("done", usage=(1_000_000, 2_000_000)))
    outcome = run(agent("Be {{brief}}", model=MODEL, model_settings={"temperature": 0.5}), [1])
    assert outcome.output == "done"
    # The price of the library's list, 0.15 and 0.60 dollars for a million tokens.
    assert outcome.usage == Usage(
        model=MODEL, requests=1, input_tokens=1_000_000, output_tokens=2_000_000, cost_usd=1.35
    )
    (request,) = server.requests
    assert (request.instructions, request.prompt) == ("Be {{brief}}", "[\n  1\n]")
    assert request.body["model"] == "gpt-4o-mini"
    assert request.body["temperature"] == 0.5
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_the_price_of_an_unknown_model_is_unknown(server):
    usage = run(agent("x", model="openai:our-own-model")).usage
    assert (usage.input_tokens, usage.cost_usd) == (11, None)


def test_the_model_of_the_run_is_used_where_the_agent_names_none(server):
    run(agent("x"), default_model="openai:other")
    assert server.requests[0].body["model"] == "other"
    assert run(agent("x")).output.startswith("[offline model]")


def test_upstream_outputs_reach_the_model(server):
    run(context={"Gather": "three sources"})
    assert '<output of="Gather">\nthree sources\n</output>' in server.requests[0].prompt


def test_an_agent_called_like_a_function_asks_the_model_of_the_environment(server, monkeypatch):
    monkeypatch.setenv("PYAGENT_ORCH_MODEL", MODEL)
    assert agent("x")("hello") == "Hello from the test server."


def test_a_new_key_in_the_environment_is_used_at_once(server, monkeypatch):
    run()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-key")
    run()
    assert [r.headers["authorization"] for r in server.requests] == [
        f"Bearer {KEY}",
        "Bearer sk-another-key",
    ]


def test_a_local_server_needs_no_key(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert run().output == "Hello from the test server."


# --- structured output and tools ---


def test_an_output_type_comes_back_as_an_instance(server):
    server.script(tool_call("final_result", vote="approve", confidence=0.5))
    assert agent("Vote", model=MODEL, output_type=Ballot)("?") == Ballot(
        vote="approve", confidence=0.5
    )
    (tool,) = server.requests[0].body["tools"]
    assert tool["function"]["parameters"]["properties"]["vote"]["enum"] == ["approve", "reject"]


def test_a_type_that_is_no_object_works_too(server):
    server.script(tool_call("final_result", result=[1, 2]))
    assert agent("Count", model=MODEL, output_type=list[int])("?") == [1, 2]


def test_a_model_may_correct_an_answer_that_does_not_fit(server):
    server.script(
        tool_call("final_result", vote="maybe", confidence=1),
        tool_call("final_result", vote="reject", confidence=1),
    )
    outcome = run(agent("Vote", model=MODEL, output_type=Ballot))
    assert outcome.output == {"vote": "reject", "confidence": 1}
    assert outcome.usage.requests == 2
    assert "must be one of" in server.requests[1].body["messages"][-1]["content"]


def test_an_answer_that_never_fits_is_an_error_worth_another_attempt(server):
    server.default = tool_call("final_result", vote="maybe", confidence=1)
    with pytest.raises(ModelError):
        run(agent("Vote", model=MODEL, output_type=Ballot))
    assert len(server.requests) == 3


@register_tool
def word_count(text: str) -> str:
    """Count the words of a text."""
    return f"{len(text.split())} words for {current_run().run_key}"


@register_tool
async def greeting() -> str:
    """Greet."""
    return f"hello from {threading.current_thread().name}"


def test_tools_run_here_and_know_their_run(server):
    server.script(tool_call("word_count", text="a b c"), tool_call("greeting"), answer("done"))
    made = agent("Use tools", model=MODEL, tools=[word_count, "greeting"])
    outcome = run(made, run_key="key-1")
    assert outcome.output == "done"
    assert outcome.usage.requests == 3
    offered = {tool["function"]["name"] for tool in server.requests[0].body["tools"]}
    assert offered == {"word_count", "greeting"}
    results = [m["content"] for m in server.requests[2].body["messages"] if m["role"] == "tool"]
    assert results == ["3 words for key-1", "hello from pyagent-orch-loop"]


def test_a_tools_error_passes_as_it_is(server):
    def breaks() -> str:
        """Break."""
        raise ValueError("the tool's own")

    server.script(tool_call("breaks"))
    with pytest.raises(ValueError, match="the tool's own"):
        run(agent("Use it", model=MODEL, tools=[breaks]))


def test_a_tool_that_blocks_does_not_outlast_the_deadline(server):
    release = threading.Event()

    def blocks() -> str:
        """Block."""
        release.wait(30)
        return "late"

    server.script(tool_call("blocks"))
    begin = time.monotonic()
    with pytest.raises(TaskTimeoutError):
        run(agent("Use it", model=MODEL, tools=[blocks]), deadline_seconds=0.5)
    assert time.monotonic() - begin < 2
    release.set()


def test_a_tool_that_this_process_lacks_is_named():
    with pytest.raises(AgentError, match=r"tool 'not_here'.*@register_tool"):
        run(agent("Use it", model=MODEL, tools=["not_here"]))


def test_limits_end_a_run_for_good(server):
    server.default = tool_call("greeting")
    limited = agent("Loop", model=MODEL, tools=[greeting], limits={"requests": 2})
    with pytest.raises(ModelRequestError, match="request_limit of 2"):
        run(limited)
    assert len(server.requests) == 2
    with pytest.raises(ModelRequestError, match="total_tokens_limit of 5"):
        run(agent("Talk", model=MODEL, limits={"tokens": 5}))


# --- failures ---


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("2", 2, 2),
        ("0.5", 0.5, 0.5),
        ("0", 0, 0),
        ("in 30 s", 25, 30),
        ("an hour ago", 0, 0),
        (None, 1, 1),
        ("soon", 1, 1),
        ("-5", 1, 1),
        ("inf", 1, 1),
        ("1e300", 86400, 86400),
    ],
)
def test_a_429_says_how_long_to_wait(server, header, least, most):
    moments = {"in 30 s": timedelta(seconds=30), "an hour ago": timedelta(hours=-1)}
    if header in moments:
        header = format_datetime(datetime.now(UTC) + moments[header], usegmt=True)
    server.script(rate_limited(header))
    with pytest.raises(RateLimitedError) as caught:
        run()
    assert least <= caught.value.retry_after <= most
    assert len(server.requests) == 1


def test_the_milliseconds_of_a_429_win(server):
    server.script(failure(429, "slow", retry_after="9", retry_after_ms="250"))
    with pytest.raises(RateLimitedError) as caught:
        run()
    assert caught.value.retry_after == 0.25


def test_a_429_for_lack_of_money_is_final(server):
    server.script(failure(429, "You exceeded your current quota", code="insufficient_quota"))
    with pytest.raises(ModelRequestError, match="exceeded your current quota"):
        run()


@pytest.mark.parametrize(
    "behaviour",
    [failure(s) for s in (500, 502, 503, 504, 529, 408)] + [cut(), malformed()],
    ids=["500", "502", "503", "504", "529", "408", "cut", "malformed"],
)
def test_what_another_attempt_may_mend_is_a_model_error_after_one_request(server, behaviour):
    server.script(behaviour)
    with pytest.raises(ModelError, match=r"Agent 'helper': openai:gpt-4o-mini: ") as caught:
        run()
    assert not isinstance(caught.value, RateLimitedError)
    assert len(server.requests) == 1
    assert run().output == "Hello from the test server."


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_the_model_refuses_is_final_after_one_request(server, status):
    server.script(failure(status, "no, thanks"))
    with pytest.raises(ModelRequestError, match=f"HTTP {status}: no, thanks"):
        run()
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_a_model_error_that_says_so(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ModelError, match="Connect"):
        run()


def test_a_response_that_does_not_come_in_time_is_a_model_error(server):
    server.script(hang())
    with pytest.raises(ModelError, match="timed out"):
        run(agent("x", model=MODEL, model_settings={"timeout": 0.2}))
    server.wait_for_abandoned()


def test_no_error_holds_a_key(server, monkeypatch):
    monkeypatch.setenv("OUR_OTHER_TOKEN", "hunter2hunter2")
    echo = f"Incorrect API key provided: {KEY}; Bearer abcdef123456; hunter2hunter2; sk-proj-other1"
    server.script(failure(401, echo), failure(500, echo))
    for _ in range(2):
        with pytest.raises(AgentError) as caught:
            run()
        chain, error = [], caught.value
        while error is not None:
            chain.append(f"{error!r} {error}")
            error = error.__cause__ or error.__context__
        text = " ".join(chain)
        for secret in (KEY, "abcdef123456", "hunter2hunter2", "sk-proj-other1"):
            assert secret not in text
        assert "Incorrect API key provided" in text


# --- configuration ---


def test_a_model_without_a_key_is_an_error_and_never_the_offline_model(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ModelRequestError, match="OPENAI_API_KEY"):
        run()


def test_a_provider_that_is_not_installed_names_the_extra(monkeypatch):
    # `None` is how Python says that a module cannot be imported.
    monkeypatch.setitem(sys.modules, "anthropic", None)
    monkeypatch.delitem(sys.modules, "pydantic_ai.providers.anthropic", raising=False)
    with pytest.raises(ModelRequestError, match=r"pip install 'pyagent-orch\[anthropic\]'"):
        run(agent("x", model="anthropic:claude-sonnet"))


def test_no_model_library_at_all_names_the_extra():
    code = (
        "import sys; sys.modules['pydantic_ai'] = None\n"
        "from pyagent_orch.agents import agent\n"
        "from pyagent_orch.exceptions import ModelRequestError\n"
        "try: agent('x', model='openai:gpt-5')('y')\n"
        "except ModelRequestError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'pyagent-orch[openai]'" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("model", ["no-such-provider:x", "just-a-name"])
def test_an_unknown_model_is_named(model):
    with pytest.raises(ModelRequestError, match=model.partition(":")[0]):
        run(agent("x", model=model))


# --- deadlines, cancels, signals ---


def test_a_call_that_hangs_ends_at_the_deadline_and_the_server_sees_it_go(server):
    server.script(hang())
    begin = time.monotonic()
    with pytest.raises(TaskTimeoutError):
        run(deadline_seconds=0.5)
    assert time.monotonic() - begin < 1.5
    server.wait_for_abandoned()


def test_the_agents_own_timeout_holds_where_it_is_shorter(server):
    server.script(hang())
    with pytest.raises(TaskTimeoutError, match=r"0\.3 s"):
        run(agent("x", model=MODEL, timeout_seconds=0.3))


def test_a_cancelled_call_frees_the_worker_and_the_server_sees_it_go(server):
    server.script(hang())
    caught = []

    def work():
        try:
            run(task_id="task-x", deadline_seconds=None)
        except TaskCancelledError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    server.wait_for_requests(1)
    begin = time.monotonic()
    assert cancel_run("task-x")
    thread.join(5)
    assert time.monotonic() - begin < 1
    assert caught[0].task_id == "task-x"
    server.wait_for_abandoned()
    assert time.monotonic() - begin < 1


def test_a_soft_time_limit_ends_the_call(server):
    server.script(hang())

    class SoftLimit(Exception):  # noqa: N818 - as Celery's
        pass

    def handler(*_):
        raise SoftLimit

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(SoftLimit):
            run(interruptible=True)
    finally:
        signal.signal(signal.SIGALRM, before)
    server.wait_for_abandoned()


# --- many calls, many processes ---


def test_two_hundred_calls_at_once_share_one_loop_and_reuse_their_connections(server):
    server.default = lambda request: answer(f"to {request.prompt}", delay_seconds=0.2)
    run()  # The library's import is not what is measured.
    before = server.connections

    def three(number):
        return [run(value=f"{number}-{turn}", task_id=f"t{number}").output for turn in range(3)]

    begin = time.monotonic()
    with ThreadPoolExecutor(200) as threads:
        answers = list(threads.map(three, range(200)))
    took = time.monotonic() - begin
    assert answers == [[f"to {n}-{turn}" for turn in range(3)] for n in range(200)]
    opened = server.connections - before
    # 600 calls: connections are reused, and one after another they would take 120 s.
    assert opened <= 450, opened
    assert took < 40, took


def test_calls_one_after_another_use_one_connection(server):
    for _ in range(5):
        run()
    assert server.connections == 1


FORK = """
import os, sys
from pyagent_orch.agents import Invocation, agent, invoke, to_wire

wire = to_wire(agent("x", model="openai:gpt-4o-mini"), local=False).json
def ask(who):
    return invoke(wire, who, Invocation(who, who, deadline_seconds=20)).output
ask("parent")
for number in range(3):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if [ask(f"child{number}") for _ in "ab"] == ["ok", "ok"] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert ask("parent") == "ok"
print("fine")
"""


def test_forked_children_use_connections_of_their_own(server):
    server.default = answer("ok")
    done = subprocess.run(
        [sys.executable, "-c", FORK],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=dict(os.environ),
    )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)
    connections = {}
    for request in server.requests:
        connections.setdefault(request.prompt, set()).add(request.connection)
    assert {who: len(used) for who, used in connections.items()} == {
        "parent": 1,
        "child0": 1,
        "child1": 1,
        "child2": 1,
    }
    assert len(set.union(*connections.values())) == 4


def test_the_server_streams_when_asked_to(server):
    """Not used by agents yet; other tests may rely on the server's protocol."""
    import openai

    server.script(answer("one\ntwo\n", usage=(3, 4)))
    with openai.OpenAI(max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": "hi"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "one\ntwo\n"
    assert chunks[-1].usage.total_tokens == 7
