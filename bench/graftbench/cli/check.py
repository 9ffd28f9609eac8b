"""`graftbench check`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from graftbench.cli.options import LONGEST_SECONDS, between
from graftbench.cli.output import print_json

if TYPE_CHECKING:
    from graftbench.checks.check import Result
    from graftbench.checks.child import Plugin
    from graftbench.checks.parent import CheckedPlugins

MARKS = {"passed": "ok", "failed": "FAILED", "does not apply": "-", "not made": "?"}


def check(
    *targets: Annotated[str, Parameter(name="TARGET")],
    seconds: Annotated[float, Parameter(validator=between(0, LONGEST_SECONDS))] = 120,
    argument: str = "",
    json: bool = False,
) -> int:
    """Check plugins against their contract and say in words what is wrong.

    Nothing is downloaded; a method is fitted a few times on twelve images, with a budget of ten. Each target is
    imported in a process of its own: what crashes or hangs there is told like any other fault. Exit code 0: all is
    well. 1: a check failed. 2: a target is not there, cannot be imported or has no plugin in it.

    Args:
        targets: Python files, folders of them, TOML files of variants, or package.module:Class. The exit code is 1
            where a check failed, and 2 where a target cannot be imported or has no plugin in it.
        seconds: Limit of one check; a fit that does not end by then is ended.
        argument: For domains that take one: what a suite writes behind the colon.
        json: Print an object with all results.
    """
    from graftbench.checks.parent import CheckedPlugins, Listener
    from graftbench.checks.parent import check as check_target
    from graftbench.errors import GraftbenchError

    if not targets:
        raise GraftbenchError("Nothing was named to check: a file, a folder, or package.module:Class.")
    listener = (
        Listener()
        if json
        else Listener(
            found=lambda plugin: print(f"\n{plugin.kind} {plugin.name} ({plugin.where})", flush=True),
            made=_print_result,
            preparing=lambda subject: print(f"preparing {subject}", file=sys.stderr, flush=True),
        )
    )
    checked = CheckedPlugins()
    for target in targets:
        checked_target = check_target(target, argument=argument, seconds=seconds, listener=listener)
        checked.results |= checked_target.results
        checked.unusable |= checked_target.unusable
    if json:
        plugins = [
            {"kind": plugin.kind, "name": plugin.name, "where": plugin.where, "results": results}
            for plugin, results in checked.results.items()
        ]
        print_json({"failed": checked.failed, "plugins": plugins, "unusable": checked.unusable})
    else:
        _print_summaries(checked)
    return 2 if checked.unusable else int(checked.failed)


def _print_result(_: Plugin, result: Result) -> None:
    reason = f": {result.why}" if result.why else ""
    print(f"  {MARKS[result.status]:<6}  {result.check}{reason}", flush=True)
    for fault in result.faults:
        print(f"            found     {fault.found}")
        print(f"            expected  {fault.expected}")
        print(f"            mend      {fault.mend}", flush=True)
    for line in result.trace.rstrip().splitlines():
        print(f"            | {line}", flush=True)


def _print_summaries(checked: CheckedPlugins) -> None:
    from graftbench.checks.check import summary

    print()
    for plugin, results in checked.results.items():
        print(summary(plugin.name, results))
    for target, reason in checked.unusable.items():
        print(f"graftbench: {target}: {reason.rstrip('.')}.", file=sys.stderr)
