"""How an orchestrator's threads end when it is closed."""

from __future__ import annotations

import time

import pytest

from pyagent_orch import Orchestrator
from pyagent_orch.embedded.server import PrivateServer


@pytest.mark.parametrize("durable", [None, "group"])
@pytest.mark.parametrize("pause", [0.0, 0.005, 0.1])
def test_a_close_does_not_wait_for_a_read_that_is_about_to_block(
    server: PrivateServer, namespace: str, durable: str | None, pause: float
) -> None:
    with Orchestrator(redis_url=server.broker_url, namespace=namespace) as orchestrator:
        orchestrator.on("custom.event", print, durable=durable)
        # The thread opens its connection, learns its id, or reads: wherever it is just now.
        time.sleep(pause)
        started = time.monotonic()
        orchestrator.close()
        assert time.monotonic() - started < 1
