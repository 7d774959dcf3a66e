"""Errors as problem details (RFC 9457): every error of a router, in one shape.

The border of the web edge: what nobody foresaw is logged here and told without details.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import Message

from pyagent_orch.exceptions import (
    AgentNotFoundError,
    EmbeddedServerError,
    IllegalMoveError,
    NotFoundError,
    OrchestratorClosedError,
    OrchestratorConnectionError,
    PyAgentOrchError,
    SubmitError,
    TaskExistsError,
    WorkflowExistsError,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPES = "urn:pyagent-orch:problem:"
"""Begins the `type` of every problem."""
RETRY_AFTER_SECONDS = 2
LARGEST_BODY = 10_000_000
"""Bytes of a request's body at the most."""
API_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer of the router: data that no browser may take for a page, a script or a frame."""


class WrongField(BaseModel):
    """One thing about a request that does not fit."""

    at: str
    """Where it is, such as `body/priority`."""
    detail: str


class ProblemView(BaseModel):
    """Why a request was refused, or failed (RFC 9457)."""

    type: str
    """Which kind of problem, as a URN."""
    title: str
    status: int
    detail: str
    errors: list[WrongField] = Field(default=[])
    """What does not fit, field by field, when the request is not as it should be."""


class Problem(HTTPException):
    """An error of the web edge.

    Args:
        status: the HTTP status.
        kind: the end of the problem's type.
        detail: what is wrong, for people.
        headers: to send along.
    """

    def __init__(
        self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.kind = kind


class Route(APIRoute):
    """A route whose errors are problem details, and whose answers carry `API_HEADERS`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler; called by FastAPI."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                response = await handler(_limited(request))
            except Exception as error:  # noqa: BLE001 - the border: what nobody foresaw is logged
                response = response_of(error)
            for name, value in API_HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handle


def _limited(request: Request) -> Request:
    """The request, whose body cannot be read any further than `LARGEST_BODY`."""
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told[:20]) > LARGEST_BODY:
        raise _too_large()
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > LARGEST_BODY:
            raise _too_large()
        return message

    return Request(request.scope, receive)


def _too_large() -> Problem:
    return Problem(413, "too-large", f"a request's body has at most {LARGEST_BODY} bytes")


def response_of(error: Exception) -> Response:
    """The answer to a request that ended in an error."""
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, StarletteHTTPException):
        kind = getattr(error, "kind", None) or _slug(error.status_code)
        return problem(error.status_code, kind, str(error.detail), headers=error.headers)
    if isinstance(error, PyAgentOrchError):
        return _of_ours(error)
    logger.error("A request failed", exc_info=error)
    return problem(500, "internal", "Something went wrong here; the server's log has the reason.")


def problem(
    status: int,
    kind: str,
    detail: str,
    errors: Sequence[WrongField] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as an answer."""
    content: dict[str, object] = {
        "type": TYPES + kind, "title": _title(status), "status": status, "detail": detail,
        "errors": [one.model_dump() for one in errors],
    }  # fmt: skip
    # ASCII: a text with half a character in it is shown, and does not end in an error of its own.
    return Response(
        json.dumps(content), status, dict(headers) if headers else None, media_type=MEDIA_TYPE
    )


def install_problems(app: FastAPI) -> None:
    """Have an app answer its own errors, such as an unknown path, as problem details, too."""

    async def answer(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's
        response = response_of(error)
        for name, value in API_HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    handler: Callable[[Request, Exception], Awaitable[Response]] = answer
    for kind in (RequestValidationError, StarletteHTTPException, PyAgentOrchError):
        app.add_exception_handler(kind, handler)


def _of_validation(error: RequestValidationError) -> Response:
    errors = error.errors()
    if any(one["type"] == "json_invalid" for one in errors):
        return problem(400, "no-json", "The body is not JSON.")
    wrong = [
        WrongField(at="/".join(map(str, one["loc"])), detail=str(one["msg"])) for one in errors
    ]
    first = f"{wrong[0].at}: {wrong[0].detail}" if wrong else "The request does not fit."
    return problem(422, "invalid", first, wrong)


def _of_ours(error: PyAgentOrchError) -> Response:
    if isinstance(
        error,
        OrchestratorConnectionError | OrchestratorClosedError | EmbeddedServerError | SubmitError,
    ):
        logger.warning("A request found no store: %s", error)
        # Without the address: that is for the log.
        return problem(
            503, "unavailable", "The task store is out of reach; try again soon.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )  # fmt: skip
    if isinstance(error, AgentNotFoundError):
        return problem(422, "unknown-agent", str(error))
    if isinstance(error, NotFoundError):
        return problem(404, "not-found", str(error))
    if isinstance(error, IllegalMoveError | TaskExistsError | WorkflowExistsError):
        return problem(409, "conflict", str(error))
    return problem(422, "invalid", str(error))


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _slug(status: int) -> str:
    return _title(status).lower().replace(" ", "-")
