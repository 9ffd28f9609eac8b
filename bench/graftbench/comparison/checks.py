"""Check arguments of this package's functions: finite arrays, levels, names of ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def finite(values: ArrayLike, what: str, ndim: int) -> NDArray[np.float64]:
    """Return the values as float64, of `ndim` dimensions.

    Raises:
        GraftbenchError: Another number of dimensions, no values, or one that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        raise GraftbenchError(f"Expected {what} as a {ndim}-dimensional array that is not empty; found {array.shape}.")
    if not np.isfinite(array).all():
        raise GraftbenchError(f"Expected {what} to be finite numbers; {int((~np.isfinite(array)).sum())} are not.")
    return array


def check_level(level: float, of: str = "an interval") -> None:
    """Refuse a level that is none.

    Raises:
        GraftbenchError: A level outside 0 to 1, or at an end.
    """
    if not 0 < level < 1:
        raise GraftbenchError(f"The level of {of} lies strictly between 0 and 1; found {level}.")


def per_task(tasks: Sequence[ArrayLike], ndim: int = 1) -> list[NDArray[np.float64]]:
    """Return one array a task, seeds along the first axis; tasks may have unequal numbers of seeds.

    Raises:
        GraftbenchError: No task, a task with fewer than two seeds (nothing is known of their spread), or bad values.
    """
    if len(tasks) == 0:
        raise GraftbenchError("No tasks were given; an interval over seeds needs at least one.")
    arrays = [finite(task, f"the values of task {index}", ndim) for index, task in enumerate(tasks)]
    for index, array in enumerate(arrays):
        if len(array) < 2:
            raise GraftbenchError(f"Task {index} has one seed; an interval over seeds needs at least two in each task.")
    return arrays
