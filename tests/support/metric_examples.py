"""Sets of features whose scores are known to six digits: good ones, and four that fail in different ways."""

from __future__ import annotations

import numpy as np


def reference() -> np.ndarray:
    """The real images: 300 standard normal rows."""
    return np.random.default_rng(0).normal(size=(300, 16))


def _sets() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    real, same = rng.normal(size=(300, 16)), rng.normal(size=(200, 16))
    return {
        "same": same,
        "shift": rng.normal(0.5, 1.0, (200, 16)),
        "half": np.vstack((same[:100], same[100:] + 50.0)),
        "copies": np.repeat(real[:10], 20, axis=0),
        "ident": real,
    }


SETS = _sets()
"""Name -> generated images: drawn alike, shifted, half of them garbage, copies of ten, and the real images."""
