"""The reference of Python: which names it has, and in what order. mkdocstrings fills in signatures and docstrings."""

from __future__ import annotations

import graftbench
from graftbench import metrics

_BEFORE = """# Python

What stands here can be relied on. Everything else may change with a release. Names are imported when they are first
used: `import graftbench` costs milliseconds, and torch and pandas are loaded by what needs them.
"""

_SECTIONS = {
    "Runs": {
        "graftbench.execution.driver": ("Summary",),
        "graftbench.records.record": ("Record", "Score", "Resources", "CellSpec", "Status"),
    },
    "What plugins derive from": {
        "graftbench.contracts": ("LatentSampler", "TranslatingSampler", "FitLog", "SourceModel", "Item"),
        "graftbench.errors": ("GraftbenchError", "unknown"),
    },
    "Training": {"graftbench.training.loop": ("train", "prepare", "adam", "descend", "TrainingConfig")},
    "Comparisons": {
        "graftbench.regression.gate": ("compare_runs",),
        "graftbench.regression.history.history": ("read",),
        "graftbench.comparison.aggregate": ("aggregate",),
        "graftbench.comparison.best": ("standings",),
        "graftbench.comparison.budgets": ("data_efficiency",),
        "graftbench.comparison.paired": ("paired", "differences_of"),
        "graftbench.comparison.stats": ("sign_flip_test",),
    },
    "Figures": {"graftbench.plotting": ("budget_curves", "style")},
}
"""Heading -> module -> names beside those of `graftbench` itself."""


def page() -> str:
    """Make the page `reference/python.md`."""
    lazy: dict[str, str] = graftbench._LAZY  # noqa: SLF001 - the list of the public names
    parts = [
        _BEFORE,
        "## `graftbench`",
        *(_entry(f"{module}.{name}", f"graftbench.{name}") for name, module in sorted(lazy.items())),
    ]
    for heading, modules in _SECTIONS.items():
        parts.append(f"## {heading}")
        parts += [_entry(f"{module}.{name}") for module, names in modules.items() for name in names]
    parts.append("## `graftbench.metrics`\n\nFunctions of features, N×D, as NumPy arrays or torch tensors.")
    for module, names in sorted(metrics._LAZY.items()):  # noqa: SLF001 - likewise
        parts += [_entry(f"graftbench.metrics.{module}.{name}", f"graftbench.metrics.{name}") for name in names]
    return "\n\n".join(parts) + "\n"


def _entry(path: str, heading: str = "") -> str:
    """Write the directive of mkdocstrings; `heading` is the name by which one imports it, where that is shorter."""
    return f"::: {path}" + (f"\n    options:\n      heading: {heading}\n" if heading else "")
