"""The help of every command: complete, and its examples are what the command takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pyagent_orch.cli.arguments import Installation
from pyagent_orch.cli.manual import PAGES
from pyagent_orch.cli.program import COMMANDS, PROGRAM, load, program


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, as it is typed."""
    for name in COMMANDS:
        command = load(name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", found) for sub, found in command.commands.items())
        else:
            yield name, command


LEAVES = dict(leaves())


def help_of(words: str) -> str:
    done = CliRunner().invoke(program, [*words.split(), "--help"], prog_name=PROGRAM)
    assert done.exit_code == 0, done.output
    return done.output


def test_every_command_has_a_page_and_every_page_a_command() -> None:
    assert set(PAGES) == set(LEAVES)


def test_a_command_is_called_what_it_is_listed_as() -> None:
    assert {name: load(name).name for name in COMMANDS} == {name: name for name in COMMANDS}


@pytest.mark.parametrize("words", LEAVES)
def test_every_help_says_what_it_does_how_and_how_it_ends(words: str) -> None:
    text = help_of(words)
    assert text.startswith(f"Usage: {PROGRAM} {words} ")
    first = (LEAVES[words].help or "").split("\n")[0].strip()
    assert first.endswith("."), "its first line is no sentence"
    assert f"Examples:\n  {PROGRAM} {words.split(maxsplit=1)[0]}" in text
    assert "\nExit codes:\n  0 " in text
    # It fits the terminal it is read in, but for what is to be copied.
    prose = text.partition("Examples:")[0]
    assert max(map(len, prose.splitlines())) <= 100


@pytest.mark.parametrize("words", ["", "health", "schedules"])
def test_a_list_of_commands_has_whole_sentences(words: str) -> None:
    # Behind the usage, in which `...` means something.
    text = help_of(words).partition("\n")[2]
    assert "..." not in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("words", LEAVES)
def test_every_option_says_what_it_means(words: str) -> None:
    options = [one for one in LEAVES[words].params if isinstance(one, click.Option)]
    silent = [one.opts[0] for one in options if not one.help and not one.hidden]
    assert silent == []


EXAMPLES = [(words, example) for words, page in PAGES.items() for example in page.examples]


@pytest.mark.parametrize(("words", "example"), EXAMPLES)
def test_every_example_is_what_the_command_takes(
    words: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "support.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    typed = shlex.split(example.partition(" > ")[0])
    count = len(words.split())
    assert typed[:count] == words.split()
    above = click.Context(program, obj=Installation())
    # Reads the arguments, and runs nothing.
    with LEAVES[words].make_context(words, typed[count:], parent=above) as context:
        assert context.params is not None
