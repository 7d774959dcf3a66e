"""Webhooks: events that are sent to other servers, signed, at least once, in order.

Built on durable handlers: of all processes that serve a target one sends each event, and
what it had not finished when it died another one sends. In the form of the Standard
Webhooks specification (headers, signature, secrets). Targets are the host's to name; no
request can add one, and redirects are not followed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import logging
import random
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import urlsplit

from pyagent_orch.exceptions import ConfigurationError, PyAgentOrchError
from pyagent_orch.listener.durable import OfferAgainError
from pyagent_orch.models.values import to_json

if TYPE_CHECKING:
    from types import TracebackType

    from pyagent_orch.listener import DurableHandler
    from pyagent_orch.models.events import Event
    from pyagent_orch.orchestrator import Orchestrator

logger = logging.getLogger(__name__)

FINAL = (
    "task.completed", "task.failed", "task.cancelled",
    "workflow.completed", "workflow.failed", "workflow.cancelled",
)  # fmt: skip
PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)
_FACTOR = 3.0
_GONE = 410
_NAME = 64


@dataclass(frozen=True, slots=True)
class Target:
    """Where events are sent.

    Raises:
        ConfigurationError: the address or a secret does not fit.
    """

    name: str
    """For logs, and what processes share the target by."""
    url: str = field(repr=False)
    """`https://...`; `http://` for loopback only. It may hold a secret, so no log tells it."""
    secrets: tuple[str, ...] = field(repr=False)
    """`whsec_` and base64 of 24 to 64 bytes, see `new_secret`; several while one is replaced."""
    events: tuple[str, ...] = FINAL
    """Which types; patterns such as `task.*` work."""

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= _NAME or not self.name.replace("-", "a").isalnum():
            raise ConfigurationError(
                "name", f"{self.name[:80]!r} is not 1 to 64 letters, digits, -"
            )
        _check_url(self.name, self.url)
        if not self.secrets or isinstance(self.secrets, str):
            raise ConfigurationError("secrets", f"webhook {self.name!r} needs a tuple of secrets")
        for secret in self.secrets:
            _key_of(secret)


class Webhooks:
    """Sends events to targets from `start` to `close`.

    Each target is served by a thread of its own, so that one that is slow or away holds up
    nobody else. Any number of processes may serve the same targets. A target gets the
    events from the first start with its name on, also those of times when nobody served
    it, as far as the event stream still has them.

    Args:
        orchestrator: whose events.
        targets: where to.
        attempts: how often an event is tried before it is given up, >= 1. That is logged, and
            told as an event `webhook.failed`.
        delay_seconds: before the second try; three times as long before each next one.
        max_delay_seconds: no delay is longer.
        timeout_seconds: how long the other server may take to answer.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        targets: Sequence[Target],
        *,
        attempts: int = 8,
        delay_seconds: float = 1.0,
        max_delay_seconds: float = 300.0,
        timeout_seconds: float = 10.0,
    ) -> None:
        if len({target.name for target in targets}) < len(targets):
            raise ConfigurationError("targets", "two webhooks have the same name")
        self._orchestrator, self._targets = orchestrator, tuple(targets)
        self._attempts, self._timeout = max(1, attempts), timeout_seconds
        self._delay, self._max_delay = delay_seconds, max_delay_seconds
        self._closing = threading.Event()
        self._served: list[DurableHandler] = []
        self._opener = urllib.request.build_opener(_NoRedirect)

    def start(self) -> Self:
        """Serve the targets.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
        """
        for target in self._targets:
            sender = _Sender(self, target)
            self._served.append(
                self._orchestrator.deliver(f"webhook-{target.name}", target.events, sender.handle)
            )
        return self

    def close(self) -> None:
        """Send no more; what is unfinished is sent by another process, or at the next start."""
        self._closing.set()
        for handler in self._served:
            handler.stop()
        self._served = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- one event, in the thread of its target -----------------------------------------------

    def send(self, target: Target, event: Event) -> None:
        """Send one event, with retries, until it is taken or given up.

        Raises:
            OfferAgainError: closed meanwhile.
        """
        message_id = f"{self._orchestrator.settings.namespace}-{event.id}"
        body = self._body(event)
        reason = ""
        for attempt in range(self._attempts):
            if attempt and self._closing.wait(self._pause(attempt)):
                raise OfferAgainError
            reason = self._post(target, message_id, body)
            if not reason:
                return
            if reason == _GONE_REASON:
                break
            logger.warning("Webhook %s: %s was not taken: %s", target.name, event.id, reason)
        logger.error("Webhook %s: %s is given up: %s", target.name, event.id, reason)
        self._orchestrator.emit(
            "webhook.failed",
            {"target": target.name, "event": event.id, "type": event.type, "reason": reason},
        )

    def _body(self, event: Event) -> bytes:
        data: dict[str, object] = {"id": event.subject}
        data |= event.data if isinstance(event.data, dict) else {"data": event.data}
        if event.noun in ("task", "workflow"):
            found = self._orchestrator.metadata_of([(event.noun, event.subject)])
            data["metadata"] = found.get(event.subject, {})
        content = {"type": event.type, "timestamp": event.at.isoformat(), "data": data}
        return to_json(content).encode(errors="replace")

    def _pause(self, attempt: int) -> float:
        full = min(self._max_delay, self._delay * _FACTOR ** (attempt - 1))
        # So that what came together does not come back together.
        return full * (0.75 + 0.5 * random.random())  # noqa: S311 - no secret

    def _post(self, target: Target, message_id: str, body: bytes) -> str:
        """Why the target did not take it; empty when it did."""
        timestamp = str(int(time.time()))
        request = urllib.request.Request(  # noqa: S310 - `Target` takes http and https only
            target.url,
            body,
            {
                "Content-Type": "application/json",
                "User-Agent": "pyagent-orch",
                "webhook-id": message_id,
                "webhook-timestamp": timestamp,
                "webhook-signature": signature(target.secrets, message_id, timestamp, body),
            },
        )
        try:
            with self._opener.open(request, timeout=self._timeout):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                return _GONE_REASON if error.code == _GONE else f"it answered {error.code}"
        except urllib.error.URLError as error:
            return f"out of reach: {error.reason}"
        except (OSError, HTTPException) as error:
            return f"out of reach: {type(error).__name__}: {error}"


