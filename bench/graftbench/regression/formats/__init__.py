"""A comparison as a file: one module a format, each with a `render(comparison) -> str`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from graftbench.errors import unknown

if TYPE_CHECKING:
    from graftbench.regression.results import Comparison

FORMATS = {
    "md": "markdown",
    "json": "plain_json",
    "junit": "junit",
    "action-benchmark": "action_benchmark",
    "action-benchmark-bigger": "action_benchmark_bigger",
    "bmf": "bencher",
}
"""Name on the command line -> module."""


def render(comparison: Comparison, name: str) -> str:
    """Render the comparison in a format.

    Raises:
        GraftbenchError: An unknown format, naming the nearest.
    """
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    return import_module(f"{__name__}.{FORMATS[name]}").render(comparison)
