"""A FastAPI app whose page submits a task and shows its text as it is written.

    pip install 'pyagent-orch[embedded,web]'
    python examples/web_fastapi.py

Without PYAGENT_ORCH_REDIS_URL the app has a private server and a worker of its own; with it,
workers run elsewhere: `pyagent-orch worker --agents storyteller`.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import storyteller
import uvicorn
from fastapi import FastAPI
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.staticfiles import StaticFiles

from pyagent_orch import Orchestrator
from pyagent_orch.web import create_router, install_problems

orchestrator = Orchestrator()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 - FastAPI's signature
    """The orchestrator lives as long as the app."""
    async with orchestrator:
        yield


app = FastAPI(title=f"Stories by {storyteller.__name__}", lifespan=lifespan)
install_problems(app)
# Open to all who reach it, which is this machine only, by its own name: a page of another site
# could have a name of its own lead here. An app with users gives auth=.
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1"])
app.include_router(create_router(orchestrator, open=True), prefix="/agents")
app.mount("/", StaticFiles(directory=Path(__file__).parent / "web_page", html=True))

if __name__ == "__main__":
    # Streams are open for as long as tasks run: at a stop they are cut, and browsers come back.
    uvicorn.run(
        app,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "8000")),
        timeout_graceful_shutdown=1,
    )
