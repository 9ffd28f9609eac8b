"""The input of every metric: matrices of finite features, from NumPy or torch, checked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    import torch

Array: TypeAlias = NDArray[np.float64]
FeatureMatrix: TypeAlias = "NDArray[Any] | torch.Tensor"

LARGEST = 1e20
"""Features beyond this are refused: the squared cubic kernel of two of them would leave float64's range (1e308)."""


def to_numpy(values: FeatureMatrix) -> NDArray[Any]:
    """Return a torch tensor (any device, any float type) or an array as a NumPy array, without importing torch."""
    detach = getattr(values, "detach", None)  # torch's way to say "without the graph"; arrays have none
    if detach is None:
        return np.asarray(values)
    tensor = detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()  # NumPy has no bfloat16


def matrix(values: FeatureMatrix, what: str) -> Array:
    """Return features as a float64 matrix N×D, a copy, checked as in `checked`."""
    return checked(values, what).astype(np.float64)


def checked(values: FeatureMatrix, what: str) -> NDArray[Any]:
    """Check that features are a matrix N×D of finite numbers; return it in its own type, not copied.

    Args:
        values: N×D numbers, any real type.
        what: What they are, for the message ("generated features").

    Raises:
        GraftbenchError: Not a matrix of real numbers, no columns, NaN, infinite or absurdly large entries.
    """
    try:
        array = to_numpy(values)
    except ValueError as error:  # rows of different lengths
        raise GraftbenchError(f"The {what} are no matrix of numbers ({error}).") from error
    if array.ndim != 2:
        raise GraftbenchError(f"The {what} must be a matrix N×D; found the shape {array.shape}.")
    if array.shape[1] == 0:
        raise GraftbenchError(f"The {what} have no columns (shape {array.shape}).")
    if array.dtype.kind not in "fiub":
        raise GraftbenchError(f"The {what} must be real numbers; found the type {array.dtype}.")
    peak = max(float(array.max(initial=0)), -float(array.min(initial=0)))  # NaN if there is one
    if not np.isfinite(peak):
        rows = np.flatnonzero(~np.isfinite(array).all(axis=1))
        raise GraftbenchError(
            f"The {what} hold NaN or infinite entries in {rows.size} of {array.shape[0]} rows (first in row {rows[0]})."
        )
    if peak > LARGEST:
        raise GraftbenchError(f"The {what} reach {peak:.3g}; expected at most {LARGEST:g}.")
    return array


def pair(generated: FeatureMatrix, other: FeatureMatrix, what: str = "reference") -> tuple[Array, Array]:
    """Return features M×D of generated images and N×D of others as float64 copies, checked as in `checked`.

    Args:
        generated: M×D.
        other: N×D.
        what: What the other images are, for the message ("training").

    Raises:
        GraftbenchError: Unusable features, or widths that differ.
    """
    x, y = matrix(generated, "generated features"), matrix(other, f"{what} features")
    check_widths(x.shape[1], y.shape[1], what)
    return x, y


def check_widths(generated: int, other: int, what: str = "reference") -> None:
    """Check that both sides come from one extractor.

    Raises:
        GraftbenchError: The widths differ.
    """
    if generated != other:
        raise GraftbenchError(
            f"The generated features are {generated} wide and the {what} features {other}; "
            "both must come from one extractor."
        )


def unit_rows(features: Array) -> Array:
    """Scale rows to length 1. The largest entry is divided out first, so that no square underflows."""
    scaled = features / np.abs(features).max(axis=1, keepdims=True)
    return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


def zero_rows(features: NDArray[Any], what: str) -> str:
    """Return the reason why directions of features are undefined, or "" if no row is 0."""
    zero = int((~features.any(axis=1)).sum())
    return f"{zero} of {len(features)} {what} feature vectors are 0, which has no direction" if zero else ""


def too_few(needed: int, n_generated: int, n_reference: int | None, why: str) -> str:
    """Return the reason why a metric is undefined for so few images, or "" if there are enough."""
    sides = [(n_generated, "generated"), (n_reference, "reference")]
    few = " and ".join(f"{n} {side}" for n, side in sides if n is not None and n < needed)
    return f"{why} needs at least {needed} images; found {few}" if few else ""
