"""Who asks, and what is theirs: the host's answer to each request, and tenants.

A tenant stands in the metadata of everything that is submitted for it, under a key that
requests cannot set; every read and write is checked against it. What belongs to another
tenant is not there: the same answer as for what never was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Request

from pyagent_orch.exceptions import (
    JobNotFoundError,
    TaskNotFoundError,
    WorkflowNotFoundError,
)
from pyagent_orch.web.problems import Problem

if TYPE_CHECKING:
    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.orchestrator import Orchestrator
    from pyagent_orch.schedules.jobs import ScheduledJob
    from pyagent_orch.web.hub import Hub
    from pyagent_orch.workflows import Workflow

T = TypeVar("T")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_METADATA = 65_536
"""Characters as JSON; it stands in every list."""
_LONGEST_TENANT = 200


@dataclass(frozen=True, slots=True)
class Access:
    """What the host allows a request; its `auth` dependency returns one."""

    tenant: str | None = None
    """Whose tasks it sees and submits; None: those of all."""
    write: bool = True
    """Whether it may change anything."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a router was made with."""

    orchestrator: Orchestrator
    hub: Hub
    specs: bool
    read_only: bool
    tenant_key: str
    origins: frozenset[str]


class Caller:
    """One request's view of the orchestrator: all that its access allows, and nothing else."""

    def __init__(self, options: Options, access: Access) -> None:
        self.options, self.access = options, access
        self.orchestrator = options.orchestrator

    # --- reading --------------------------------------------------------------------------

    def task(self, task_id: str) -> Task:
        """A task of the caller's.

        Raises:
            TaskNotFoundError: there is none, or it is somebody else's.
        """
        task = self.orchestrator.get_task(task_id)
        record = task.record
        assert record is not None
        if not self._owns_task(record):
            raise TaskNotFoundError(task_id)
        return task

    def summary(self, task_id: str) -> TaskRecord:
        """A task's record without input and output.

        Raises:
            TaskNotFoundError: there is none, or it is somebody else's.
        """
        found = self.orchestrator.summaries([task_id])
        if not found or not self._owns_task(found[0]):
            raise TaskNotFoundError(task_id)
        return found[0]

    def workflow(self, workflow_id: str) -> Workflow:
        """A workflow of the caller's.

        Raises:
            WorkflowNotFoundError: there is none, or it is somebody else's.
        """
        workflow = self.orchestrator.get_workflow(workflow_id)
        if not self.owns(workflow.metadata):
            raise WorkflowNotFoundError(workflow_id)
        return workflow

    def job(self, job_id: str) -> ScheduledJob:
        """A scheduled job of the caller's.

        Raises:
            JobNotFoundError: there is none, or it is somebody else's.
        """
        job = self.orchestrator.get_job(job_id)
        if not self.owns_job(job):
            raise JobNotFoundError(job_id)
        return job

    def owns(self, metadata: Mapping[str, JSONValue]) -> bool:
        """Whether what has this metadata is the caller's."""
        tenant = self.access.tenant
        return tenant is None or metadata.get(self.options.tenant_key) == tenant

    def owns_job(self, job: ScheduledJob) -> bool:
        """Whether the runs of a job are the caller's."""
        if self.access.tenant is None:
            return True
        record = job.record
        assert record is not None
        fields = json.loads(record.work)["fields"]
        return self.owns(json.loads(fields.get("metadata") or "{}"))

    def _owns_task(self, record: TaskRecord) -> bool:
        if self.access.tenant is None or self.owns(record.metadata):
            return True
        if record.workflow is None:
            return False
        # What a workflow added at run time has metadata of its own.
        return self.owns(self.orchestrator.get_workflow(record.workflow).metadata)

    @property
    def filter(self) -> dict[str, JSONValue]:
        """The metadata that a list is narrowed to."""
        tenant = self.access.tenant
        return {} if tenant is None else {self.options.tenant_key: tenant}

    # --- writing ----------------------------------------------------------------------------

    def stamped(self, metadata: Mapping[str, JSONValue] | None) -> dict[str, JSONValue]:
        """The metadata of something new: as asked for, and whose it is.

        Raises:
            Problem: the request names a tenant, which is not its to say.
        """
        key = self.options.tenant_key
        if metadata and key in metadata and self.access.tenant is not None:
            raise Problem(422, "invalid", f"metadata {key!r} is set by the server; leave it out")
        if metadata and len(json.dumps(metadata)) > LARGEST_METADATA:
            raise Problem(
                422, "invalid", f"metadata has more than {LARGEST_METADATA} characters; put what "
                "is large into the input",
            )  # fmt: skip
        return {**(metadata or {}), **self.filter}

    def key(self, key: str | None) -> str | None:
        """An idempotency key that another tenant's does not meet."""
        tenant = self.access.tenant
        return key if key is None or tenant is None else f"{tenant}:{key}"

    def everything(self) -> Caller:
        """Go on only if the caller sees all tenants.

        Raises:
            Problem: it is one tenant.
        """
        if self.access.tenant is not None:
            raise Problem(403, "forbidden", "this is about all tenants together")
        return self


def caller_of(request: Request) -> Caller:
    """The caller of a request, as the router's guard has found it."""
    found: Caller = request.state.pyagent_orch
    return found


Call = Annotated[Caller, Depends(caller_of)]


def guard(options: Options, auth: Callable[..., Any] | None) -> Callable[..., Any]:
    """The dependency that every request passes first: same site, known, allowed to write.

    Args:
        options: of the router.
        auth: the host's dependency; None: everybody is let in.
    """

    def admit(request: Request, access: object) -> None:
        _refuse_other_sites(request, options.origins)
        if not isinstance(access, Access):
            # Anything else might be meant as a refusal.
            raise TypeError(
                f"auth returned {type(access).__name__}; return an Access, or raise HTTPException"
            )
        tenant = access.tenant
        if tenant is not None and not (
            isinstance(tenant, str) and 0 < len(tenant) <= _LONGEST_TENANT
        ):
            raise TypeError("auth returned a tenant that is no text of 1 to 200 characters")
        if request.method not in SAFE_METHODS and (options.read_only or not access.write):
            raise Problem(403, "read-only", "this may be looked at only")
        request.state.pyagent_orch = Caller(options, access)

    if auth is None:

        async def open_to_all(request: Request) -> None:
            admit(request, Access())

        return open_to_all

    async def guarded(request: Request, access: Any = Depends(auth)) -> None:  # noqa: B008 - FastAPI's way
        admit(request, access)

    return guarded


def _refuse_other_sites(request: Request, origins: frozenset[str]) -> None:
    """Refuse writes that another site's page has a browser send (CSRF).

    Browsers say where a request comes from (Fetch Metadata, `Origin`); programs say nothing.
    """
    if request.method in SAFE_METHODS:
        return
    origin = request.headers.get("origin")
    if origin is not None and origin in origins:
        return
    site = request.headers.get("sec-fetch-site")
    if site in ("same-origin", "none"):
        return
    if site is None and (
        origin is None or origin.partition("://")[2] == request.headers.get("host")
    ):
        return
    raise Problem(403, "other-site", "a page of another site may not change anything here")
