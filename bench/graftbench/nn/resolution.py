"""The resolutions that the networks can make and judge."""

from __future__ import annotations


def sides(resolution: int) -> list[int]:
    """Return the sides 4, 8, …, resolution that a network of up- or downsampling blocks passes through.

    Raises:
        ValueError: The resolution is no 4·2^k with k ≥ 1.
    """
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"a network's resolution is 4·2^k (8, 16, 32, 64, …); found {resolution}")
    return [2**k for k in range(2, resolution.bit_length())]
