"""The checks about workers, and about the queues and agents that they serve. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pyagent_orch.doctor.finding import Case, Verdict, count, error, fine, some, span, warning
from pyagent_orch.engine.message import RUN_TASK
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.inspect import WorkerFacts

LATE_HEARTBEATS = 3
"""After so many heartbeats without one a worker is late."""
WORKER_SKEW_SECONDS = 2.0
SWEEP_SECONDS = 30.0
"""How long lost work may go unlooked for; a sweep comes with each heartbeat."""
_START = "start one: pyagent-orch worker (or celery -A workers.celery_app worker)"


def _alive(case: Case) -> list[WorkerFacts]:
    return [worker for worker in case.namespace.workers if worker.is_alive]


def _texts(info: Mapping[str, JSONValue], name: str) -> list[str]:
    value = info.get(name)
    return [str(one) for one in value] if isinstance(value, list) else []


def alive(case: Case) -> Verdict:
    """Whether anybody runs tasks."""
    living = _alive(case)
    open_ones = (TaskStatus.PENDING, TaskStatus.RETRYING, TaskStatus.RUNNING)
    waiting = sum(case.namespace.counts.get(status, 0) for status in open_ones)
    if living:
        return fine(f"{count(len(living), 'worker')}: {some(one.name for one in living)}")
    lost = [one.name for one in case.namespace.workers]
    told = "no worker is alive"
    if lost:
        told += f"; {some(lost)} died without a good-bye"
    if waiting:
        return error(f"{told}, and {count(waiting, 'task')} wait for one", _START)
    return warning(told, _START)


def heartbeats(case: Case) -> Verdict:
    """Whether the workers renew their leases in time, and look for lost work."""
    living = _alive(case)
    late = [
        f"{one.name} ({span(one.seen_seconds)})"
        for one in living
        if one.seen_seconds is not None
        and one.seen_seconds > LATE_HEARTBEATS * _heartbeat(case, one) + 1
    ]
    swept = case.namespace.swept_seconds
    if living and swept is not None and swept > SWEEP_SECONDS:
        return error(
            f"no worker has looked for lost work for {span(swept)}",
            "restart the workers, and see their logs for 'Heartbeat failed'",
        )
    if late:
        return warning(
            f"late with their heartbeat: {some(late)}",
            "see whether their machines are overloaded or suspended; tasks of a worker that is "
            "later than its lease run again elsewhere",
        )
    return fine("every worker renews its lease in time" if living else "nobody to look at")


def _heartbeat(case: Case, worker: WorkerFacts) -> float:
    settings = worker.info.get("settings")
    told = settings.get("heartbeat_seconds") if isinstance(settings, dict) else None
    return float(told) if isinstance(told, int | float) else case.settings.heartbeat_seconds


def clocks(case: Case) -> Verdict:
    """Whether the workers' machines agree with the server on the time."""
    skewed = [
        f"{one.name} ({span(one.clock_skew_seconds)} "
        f"{'ahead' if one.clock_skew_seconds > 0 else 'behind'})"
        for one in _alive(case)
        if one.clock_skew_seconds is not None and abs(one.clock_skew_seconds) > WORKER_SKEW_SECONDS
    ]
    if skewed:
        return warning(
            f"clocks that differ from the server's: {some(skewed)}",
            "run a time service (NTP, chrony) on their machines; acts go by Redis' clock, but "
            "logs and what agents read of the time do not",
        )
    return fine("the workers' clocks agree with the server's")


def replies(case: Case) -> Verdict:
    """Whether the loops that take messages run, not only the heartbeats."""
    if case.roll is None:
        return fine("not asked")
    silent = [
        one.name
        for one in _alive(case)
        # A worker without a pool of its own answers when its task is done.
        if one.name not in case.roll and one.info.get("pool") != "solo"
    ]
    if silent:
        return warning(
            f"alive, but deaf to Celery's remote control: {some(silent)}",
            "ask again; if it stays so, restart them (SIGTERM): their tasks go back to the queues",
        )
    return fine("every worker answers Celery's remote control")


def versions(case: Case) -> Verdict:
    """Whether the workers, and this process, run the same releases."""
    told = []
    for field, shown in (("version", "pyagent-orch"), ("celery", "Celery"), ("python", "Python")):
        found: dict[str, list[str]] = {}
        for one in _alive(case):
            release = str(one.info.get(field, "?"))
            # Patch releases of Python change nothing here.
            key = ".".join(release.split(".")[:2]) if field == "python" else release
            found.setdefault(key, []).append(one.name)
        mine = case.here.get(field)
        if mine and field == "version":
            found.setdefault(mine, []).append("here")
        if len(found) > 1:
            each = "; ".join(f"{release}: {some(names)}" for release, names in found.items())
            told.append(f"{shown} {each}")
    if told:
        return warning(
            "releases differ. " + ". ".join(told),
            "harmless while a deployment rolls; otherwise restart what was left behind",
        )
    return fine("all run the same releases")


