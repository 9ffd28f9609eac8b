"""From how many reference images on scores can rank anything: docs/data.md has the measurement behind the number."""

from __future__ import annotations

LEAST_REFERENCE = 30
"""Reference images below which nothing is ranked."""

LEAST_ORACLE = 40
"""Held-out real images below which an oracle is withheld: replayed, so few of them score worse than they are."""


def nothing_ranked(n_reference: int) -> str:
    """Say that so few reference images rank nothing; empty where they are enough, or where there are none to count."""
    if not 0 < n_reference < LEAST_REFERENCE:
        return ""
    images = "1 reference image" if n_reference == 1 else f"{n_reference} reference images"
    return (
        f"Nothing can be ranked here: with {images} the interval of a score can be wider than the difference "
        f"between real images and an untransferred source; at least {LEAST_REFERENCE} are needed."
    )
