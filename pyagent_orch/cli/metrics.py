"""The command `metrics`: what Prometheus scrapes.

Command line, over the facade. The library of the text format is imported here only.
"""

from __future__ import annotations

import signal
import sys
import threading

import click

from pyagent_orch.cli.arguments import Installation, command

PORT = 9464
"""The port that OpenTelemetry's specification gives to Prometheus exporters."""


@command("metrics", "Fleet")
@click.option("--once", is_flag=True, help="Print the metrics and end.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; 0.0.0.0 for all. There is no login.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=PORT,
    show_default=True,
    help="The port to listen on; 0 for any that is free.",
)
def metrics(installation: Installation, *, once: bool, host: str, port: int) -> None:
    """Serve metrics for Prometheus; Ctrl-C ends it.

    One exporter is enough for a namespace, however many workers there are. docs/metrics.md has
    the names. With --once, a Redis that is out of reach is an error.
    """
    with installation.fleet() as orchestrator:
        from pyagent_orch.metrics import MetricsServer, exposition

        if once:
            # Out of reach is an error here; a scrape is told of it by `pyagent_orch_up`.
            orchestrator.measure()
            sys.stdout.write(exposition(orchestrator))
            return
        stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        with MetricsServer(orchestrator, host, port) as server:
            click.echo(f"Metrics of namespace {orchestrator.settings.namespace}: {server.url}")
            stopped.wait()
