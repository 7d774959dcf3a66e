"""The last part of each command's help: examples, and what the exit codes mean.

Command line, pure. A new command has its page here; the tests read every example as the
command would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import click

from pyagent_orch.cli.exits import Exit

DONE = {Exit.OK: "Done."}
ENDED = {
    Exit.OK: "It completed.",
    Exit.FAILED: "It failed.",
    Exit.CANCELLED: "It was cancelled.",
}
EVERY = {
    Exit.ERROR: "Wrong usage, or an error that is told in one line.",
    Exit.BUG: "An error that nobody foresaw; --verbose shows where.",
    Exit.INTERRUPTED: "Ctrl-C.",
}
"""What the codes of all commands mean that say nothing else."""
STOPPED = {Exit.OK: "It was ended by Ctrl-C or SIGTERM."}


@dataclass(frozen=True, slots=True)
class Page:
    """What a command's help ends with."""

    examples: Sequence[str]
    """What stands behind the program's name."""
    exits: Mapping[Exit, str] = field(default_factory=lambda: DONE)


PAGES: Mapping[str, Page] = {
    "demo": Page(
        ["demo", "demo docs --report findings.md"],
        {Exit.OK: "All tasks completed.", Exit.FAILED: "A task failed."},
    ),
    "completion": Page(
        ["completion bash > ~/.local/share/bash-completion/completions/pyagent-orch",
         "completion zsh > ~/.zfunc/_pyagent-orch",
         "completion fish > ~/.config/fish/completions/pyagent-orch.fish"],
    ),
    "submit": Page(
        ['submit shout "good morning" --wait',
         'submit divide \'{"a": 1, "b": 2}\' --json-input --retry 3 --timeout 90',
         'submit --embedded --instructions "You are a translator" "Good morning"',
         "submit report - --metadata user=alice --json"],
        {
            Exit.OK: "Submitted; with --wait: it completed.",
            Exit.FAILED: "With --wait: it failed.",
            Exit.CANCELLED: "With --wait: it was cancelled.",
            Exit.SKIPPED: "With --wait: it was skipped.",
            Exit.STILL_RUNNING: "--wait-timeout passed; the task goes on.",
        },
    ),
    "status": Page(["status 5d6c6235-2b06-4dc1-9980-fd6e9cc394e4"]),
    "show": Page(["show 5d6c6235-2b06-4dc1-9980-fd6e9cc394e4 --json"]),
    "list": Page(
        ["list --status failed --metadata user=alice", "list --limit 100 --json"],
    ),
    "cancel": Page(
        ["cancel 5d6c6235-2b06-4dc1-9980-fd6e9cc394e4"],
        {Exit.OK: "All are cancelled.", Exit.FAILED: "One of them was final already."},
    ),
    "dead": Page(["dead --since 2h --error TimeoutError"]),
    "retry": Page(
        ["retry 5d6c6235-2b06-4dc1-9980-fd6e9cc394e4", "retry --failed --since 2h --dry-run"],
    ),
    "run": Page(
        ["run support.yaml", "run support.yaml --explain", "run support.yaml --embedded"],
        {**ENDED, Exit.OK: "It completed; without the wait: it was submitted."},
    ),
    "watch": Page(["watch 0eeed772-ecda-43a0-a179-92348993a91a"], ENDED),
    "schedules list": Page(["schedules list --json"]),
    "schedules show": Page(["schedules show monday"]),
    "schedules add": Page(
        ['schedules add shout "good morning" --cron "0 9 * * MON" --id monday',
         "schedules add clean --every 10m --overlap skip --timeout 5m",
         "schedules add --file support.yaml --cron @daily --jitter 10m"],
    ),
    "schedules preview": Page(
        ['schedules preview --cron "0 9 * * MON" --timezone Europe/Berlin',
         "schedules preview monday"],
    ),
    "schedules run": Page(["schedules run monday"]),
    "schedules pause": Page(["schedules pause monday"]),
    "schedules resume": Page(["schedules resume monday"]),
    "schedules remove": Page(["schedules remove monday"]),
    "beat": Page(["beat", "beat --log-level warning"], STOPPED),
    "up": Page(
        ["up --agents my_agents --workers 2", "up --without flower --data .redis",
         "up --port flower=5556"],
        {
            **STOPPED,
            Exit.FAILED: "A program refused to run, or had to be killed.",
            Exit.ERROR: "Nothing was started: wrong usage, or an error that is told in one line.",
        },
    ),
    "top": Page(["top", "top --once", "top --json --interval 10s"]),
    "worker": Page(
        ["worker --agents my_agents", "worker --pool prefork --concurrency 4 --queues agents,slow",
         "worker -- --max-tasks-per-child 100"],
        {Exit.OK: "It was ended by SIGTERM.", Exit.FAILED: "It was ended by Ctrl-C."},
    ),
    "workers": Page(["workers", "workers --json"]),
    "flower": Page(
        ["flower --password-file /run/secrets/flower", "flower --no-password --read-only"],
        STOPPED,
    ),
    "dashboard": Page(["dashboard", "dashboard --read-only --port 0"], STOPPED),
    "metrics": Page(["metrics --port 9464", "metrics --once"], STOPPED),
    "events": Page(["events --since 10m --type 'task.*'", "events --follow --json"]),
    "doctor": Page(
        ["doctor", "doctor --quiet --ignore redis.access"],
        {
            Exit.OK: "All is well.",
            Exit.FAILED: "There are warnings.",
            Exit.ERROR: "There are errors, or it could not be examined.",
        },
    ),
    **{
        f"health {what}": Page(
            [example], {Exit.OK: "It is well.", Exit.FAILED: "It is not; stderr has the reason."}
        )
        for what, example in (
            ("worker", "health worker --liveness"),
            ("beat", "health beat"),
            ("redis", "health redis"),
            ("url", "health url http://localhost:5555/healthcheck"),
        )
    },
}  # fmt: skip
"""Maps a command, as it is typed, to its page."""


def write_page(context: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the page of a command, if it has one.

    Args:
        context: the command's.
        formatter: click's.
    """
    words: list[str] = []
    above: click.Context | None = context
    while above is not None and above.parent is not None:
        words.insert(0, above.info_name or "")
        above = above.parent
    page = PAGES.get(" ".join(words))
    if page is None:
        return
    program = above.info_name if above is not None else ""
    with formatter.section("Examples"):
        for example in page.examples:
            # As they are: a line that is broken cannot be copied.
            formatter.write(f"{'':{formatter.current_indent}}{program} {example}\n")
    codes = {**EVERY, **page.exits}
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(int(code)), codes[code]) for code in sorted(codes)])
