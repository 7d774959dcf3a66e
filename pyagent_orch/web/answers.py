"""How a route answers: the facade is called and the answer written in a thread, never on the loop.

Also what all routes say of their errors in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Header, Path, Query, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from pyagent_orch.web.problems import MEDIA_TYPE

Id = Annotated[str, Path(min_length=1, max_length=300, description="Its id.")]
Limit = Annotated[int, Query(ge=1, le=500, description="How many items there are at the most.")]
Cursor = Annotated[
    str | None, Query(max_length=400, description="`next` of the page before; none: the first.")
]
Search = Annotated[
    str, Query(max_length=200, description="Only what has this in its name or id; capitals or not.")
]
OnlyName = Annotated[str | None, Query(max_length=500, description="Only what has this name.")]
Items = Annotated[
    list[str], Query(max_length=10, description="Only with this metadata, as `key=text`.")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$",
        description="A repeat with the same key submits nothing, and answers with what there is.",
    ),
]  # fmt: skip

_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "Why a request was refused, or failed (RFC 9457).",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string", "description": "Which kind of problem, as a URN."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "What does not fit, field by field.",
            "items": {
                "type": "object",
                "required": ["at", "detail"],
                "properties": {"at": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_REASONS = {
    400: "The body is not JSON.",
    401: "Nobody known asks.",
    403: "It is not allowed: by the access, in read-only mode, or from another site's page.",
    404: "There is none, or none of the caller's.",
    409: "Its state does not allow it.",
    413: "The body is too large.",
    422: "Something about the request does not fit.",
    503: "The task store is out of reach.",
}
_ALWAYS = (401, 403, 422, 503)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: what can always go wrong, and these."""
    return {
        status: {"description": _REASONS[status], "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        for status in sorted({*_ALWAYS, *statuses})
    }


async def answered(
    work: Callable[[], BaseModel | None],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Do something in a thread, and answer with what it gives.

    Args:
        work: calls the facade and gives a view; None: an answer without a body.
        status: of the answer.
        headers: to send along.
    """

    def written() -> bytes | None:
        view = work()
        return None if view is None else view.model_dump_json().encode()

    body = await run_in_threadpool(written)
    given = dict(headers) if headers else None
    if body is None:
        return Response(status_code=204, headers=given)
    return Response(body, status, given, media_type="application/json")


def filter_of(items: list[str]) -> dict[str, Any]:
    """The metadata that `key=text` filters ask for."""
    pairs = (item.partition("=") for item in items)
    return {key: value for key, _, value in pairs}


def id_of_key(key: str | None) -> str | None:
    """The id of a workflow that a key names, the same for each repeat."""
    return None if key is None else f"key-{sha256(key.encode()).hexdigest()[:32]}"
