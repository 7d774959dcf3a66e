"""The Lua acts: loading, and calling by hash.

An act is one file in `scripts/`, put behind the constants, the function `message` that
fills in a Celery message, and what it uses of the shared files (see `lua.py`). It is
called by its hash; a server that does not know it (restarted, or failed over) is taught
it again.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis

from pyagent_orch.exceptions import LayoutError
from pyagent_orch.store.connection import HeldConnections
from pyagent_orch.store.counters import BUCKETS_MS
from pyagent_orch.store.group import Group
from pyagent_orch.store.keys import LAYOUT
from pyagent_orch.store.lua import act_source

MESSAGE_FIELDS = ("id", "shadow", "preview", "priority", "queue", "limits", "tag")
"""What a message differs in; in this order they are the arguments of Lua's `message`."""


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """A Celery message with gaps, as the transport would put it on a queue.

    Made by the engine, which knows Celery. `text` is the JSON envelope, in which
    `@@field@@` stands for each of `MESSAGE_FIELDS`: `id`, `limits` and `priority`
    bare, `tag` inside quotes, the others as JSON strings with their quotes.
    """

    text: str

    def as_lua(self) -> str:
        """The Lua function that makes one message: one concatenation, no parsing."""
        pieces = re.split(r"@@(\w+)@@", self.text)
        parts = [
            piece if index % 2 else _long_string(piece)
            for index, piece in enumerate(pieces)
            if piece
        ]
        return (
            f"local function message({', '.join(MESSAGE_FIELDS)}) return {'..'.join(parts)} end\n"
            # By which an act knows a message that was made here; its id comes next.
            f"local MESSAGE_HEAD = {_long_string(self.text.partition('@@id@@')[0])}\n"
        )


def _long_string(text: str) -> str:
    """Quote a text for Lua so that nothing in it is special."""
    return f"[==[{text}]==]"


@dataclass(frozen=True, slots=True)
class ActConstants:
    """The numbers that all acts of an installation share. Times are milliseconds."""

    message: MessageTemplate
    record_ttl: int
    events_max_length: int
    lease: int
    sweep: int
    suspect: int
    max_worker_losses: int
    hard_limit_grace_seconds: int
    separator: str
    """What kombu puts between a queue's name and a priority."""

    def as_lua(self) -> str:
        """The constants as Lua source."""
        separator = "".join(f"\\{ord(char)}" for char in self.separator)
        return (
            f"local LAYOUT = {LAYOUT}\n"
            f"local RECORD_TTL, EVENTS_MAX_LENGTH = {self.record_ttl}, {self.events_max_length}\n"
            f"local LEASE_MS, SWEEP_MS, SUSPECT_MS = {self.lease}, {self.sweep}, {self.suspect}\n"
            f"local MAX_WORKER_LOSSES = {self.max_worker_losses}\n"
            f"local HARD_LIMIT_GRACE = {self.hard_limit_grace_seconds}\n"
            f"local SEPARATOR = '{separator}'\n"
            f"local FIELDS = {{{', '.join(repr(field) for field in CLAIM_FIELDS)}}}\n"
            f"local INPUT, TRACE = {CLAIM_FIELDS.index('input') + 1}, "
            f"{CLAIM_FIELDS.index('trace') + 1}\n" + self.message.as_lua() + _bucket_as_lua()
        )


def _bucket_as_lua() -> str:
    """The Lua function that finds a time's bucket: comparisons, and no table for each act."""
    tests = "".join(f"if ms <= {bound} then return {bound} end\n" for bound in BUCKETS_MS)
    return f"local function bucket(ms)\n{tests}return 'inf' end\n"


CLAIM_FIELDS = (
    "name",
    "input",
    "attempts",
    "failures",
    "deferrals",
    "retry",
    "timeout",
    "metadata",
    "key",
    "workflow",
    "deps",
    "template",
    "when",
    "state",
    "context",
    "trace",
    "rescues",
    "aliases",
    "queue",
    "priority",
    "tick",
    "usage",
)
"""The fields of a record that a claim returns, in this order."""


