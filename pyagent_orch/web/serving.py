"""Serving the dashboard in this process, by uvicorn: loopback by default, a token always.

Above the app; the command line and whatever else starts the dashboard come here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

import uvicorn
from fastapi import FastAPI

from pyagent_orch.exceptions import ConfigurationError
from pyagent_orch.orchestrator import Orchestrator
from pyagent_orch.web.dashboard import LOOPBACK, create_dashboard, new_token
from pyagent_orch.web.hub import Hub

DEFAULT_PORT = 8700
_SHUTDOWN_SECONDS = 3


class DashboardServer:
    """The dashboard on a socket; from `open` (or `run`) to `stop`.

    Args:
        orchestrator: what it shows; stays the caller's to close.
        host: the address it listens on.
        port: the port; 0: a free one.
        token: what opens it; a random one when not given.
        read_only: nothing can be changed.
        specs: whether requests may describe models.
        names: further names that it is reached by, such as that of a proxy.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        token: str | None = None,
        read_only: bool = False,
        specs: bool = False,
        names: Iterable[str] = (),
    ) -> None:
        self.token = token or new_token()
        self._socket = _listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        local = host in ("127.0.0.1", "localhost", "::1")
        app = create_dashboard(
            orchestrator, token=self.token, read_only=read_only, specs=specs,
            # Elsewhere its name is not known here; the token keeps others out.
            hosts=[*LOOPBACK, *names] if local or names else ["*"],
        )  # fmt: skip
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )  # fmt: skip
        self._server = _Server(config, _hub_of(app))

    @property
    def address(self) -> str:
        """Where it is; opens with the token only."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{'127.0.0.1' if host in ('0.0.0.0', '[::]') else host}:{self.port}/"  # noqa: S104 - the address to open

    @property
    def entrance(self) -> str:
        """The address with the token: a secret, for the terminal of who started it."""
        return f"{self.address}?token={self.token}"

    def run(self, started: Callable[[], object] | None = None) -> None:
        """Serve until `stop`, or a signal when this is the main thread.

        Args:
            started: called when requests are answered.
        """
        self._server.started_call = started
        try:
            self._server.run([self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Have `run` come back; from any thread. Idempotent."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub
        self.started_call: Callable[[], object] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started_call is not None:
            self.started_call()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Event streams have no end of their own, and uvicorn would wait for it.
        self._hub.cut_all()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"{host}:{port}", f"cannot be listened on: {error}; choose another port"
        ) from None
    # Connections inherit it. asyncio sets it only where the protocol is named, which it is not
    # here, and each answer would wait 40 ms for the client's delayed acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _hub_of(app: FastAPI) -> Hub:
    hub: Hub = app.state.hub
    return hub
