"""A real HTTP server on loopback that speaks the chat-completions protocol.

For tests that call models: it answers, or misbehaves as scripted, and remembers
what it was asked. Runs in a thread of its own; every method is thread-safe.

    with ChatServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key")
        server.script(rate_limited("2"), answer("done"))   # the next two requests
        ...                                                # model "openai:any-name"
        assert len(server.requests) == 2

A behaviour is what happens to one request. Those given to `script` are used once
each, in order; after them, and without any, every request gets `default`.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

SECONDS = 10.0
"""How long the `wait_...` methods wait at most."""


@dataclass(frozen=True)
class ChatRequest:
    """What one request asked."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    connection: int
    """Which connection it came on, counted from 1."""
    at: float = field(default_factory=time.monotonic)

    @property
    def prompt(self) -> str:
        """The last user message."""
        texts = [m["content"] for m in self.body["messages"] if m["role"] == "user"]
        return str(texts[-1])

    @property
    def instructions(self) -> str:
        """The system message."""
        texts = [
            m["content"] for m in self.body["messages"] if m["role"] in {"system", "developer"}
        ]
        return "\n".join(texts)


@dataclass(frozen=True)
class Behaviour:
    """What happens to one request; made by the functions below."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    message: dict[str, Any] | None = None
    """The assistant's message; the body is made from it, streamed if that was asked for."""
    usage: tuple[int, int] = (11, 7)
    delay_seconds: float = 0.0
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    word_seconds: float = 0.0
    """When it is streamed: how long each word takes."""
    held: threading.Event | None = None
    """When it is streamed: the second half waits for this."""
    half_only: bool = False
    """When it is streamed: close the connection instead of sending the second half."""


def answer(
    text: str, *, usage: tuple[int, int] = (11, 7), delay_seconds: float = 0.0, **streamed: Any
) -> Behaviour:
    """Answer with text; `usage` is tokens in and out, the rest fields of `Behaviour`."""
    message = {"role": "assistant", "content": text}
    return Behaviour(message=message, usage=usage, delay_seconds=delay_seconds, **streamed)


def tool_call(name: str, **arguments: Any) -> Behaviour:
    """Ask for a tool to be called; also how structured output arrives (`final_result`)."""
    call = {
        "id": f"call_{name}",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }
    return Behaviour(message={"role": "assistant", "content": None, "tool_calls": [call]})


