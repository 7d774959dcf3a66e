"""The command line `pyagent-orch`: the topmost edge of the package.

`main` is the entry point and the last border for errors: one line on stderr and
an exit code. The commands use the facade as any user would.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pyagent_orch.cli.exits import Exit, ReaderGoneError

if TYPE_CHECKING:
    import click


def main() -> None:
    """Run the command that the process was started with, and exit with its code."""
    code = run(sys.argv[1:])
    # From here on there is nothing to tell any more; a second Ctrl-C just ends it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: what stands after the program's name.

    Returns:
        One of `Exit`.
    """
    # A terminal that cannot show a character gets its number instead of a traceback.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except (BrokenPipeError, ReaderGoneError):
        _drop_output()
        return Exit.BROKEN_PIPE
    return code


def _run(arguments: Sequence[str]) -> int:
    import click

    from pyagent_orch.cli.arguments import Installation
    from pyagent_orch.cli.logs import start_logging
    from pyagent_orch.cli.program import PROGRAM, program
    from pyagent_orch.cli.show import print_error
    from pyagent_orch.exceptions import PyAgentOrchError

    start_logging()
    installation = Installation()
    try:
        code = program.main(
            list(arguments), prog_name=PROGRAM, standalone_mode=False, obj=installation
        )
    except click.Abort:
        return Exit.INTERRUPTED
    except click.ClickException as error:
        _show_usage_error(error)
        return Exit.ERROR
    except (BrokenPipeError, ReaderGoneError):
        raise
    except PyAgentOrchError as error:
        if installation.verbose:
            _print_traceback(error)
        print_error(str(error))
        return Exit.ERROR
    except Exception as error:  # noqa: BLE001 - the border: what nobody foresaw is told here
        if installation.verbose:
            _print_traceback(error)
        text = f"{type(error).__name__}: {error}"
        print_error(f"{text} (unexpected; --verbose shows where it comes from)")
        return Exit.BUG
    return code if isinstance(code, int) else Exit.OK


def _show_usage_error(error: click.ClickException) -> None:
    """Show what was wrong, how the command is used, and where its help is."""
    import click

    from pyagent_orch.cli.show import print_error, print_text

    # Since click 8.2; the releases before print the help by themselves.
    help_wanted = getattr(click.exceptions, "NoArgsIsHelpError", None)
    if help_wanted is not None and isinstance(error, help_wanted):
        error.show()
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        print_text(f"{context.get_usage()}\nTry '{context.command_path} --help'.", err=True)
    print_error(error.format_message())


def _print_traceback(error: BaseException) -> None:
    from pyagent_orch.cli.show import print_text

    print_text("".join(traceback.format_exception(error)).rstrip(), err=True)


def _drop_output() -> None:
    """Let what is still buffered for the reader that went away go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