class Acts:
    """The acts, bound to a client and the keys of a namespace. Safe to share between threads."""

    def __init__(self, client: redis.Redis, keys: tuple[str, str], constants: ActConstants) -> None:
        self._client = client
        self._held = HeldConnections(client)
        self.keys = keys
        self._head = constants.as_lua()
        self._loaded: dict[str, tuple[str, str]] = {}
        self._groups: dict[str, Group] = {}
        self._lock = threading.Lock()
        self.after: Callable[[str, str], None] | None = None
        """Called with the name and the first argument of an act that has been run."""

    def _script(self, name: str) -> tuple[str, str]:
        script = self._loaded.get(name)
        if script is None:
            source = self._head + act_source(name)
            digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
            script = self._loaded[name] = (source, digest)
        return script

    def close(self) -> None:
        """Let go of the connections. Idempotent."""
        self._held.close()

    def command(self, name: str, args: Sequence[str | int | float]) -> list[str | int | float]:
        """The command that runs an act, for a connection that is not ours."""
        return ["EVALSHA", self._script(name)[1], 2, *self.keys, *args]

    def teach(self, name: str) -> None:
        """Have the server know an act; one round trip."""
        self._client.script_load(self._script(name)[0])

    def run(self, name: str, args: Sequence[str | int | float]) -> Any:
        """Run one act; one round trip.

        Args:
            name: the file's name without its ending, such as `claim_v1`.
            args: its ARGV.

        Raises:
            LayoutError: a newer version has taken the namespace over; nothing was written.
        """
        return self.begin(name, args)()

    def begin(self, name: str, args: Sequence[str | int | float]) -> Callable[[], Any]:
        """Send one act, whose answer is read later.

        Returns:
            Reads the answer; raises what `run` raises.
        """
        digest = self._script(name)[1]
        command = ("EVALSHA", digest, 2, *self.keys, *args)
        return partial(self._answer, name, args, self._held.begin(*command))

    def _answer(self, name: str, args: Sequence[str | int | float], read: Callable[[], Any]) -> Any:
        try:
            reply = read()
        except redis.exceptions.NoScriptError:
            self._client.script_load(self._script(name)[0])
            return self.run(name, args)
        except redis.exceptions.ResponseError as error:
            word, _, layout = str(error).partition(" ")
            if word != "LAYOUT":
                raise
            raise LayoutError(self.keys[0], int(layout), LAYOUT) from None
        if self.after is not None:
            self.after(name, str(args[0]))
        return reply

    def run_many(self, name: str, calls: Sequence[Sequence[str | int | float]]) -> list[Any]:
        """Run one act many times in one round trip; each call is atomic, the whole is not.

        Returns:
            What each call returned, or the error that it ended with.
        """
        source, digest = self._script(name)
        replies = self._call_many(digest, calls)
        unknown = [
            place
            for place, reply in enumerate(replies)
            if isinstance(reply, redis.exceptions.NoScriptError)
        ]
        if unknown:
            # Only those: what a server did that has been taught meanwhile is not done twice.
            self._client.script_load(source)
            again = self._call_many(digest, [calls[place] for place in unknown])
            for place, reply in zip(unknown, again, strict=True):
                replies[place] = reply
        return replies

    def _call_many(self, digest: str, calls: Sequence[Sequence[str | int | float]]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for args in calls:
            pipe.execute_command("EVALSHA", digest, 2, *self.keys, *args)
        return list(pipe.execute(raise_on_error=False))

    def run_together(self, name: str, calls: Sequence[Sequence[str | int | float]]) -> list[Any]:
        """Run an act that takes several calls at once, all of them as one.

        Returns:
            What each call returned, or the error that it ended with.
        """
        if len(calls) == 1:
            return [self.run(name, calls[0])]
        try:
            return list(self.run(name, [arg for call in calls for arg in call]))
        except redis.exceptions.ResponseError:
            # One of them must not fail the others; what was done already may be done again.
            return self.run_many(name, calls)

    def run_grouped(self, name: str, args: Sequence[str | int | float]) -> Any:
        """Run one call of such an act, together with what other threads run just now.

        See `Group`.
        """
        with self._lock:
            group = self._groups.get(name)
            if group is None:
                group = self._groups[name] = Group(partial(self.run_together, name))
        return group.run(args)
