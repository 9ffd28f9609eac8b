"""When copies %, C_T and AuthPct say that images are near copies of training images, in plain words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FAR_BELOW = -3.0
"""A z below this is called more than chance: new real images come out below it once in 740 times."""

LEAST_COPIES = 0.01
"""The interval of the share of copies lies above this share where another sign speaks of copies."""
ENOUGH_COPIES = 0.10
"""Where it lies above this share it speaks alone: C_T and AuthPct do not see recoloured copies.

Smears read less; of what is no copy averages of two training images alone read more (docs/metrics.md).
"""


def near_copies(
    copying_z: float | None,
    authpct: float | None,
    floor: float | None,
    *,
    n_generated: int,
    n_reference: int,
    copies: float | None = None,
    least_copies: float = 0.0,
) -> str:
    """Say that images are nearer to the training images than new real ones are; empty where that is not said.

    A large share of copies says it alone. Otherwise, where the share is known, it has to agree: C_T and AuthPct fall
    for smears as well, which lie near the mean of the training images.

    Args:
        copying_z: C_T, a z by itself; None where it is not known.
        authpct: Percentage of generated images that are not nearer to a training image than its own neighbour is.
        floor: The same percentage of the reference images. Without it AuthPct says nothing.
        n_generated: Number of images that `authpct` counts.
        n_reference: Number of images that `floor` counts.
        copies: Share of copies; None where it is not known.
        least_copies: The lower end of its interval.
    """
    signs = list(_far_below(copying_z, authpct, floor, n_generated, n_reference))
    if copies is not None:
        if least_copies <= (LEAST_COPIES if signs else ENOUGH_COPIES):
            return ""
        signs.insert(0, f"{100 * copies:.0f} % of them are training images, as they are or changed a little")
    if not signs:
        return ""
    return f"near copies: the images lie nearer to the training images than new real images do ({', '.join(signs)})"


def _far_below(
    copying_z: float | None, authpct: float | None, floor: float | None, n_generated: int, n_reference: int
) -> Iterator[str]:
    if copying_z is not None and copying_z < FAR_BELOW:
        yield f"C_T {copying_z:.1f}, where new images have about 0 and chance ends at {FAR_BELOW:g}".replace("-", "−")
    if authpct is not None and floor is not None and _shares_z(authpct, floor, n_generated, n_reference) < FAR_BELOW:
        yield f"AuthPct {authpct:.0f}, where new images have {floor:.0f}"


def _shares_z(one: float, other: float, n_one: int, n_other: int) -> float:
    """Return the z of two percentages of independent images with their common share; 0 where nothing can be told."""
    if min(n_one, n_other) < 1:
        return 0.0
    pooled = (one * n_one + other * n_other) / (n_one + n_other)
    variance = pooled * (100.0 - pooled) * (1.0 / n_one + 1.0 / n_other)
    return (one - other) / math.sqrt(variance) if variance > 0.0 else 0.0
