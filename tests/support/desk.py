"""The store's acts by hand: two workers and a client on one namespace, without Celery."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from pyagent_orch import Settings, TaskStatus, create_app
from pyagent_orch.embedded.server import PrivateServer
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.store import Store
from pyagent_orch.store.records import NewTask, Submitted
from pyagent_orch.store.runs import Claim, Refused, Verdict

AGENTS = {"hash": '{"kind":"callable","name":"echo"}'}
ERROR = '{"type":"ValueError","message":"no"}'


class Desk:
    """A store and two workers, by hand: what a test does to one namespace."""

    def __init__(self, server: PrivateServer, **options: object) -> None:
        namespace = options.pop("namespace", f"t{uuid4().hex[:10]}")
        made = Settings(
            redis_url=server.url, namespace=str(namespace), heartbeat_seconds=0.1, **options
        )
        self.app = create_app(made)
        self.store: Store = runtime_of(self.app).store
        self.keys, self.client = self.store.keys, self.store.client
        for worker in ("a", "b"):
            self.beat(worker)

    def close(self) -> None:
        runtime_of(self.app).close()
        self.app.close()

    def beat(self, worker: str, *held: str) -> tuple[str, ...]:
        return self.store.fleet.heartbeat(worker, f"worker-{worker}", "{}", held).cancelled

    def submit(
        self, task_id: str = "t", *, delay_ms: int = 0, key: str = "", **fields: Any
    ) -> Submitted:
        values = {"name": "n", "agent": "hash", "input": '"x"', "queue": "q", "priority": 5}
        new = NewTask(task_id, values | fields, delay_ms, key)
        return self.store.records.submit([new], AGENTS)

    def claim(self, worker: str = "a", task_id: str = "t") -> Claim | Refused:
        return self.store.runs.claim(task_id, worker, f"worker-{worker}")

    def claimed(self, worker: str = "a", task_id: str = "t") -> Claim:
        claim = self.claim(worker, task_id)
        assert isinstance(claim, Claim)
        return claim

    def finish(self, claim: Claim, worker: str = "a", output: str = '"done"') -> Verdict:
        return self.store.runs.finish(claim, worker, output, "")

    def fail(self, claim: Claim, worker: str = "a") -> Verdict:
        return self.store.runs.fail(
            claim, worker, error=ERROR, celery_error="{}", traceback="null", usage=""
        )

    def retry(
        self, claim: Claim, worker: str = "a", delay: float = 0.0, *, counts: bool = True
    ) -> Verdict:
        return self.store.runs.retry(claim, worker, delay, ERROR, counts=counts)

    def release(self, claim: Claim, worker: str = "a", *, lost: bool = False) -> str:
        return self.store.runs.release(claim.id, claim.run, worker, f"worker-{worker}", lost=lost)

    def status(self, task_id: str = "t") -> TaskStatus:
        return self.store.records.status(task_id)

    def events(self) -> list[str]:
        return [event.type for event in self.store.events.read("0-0")]

    def messages(self, queue: str = "q", priority: int = 5) -> list[str]:
        suffix = f"\x06\x16{priority - 1}" if priority > 1 else ""
        return self.client.lrange(f"{self.keys.celery_prefix}{queue}{suffix}", 0, -1)

    def lose_lease(self, worker: str) -> None:
        self.client.zadd(self.keys.workers, {worker: 1})

    def indexed(self, task_id: str = "t") -> list[TaskStatus]:
        return [s for s in TaskStatus if self.client.zscore(self.keys.status(s), task_id)]

    def running(self, worker: str = "a") -> set[str]:
        return self.client.smembers(f"{self.keys.prefix}running:{worker}")

    def names(self) -> set[str]:
        """What is left in Redis, ours and Celery's, without the prefix."""
        ours, celery = self.keys.prefix, self.keys.celery_prefix
        return {key.removeprefix(ours) for key in self.client.scan_iter(f"{ours}*")} | {
            key.removeprefix(celery) for key in self.client.scan_iter(f"{celery}*")
        }
