"""Traces: one from the submit to the model call, over processes, to a receiver on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.chat_server import ChatServer
from support.fleet import Fleet
from support.otlp_receiver import OtlpReceiver, Span

CONSUMER, PRODUCER = 5, 4
KEY = "sk-very-secret-key-0123456789"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


def run_client(fleet: Fleet, model: str, env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "support.traced_client", model],
        env=fleet.environment(env), capture_output=True, text=True, timeout=60, check=False,
        cwd=fleet.directory,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def chain_of(span: Span, receiver: OtlpReceiver) -> list[str]:
    """The names of a span and of those above it."""
    by_id = {one.id: one for one in receiver.spans}
    names = [span.name]
    while span.parent:
        span = by_id[span.parent]
        names.append(span.name)
    return names


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_one_trace_goes_from_the_submit_to_the_model_call(
    fleet: Fleet, receiver: OtlpReceiver, pool: str
) -> None:
    with ChatServer() as chat:
        env = receiver.environment | {
            "OPENAI_BASE_URL": chat.url,
            "OPENAI_API_KEY": KEY,
            "PYAGENT_ORCH_TRACES": "1",
        }
        worker = fleet.start(pool, 2, env=env)
        run_client(fleet, "openai:gpt-4o-mini", env)
        # A clean stop sends what was not sent yet.
        worker.stop()
    (request,) = receiver.named("POST /articles")
    (submit,) = receiver.named("submit article")
    (run,) = receiver.named("run article")
    (call,) = receiver.named("chat gpt-4o-mini")
    chain = chain_of(call, receiver)
    assert chain[0] == "chat gpt-4o-mini"
    assert chain[-3:] == ["run article", "submit article", "POST /articles"]
    assert {one.trace for one in (request, submit, run, call)} == {request.trace}
    assert (submit.service, run.service) == ("backend", "pyagent-orch")
    assert (submit.kind, run.kind) == (PRODUCER, CONSUMER)
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert call.attributes["gen_ai.usage.input_tokens"] > 0
    assert run.attributes["pyagent_orch.task.id"] == "single"
    assert run.attributes["pyagent_orch.task.attempt"] == 1
    queued = [one for one in receiver.named("queue agents") if one.parent == submit.id]
    assert len(queued) == 1
    assert queued[0].began < queued[0].ended <= run.began + 50_000_000
    # Redis' times are milliseconds.
    assert queued[0].began > submit.began - 1_000_000_000

    # The workflow: what it began with, and what its map spawned in a worker.
    (flow,) = receiver.named("submit workflow spread")
    assert flow.parent == request.id
    turns = [one for one in receiver.spans if one.name.startswith("run each[")]
    assert len(turns) == 2
    for turn in turns:
        assert turn.trace == request.trace
        assert chain_of(turn, receiver)[-3:] == [
            "run each", "submit workflow spread", "POST /articles"
        ]  # fmt: skip
        assert turn.attributes["pyagent_orch.workflow.id"] == "flow"

    (broken,) = receiver.named("run broken")
    assert broken.failed
    assert broken.attributes["error.type"] == "ValueError"
    assert not run.failed
    # No input, output, error text or key in anything that left.
    assert b"secret" not in receiver.raw


def test_the_offline_model_and_adapters_have_spans_in_the_same_words(
    fleet: Fleet, receiver: OtlpReceiver
) -> None:
    env = receiver.environment | {"PYAGENT_ORCH_TRACES": "1"}
    worker = fleet.start("threads", 2, env=env)
    run_client(fleet, "offline", env)
    worker.stop()
    (call,) = receiver.named("chat offline")
    assert chain_of(call, receiver)[:2] == ["chat offline", "run article"]
    assert call.attributes["gen_ai.agent.name"] == "writer"
    assert call.attributes["gen_ai.usage.output_tokens"] > 0


def test_switched_off_it_needs_nothing_and_no_record_knows_of_it(
    fleet: Fleet, tmp_path: Path
) -> None:
    # As where the extra is not installed: whoever imports it fails. (redis-py tries, and does
    # without.)
    program = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from pyagent_orch import ConfigurationError, Orchestrator, Settings\n"
        "with Orchestrator() as orch:\n"
        "    print(orch.submit(str.upper, 'x').result(20))\n"
        "try:\n"
        "    Orchestrator(settings=Settings(traces=True)).submit(str.upper, 'x')\n"
        "except ConfigurationError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=fleet.environment({"PYAGENT_ORCH_REDIS_URL": ""}),
        capture_output=True, text=True, timeout=40, check=True, cwd=tmp_path,
    )  # fmt: skip
    printed = done.stdout.splitlines()
    assert printed[0] == "X"
    assert "pip install 'pyagent-orch[otel]'" in printed[1]
    fleet.start("threads", 1)
    task = fleet.orchestrator.submit("echo", 1)
    task.wait(timeout=20)
    store = fleet.orchestrator._store
    assert "trace" not in store.client.hgetall(store.keys.task(task.id))
