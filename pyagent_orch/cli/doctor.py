"""The command that examines a live installation, for people and for monitoring.

Command line, over the facade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pyagent_orch.cli.arguments import Installation, command, json_option
from pyagent_orch.cli.exits import Exit

if TYPE_CHECKING:
    from pyagent_orch.doctor import Finding

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@command("doctor", "Fleet")
@click.option("-q", "--quiet", is_flag=True, help="Only tell what is not ok.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="CHECK",
    help="Leave a check out, such as redis.access; may be repeated.",
)
@json_option
def doctor(
    installation: Installation, *, quiet: bool, ignore: tuple[str, ...], as_json: bool
) -> Exit:
    """Examine the installation: what is wrong, and what to do.

    Changes nothing; takes about a second.
    """
    with installation.fleet() as orchestrator:
        from pyagent_orch.doctor import CHECKS, worst

        unknown = sorted(set(ignore) - set(CHECKS))
        if unknown:
            raise click.BadParameter(
                f"there is no check {unknown[0]!r}; known: {', '.join(CHECKS)}",
                param_hint="--ignore",
            )
        findings = [one for one in orchestrator.doctor() if one.id not in ignore]
        namespace = orchestrator.settings.namespace
    verdict = worst(findings)
    shown = [one for one in findings if one.severity.rank or not quiet]
    if as_json:
        from pyagent_orch.cli.show import print_json

        print_json(
            {
                "severity": verdict.value,
                "namespace": namespace,
                "findings": [
                    {
                        "id": one.id,
                        "severity": one.severity.value,
                        "what": one.what,
                        "remedy": one.remedy or None,
                    }
                    for one in shown
                ],
            }
        )
    else:
        _print(shown, findings)
    return (Exit.OK, Exit.FAILED, Exit.ERROR)[verdict.rank]


def _print(shown: list[Finding], all_of_them: list[Finding]) -> None:
    from pyagent_orch.cli.show import note, print_spans

    severities = max((len(one.severity) for one in shown), default=0)
    ids = max((len(one.id) for one in shown), default=0)
    for one in shown:
        print_spans(
            [
                (f"{one.severity.value:<{severities}}  ", _STYLES[one.severity]),
                (f"{one.id:<{ids}}  ", ""),
                (one.what, ""),
            ]
        )
        if one.remedy:
            print_spans([(f"{'':<{severities}}  -> {one.remedy}", "cyan")])
    counts = [sum(one.severity.value == name for one in all_of_them) for name in _STYLES]
    note("{} ok, {} warnings, {} errors. See docs/doctor.md for each check.".format(*counts))
