"""Webhooks against a real HTTP server: signed, retried, each event by one sender, none lost."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from pyagent_orch import ConfigurationError, Orchestrator
from pyagent_orch.web import Target, Webhooks, new_secret
from support.fleet import until
from support.web import AGENTS


@dataclass
class Receiver:
    """Takes webhooks; answers by what it is told, then 204."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.received]

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append((headers, body))
            answer = receiver.answers.pop(0) if receiver.answers else 204
            self.send_response(answer)
            if answer == 302:
                self.send_header("Location", f"{receiver.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def orchestrator(embedded: Callable[..., Orchestrator]) -> Orchestrator:
    assert AGENTS
    return embedded().start()


def test_a_webhook_is_read_by_any_receiver_of_the_standard(
    orchestrator: Orchestrator, receiver: Receiver
) -> None:
    old, new = new_secret(), new_secret()
    target = Target("crm", f"{receiver.url}/hook?key=hush", (new, old))
    with Webhooks(orchestrator, [target]):
        task = orchestrator.submit("web_shout", "x", metadata={"user": "ann"}).wait(20)
        until(lambda: receiver.received)
    ((headers, body),) = receiver.received
    for secret in (old, new):
        content = Webhook(secret).verify(body, headers)
    assert content["type"] == "task.completed"
    assert content["data"]["id"] == task.id
    assert content["data"]["metadata"] == {"user": "ann"}
    event = next(e for e in orchestrator.events() if e.type == "task.completed")
    assert headers["webhook-id"] == f"default-{event.id}"
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(body + b" ", headers)


def test_what_is_refused_is_sent_again_under_the_same_id_and_in_order(
    orchestrator: Orchestrator, receiver: Receiver
) -> None:
    receiver.answers = [500, 429, 302]
    target = Target("flaky", receiver.url, (new_secret(),), ("task.submitted", "task.completed"))
    with Webhooks(orchestrator, [target], delay_seconds=0.01):
        orchestrator.submit("web_shout", "x").wait(20)
        until(lambda: "task.completed" in receiver.types())
    assert receiver.types() == ["task.submitted"] * 4 + ["task.completed"]
    assert len(set(receiver.ids())) == 2


def test_what_nobody_takes_is_given_up_and_told(
    orchestrator: Orchestrator, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    orchestrator.on("webhook.failed", told.append)
    receiver.answers = [500, 500, 410]
    target = Target("gone", f"{receiver.url}/hush", (new_secret(),), ("*.completed", "webhook.*"))
    with (
        caplog.at_level(logging.DEBUG),
        Webhooks(orchestrator, [target], attempts=2, delay_seconds=0.01),
    ):
        orchestrator.submit("web_shout", "first").wait(20)
        orchestrator.submit("web_shout", "second").wait(20)
        until(lambda: len(told) == 2)
    assert [one["reason"] for one in told] == [
        "it answered 500",
        "it answered 410: nobody is there any more",
    ]
    assert len(receiver.received) == 3
    assert "is given up" in caplog.text
    assert "hush" not in caplog.text
    assert target.secrets[0] not in caplog.text


def test_of_two_processes_one_sends_each_event_and_the_other_goes_on(
    orchestrator: Orchestrator, receiver: Receiver
) -> None:
    target = Target("shared", receiver.url, (new_secret(),), ("task.completed",))
    first = Webhooks(orchestrator, [target]).start()
    second = Webhooks(orchestrator, [target]).start()
    tasks = [orchestrator.submit("web_shout", n) for n in range(20)]
    orchestrator.wait(*tasks, timeout=20)
    until(lambda: len(receiver.received) >= 20)
    first.close()
    more = [orchestrator.submit("web_shout", n) for n in range(20)]
    orchestrator.wait(*more, timeout=20)
    until(lambda: len(receiver.received) >= 40)
    second.close()
    sent = [json.loads(body)["data"]["id"] for _, body in receiver.received]
    assert sorted(sent) == sorted(task.id for task in [*tasks, *more])


def test_what_happens_while_nobody_sends_is_sent_at_the_next_start(
    orchestrator: Orchestrator, receiver: Receiver
) -> None:
    target = Target("later", receiver.url, (new_secret(),), ("task.completed",))
    Webhooks(orchestrator, [target]).start().close()
    task = orchestrator.submit("web_shout", "x").wait(20)
    with Webhooks(orchestrator, [target]):
        until(lambda: receiver.received)
    assert json.loads(receiver.received[0][1])["data"]["id"] == task.id


@pytest.mark.parametrize(
    ("url", "secrets", "said"),
    [
        ("ftp://x.example", None, "https://"),
        ("http://x.example", None, "anybody on the way"),
        ("https://", None, "https://"),
        ("https://x.example:port", None, "https://"),
        ("https://x.example", (), "needs a tuple"),
        ("https://x.example", ("hush",), "new_secret"),
        ("https://x.example", ("whsec_aHVzaA==",), "24 to 64 bytes"),
    ],
)
def test_a_target_that_is_none_is_refused_without_its_secret(
    url: str, secrets: tuple[str, ...] | None, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        Target("t", url, (new_secret(),) if secrets is None else secrets)
    assert "hush" not in str(refused.value)
    good = Target("t", "https://x.example/hush", (new_secret(),))
    assert "hush" not in repr(good)
    assert "whsec" not in repr(good)
