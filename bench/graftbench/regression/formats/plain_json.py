"""The comparison as JSON: every field of `graftbench.regression.results.Comparison`, and the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from graftbench.regression.results import Comparison


def render(found: Comparison) -> str:
    """Render an object, indented."""
    fields = {"code": found.code} | msgspec.to_builtins(found)
    return msgspec.json.format(msgspec.json.encode(fields)).decode() + "\n"
