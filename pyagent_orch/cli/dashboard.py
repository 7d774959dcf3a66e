"""The command that serves the dashboard.

Command line, over the web edge.
"""

from __future__ import annotations

import os

import click

from pyagent_orch.cli.arguments import Installation, command

TOKEN_VARIABLE = "PYAGENT_ORCH_DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable


@command("dashboard", "Fleet")
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8700,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--read-only", is_flag=True, help="Nothing can be changed from the page.")
@click.option("--specs", is_flag=True, help="Models may be asked with instructions, too.")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="A name that it is reached by besides localhost, such as a proxy's; may be repeated.",
)
def dashboard(
    installation: Installation,
    *,
    host: str,
    port: int,
    read_only: bool,
    specs: bool,
    names: tuple[str, ...],
) -> None:
    """Serve the page on which runs are watched, and its API; Ctrl-C ends it.

    Prints the address with a token that opens it, another one at each start unless
    PYAGENT_ORCH_DASHBOARD_TOKEN says one. Needs the extra [web].
    """
    from pyagent_orch.cli.show import note, print_text
    from pyagent_orch.exceptions import ConfigurationError

    try:
        from pyagent_orch.web.serving import DashboardServer
    except ImportError as error:
        raise ConfigurationError(
            "dashboard", f"it needs {error.name}: pip install 'pyagent-orch[web]'"
        ) from None
    given = os.environ.get(TOKEN_VARIABLE) or None
    with installation.fleet() as orchestrator:
        server = DashboardServer(
            orchestrator, host=host, port=port, read_only=read_only, specs=specs, names=names,
            token=given,
        )  # fmt: skip

        def tell() -> None:
            if given:
                # Whoever set it knows it, and what is printed may end up in a log.
                note(f"Open this address with ?token= and what is in {TOKEN_VARIABLE}:")
                print_text(server.address, lines=False)
                return
            note("Open this address; its token is a secret:")
            print_text(server.entrance, lines=False)

        server.run(tell)