class _Sender:
    """The handler of one target."""

    def __init__(self, webhooks: Webhooks, target: Target) -> None:
        self._webhooks, self._target = webhooks, target

    def handle(self, event: Event) -> None:
        if event.noun == "webhook":
            # Of itself it tells nobody: that would never end.
            return
        try:
            self._webhooks.send(self._target, event)
        except PyAgentOrchError as error:
            logger.warning("Webhook %s waits: %s", self._target.name, error)
            raise OfferAgainError from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would lead where the host has not said."""

    def redirect_request(  # noqa: PLR0917 - the base's signature
        self,
        req: urllib.request.Request,  # noqa: ARG002 - the base's signature
        fp: IO[bytes],  # noqa: ARG002 - likewise
        code: int,  # noqa: ARG002 - likewise
        msg: str,  # noqa: ARG002 - likewise
        headers: HTTPMessage,  # noqa: ARG002 - likewise
        newurl: str,  # noqa: ARG002 - likewise
    ) -> None:
        return None


_GONE_REASON = "it answered 410: nobody is there any more"


def new_secret() -> str:
    """A secret for a target; keep it where other secrets are kept."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(
    secrets: Sequence[str],  # noqa: A002,RUF100 - the field's word
    message_id: str,
    timestamp: str,
    body: bytes,
) -> str:
    """The header `webhook-signature`: one signature for each secret.

    Args:
        secrets: as in `Target`.
        message_id: the header `webhook-id`.
        timestamp: the header `webhook-timestamp`: seconds since the epoch.
        body: as it is sent.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.digest(_key_of(one), signed, "sha256")).decode()
        for one in secrets
    )


def _key_of(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in _SECRET_BYTES:
        raise ConfigurationError(
            "secrets", f"one is not {PREFIX!r} and base64 of 24 to 64 bytes; new_secret() makes one"
        )
    return key


def _check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigurationError("url", f"that of webhook {name!r} is no https:// address")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(
            "url", f"that of webhook {name!r} begins with http://, which anybody on the way can "
            "read; give https://",
        )  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