def failure(
    status: int, message: str = "scripted failure", *, code: str | None = None, **headers: str
) -> Behaviour:
    """Answer with an HTTP error in the protocol's form; `retry_after="2"` becomes a header."""
    body = json.dumps({"error": {"message": message, "type": "scripted", "code": code}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Behaviour(status=status, body=body, headers=named)


def rate_limited(retry_after: str | None = None) -> Behaviour:
    """Answer 429, with `Retry-After` in seconds or as a date if given."""
    headers = {} if retry_after is None else {"retry_after": retry_after}
    return failure(429, "slow down", **headers)


def hang(seconds: float = 3600.0) -> Behaviour:
    """Take the request and say nothing."""
    return answer("too late", delay_seconds=seconds)


def cut(text: str = "cut off") -> Behaviour:
    """Close the connection in the middle of the body."""
    return Behaviour(message={"role": "assistant", "content": text}, cut_after=40)


def malformed() -> Behaviour:
    """Answer 200 with a body that is no JSON."""
    return Behaviour(body=b'{"id": "chatcmpl-1", "choices": [', headers={})


Default = Behaviour | Callable[[ChatRequest], Behaviour]


class ChatServer:
    """The server; a context manager.

    Args:
        default: what happens to requests that nothing is scripted for: a behaviour,
            or a function from the request to one.
    """

    def __init__(self, default: Default | None = None) -> None:
        self.default: Default = default or answer("Hello from the test server.")
        self._changed = threading.Condition()
        self._script: deque[Behaviour] = deque()
        self._requests: list[ChatRequest] = []
        self._connections = 0
        self._open = 0
        self._gone = 0
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="chat-server", daemon=True)

    # --- for tests ---

    @property
    def url(self) -> str:
        """What to set OPENAI_BASE_URL to."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def requests(self) -> list[ChatRequest]:
        """What was asked so far, in order of arrival; a copy."""
        with self._changed:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """How many connections were opened so far."""
        with self._changed:
            return self._connections

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._changed:
            return self._open

    @property
    def abandoned(self) -> int:
        """How many clients went away before they got their answer."""
        with self._changed:
            return self._gone

    def script(self, *behaviours: Behaviour) -> None:
        """Add behaviours for the next requests, one for each."""
        with self._changed:
            self._script.extend(behaviours)

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have arrived in all; raises TimeoutError."""
        self._wait(lambda: len(self._requests) >= count, f"{count} requests")

    def wait_for_abandoned(self, count: int = 1) -> None:
        """Wait until so many clients have gone away unanswered; raises TimeoutError."""
        self._wait(lambda: self._gone >= count, f"{count} abandoned requests")

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(lambda: self._port != 0, "the server to start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)

    # --- inside ---

    def _wait(self, happened: Callable[[], bool], what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(happened, SECONDS):
                raise TimeoutError(f"waited {SECONDS:g} s for {what}")

    def _note(self, **changes: int) -> None:
        with self._changed:
            for name, change in changes.items():
                setattr(self, f"_{name}", getattr(self, f"_{name}") + change)
            self._changed.notify_all()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        )
        self._note(port=server.sockets[0].getsockname()[1])
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._note(connections=1, open=1)
        number = self.connections
        try:
            while await self._one_request(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._note(open=-1)
            # Not closed politely: an aborted transport leaves nothing to wait for.
            writer.transport.abort()

    async def _one_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path = head[0].split(" ")[1]
        request = ChatRequest(path, headers, json.loads(body or b"{}"), connection)
        with self._changed:
            self._requests.append(request)
            behaviour = self._script.popleft() if self._script else None
            self._changed.notify_all()
        if not path.endswith("/chat/completions"):
            behaviour = failure(404, f"no {path} here")
        elif behaviour is None:
            behaviour = self.default(request) if callable(self.default) else self.default
        if behaviour.delay_seconds and await _went_away(reader, behaviour.delay_seconds):
            self._note(gone=1)
            return False
        return await _send(writer, behaviour, request)


async def _went_away(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Wait; whether the client closed the connection meanwhile."""
    try:
        return await asyncio.wait_for(reader.read(1), seconds) == b""
    except TimeoutError:
        return False


async def _send(writer: asyncio.StreamWriter, behaviour: Behaviour, request: ChatRequest) -> bool:
    """Send the answer; whether the connection may be used again."""
    streamed = behaviour.message is not None and bool(request.body.get("stream"))
    if streamed and behaviour.cut_after is None:
        return await _stream(writer, behaviour, request)
    body = behaviour.body
    if behaviour.message is not None:
        body = (
            b"".join(_events(behaviour, request)) if streamed else _completion(behaviour, request)
        )
    kind = "text/event-stream" if streamed else "application/json"
    lines = [
        f"HTTP/1.1 {behaviour.status} Scripted",
        f"content-type: {kind}",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in behaviour.headers.items()),
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body[: behaviour.cut_after])
    await writer.drain()
    if behaviour.cut_after is not None:
        writer.close()
        return False
    return True


def _usage(behaviour: Behaviour) -> dict[str, int]:
    sent, got = behaviour.usage
    return {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got}


def _base(request: ChatRequest, kind: str) -> dict[str, Any]:
    model = request.body.get("model", "")
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": model}


def _finish(message: dict[str, Any]) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _completion(behaviour: Behaviour, request: ChatRequest) -> bytes:
    message = behaviour.message or {}
    choice = {"index": 0, "message": message, "finish_reason": _finish(message)}
    whole = {
        **_base(request, "chat.completion"),
        "choices": [choice],
        "usage": _usage(behaviour),
    }
    return json.dumps(whole).encode()


async def _stream(writer: asyncio.StreamWriter, behaviour: Behaviour, request: ChatRequest) -> bool:
    """Send the answer event by event; whether the connection may be used again."""
    writer.write(
        b"HTTP/1.1 200 Scripted\r\ncontent-type: text/event-stream\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    events = _events(behaviour, request)
    for place, event in enumerate(events):
        if place == len(events) // 2:
            if behaviour.half_only:
                writer.close()
                return False
            if behaviour.held is not None:
                await asyncio.to_thread(behaviour.held.wait, SECONDS)
        if behaviour.word_seconds:
            await asyncio.sleep(behaviour.word_seconds)
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


def _events(behaviour: Behaviour, request: ChatRequest) -> list[bytes]:
    """The answer as server-sent events: the text word by word, then the usage."""
    message = behaviour.message or {}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in re.findall(r"\s*\S+\s*", message.get("content") or "")]
    deltas += [{"tool_calls": [{"index": 0, **call}]} for call in message.get("tool_calls", ())]
    chunks = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": _finish(message)}]})
    if request.body.get("stream_options", {}).get("include_usage"):
        chunks.append({"choices": [], "usage": _usage(behaviour)})
    base = _base(request, "chat.completion.chunk")
    lines = [f"data: {json.dumps({**base, **chunk})}\n\n" for chunk in chunks]
    return [line.encode() for line in [*lines, "data: [DONE]\n\n"]]
