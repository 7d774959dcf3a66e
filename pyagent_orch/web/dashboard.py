"""The dashboard: an app of its own with the router under `/api` and the page beside it.

Whoever opens it shows a token once, in the address; from then on a cookie does.
"""

import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import RedirectResponse
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pyagent_orch.orchestrator import Orchestrator
from pyagent_orch.web.access import Access
from pyagent_orch.web.hub import Hub
from pyagent_orch.web.problems import Problem, install_problems
from pyagent_orch.web.router import MOST_STREAMS, TENANT_KEY, create_router

PAGE = Path(__file__).parent / "page"
COOKIE_SECONDS = 30 * 86_400
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
PAGE_HEADERS: Mapping[str, str] = {
    # Asked for anew each time (304 mostly): after an upgrade no old script is left among new ones.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer that has no such header yet: nothing from elsewhere, nothing in a frame."""


def create_dashboard(
    orchestrator: Orchestrator,
    *,
    token: str | None = None,
    read_only: bool = False,
    specs: bool = False,
    hosts: Iterable[str] = LOOPBACK,
) -> FastAPI:
    """Make the dashboard as an app: the page at `/`, the router under `/api`.

    Args:
        orchestrator: what it shows; stays the caller's to close.
        token: what opens it: `/?token=...` once, then a cookie, or `Authorization: Bearer`;
            None: it is open to all who reach it.
        read_only: nothing can be changed.
        specs: whether requests may describe models.
        hosts: the names that it is reached by; others are refused, so that no page elsewhere can
            give itself out for it (DNS rebinding). `*` for any.
    """
    app = FastAPI(
        title="pyagent-orch", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    install_problems(app)
    app.state.hub = Hub(orchestrator, TENANT_KEY, MOST_STREAMS)
    router = create_router(
        orchestrator,
        hub=app.state.hub,
        auth=_token_auth(token) if token is not None else None,
        open=token is None,
        specs=specs,
        read_only=read_only,
    )
    app.include_router(router, prefix="/api")
    _add_health(app, orchestrator)
    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    if token is not None:
        app.add_middleware(_Entrance, token=token)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(_Headers)
    return app


def _add_health(app: FastAPI, orchestrator: Orchestrator) -> None:
    @app.get("/health", include_in_schema=False)
    async def health() -> dict[str, str]:
        """Whether the dashboard and its Redis answer; open to all, and tells no more."""
        await run_in_threadpool(orchestrator.start)
        return {"status": "ok"}


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(32)


def _token_auth(token: str) -> Callable[..., Access]:
    bearer = HTTPBearer(auto_error=False)
    cookie = APIKeyCookie(name=_cookie_of(token), auto_error=False)

    def auth(
        header: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
        kept: Annotated[str | None, Depends(cookie)],
    ) -> Access:
        given = header.credentials if header is not None else kept
        if given is None or not _same(given, token):
            raise Problem(
                401, "unknown", "open the address with the token that the dashboard has printed",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip
        return Access()

    return auth


class _Entrance:
    """Takes the token out of the address and into a cookie that no script reads."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = None
        # Where it is mounted in another app, the path begins with that place.
        home = scope.get("root_path", "") + "/"
        if scope["type"] == "http" and scope["path"] in ("/", home):
            given = Request(scope).query_params.get("token")
        if given is None:
            await self._app(scope, receive, send)
            return
        answer = RedirectResponse(home, 303, headers={"Cache-Control": "no-store"})
        if _same(given, self._token):
            answer.set_cookie(
                _cookie_of(self._token), self._token, max_age=COOKIE_SECONDS, httponly=True,
                samesite="strict", secure=scope["scheme"] == "https",
            )  # fmt: skip
        await answer(scope, receive, send)


class _Headers:
    """Sets `PAGE_HEADERS` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in PAGE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, protected if scope["type"] == "http" else send)


def _cookie_of(token: str) -> str:
    """Cookies do not know ports: each dashboard of a machine has a name of its own."""
    return f"pyagent_orch_{sha256(token.encode()).hexdigest()[:12]}"


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())
