"""The command that runs the demo.

Command line, over `pyagent_orch.demo`.
"""

from __future__ import annotations

from pathlib import Path

import click

from pyagent_orch.cli.arguments import Installation, command, json_option


@command("demo", "Start here")
@click.argument(
    "folder",
    required=False,
    type=click.Path(exists=True, file_okay=False, readable=True, path_type=Path),
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the report goes; demo-report/report.md otherwise.",
)
@json_option
def demo(
    installation: Installation, *, folder: Path | None, report: Path | None, as_json: bool
) -> int:
    """Run agents over a folder of texts, and report.

    FOLDER is the project's own docs and sources if not given. Needs neither Redis nor a
    worker: private ones start here and end with the command.
    """
    if installation.redis_url:
        raise click.UsageError("the demo runs on a private server and takes no --redis-url")
    from pyagent_orch.demo.runner import REPORT, run_demo
    from pyagent_orch.orchestrator import Orchestrator

    with Orchestrator(settings=installation.embedded_settings()) as orchestrator:
        return run_demo(
            folder, orchestrator=orchestrator, json=as_json, report_file=report or REPORT
        )
