"""Server-sent events: of one task, of one workflow, of everything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from pyagent_orch.models.texts import TextPiece
from pyagent_orch.web.access import Call, Caller
from pyagent_orch.web.answers import Id, errors
from pyagent_orch.web.hub import Entry, Subscription
from pyagent_orch.web.problems import Problem, Route
from pyagent_orch.web.routes.tasks import summaries
from pyagent_orch.web.routes.workflows import summary_of
from pyagent_orch.web.streams import Place, Stream

routes = APIRouter(route_class=Route, tags=["events"])


class EventStream(StreamingResponse):
    """Server-sent events that are written already."""

    media_type = "text/event-stream"


LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID", max_length=200,
        description="The id of the last event that the client has; sent by browsers themselves.",
    ),
]  # fmt: skip
After = Annotated[
    str | None,
    Query(max_length=200, description="The same, for the first request: a workflow's `as_of`."),
]
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events named `snapshot`, `event`, `text` and `end`; docs/web.md has "
        "their data.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    204: {"description": "The client has all there is: it is to come back no more."},
}


@routes.get(
    "/tasks/{id}/events", response_class=EventStream,
    responses=_RESPONSES | errors(404), summary="Follow a task",
)  # fmt: skip
async def follow_task(
    call: Call,
    id: Id,  # noqa: A002 - the path's word
    after: After = None,
    last_event_id: LastEventId = None,
) -> Response:
    """What becomes of a task, until it is final."""

    def look() -> tuple[str, bool]:
        record = call.summary(id)
        return summaries(call, [record])[0].model_dump_json(
            ensure_ascii=True
        ), record.status.is_final

    async def texts(behind: str) -> AsyncIterator[Entry]:
        task = await run_in_threadpool(call.task, id)
        async for piece in task.stream(after=behind or None):
            yield _text(piece, piece.id)

    def made() -> Subscription:
        return Subscription(id, tenant=call.access.tenant)

    return await _stream(call, last_event_id or after, look, made, texts)


@routes.get(
    "/workflows/{id}/events", response_class=EventStream,
    responses=_RESPONSES | errors(404), summary="Follow a workflow",
)  # fmt: skip
async def follow_workflow(
    call: Call,
    id: Id,  # noqa: A002 - the path's word
    after: After = None,
    last_event_id: LastEventId = None,
) -> Response:
    """What becomes of a workflow and of all its tasks, until it is final."""

    def look() -> tuple[str, bool]:
        workflow = call.workflow(id)
        record = workflow.record
        assert record is not None
        return summary_of(workflow).model_dump_json(ensure_ascii=True), record.status.is_final

    members = await run_in_threadpool(_members, call, id)

    async def texts(_: str) -> AsyncIterator[Entry]:
        # What was final before is not sent again: it stands in the tasks themselves.
        ended: dict[str, int | None] = {
            name: None for name, is_final in members.items() if is_final
        }
        workflow = await run_in_threadpool(call.workflow, id)
        async for piece in workflow.stream():
            if piece.task_id in ended:
                known = ended[piece.task_id]
                if known is None or piece.attempt <= known:
                    ended[piece.task_id] = piece.attempt
                    continue
                del ended[piece.task_id]
            yield _text(piece)

    def made() -> Subscription:
        return Subscription(id, frozenset(members), tenant=call.access.tenant)

    return await _stream(call, last_event_id or after, look, made, texts)


@routes.get(
    "/events", response_class=EventStream, responses=_RESPONSES | errors(),
    summary="Follow everything",
)  # fmt: skip
async def follow_all(
    call: Call, after: After = None, last_event_id: LastEventId = None
) -> Response:
    """What becomes of all tasks and workflows of the caller, without their text; has no end."""

    def look() -> tuple[str, bool]:
        call.orchestrator.event_span()
        return "null", False

    return await _stream(
        call, last_event_id or after, look, lambda: Subscription(tenant=call.access.tenant)
    )


async def _stream(
    call: Caller,
    place: str | None,
    look: Callable[[], tuple[str, bool]],
    made: Callable[[], Subscription],
    texts: Callable[[str], AsyncIterator[Entry]] | None = None,
) -> Response:
    hub = call.options.hub
    at = Place.parse(place) if place else None
    # Here, so that what is not there, or Redis out of reach, is told as an error.
    await run_in_threadpool(look)
    if at is not None and at.is_end:
        return Response(status_code=204)
    if hub.is_full:
        raise Problem(
            503, "too-many-streams", "there are too many open streams here; try again soon",
            headers={"Retry-After": "2"},
        )  # fmt: skip
    stream = Stream(call, hub, made(), place=at, look=look, texts=texts)
    return EventStream(stream.run(), headers=_HEADERS)


def _members(call: Caller, workflow_id: str) -> dict[str, bool]:
    """Maps the ids of a workflow's tasks to whether they are final."""
    call.workflow(workflow_id)
    records = call.orchestrator.summaries(call.orchestrator.task_ids(workflow_id))
    return {record.id: record.status.is_final for record in records}


def _text(piece: TextPiece, text_id: str = "") -> Entry:
    data = {
        "task": piece.task_id, "attempt": piece.attempt, "part": piece.part,
        "offset": piece.offset, "text": piece.text,
    }  # fmt: skip
    return Entry("text", json.dumps(data), text_id=text_id)
