"""Every command line of the deployment is one that the program understands."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pyagent_orch.cli.program import program
from support.compose import env_file, load
from support.fleet import ROOT
from support.manifests import containers

NAMED = re.compile(r"^ExecStart=/opt/pyagent-orch/venv/bin/pyagent-orch (.*)$", re.MULTILINE)


def lines() -> list[tuple[str, tuple[str, ...]]]:
    """Where it stands, and the words behind the program's name."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for name, service in load(env_file(ROOT / ".env.example") | _filled())["services"].items():
        # One with an entry point of its own runs no command of ours.
        if "build" in service and "entrypoint" not in service:
            found.append((f"compose {name}", tuple(service["command"])))
        check = service["healthcheck"]["test"]
        if check[1] == "pyagent-orch":
            found.append((f"compose {name} health", tuple(check[2:])))
    for name, container in containers():
        if container["image"] == "pyagent-orch":
            found.append((f"kubernetes {name}", tuple(container["args"])))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            words = container.get(probe, {}).get("exec", {}).get("command", [])
            if words[:1] == ["pyagent-orch"]:
                found.append((f"kubernetes {name} {probe}", tuple(words[1:])))
    for file in sorted((ROOT / "deploy" / "systemd").glob("*.service")):
        [words] = NAMED.findall(file.read_text().replace("%i", "1"))
        found.append((f"systemd {file.stem}", tuple(words.split())))
    return found


def _filled() -> dict[str, str]:
    example = env_file(ROOT / ".env.example")
    return {name: "x" for name, value in example.items() if not value}


def understand(words: tuple[str, ...]) -> None:
    """Parse a command line as the program does, and run nothing.

    Raises:
        UsageError: it is not understood.
    """
    command, context, rest = program, click.Context(program, info_name="x"), list(words)
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        # Copied by click; what is left over is the command's own.
        command, context = found, click.Context(found, info_name=name, parent=context)
        if isinstance(found, click.Group):
            continue
        found.make_context(name, list(rest), parent=context.parent)


@pytest.mark.parametrize(("where", "words"), lines(), ids=[where for where, _ in lines()])
def test_a_command_line_is_understood(where: str, words: tuple[str, ...]) -> None:
    understand(words)
    with pytest.raises(click.UsageError):
        understand((*words, "--no-such-option"))


def test_all_three_ways_run_the_same_programs() -> None:
    programs: dict[str, set[str]] = {}
    for where, words in lines():
        programs.setdefault(where.partition(" ")[0], set()).add(words[0])
    found = {way: names - {"health"} for way, names in programs.items()}
    assert found["compose"] == found["kubernetes"] == found["systemd"]
    assert found["compose"] == {"worker", "beat", "flower", "dashboard", "metrics"}


def test_what_is_installed_is_what_the_page_names() -> None:
    page = (ROOT / "docs" / "production.md").read_text()
    for path in re.findall(r"`(deploy/[\w/.-]+)`", page):
        assert Path(ROOT, path).exists(), path
