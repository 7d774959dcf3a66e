"""A Django app, in one file, that submits a task and streams its text; all views are async.

    pip install 'pyagent-orch[embedded]' django uvicorn
    python examples/web_django.py

Django keeps its own ways: its CSRF cookie, its URLs, its responses. The calls that wait for
Redis are awaited (`asubmit`, `async for`), so one process serves many streams.
"""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import storyteller
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from pyagent_orch import Orchestrator, TaskNotFoundError
from pyagent_orch.models.tasks import Task

PAGE = Path(__file__).parent / "web_page"
settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for this example"),
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
)
orchestrator = Orchestrator()
FILES = {name: (PAGE / name).read_bytes() for name in ("index.html", "story.js")}
KINDS = {"index.html": "text/html", "story.js": "text/javascript"}


@require_GET
@ensure_csrf_cookie
async def page(request: HttpRequest, name: str = "index.html") -> HttpResponse:  # noqa: ARG001 - Django's signature
    """The page and its script; the cookie is what a write has to show."""
    return HttpResponse(FILES[name], content_type=KINDS[name])


@require_POST
async def submit(request: HttpRequest) -> JsonResponse:
    """Submit a story; recorded when the answer comes."""
    topic = json.loads(request.body)["input"]
    task = await orchestrator.asubmit(storyteller.storyteller, str(topic))
    return JsonResponse({"id": task.id}, status=201)


@require_POST
async def cancel(request: HttpRequest, task_id: str) -> JsonResponse:  # noqa: ARG001 - Django's signature
    """Cancel a story; what is written of it stays."""
    try:
        cancelled = await orchestrator.acancel(task_id)
    except TaskNotFoundError as error:
        return JsonResponse({"detail": str(error)}, status=404)
    return JsonResponse({"cancelled": cancelled})


@require_GET
async def events(request: HttpRequest, task_id: str) -> HttpResponse:
    """The text as server-sent events; a browser that was cut goes on where it was."""
    last = request.headers.get("Last-Event-ID")
    if last == "end":
        return HttpResponse(status=204)
    try:
        task = await orchestrator.aget_task(task_id)
    except TaskNotFoundError as error:
        return JsonResponse({"detail": str(error)}, status=404)
    return StreamingHttpResponse(_written(task, last), content_type="text/event-stream")


async def _written(task: Task, last: str | None) -> AsyncIterator[str]:
    yield "retry: 500\n\n"
    async for piece in task.stream(after=last):
        data = {"offset": piece.offset, "attempt": piece.attempt, "text": piece.text}
        yield f"event: text\ndata: {json.dumps(data)}\nid: {piece.id}\n\n"
    ended = await orchestrator.astatus(task.id)
    yield f"event: end\ndata: {json.dumps({'status': ended.value})}\nid: end\n\n"


urlpatterns = [
    path("", page),
    path("story.js", page, {"name": "story.js"}),
    path("agents/tasks", submit),
    path("agents/tasks/<str:task_id>/cancel", cancel),
    path("agents/tasks/<str:task_id>/events", events),
]
app = get_asgi_application()

if __name__ == "__main__":
    with orchestrator:
        uvicorn.run(
            app, port=int(os.environ.get("PORT", "8000")), timeout_graceful_shutdown=1,
            lifespan="off",
        )  # fmt: skip
