"""Runs of tasks, as workers claim, finish, fail, retry and give them back.

Nothing here waits or repeats: what to do when Redis is away is the engine's decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pyagent_orch.store.acts import CLAIM_FIELDS, Acts
from pyagent_orch.store.clock import now_iso
from pyagent_orch.store.newtasks import NewTask, UnknownAgentHashError, new_tasks


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that a worker holds: all that the run needs."""

    id: str
    run: str
    """The token of this run; grows with every claim of the task."""
    agent: str
    """The agent's specification, JSON."""
    fields: Mapping[str, str | None]
    """`CLAIM_FIELDS` of the record."""
    inputs: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    """Maps the id of each task it depends on to its state and its output (or error) as JSON."""
    usages: Mapping[str, str] = field(default_factory=dict)
    """Maps the ids of those whose models were paid to what they cost, JSON."""
    elapsed_ms: int = 0
    """How long ago the task first started."""
    queued_ms: int = 0
    """How long its message was queued; 0 when the task is not traced."""

    @classmethod
    def of(cls, task_id: str, wire: Sequence[Any]) -> Claim:
        """Read what a claiming act told; see claim.lua."""
        run, values, agent, found, elapsed, queued = wire
        fields = dict(zip(CLAIM_FIELDS, values, strict=True))
        inputs = {found[i]: (found[i + 1], found[i + 2]) for i in range(0, len(found), 4)}
        usages = {found[i]: found[i + 3] for i in range(0, len(found), 4) if found[i + 3]}
        return cls(
            task_id, str(run), agent or "", fields, inputs, usages, int(elapsed), int(queued)
        )


class Refusal(StrEnum):
    """Why a message does not become a run."""

    MISSING = "missing"
    """There is no record: expired, or never written."""
    HELD = "held"
    """A living worker runs it; the message is a copy."""
    EARLY = "early"
    """Its delay is not over; it will be pushed when it is."""
    FINAL = "final"
    """It is final already."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A claim that was refused."""

    reason: Refusal
    status: str | None = None
    """The state, when it is final."""
    output: str | None = None
    """The recorded output as JSON, when it completed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a run's end."""

    accepted: bool
    status: str | None = None
    """The state that was there first, when the end was not accepted."""
    output: str | None = None
    """The output that was recorded first, as JSON."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """Tasks that a running task adds to its workflow."""

    tasks: Sequence[NewTask]
    agents: Mapping[str, str]
    """Maps the content hashes of their agents to their JSON."""
    state: str
    """What the task is given when it runs again, JSON."""
    need: str
    """As in a record: empty, a number, or `settled`."""
    deps: str
    """Maps the ids it waits for to their names, JSON."""
    cancel_rest: str = ""
    """`1`: those that are not needed any more are cancelled when the number is reached;
    `end`: when the task is done; empty: never."""
    wake: float | None = None
    """Seconds after which it runs again even so; None: not before what it waits for."""


class Runs:
    """Calls of a worker. Safe to share between threads."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def claim(self, task_id: str, lease_id: str, worker: str) -> Claim | Refused:
        """Take a task under the worker's lease."""
        reply = self._acts.run("claim_v1", [task_id, lease_id, worker, now_iso()])
        if reply[0] == "run":
            return Claim.of(task_id, reply[1:])
        return Refused(Refusal(reply[0]), *(part or None for part in reply[1:]))

    def finish(
        self, claim: Claim, lease_id: str, output: str, usage: str, *, leads_on: bool = False
    ) -> Verdict:
        """Record an output; the first one recorded wins.

        Args:
            claim: the run.
            lease_id: the worker's lease.
            output: JSON.
            usage: JSON, or empty.
            leads_on: whether a plain Celery canvas starts what follows.
        """
        canvas = "1" if leads_on else ""
        args = [claim.id, claim.run, lease_id, output, usage, now_iso(), canvas]
        return self._verdict(self._acts.run_grouped("finish_v1", args))

    def fail(
        self,
        claim: Claim,
        lease_id: str,
        *,
        error: str,
        celery_error: str,
        traceback: str,
        usage: str,
    ) -> Verdict:
        """Record that the task failed for good.

        Args:
            claim: the run.
            lease_id: the worker's lease.
            error: our form of it, JSON.
            celery_error: the form that Celery's backends write, JSON.
            traceback: JSON string, or `null`.
            usage: JSON, or empty.
        """
        args = [claim.id, claim.run, lease_id, error, celery_error, traceback, now_iso(), usage]
        return self._verdict(self._acts.run("fail_v1", args))

    def retry(
        self,
        claim: Claim,
        lease_id: str,
        delay: float,
        error: str,
        *,
        counts: bool,
        usage: str = "",
    ) -> Verdict:
        """Put the task off for another attempt.

        Args:
            claim: the run.
            lease_id: the worker's lease.
            delay: seconds, >= 0.
            error: our form of it, JSON.
            counts: whether this attempt counts as a failure; not so after a 429.
            usage: JSON, with this attempt's, or empty.
        """
        args: list[str | int] = [
            claim.id,
            claim.run,
            lease_id,
            int(delay * 1000),
            error,
            "1" if counts else "0",
            usage,
        ]
        return self._verdict(self._acts.run("retry_v1", args))

    def skip(self, claim: Claim, lease_id: str, reason: str) -> None:
        """Record that a task is not run, because its condition is false."""
        self._acts.run("skip_v1", [claim.id, claim.run, lease_id, reason])

    def expand(self, claim: Claim, lease_id: str, expansion: Expansion) -> bool:
        """Add tasks to the workflow of a running task, which then waits for them.

        Returns:
            False when the run is not the task's present one; nothing was written.

        Raises:
            UnknownAgentHashError: an agent is neither known nor along; nothing was written.
        """
        ids = [task.id for task in expansion.tasks]
        args = new_tasks(expansion.agents, expansion.tasks)
        args += (claim.id, claim.run, lease_id, expansion.state, expansion.need)
        wake = "" if expansion.wake is None else int(expansion.wake * 1000)
        args += (expansion.cancel_rest, expansion.deps, " ".join(ids), wake)
        reply = self._acts.run("expand_v1", args)
        if reply[0] == "agent":
            raise UnknownAgentHashError(reply[1])
        return bool(reply[0] == "ok")

    def release(self, task_id: str, run: str, lease_id: str, worker: str, *, lost: bool) -> str:
        """Give a running task back.

        Args:
            task_id: the task.
            run: the run's token; empty for whichever run the lease holds.
            lease_id: the worker's lease.
            worker: the worker's name.
            lost: whether the process that ran it died.

        Returns:
            `ok`, `failed` when it is given up, or `stale` when the lease no longer holds it.
        """
        args = [task_id, run, lease_id, worker, "1" if lost else "0", now_iso()]
        return str(self._acts.run("release_v1", args)[0])

    @staticmethod
    def _verdict(reply: list[str | None]) -> Verdict:
        if reply[0] == "ok":
            return Verdict(accepted=True)
        status = reply[1] if len(reply) > 1 else reply[0]
        output = reply[2] if len(reply) > 2 else None  # noqa: PLR2004 - the act's third value
        return Verdict(accepted=False, status=status, output=output or None)
