"""`graftbench new method`, `graftbench new domain` and `graftbench new report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from graftbench.plugins.scaffold import Kind, MethodStart


def method(name: str, *, family: Literal["scratch", "fine-tune"] = "scratch", out: Path = Path()) -> int:
    """Write a method that works, with comments to learn from, and its test.

    Args:
        name: Lower-case letters, digits and hyphens: my-method becomes my_method.py with class MyMethod.
        family: scratch: from fresh weights; fine-tune: from a source model, as in a suite of transfer.
        out: Folder; made if need be. In a checkout of graftbench, `--out methods` makes it one of the suite's own, with
            its test in tests/methods.
    """
    return _write("method", name, out, family)


def domain(name: str, *, out: Path = Path()) -> int:
    """Write a domain that works, with comments to learn from, and its test.

    Args:
        name: Lower-case letters, digits and hyphens: my-domain becomes my_domain.py with class MyDomain.
        out: Folder; made if need be. In a checkout of graftbench, `--out datasets` makes it one of the suite's own,
            with its test in tests/datasets.
    """
    return _write("domain", name, out)


def report(name: str, *, out: Path = Path()) -> int:
    """Write a report that works, with comments to learn from, and its test.

    Args:
        name: Lower-case letters, digits and hyphens: my-report becomes my_report.py with class MyReport.
        out: Folder; made if need be. In a checkout of graftbench, `--out reports` makes it one of the suite's own, with
            its test in tests/reports.
    """
    return _write("report", name, out)


USE = {
    "method": "graftbench run quick --out runs/{name} --methods finetune,{name}",
    "domain": "graftbench data show {name}",
    "report": "graftbench report runs/quick",
}
"""Kind -> a command that uses the new plugin."""


def _write(kind: Kind, name: str, out: Path, family: MethodStart = "scratch") -> int:
    from graftbench.plugins.scaffold import write

    plugin, test = map(_relative, write(kind, name, out, family))
    option = f" --plugin {plugin}" if plugin.parent == test.parent else ""
    print(f"{plugin}\n{test}\n")
    if kind == "method":
        print("Fill in its `reference`: whose it is and what it is called. Otherwise it works as it is. To look at it:")
    else:
        print("It works as it is. To look at it:")
    print(f"  graftbench check {plugin}\n  python -m pytest {test}")
    print(f"  {USE[kind].format(name=name)}{option}")
    return 0


def _relative(path: Path) -> Path:
    """Return a path relative to the current folder, if it lies below."""
    absolute, current = path.resolve(), Path.cwd()
    return absolute.relative_to(current) if absolute.is_relative_to(current) else path
