"""`python -m benchmarks.floor SLOTS`: a worker that is nothing but a loop around our acts.

It sends Redis the commands that a worker of ours sends (take, finish, a heartbeat a second, the
bell when there is nothing to do) and calls the function: no Celery, no pool, nothing that makes a
function an agent. How much slower the real worker is, is what those cost. To be measured, not used.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing

from benchmarks.work import hold_until, small_result
from pyagent_orch import Settings, create_app
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.models.values import to_json
from pyagent_orch.store import Queues, Store, TakenTask
from pyagent_orch.store.clock import now_iso
from pyagent_orch.store.keys import Keys
from pyagent_orch.store.runs import Claim

PRIORITIES = 10


class Loop:
    """The worker: one thread, and one more for each task that waits at a gate.

    Args:
        store: its connections.
        settings: the namespace and the queue.
        slots: how many tasks it takes at once.
    """

    def __init__(self, store: Store, settings: Settings, slots: int) -> None:
        self._store, self._queue, self._slots = store, settings.queue, slots
        self._bell = Keys(settings.namespace).bells + settings.queue
        self._name = self._lease = f"floor-{os.getpid()}"
        self._free = threading.Semaphore(slots)

    def run(self) -> None:
        """Work until the process is ended."""
        store, beat = self._store, float("-inf")
        info = json.dumps({"pool": "none", "concurrency": self._slots})
        store.queues.teach()
        while True:
            if time.monotonic() - beat > 1:
                beat = time.monotonic()
                store.fleet.heartbeat(self._lease, self._name, info, [])
            room = self._room()
            taken = self._take(room)
            for _ in range(room - len(taken)):
                self._free.release()
            self._finish([done for task in taken if (done := self._call(task))])
            if not taken:
                store.client.brpop([self._bell], timeout=1)

    def _room(self) -> int:
        """Wait for a free slot; returns how many are free, which are the caller's now."""
        room = int(self._free.acquire())
        while room < self._slots and self._free.acquire(blocking=False):
            room += 1
        return room

    def _take(self, room: int) -> Sequence[TakenTask]:
        command = self._store.queues.command(
            self._lease, self._name, room, [self._queue], priorities=PRIORITIES
        )
        return Queues.read(self._store.client.execute_command(*command)).tasks

    def _call(self, task: TakenTask) -> tuple[Claim, str] | None:
        """Run a task; None when it goes on in a thread of its own."""
        claim = Claim.of(task.id, task.wire)
        text = json.loads(claim.fields["input"] or "null")
        if claim.fields["name"] == "hold":
            threading.Thread(target=self._hold, args=(claim, text), daemon=True).start()
            return None
        return claim, to_json(small_result(text))

    def _hold(self, claim: Claim, gate: str) -> None:
        hold_until(gate)
        self._finish([(claim, "null")])

    def _finish(self, done: Sequence[tuple[Claim, str]]) -> None:
        """Record outputs, all in one round trip."""
        if not done:
            return
        replies = self._store.acts.run_together(
            "finish_v1",
            [(one.id, one.run, self._lease, output, "", now_iso(), "") for one, output in done],
        )
        if any(reply != ["ok"] for reply in replies):
            raise RuntimeError(f"not all were recorded: {replies}")
        for _ in done:
            self._free.release()


def main() -> None:
    """Work with as many slots as the command line says."""
    settings = Settings.from_env()
    app = create_app(settings)
    with closing(runtime_of(app).new_store()) as store:
        Loop(store, settings, int(sys.argv[1])).run()


if __name__ == "__main__":
    main()
