"""Takes the snapshot of a released layout: one namespace with records of every kind.

Run once for a release, before it is tagged, on the release's own code:

    python tests/snapshots/take.py 0.1.0

What is there is never taken again: it says what that version wrote.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from pyagent_orch import ExecutionPattern, Orchestrator, RetryPolicy, Task, Workflow, agent
from pyagent_orch.embedded.server import PrivateServer
from support.fleet import Fleet, until
from support.fleet_agents import echo, fail, fail_until, sleep, upper
from support.snapshot import SNAPSHOTS, dump

NAMESPACE = "released"
LATER = "later"
"""A queue that no worker serves: what waits in it was waiting when the snapshot was taken."""
HOUR = 3600


def main(version: str) -> None:
    file = SNAPSHOTS / f"{version}.json"
    if file.exists():
        raise SystemExit(f"{file} is there already")
    with PrivateServer() as server, tempfile.TemporaryDirectory() as directory:
        fleet = Fleet(server.broker_url, NAMESPACE, Path(directory))
        worker = fleet.start("threads", 2)
        orch = fleet.orchestrator
        finished(orch)
        waiting(orch)
        scheduled(orch)
        orch._store.client.lpush(f"{NAMESPACE}:agents", "no message at all")
        until(lambda: orch._store.client.llen(orch._store.keys.rejected) == 1)
        worker.stop()
        queued(orch)
        held_by_the_dead(orch)
        keys = dump(orch._store.client)
        fleet.close()
    taken = {"version": version, "keys": keys}
    file.write_text(json.dumps(taken, indent=1, ensure_ascii=False) + "\n")


def finished(orch: Orchestrator) -> None:
    """What has ended, each in its way."""
    heard: list[str] = []
    orch.on("task.completed", lambda task: heard.append(task.id), durable="alerts")
    plain = orch.submit(
        echo, {"text": "é"}, id="completed", name="plain", key="charge-1", priority=3,
        metadata={"user": "alice"}, timeout=60, retry=RetryPolicy(max_attempts=3),
    )  # fmt: skip
    model = orch.submit(agent("You are a researcher", name="researcher"), "Why?", id="model")
    twice = RetryPolicy(max_attempts=2, delay_seconds=0.0)
    failed = orch.submit(fail, "no", id="failed", retry=twice)
    cancelled = orch.submit(echo, "never", id="cancelled", queue=LATER)
    cancelled.cancel()
    a, b = Task(echo, "x", id="w1.a", name="a"), Task(upper, "{a.output}!", id="w1.b", name="b")
    done = Workflow(id="w1", name="done", tasks=[a, b], dependencies={"b": ["a"]})
    bad = Task(fail, "no", id="w2.bad", name="bad")
    after = Task(echo, "x", id="w2.after", name="after")
    told = Task(echo, None, id="w2.told", name="told", on_failure=bad)
    broken = Workflow(
        id="w2", name="broken", tasks=[bad, after, told], dependencies={"after": ["bad"]}
    )
    given = Task(echo, ["a", "b"], id="w3.items", name="items")
    each = Task(upper, "{item}", id="w3.each", name="each", map=given)
    mapped = Workflow(id="w3", name="mapped", tasks=[given, each])
    led = Workflow(
        id="w4", name="led", pattern=ExecutionPattern.COLLABORATIVE,
        tasks=[
            Task(agent(f"You write, {n}", name=n), "Write", id=f"w4.{n}", name=n)
            for n in ("one", "two")
        ],
    )  # fmt: skip
    flows = [orch.submit_workflow(one) for one in (done, broken, mapped, led)]
    orch.wait(plain, model, failed, *flows, timeout=30)
    stopped = Workflow(
        id="w5", name="stopped", tasks=[Task(echo, 1, id="w5.a", name="a", queue=LATER)]
    )
    orch.submit_workflow(stopped).cancel()
    until(lambda: {"completed", "model", "w1.b"} <= set(heard))
    orch.emit("snapshot.taken", {"by": "hand"})


def waiting(orch: Orchestrator) -> None:
    """What may not start yet, or waits for others."""
    orch.submit(echo, "later", id="delayed", delay=HOUR)
    policy = RetryPolicy(max_attempts=3, delay_seconds=HOUR, max_delay_seconds=HOUR, jitter=0.0)
    orch.submit(fail_until, {"attempt": 2}, id="retrying", retry=policy)
    a = Task(echo, "half", id="w6.a", name="a")
    b = Task(upper, "{a.output}", id="w6.b", name="b", queue=LATER)
    c = Task(echo, lambda: f"so {b.output}", id="w6.c", name="c", when=lambda: b.output == "HALF")
    half = Workflow(
        id="w6", name="half", tasks=[a, b, c], dependencies={"b": ["a"], "c": ["b"]},
        deadline=9 * 365 * 86_400,
    )  # fmt: skip
    given = Task(echo, [{"attempt": 1}, {"attempt": 2}], id="w7.items", name="items")
    each = Task(fail_until, id="w7.each", name="each", map=given, retry=policy)
    spread = Workflow(id="w7", name="spread", tasks=[given, each])
    orch.submit_workflow(half)
    orch.submit_workflow(spread)
    until(lambda: orch.status("retrying") == "retrying")
    until(lambda: orch.status("w6.a") == "completed")
    until(lambda: orch.tasks(name="each[1]", status="retrying"))


def scheduled(orch: Orchestrator) -> None:
    """Jobs of every kind; one has run."""
    orch.schedule(agent=echo, input="tick", interval_seconds=HOUR, id="interval")
    orch.schedule(agent=echo, input="at {tick}", cron="0 9 * * MON", timezone="Europe/Berlin",
                  id="cron")  # fmt: skip
    once = datetime.now(UTC) + timedelta(days=365)
    orch.schedule(agent=agent("You write"), input="Write", run_at=once, id="once")
    night = Workflow(name="night", tasks=[Task(echo, 1, name="a")])
    orch.schedule(workflow=night, interval_seconds=HOUR, id="nightly")
    orch.schedule(agent=echo, interval_seconds=HOUR, id="paused")
    orch.pause("paused")
    orch.run_now("interval").wait(timeout=20)
    orch.run_now("nightly").wait(timeout=20)


def queued(orch: Orchestrator) -> None:
    """What lies on the queues while no worker runs."""
    for priority in (1, 5, 10):
        orch.submit(echo, f"priority {priority}", id=f"queued-{priority}", priority=priority)
    orch.submit(agent("You translate", name="translator"), "Good day", id="queued-model")
    a = Task(echo, "first", id="w8.a", name="a")
    b = Task(upper, lambda: f"{a.output} second", id="w8.b", name="b")
    orch.submit_workflow(Workflow(id="w8", name="fresh", tasks=[a, b], dependencies={"b": ["a"]}))


def held_by_the_dead(orch: Orchestrator) -> None:
    """A task that runs on a worker that is gone."""
    orch.submit(sleep, 0.01, id="running", queue=LATER)
    store = orch._store
    store.fleet.heartbeat("dead:1", "dead@host", '{"agents": [], "queues": []}', ["running"])
    store.runs.claim("running", "dead:1", "dead@host")


if __name__ == "__main__":
    main(sys.argv[1])
