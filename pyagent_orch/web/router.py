"""`create_router`: all routes, behind one guard.

Made by hosts for their own FastAPI app, and by the dashboard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, Depends

from pyagent_orch.exceptions import ConfigurationError
from pyagent_orch.orchestrator import Orchestrator
from pyagent_orch.web.access import Options, guard
from pyagent_orch.web.hub import Hub
from pyagent_orch.web.problems import Route
from pyagent_orch.web.routes import events, fleet, schedules, tasks, workflows

MOST_STREAMS = 2_000
TENANT_KEY = "tenant"


def create_router(
    orchestrator: Orchestrator,
    *,
    auth: Callable[..., Any] | None = None,
    open: bool = False,  # noqa: A002 - said where it is called: open=True
    specs: bool = False,
    read_only: bool = False,
    tenant_key: str = TENANT_KEY,
    origins: Iterable[str] = (),
    max_streams: int = MOST_STREAMS,
    hub: Hub | None = None,
) -> APIRouter:
    """Make a FastAPI router over an orchestrator; see docs/web.md for its routes.

    Args:
        orchestrator: what it is about; stays the caller's to close.
        auth: a dependency of FastAPI that says who asks: it returns an `Access`, or raises
            `HTTPException`. Whatever a dependency may ask for, it may.
        open: everybody may do everything; for loopback and tests.
        specs: whether requests may describe models (instructions, model, tools); else they name
            agents that the workers have registered.
        read_only: nothing can be changed.
        tenant_key: where in the metadata the tenant of an `Access` stands.
        origins: other sites whose pages may write, such as `https://app.example`; the host's
            CORS middleware has to let them in, too.
        max_streams: how many event streams may be open in this process.
        hub: what feeds the streams, where somebody else has to end them; one of its own otherwise.

    Raises:
        ConfigurationError: neither `auth` nor `open=True` is given, or both.
    """
    if (auth is None) != open:
        problem = (
            "give auth=, a dependency that returns an Access, or open=True to let everybody in"
            if auth is None
            else "open=True lets everybody in; leave it out, or auth="
        )
        raise ConfigurationError("auth", problem)
    if not tenant_key:
        raise ConfigurationError("tenant_key", "is empty")
    options = Options(
        orchestrator=orchestrator,
        hub=hub or Hub(orchestrator, tenant_key, max_streams),
        specs=specs,
        read_only=read_only,
        tenant_key=tenant_key,
        origins=frozenset(origins),
    )
    router = APIRouter(
        route_class=Route,
        dependencies=[Depends(guard(options, auth))],
    )
    for part in (tasks, workflows, events, schedules, fleet):
        router.include_router(part.routes)
    return router
