"""The command line. One file per command; heavy imports only when a command runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from graftbench.cli.commands import COMMANDS, GROUPS, WITHOUT_IMAGES, WITHOUT_TORCH
from graftbench.plugins.stand_ins import NeedsPackage, active, stand_in

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError
    from rich.panel import Panel

BROKEN_PIPE = 141
"""Exit code where nobody reads the output any more: what a shell shows for a program that SIGPIPE ended."""


def make_app() -> App:
    """Make the application with its commands, none of them imported yet."""
    from cyclopts import App, Parameter

    from graftbench.version import __version__

    app = App(
        name="graftbench",
        help="Measure how well image generators survive being moved to a new domain.",
        version=__version__,
        suppress_keyboard_interrupt=False,  # main says how to go on
        # No --empty-NAME, and no default in the help that is nothing.
        error_formatter=_usage_error,
        default_parameter=Parameter(negative_iterable=(), show_default=_shown_default),
    )
    groups = {"": app}
    for name, command in COMMANDS.items():
        group, _, verb = name.rpartition(" ")
        if group not in groups:
            groups[group] = App(name=group, help=GROUPS[group])
            app.command(groups[group])
        module, function = (group or verb).replace("-", "_"), verb.replace("-", "_")
        examples = "\n".join(f"  {example}" for example in command.examples)
        groups[group].command(
            f"graftbench.cli.{module}:{function}",
            name=verb,
            help=command.summary,
            help_epilogue=f"Examples:\n\n{examples}",
            help_format="plaintext",
        )
    return app


def _usage_error(error: CycloptsError) -> Panel:
    from cyclopts import CycloptsPanel

    from graftbench.cli.failures import visible

    return CycloptsPanel(visible(str(error)))


def _shown_default(value: object) -> str | None:
    return str(value) if isinstance(value, int | float) and value is not False else str(value or "") or None


PACKAGES_THEMSELVES = "GRAFTBENCH_NO_STAND_INS"
"""Environment variable that, set, keeps a command from `stand_ins`."""


def main() -> None:
    """Be the program: run a command, where it can be without importing torch, and end the process.

    Exit codes: those of `run_command`.
    """
    if sys.argv[1:2] and sys.argv[1] in WITHOUT_TORCH and PACKAGES_THEMSELVES not in os.environ:
        stand_in(images=sys.argv[1] not in WITHOUT_IMAGES)
    try:
        run_command()
    except NeedsPackage:
        sys.stdout.flush()
        from graftbench.resources.processes import PYTHON

        os.execve(PYTHON[0], [*PYTHON, *sys.orig_argv[1:]], os.environ | {PACKAGES_THEMSELVES: "1"})  # noqa: S606 - itself


def run_command() -> None:
    """Run a command and exit.

    Exit codes: 0 fine, 1 a regression or a failed check, 2 usage, bad input or what the system refuses, 3 some cells
    failed, 70 a fault of graftbench or of a plugin, 130 interrupted.
    """
    try:
        code = make_app()(sys.argv[1:], result_action="return_value")
    except KeyboardInterrupt:
        print("graftbench: interrupted; the same command goes on where this one stopped.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # whoever read the output has enough of it (`| head`); Python's own flush at exit has none
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except Exception as error:
        from graftbench.cli.failures import report_failure, sentence_of

        if active() and not sentence_of(error):  # a stand-in may be the reason: the command starts anew without
            raise NeedsPackage from error
        sys.exit(report_failure(error))
    sys.exit(code if isinstance(code, int) else 0)
