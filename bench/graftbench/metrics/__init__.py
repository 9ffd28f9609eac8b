"""Metrics of generated images: pure functions of features, each usable without the rest of the suite.

>>> import numpy as np
>>> from graftbench.metrics import fid
>>> features = np.eye(3)
>>> round(fid(features, features + 1.0).value, 9)
3.0

Features are NumPy arrays or torch tensors; torch is imported by nothing but the extractors, and only when one is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graftbench.metrics.estimate import Estimate as Estimate
    from graftbench.metrics.frechet import Moments as Moments
    from graftbench.metrics.frechet import fid as fid
    from graftbench.metrics.inception import inception_score as inception_score
    from graftbench.metrics.kernel import kid as kid
    from graftbench.metrics.kernel import kid_subsets as kid_subsets

_LAZY = {
    "Estimate": "graftbench.metrics.estimate",
    "Moments": "graftbench.metrics.frechet",
    "fid": "graftbench.metrics.frechet",
    "inception_score": "graftbench.metrics.inception",
    "kid": "graftbench.metrics.kernel",
    "kid_subsets": "graftbench.metrics.kernel",
}


def __getattr__(name: str) -> object:
    """Import a metric, and with it SciPy, only when it is asked for (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module 'graftbench.metrics' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only the lazy names need it

    return getattr(import_module(_LAZY[name]), name)
