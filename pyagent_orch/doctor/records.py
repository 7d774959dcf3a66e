"""The checks about what is recorded: tasks, results, events, leftovers. Pure."""

from __future__ import annotations

from pyagent_orch.doctor.finding import Case, Verdict, count, error, fine, some, span, warning

EXPIRY_SLACK = 0.05
"""How much sooner or later than expected something may expire, as a share; and at least this:"""
EXPIRY_SLACK_SECONDS = 60.0
OVER_LENGTH = 1.2
"""The stream is trimmed in whole blocks, so it is a little longer than its cap."""
BEHIND = 1_000
"""So many events may a durable handler be behind."""
_BEAT = "start a beat, or better two on two machines: pyagent-orch beat"


def running(case: Case) -> Verdict:
    """Whether what is recorded as running has a living worker."""
    leases = {one.lease_id: one for one in case.namespace.workers}
    # A sweep comes with every heartbeat; a lease later it should long have been here.
    grace = case.settings.lease_seconds
    dead = []
    for task in case.namespace.running:
        owner = leases.get(task.owner)
        if (-owner.lease_seconds if owner else task.running_seconds) > grace:
            dead.append(f"{task.id} ({task.name}, of {task.worker or 'nobody'})")
    if dead:
        return error(
            f"running by the record, and their workers are dead: {some(dead)}",
            "start a worker: a living one takes them up within seconds. If one is alive, restart "
            "it and see its log",
        )
    return fine(f"{count(len(case.namespace.running), 'task')} running, each on a living worker")


def delayed(case: Case) -> Verdict:
    """Whether delayed tasks are queued when they are due."""
    late = case.namespace.overdue_seconds
    if late > case.settings.lease_seconds:
        return error(
            f"a delayed task has been due for {span(late)}, and nobody has queued it",
            "start a worker: each heartbeat of one queues what is due",
        )
    return fine("no delayed task is overdue")


def beat(case: Case) -> Verdict:
    """Whether somebody fires the scheduled jobs."""
    jobs, late = case.namespace.jobs, case.namespace.overdue_job_seconds
    if late > case.settings.lease_seconds:
        return error(
            f"a scheduled job has been due for {span(late)}, and nobody has fired it",
            _BEAT,
        )
    if not jobs:
        return fine("no scheduled jobs")
    told = f"{count(jobs, 'scheduled job')}, none overdue"
    if case.embedded or not case.namespace.jobs_to_come:
        return fine(told)
    if not case.namespace.beats:
        return warning(f"{told} yet, and no beat is alive to fire the next one", _BEAT)
    return fine(f"{told}; {count(len(case.namespace.beats), 'beat')}: {some(case.namespace.beats)}")


def expiry(case: Case) -> Verdict:
    """Whether records and results stay as long as the settings say, and both alike."""
    wanted = case.settings.record_ttl_seconds
    lost, other = [], []
    for one in case.namespace.expiry:
        if one.record_seconds is not None and not one.has_result:
            lost.append(one.id)
            continue
        slack = max(EXPIRY_SLACK * wanted, EXPIRY_SLACK_SECONDS)
        for left in (one.record_seconds, one.result_seconds):
            if left is None or abs(left - one.expected_seconds) > slack:
                other.append((one.id, left))
                break
    if lost:
        return error(
            f"results are gone before their records: {some(lost)}",
            "look for what deletes them: eviction (see redis.eviction), AsyncResult.forget() or "
            "`celery purge` of other programs, a result_expires of their own",
        )
    if other:
        task_id, left = other[0]
        stays = "for ever" if left is None else f"{span(left)} more"
        return warning(
            f"record_ttl_seconds is {wanted} here, and {count(len(other), 'finished task')} of "
            f"the newest follow another one ({task_id} stays {stays})",
            "give all processes the same PYAGENT_ORCH_RECORD_TTL_SECONDS; what finished before a "
            "change keeps its time, and this passes by itself",
        )
    return fine(f"records and results stay for {span(wanted)}")


def rejected(case: Case) -> Verdict:
    """Whether somebody pushes messages that are none."""
    number = case.namespace.rejected
    if number:
        return warning(
            f"{count(number, 'message')} could not be read and were put aside",
            "somebody else writes into the queues: look at them with LRANGE "
            f"pyagent:1:{case.settings.namespace}:rejected 0 -1, find who it is, then DEL the list",
        )
    return fine("no message was put aside")


def stream(case: Case) -> Verdict:
    """Whether the event stream keeps to its length."""
    length, cap = case.namespace.events, case.settings.events_max_length
    if length > OVER_LENGTH * cap + 200:
        return warning(
            f"the event stream has {length} entries, its cap is {cap} here",
            "give all processes the same PYAGENT_ORCH_EVENTS_MAX_LENGTH",
        )
    return fine(f"{length} of {cap} events kept")


def groups(case: Case) -> Verdict:
    """Whether durable handlers keep up."""
    missed = [one.name for one in case.namespace.groups if one.missed]
    behind = [
        f"{one.name} ({one.pending + (one.lag or 0)})"
        for one in case.namespace.groups
        if one.pending + (one.lag or 0) > BEHIND
    ]
    remedy = (
        "start the processes that have @orch.on(..., durable=<name>), more of them if they are "
        "slow; a group that nobody serves any more: XGROUP DESTROY "
        f"pyagent:1:{case.settings.namespace}:events <name>"
    )
    if missed:
        return error(f"durable handlers have missed events for good: {some(missed)}", remedy)
    if behind:
        return warning(f"durable handlers are behind: {some(behind)} events", remedy)
    return fine(f"{count(len(case.namespace.groups), 'durable handler')}, all up to date")
