"""graftbench: a benchmark and evaluation suite for transfer-learned image generators.

>>> import graftbench
>>> graftbench.run("quick", "runs/quick")  # doctest: +SKIP
>>> graftbench.load("runs/quick")          # doctest: +SKIP
>>> graftbench.evaluate("samples/", "domain:openmoji@32/reference")["kid"]  # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.version import __version__ as __version__

if TYPE_CHECKING:
    from graftbench.budget import Meter as Meter
    from graftbench.comparison.methods import compare_methods as compare_methods
    from graftbench.comparison.table import load as load
    from graftbench.comparison.versus import versus as versus
    from graftbench.contracts import Domain as Domain
    from graftbench.contracts import DomainImages as DomainImages
    from graftbench.contracts import Method as Method
    from graftbench.contracts import Reference as Reference
    from graftbench.contracts import Report as Report
    from graftbench.contracts import Sampler as Sampler
    from graftbench.contracts import Task as Task
    from graftbench.execution.add_samples import add_samples as add_samples
    from graftbench.execution.driver import run as run
    from graftbench.execution.trackers.base import Tracker as Tracker
    from graftbench.records.run import Run as Run
    from graftbench.report import write_report as write_report
    from graftbench.scoring.evaluate import evaluate as evaluate
    from graftbench.suites.export import export_task as export_task

# In a checkout the plugin folders lie beside `bench/`, not inside the package; an installed wheel has them inside.
_CHECKOUT = Path(__file__).resolve().parents[2]
if (_CHECKOUT / "methods").is_dir() and (_CHECKOUT / "pyproject.toml").is_file():
    __path__.append(str(_CHECKOUT))

_LAZY = {
    **dict.fromkeys(
        ("Domain", "DomainImages", "Method", "Reference", "Report", "Run", "Sampler", "Task"), "graftbench.contracts"
    ),
    "Meter": "graftbench.budget",
    "Tracker": "graftbench.execution.trackers.base",
    "add_samples": "graftbench.execution.add_samples",
    "compare_methods": "graftbench.comparison.methods",
    "evaluate": "graftbench.scoring.evaluate",
    "export_task": "graftbench.suites.export",
    "load": "graftbench.comparison.table",
    "run": "graftbench.execution.driver",
    "versus": "graftbench.comparison.versus",
    "write_report": "graftbench.report",
}


def __getattr__(name: str) -> object:
    """Import what is asked for only then: `graftbench --help` must not pay for pandas or torch."""
    if name not in _LAZY:
        raise AttributeError(f"module 'graftbench' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_LAZY[name]), name)
