"""The names of the keys in Redis.

`pyagent:1:<namespace>:` is ours; the number is the version of the layout. A newer one
leaves its number in the key `layout` of the older ones, which then refuse to write
(docs/upgrades.md). Queues and results are Celery's own names; the default namespace has
them bare, so that any plain Celery client finds them, every other one puts
`<namespace>:` in front of them (Celery's and kombu's `global_keyprefix`).
"""

from __future__ import annotations

from dataclasses import dataclass

LAYOUT = 1
DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one namespace."""

    namespace: str

    @property
    def prefix(self) -> str:
        """What all our keys of the namespace begin with."""
        return f"pyagent:{LAYOUT}:{self.namespace}:"

    @property
    def celery_prefix(self) -> str:
        """What Celery's keys of the namespace begin with."""
        return celery_prefix(self.namespace)

    @property
    def events(self) -> str:
        """The event stream."""
        return self.prefix + "events"

    @property
    def layout(self) -> str:
        """A string: the newest layout that anyone has used in the namespace."""
        return self.prefix + "layout"

    @property
    def metrics(self) -> str:
        """The hash of the counters that the acts keep."""
        return self.prefix + "metrics"

    @property
    def rejected(self) -> str:
        """List: messages that could not be run, the newest first; capped."""
        return self.prefix + "rejected"

    @property
    def bells(self) -> str:
        """What the names of the lists begin with at which idle workers wait, one for each queue."""
        return self.prefix + "bell:"

    @property
    def workers(self) -> str:
        """Sorted set: a worker's lease id to the time its lease ends, ms."""
        return self.prefix + "workers"

    @property
    def beats(self) -> str:
        """Sorted set: a beat's node name, `beat-PID@HOST`, to the time its lease ends, ms."""
        return self.prefix + "beats"

    @property
    def jobs(self) -> str:
        """Sorted set: ids of the scheduled jobs, by when they were made, ms."""
        return self.prefix + "jobs"

    @property
    def due_jobs(self) -> str:
        """Sorted set: ids of the jobs that will run, by when they are due next, ms."""
        return self.prefix + "jobs:due"

    def job(self, job_id: str) -> str:
        """The hash that is a scheduled job; with `:runs` the list of its latest runs, with
        `:waiting` that of the due times that wait for the last run's end.
        """
        return f"{self.prefix}job:{job_id}"

    def task(self, task_id: str) -> str:
        """The hash that is a task's record."""
        return f"{self.prefix}task:{task_id}"

    def result(self, task_id: str) -> str:
        """Celery's result of a task; the output is in it, and nowhere else."""
        return f"{self.celery_prefix}celery-task-meta-{task_id}"

    def text(self, name: str) -> str:
        """String: the latest text of a running task, behind a line that marks it; also the
        channel on which what is added to the text of a task, or of a workflow's, is told.
        """
        return f"{self.prefix}text:{name}"

    def status(self, status: str) -> str:
        """Sorted set: ids of the tasks in a state, by the time of their last move, ms."""
        return f"{self.prefix}status:{status}"

    def workflow(self, workflow_id: str) -> str:
        """The hash that is a workflow's record; with `:tasks` the list of its tasks."""
        return f"{self.prefix}workflow:{workflow_id}"

    def workflow_status(self, status: str) -> str:
        """Sorted set: ids of the workflows in a state, by the time of their last move, ms."""
        return f"{self.prefix}wstatus:{status}"

    @property
    def delayed(self) -> str:
        """Sorted set: ids of the tasks that may not start yet, by when they may, ms."""
        return self.prefix + "delayed"

    def state_file(self, file_id: str) -> str:
        """A string that is there once a state file has been compared with this Redis."""
        return f"{self.prefix}state:{file_id}"

    def worker(self, lease_id: str) -> str:
        """The hash that describes a living worker."""
        return f"{self.prefix}worker:{lease_id}"


def celery_prefix(namespace: str) -> str:
    """The `global_keyprefix` of a namespace; empty for the default one."""
    return "" if namespace == DEFAULT_NAMESPACE else f"{namespace}:"
