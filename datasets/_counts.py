"""What domains say when a published set of images has another number of them than its authors state."""

from __future__ import annotations

import warnings


def warn_of_count(name: str, count: int, expected: int, *, about: bool = False) -> None:
    """Warn when a data set has another number of images than its authors state; it is used all the same.

    Args:
        name: The domain.
        count: Images found, damaged ones included.
        expected: Images stated.
        about: The authors state it roughly: a difference of up to a tenth is not worth a word.
    """
    if abs(count - expected) > (expected // 10 if about else 0):
        stated = f"about {expected:,}" if about else f"{expected:,}"
        warnings.warn(
            f"'{name}' has {count:,} images here; its authors state {stated}. Scores on it do not compare with theirs.",
            UserWarning,
            stacklevel=3,
        )