def settings(case: Case) -> Verdict:
    """Whether all agree on what each does for the whole fleet."""
    mine = case.settings.model_dump()
    different = []
    for one in _alive(case):
        shared = one.info.get("settings")
        for name, value in (shared if isinstance(shared, dict) else {}).items():
            if name in mine and value != mine[name]:
                different.append(f"{one.name} has {name} {value}, here it is {mine[name]}")
    if different:
        return warning(
            "settings differ: " + some(different),
            "give all processes the same PYAGENT_ORCH_* variables; whoever acts last decides "
            "how long records stay and when a worker counts as lost",
        )
    return fine("all have the same settings")


def strangers(case: Case) -> Verdict:
    """Whether workers with Celery's own transport take our messages."""
    roll = case.roll or {}
    ours = {one.name for one in case.namespace.workers}
    queues = {one.name for one in case.namespace.queues} | {case.settings.queue}
    taken = {
        queue: number
        for (queue, task), number in case.namespace.foreign_unacked.items()
        if task == RUN_TASK
    }
    foreign = {
        name: sorted(queues & set(served)) for name, served in roll.items() if name not in ours
    }
    thieves = {name: served for name, served in foreign.items() if served}
    longest = max((one.running_seconds for one in case.namespace.running), default=0.0)
    remedy = (
        "stop them, or start them with `celery -A workers.celery_app`, or give them queues or a "
        "namespace of their own. Celery's own transport acknowledges by a time-out (visibility_"
        f"timeout, an hour unless set), and the longest task now has run for {span(longest)}"
    )
    if taken:
        held = ", ".join(f"{number} of {queue}" for queue, number in sorted(taken.items()))
        return error(f"workers with Celery's own transport hold messages of ours: {held}", remedy)
    if thieves:
        each = some(f"{name} ({', '.join(served)})" for name, served in thieves.items())
        return error(f"Celery workers that are not ours serve our queues: {each}", remedy)
    if foreign:
        return fine(f"other Celery workers are here, on other queues: {some(foreign)}")
    return fine("only our workers serve the queues")


def served(case: Case) -> Verdict:
    """Whether every queue with something in it has a worker."""
    living = _alive(case)
    known = {queue for one in living for queue in _texts(one.info, "queues")}
    known.update(queue for queues in (case.roll or {}).values() for queue in queues)
    left = [one for one in case.namespace.queues if one.waiting + one.messages]
    alone = [one for one in left if one.name not in known]
    if alone:
        each = some(
            f"{one.name} ({count(max(one.waiting, one.messages), 'task')}, the oldest for "
            f"{span(one.oldest_seconds)})"
            for one in alone
        )
        names = ",".join(sorted(one.name for one in alone))
        return error(
            f"nobody serves {each}",
            f"start a worker for them: pyagent-orch worker --queues {names}",
        )
    waiting = sum(one.waiting for one in left)
    return fine(f"{count(waiting, 'task')} in {count(len(left), 'queue')}, all served")


def agents(case: Case) -> Verdict:
    """Whether the workers of each queue have the agents and tools that its tasks need."""
    missing: list[str] = []
    nowhere = False
    for need in case.namespace.agents:
        workers = [one for one in _alive(case) if need.queue in _texts(one.info, "queues")]
        if not workers:
            continue  # `queues.served` tells that
        for field, name in _names_in(need.json):
            without = [one.name for one in workers if name not in _known(case, one, field)]
            if len(without) == len(workers):
                nowhere = True
            if without:
                missing.append(
                    f"{field[:-1]} {name!r} ({count(need.tasks, 'task')} in queue {need.queue}) "
                    f"on {some(without)}"
                )
    if not missing:
        return fine("the workers have all that queued tasks need")
    told = "missing: " + "; ".join(sorted(missing)[:10])
    remedy = (
        "name the module that registers it in PYAGENT_ORCH_AGENTS of these workers and restart "
        "them; a task whose agent is unknown to the worker that takes it FAILS "
        "(pyagent-orch retry --failed --error AgentNotFoundError)"
    )
    return error(told, remedy) if nowhere else warning(told, remedy)


def _known(case: Case, worker: WorkerFacts, field: str) -> set[str]:
    known = set(_texts(worker.info, field))
    if case.embedded and worker.info.get("pid") == case.pid:
        # Registered after the worker had started.
        known |= case.agents
    return known


def _names_in(text: str) -> Iterator[tuple[str, str]]:
    """The agents and tools that a stored agent names; paths of functions are left out."""
    try:
        content: Any = json.loads(text)
    except ValueError:
        return
    match content:
        case {"kind": "callable", "name": str(name)} if ":" not in name:
            yield "agents", name
        case {"kind": "model", "spec": {"tools": list(tools)}}:
            yield from (("tools", str(tool)) for tool in tools if ":" not in str(tool))
        case {"kind": "flow", "agents": dict(parts)}:
            for part in parts.values():
                yield from _names_in(str(part))
