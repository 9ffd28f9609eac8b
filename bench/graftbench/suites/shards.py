"""The order in which a plan's cells run, and the parts of a plan for machines that share nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.records.cell_spec import CellSpec


def longest_first(cells: Sequence[CellSpec]) -> list[CellSpec]:
    """Return the cells with large images first and reference rows last: they are short and fill the gaps at the end."""
    return sorted(cells, key=_length)


def shard(cells: Sequence[CellSpec], k: int, n: int) -> list[CellSpec]:
    """Return the k-th of n parts of a plan's cells, counted from 1, in the plan's order.

    Like cells (of one method at one resolution) are put side by side, long ones first, and dealt out in turn: shards
    differ by at most one cell of each kind, whatever n is. Dealt out in the order in which they run, a suite of eight
    methods on four machines would give each machine the cells of two methods alone. What is dealt follows from the
    suite, so that machines that never speak to each other agree.

    Raises:
        GraftbenchError: There is no such part.
    """
    if not 1 <= k <= n:
        raise GraftbenchError(f"There is no shard {k} of {n}; the first is 1, the last {n}.")
    alike = sorted(range(len(cells)), key=lambda i: (*_length(cells[i]), cells[i].method))
    return [cells[i] for i in sorted(alike[k - 1 :: n])]


def parse_shard(text: str) -> tuple[int, int]:
    """Read `3/8` as (3, 8): the third of eight.

    Raises:
        GraftbenchError: Another form, or a number out of range.
    """
    k, slash, n = text.strip().partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise GraftbenchError(f"A shard is written K/N with K from 1 to N (3/8: the third of eight); found '{text}'.")
    return int(k), int(n)


def _length(cell: CellSpec) -> tuple[bool, int]:
    """Return a key that sorts the longest cells first, as far as the suite alone can tell."""
    return cell.family == "reference", -cell.task.resolution
