"""Messages that somebody pushed straight into a queue: put aside, logged once, and no harm done."""

from __future__ import annotations

import base64
import json
import pickle
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from celery.exceptions import NotRegistered
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch import Orchestrator, TaskTimeoutError
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.engine.transport import damage
from support.fleet import Fleet, Worker, until
from support.raw_server import RawServer

POOLS = ("prefork", "threads")


@pytest.fixture(scope="module")
def fleet(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One worker of each pool, each on a queue of its pool's name."""
    fleet = Fleet(server.broker_url, f"t{uuid4().hex[:10]}", tmp_path_factory.mktemp("workers"))
    try:
        for pool in POOLS:
            fleet.start(pool, 1, "-Q", pool, wait=False)
        until(lambda: len(fleet.orchestrator.workers()) == len(POOLS), 30)
        yield fleet
    finally:
        fleet.close()


@pytest.fixture(params=POOLS)
def target(request: pytest.FixtureRequest, fleet: Fleet) -> Target:
    place = POOLS.index(request.param)
    if fleet.workers[place].process.poll() is not None:
        # Another test's message has killed it: that test has failed, this one may pass.
        fleet.workers[place] = fleet.start(request.param, 1, "-Q", request.param)
        fleet.workers.pop()
    return Target(request.param, fleet.workers[place], fleet.orchestrator)


class Target:
    """One worker and its queue."""

    def __init__(self, queue: str, worker: Worker, orchestrator: Orchestrator) -> None:
        self.queue, self.worker, self.orchestrator = queue, worker, orchestrator
        store = orchestrator._store
        self.client, self.keys = store.client, store.keys
        self.url = orchestrator._store.address.broker_url
        self.list = f"{self.keys.celery_prefix}{self.queue}"
        self.rejected = self.keys.rejected

    def good(self) -> dict[str, Any]:
        """A message as our own act makes it, of a task that does not exist."""
        task = self.orchestrator.submit("echo", "x", queue="nobody-reads")
        [text] = self.client.lrange(f"{self.keys.celery_prefix}nobody-reads\x06\x164", 0, 0)
        self.client.delete(f"{self.keys.celery_prefix}nobody-reads\x06\x164")
        self.orchestrator.cancel(task.id)
        return json.loads(text)

    def push(self, *messages: str | bytes) -> None:
        self.client.lpush(self.list, *messages)

    def kept(self) -> list[str]:
        return self.client.lrange(self.rejected, 0, -1)

    def goes_on(self) -> None:
        """The worker still runs tasks: the same process, with all its slots."""
        task = self.orchestrator.submit("upper", "still here", queue=self.queue, priority=10)
        try:
            assert task.result(timeout=10) == "STILL HERE"
        except TaskTimeoutError:
            raise AssertionError(self.worker.text()[-2000:]) from None
        assert task.attempts == 1


def changed(path: str, value: object) -> Callable[[dict[str, Any]], str]:
    """A good message with one part replaced; None as value takes it out."""

    def make(message: dict[str, Any]) -> str:
        *parents, last = path.split(".")
        place = message
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
        return json.dumps(message)

    return make


def coded(body: object) -> str:
    return base64.b64encode(json.dumps(body).encode()).decode()


def nested(message: dict[str, Any]) -> str:
    text = json.dumps(message)
    return text[:-1] + ', "deep": ' + "[" * 100_000 + "]" * 100_000 + "}"


PUT_ASIDE: dict[str, Callable[[dict[str, Any]], str | bytes]] = {
    "no text": lambda _: b"\xff\xfe\x80",
    "empty": lambda _: "",
    "not JSON": lambda _: "rm -rf /",
    "half of a message": lambda message: json.dumps(message)[:200],
    "a list": lambda _: "[1, 2]",
    "a number": lambda _: "7",
    "an empty object": lambda _: "{}",
    "deep nesting": nested,
    "deep nesting in the body": changed(
        "body", base64.b64encode(b"[" * 100_000 + b"]" * 100_000).decode()
    ),
    "huge": changed("body", "A" * 20_000_000),
    "no id": changed("headers.id", None),
    "an id that is a list": changed("headers.id", ["a"]),
    "an empty id": changed("headers.id", ""),
    "no task name": changed("headers.task", None),
    "no headers": changed("headers", None),
    "headers that are a list": changed("headers", []),
    "no properties": changed("properties", None),
    "no delivery tag": changed("properties.delivery_tag", None),
    "no delivery info": changed("properties.delivery_info", None),
    "bad base64": changed("body", "*not base64*"),
    "no body": changed("body", None),
    "a body that is a list": changed("body", [[], {}, {}]),
    "a body without a list": changed("body", coded({"args": []})),
    "a body of one part": changed("body", coded([[]])),
    "a body of the wrong parts": changed("body", coded([{}, [], {}])),
    "pickle": changed("content-type", "application/x-python-serialize"),
    "pickle in truth": lambda message: json.dumps(
        message
        | {
            "content-type": "application/x-python-serialize",
            "body": base64.b64encode(pickle.dumps([(), {}, {}])).decode(),
        }
    ),
    "yaml": changed("content-type", "application/x-yaml"),
    "no content type": changed("content-type", None),
    "an unknown encoding of the content": changed("content-encoding", "rot13"),
    "no encoding of the content": changed("content-encoding", None),
    "compressed": changed("headers.compression", "application/x-gzip"),
    "a shadow that is a list": changed("headers.shadow", ["a"]),
    "a group that is a number": changed("headers.group", 7),
    "a preview that is an object": changed("headers.argsrepr", {"a": 1}),
    "stamps that are lists": changed("headers.stamped_headers", [["a"]]),
    "limits that are text": changed("headers.timelimit", "soon"),
    "limits that are three": changed("headers.timelimit", [1, 2, 3]),
    "limits that are no numbers": changed("headers.timelimit", ["a", "b"]),
    "no delivery exchange": changed("properties.delivery_info", {}),
    "an eta that is no time": changed("headers.eta", "tomorrow"),
    "an expiry that is no time": changed("headers.expires", "never"),
    "retries that are text": changed("headers.retries", "many"),
    "a priority that is text": changed("properties.priority", "high"),
    "a chain that is none": changed("body", coded([[], {}, {"chain": "x"}])),
    "callbacks that are none": changed("body", coded([[], {}, {"callbacks": [{"kwargs": {}}]}])),
    "arguments": changed("body", coded([["rm"], {"shell": True}, {}])),
    "an unknown task": changed("headers.task", "os.system"),
}


@pytest.mark.parametrize("what", PUT_ASIDE)
def test_a_hostile_message_is_put_aside_logged_once_and_the_worker_goes_on(
    target: Target, what: str
) -> None:
    before, log = len(target.kept()), len(target.worker.text())
    message = PUT_ASIDE[what](target.good())
    target.push(message, message, message)
    target.goes_on()
    assert len(target.kept()) - before == 3
    text = target.worker.text()[log:]
    assert "Traceback" not in text
    assert text.count("Rejected a message of queue") <= 1
    assert len(text) < 5_000


def test_what_is_put_aside_is_kept_for_a_look_and_capped(target: Target) -> None:
    marker = uuid4().hex
    target.push(f"not JSON {marker} " + "x" * 100_000)
    target.goes_on()
    until(lambda: any(marker in text for text in target.kept()))
    assert all(len(text) < 20_000 for text in target.kept())
    target.push(*(f"{marker} {n}" for n in range(1_500)))
    target.goes_on()
    until(lambda: target.client.llen(target.list) == 0)
    assert target.client.llen(target.rejected) == 1_000
    assert target.worker.text().count("it is not JSON") == 1


def test_a_hostile_message_that_redis_has_no_room_to_keep_does_not_end_the_worker(
    tmp_path: Path,
) -> None:
    with RawServer(tmp_path) as raw:
        fleet = Fleet(raw.url, "full", tmp_path)
        try:
            worker = fleet.start("threads", 1)
            # Its lease is there before it takes messages; a full Redis lets it declare no queue.
            assert fleet.orchestrator.submit("upper", "here").result(timeout=20)
            worker.kill(signal.SIGSTOP)
            raw.run("LPUSH", "full:agents", "not JSON")
            raw.run("CONFIG", "SET", "maxmemory", 1)
            worker.kill(signal.SIGCONT)
            until(lambda: "cannot be kept" in worker.text())
            raw.run("CONFIG", "SET", "maxmemory", 0)
            assert fleet.orchestrator.submit("upper", "still here").result(timeout=20)
            assert worker.process.poll() is None
        finally:
            fleet.close()


NO_HARM: dict[str, Callable[[dict[str, Any]], str]] = {
    "a task that is not recorded": json.dumps,
    "an eta in a thousand years": changed("headers.eta", "2999-01-01T00:00:00+00:00"),
    "an expiry long ago": changed("headers.expires", "1999-01-01T00:00:00+00:00"),
    "no limits": changed("headers.timelimit", None),
    "a reply to nowhere": changed("properties.reply_to", "nowhere"),
    "another task of Celery": changed("headers.task", "celery.backend_cleanup"),
    "a callback": changed("body", coded([[], {}, {"callbacks": [{"task": "os.system"}]}])),
    "what a canvas hands on": changed("body", coded([["rm -rf /"], {}, {}])),
}


@pytest.mark.parametrize("what", NO_HARM)
def test_a_strange_message_that_celery_takes_does_no_harm(target: Target, what: str) -> None:
    before = len(target.kept())
    message = target.good()
    message["headers"]["id"] = str(uuid4())
    text = NO_HARM[what](message)
    target.push(text, text, text)
    target.goes_on()
    assert len(target.kept()) == before


def test_no_message_changes_what_is_recorded(target: Target) -> None:
    task = target.orchestrator.submit("echo", "the output", queue=target.queue)
    assert task.result(timeout=15) == "the output"
    message = target.good()
    message["headers"]["id"] = message["properties"]["correlation_id"] = task.id
    target.push(
        json.dumps(message),
        changed("headers.task", "os.system")(json.loads(json.dumps(message))),
        changed("headers.ignore_result", False)(json.loads(json.dumps(message))),
        changed("body", coded([["x"], {}, {}]))(json.loads(json.dumps(message))),
    )
    target.goes_on()
    again = target.orchestrator.get_task(task.id)
    assert (again.status, again.output, again.attempts) == ("completed", "the output", 1)


def test_a_plain_celery_client_hears_that_its_task_is_unknown(target: Target) -> None:
    with Celery(set_as_current=False) as plain:
        plain.conf.broker_url = plain.conf.result_backend = target.url
        prefix = {"global_keyprefix": target.keys.celery_prefix}
        plain.conf.broker_transport_options = plain.conf.result_backend_transport_options = prefix
        result = plain.send_task("os.system", ["rm"], queue=target.queue)
        with pytest.raises(NotRegistered):
            result.get(timeout=15)
        result.forget()


def test_a_message_of_a_task_that_is_not_recorded_is_dropped(target: Target) -> None:
    message = target.good()
    message["headers"]["id"] = unknown = str(uuid4())
    target.push(json.dumps(message))
    target.goes_on()
    assert f"Message of task {unknown} dropped: missing" in target.worker.text()


def test_a_copy_of_a_message_does_not_run_the_task_again(target: Target, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    task = target.orchestrator.submit("append_line", {"path": str(lines)}, queue=target.queue)
    message = target.good()
    message["headers"]["id"] = message["properties"]["correlation_id"] = task.id
    target.push(*[json.dumps(message)] * 20)
    task.result(timeout=15)
    target.goes_on()
    assert lines.read_text() == f"{task.id}\n"


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(ANY_JSON, st.sampled_from(["headers", "properties", "body", "content-type", "x"]))
def test_a_look_at_a_message_never_raises(value: object, part: str) -> None:
    whole = {"headers": {"id": "a", "task": "b"}, "properties": {}, "body": "", "content-type": ""}
    for message in (value, whole | {part: value}, {**whole, "headers": {"id": "a", "eta": value}}):
        assert damage(json.dumps(message)) is not None
