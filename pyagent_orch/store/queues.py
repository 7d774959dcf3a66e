"""Queues as a worker takes from them: many messages in one act, safe from that act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyagent_orch.store.acts import CLAIM_FIELDS, Acts
from pyagent_orch.store.clock import now_iso

SHOWN = 120
"""Characters of an input that people are shown; as `preview` in lib.lua."""


@dataclass(frozen=True, slots=True)
class TakenTask:
    """A task of ours whose message was taken; it runs already, by its record."""

    queue: str
    id: str
    wire: list[Any]
    """The claim as the act told it, which `Claim.of` reads: text and numbers only."""
    preview: str = ""
    """What people are shown of an input that has outputs in it."""

    @property
    def tag(self) -> str:
        """What tells this run from any other, for Celery."""
        return f"{self.id}:{self.wire[0]}"

    @property
    def name(self) -> str | None:
        """The task's name."""
        return self.wire[1][_NAME]  # type: ignore[no-any-return] # text, by the act

    @property
    def shown(self) -> str:
        """How the input begins, for `inspect`, logs and Flower."""
        text = str(self.wire[1][_INPUT] or self.preview)
        return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."

    @property
    def timeout(self) -> str | None:
        """Seconds, as they are recorded."""
        return self.wire[1][_TIMEOUT]  # type: ignore[no-any-return] # text, by the act


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message that began like ours, and whose task could not be claimed: a copy, or a fake."""

    queue: str
    text: str
    id: str
    reason: str
    status: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What one act took from the queues."""

    tasks: Sequence[TakenTask] = ()
    others: Sequence[tuple[str, str]] = ()
    """Queue and text of every other message; bytes that are no UTF-8 are lone surrogates."""
    dropped: Sequence[Dropped] = ()
    more: bool = False
    """Whether something was left behind."""
    leased: bool = True
    """Whether the worker had a lease; without one nothing is taken."""


class Queues:
    """The act of a worker's consumer. Safe to share between threads.

    The consumer sends it over its own connection, so that its event loop need not wait for the
    answer; whoever has time to wait calls `settle`.
    """

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def command(
        self,
        lease_id: str,
        worker: str,
        room: int,
        queues: Sequence[str],
        *,
        priorities: int,
        done: Sequence[str] = (),
        back: Sequence[str] = (),
    ) -> list[str | int | float]:
        """The command that takes up to `room` messages and claims those of our tasks.

        Args:
            lease_id: the worker's lease.
            worker: the worker's name.
            room: free slots.
            queues: names; the one whose turn it is comes first.
            priorities: how many lists each of them has.
            done: tags of other messages than ours that are acknowledged.
            back: tags of such messages that go back to their queues.
        """
        args: list[str | int | float] = [lease_id, worker, now_iso(), room, priorities]
        for part in (done, back, queues):
            args += (len(part), *part)
        return self._acts.command(_TAKE, args)

    @staticmethod
    def read(reply: Any) -> Taken:
        """What the answer to `command` says."""
        claimed, others, dropped, more = reply
        return Taken(
            [TakenTask(one[0], one[1], one[2:-1], one[-1]) for one in claimed],
            [(queue, text) for queue, text in others],
            [Dropped(*one) for one in dropped],
            bool(more),
            more != "unleased",
        )

    def teach(self) -> None:
        """Have a server know the act that has said NOSCRIPT; one round trip."""
        self._acts.teach(_TAKE)

    def settle(
        self, lease_id: str, worker: str, done: Sequence[str], back: Sequence[str] = ()
    ) -> None:
        """Take nothing, only tell what became of other messages than ours; one round trip."""
        args: list[str | int | float] = [lease_id, worker, now_iso(), 0, 0]
        for part in (done, back, ()):
            args += (len(part), *part)
        self._acts.run(_TAKE, args)


_TAKE = "take_v1"
_NAME, _INPUT, _TIMEOUT = map(CLAIM_FIELDS.index, ("name", "input", "timeout"))
