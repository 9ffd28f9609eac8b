"""`graftbench doctor`."""

from __future__ import annotations

from graftbench.cli.options import Flag
from graftbench.cli.output import print_json


def doctor(*, imports: Flag = False, json: bool = False) -> int:
    """Check what the suite needs of this machine: versions, devices, counters, cache, load.

    Args:
        imports: Also import torch and torchvision, which takes seconds.
        json: Print a list of objects.
    """
    import dataclasses

    from rich.console import Console
    from rich.table import Table

    from graftbench.cache import cache_folder
    from graftbench.resources.doctor import doctor_checks

    checks = doctor_checks(cache_folder(), imports=imports)
    if json:
        print_json([dataclasses.asdict(check) for check in checks])
        return 0
    table = Table("", "check", "found", "advice")
    for check in checks:
        table.add_row("ok" if check.ok else "!", check.name, check.found, check.advice)
    Console().print(table)
    return 0
