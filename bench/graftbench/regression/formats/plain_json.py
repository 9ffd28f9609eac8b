"""The comparison as JSON: every field of `graftbench.regression.results.Comparison`, and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from graftbench.regression.results import Comparison


def render(comparison: Comparison) -> str:
    """Render an object, indented."""
    fields = {"code": comparison.code} | msgspec.to_builtins(comparison)
    return msgspec.json.format(msgspec.json.encode(fields)).decode() + "\n"
