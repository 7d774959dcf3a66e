"""The web edge: a FastAPI router over the facade, event streams, webhooks, the dashboard.

Needs the extra `[web]`. Above the orchestrator, below the command line; knows no Redis
and no Celery. Names are loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyagent_orch.web.access import Access
    from pyagent_orch.web.dashboard import create_dashboard
    from pyagent_orch.web.problems import install_problems
    from pyagent_orch.web.router import create_router
    from pyagent_orch.web.webhooks import Target, Webhooks, new_secret

_HOME_OF = {
    "Access": "access",
    "create_dashboard": "dashboard",
    "Target": "webhooks",
    "Webhooks": "webhooks",
    "create_router": "router",
    "new_secret": "webhooks",
    "install_problems": "problems",
}

__all__ = [
    "Access",
    "Target",
    "Webhooks",
    "create_dashboard",
    "create_router",
    "install_problems",
    "new_secret",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{home}")
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "starlette", "uvicorn"):
            raise
        raise ImportError(
            f"pyagent_orch.web needs {error.name}: pip install 'pyagent-orch[web]'"
        ) from error
    value = getattr(module, name)
    globals()[name] = value
    return value
