"""Which cell of the new run answers to which of the base."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import content_hash, without_path
from graftbench.records.provenance import HANDED_IN, origin_of
from graftbench.records.record import Record, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.records.cell_spec import CellSpec, Protocol

Series = tuple[str, str, int, str, str]
"""Label of the method, task, data budget, compute budget, protocol: cells that differ in the seed alone."""


@dataclass(frozen=True)
class Pair:
    """A cell on both sides.

    Attributes:
        series: What it is a repetition of.
        seed: The base's seed.
        base: The base's records: one, or one a repeat.
        new: The new run's, likewise.
    """

    series: Series
    seed: int
    base: tuple[Record, ...]
    new: tuple[Record, ...]

    @property
    def method(self) -> str:
        """The method's name, with what tells it from its variants if a run has several."""
        return self.series[0]

    @property
    def task(self) -> str:
        """The task as text."""
        return self.series[1]

    @property
    def data_budget(self) -> int:
        """Target training images."""
        return self.series[2]

    def __str__(self) -> str:
        return _cell_name(self.series, self.seed)


@dataclass(frozen=True)
class Matched:
    """Two runs, cell by cell.

    Attributes:
        pairs: Cells that ended well on both sides.
        failing: Cells that ended well in the base and not in the new run.
        mended: The other way round.
        still_failing: Cells that ended well on neither side.
        vanished: Cells of the base that the new run has not.
        appeared: Cells of the new run that the base has not.
        notes: What a reader should know of the matching, in sentences.
    """

    pairs: tuple[Pair, ...]
    failing: tuple[Pair, ...] = ()
    mended: tuple[Pair, ...] = ()
    still_failing: tuple[Pair, ...] = ()
    vanished: tuple[str, ...] = ()
    appeared: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


_Side = dict[Series, dict[int, list[Record]]]
"""Series -> seed -> records (one a repeat)."""


def match(base: Sequence[Sequence[Record]], new: Sequence[Sequence[Record]]) -> Matched:
    """Pair the cells of two runs; cells match by method, task, both budgets and seed.

    A method that has one set of parameters on each side matches whatever they are: a changed default is a change to be
    judged. Of several sets (variants in one run) only equal ones match. Where a series has no seed in common, seeds
    are paired in their order, which is as good: seeds are drawn at random on both sides.

    Args:
        base: Records of each repeat of the base run; mostly there is one.
        new: Likewise.

    Raises:
        GraftbenchError: A side is empty; protocols or data differ (naming how); no cell is common to both.
    """
    for name, runs in (("base", base), ("new run", new)):
        if not any(runs):
            raise GraftbenchError(f"The {name} has no records: there is nothing to compare.")
    _same_conditions(_cells(base), _cells(new))
    variants = (_variants(_cells(base)), _variants(_cells(new)))
    remade = _remade(base, new)
    notes = [
        *remade.values(),
        *_changed_parameters(*({m: v for m, v in side.items() if m not in remade} for side in variants)),
        *_changed_sources(*([cell for cell in _cells(side) if cell.method not in remade] for side in (base, new))),
    ]
    sides = [_side(runs, variants, notes) for runs in (base, new)]
    matched: dict[str, list[Any]] = defaultdict(list)
    for series in dict.fromkeys((*sides[0], *sides[1])):
        _match_series(series, sides[0].get(series, {}), sides[1].get(series, {}), matched, notes)
    if not any(matched[fate] for fate in ("pairs", "failing", "mended", "still_failing")):
        raise GraftbenchError(f"The runs have no cell in common. {_nearest(*sides)}")
    return Matched(**{name: tuple(found) for name, found in matched.items()}, notes=tuple(dict.fromkeys(notes)))


def _cells(runs: Iterable[Iterable[Record]]) -> list[CellSpec]:
    return [record.cell for run in runs for record in run]


# ------------------------------------------------------------------------------------------------------ conditions


def _same_conditions(base: list[CellSpec], new: list[CellSpec]) -> None:
    """Refuse what cannot be compared: other protocols, other pixels."""
    protocols = [
        {content_hash(fields := _conditions(cell.protocol)): fields for cell in cells} for cells in (base, new)
    ]
    if protocols[0].keys() != protocols[1].keys():
        raise GraftbenchError(
            f"The runs were scored under different protocols ({_difference(*protocols)}); numbers of two protocols do "
            "not compare. Run one of them again under the other's protocol, or save a new baseline."
        )
    pixels = [_pixels(cells) for cells in (base, new)]
    changed = sorted(name for name in pixels[0].keys() & pixels[1].keys() if pixels[0][name] != pixels[1][name])
    if changed:
        images = ", ".join(f"{name} at {resolution} px" for name, resolution in changed)
        raise GraftbenchError(
            f"The images of {images} are not the same in both runs (other pixels, splits or ids), so their scores do "
            "not compare. Install the versions that the base was made with, or save a new baseline."
        )


def _pixels(cells: Iterable[CellSpec]) -> dict[tuple[str, int], set[str]]:
    """(domain, resolution) -> hashes of its images."""
    found: dict[tuple[str, int], set[str]] = defaultdict(set)
    for cell in cells:
        for name, sha256 in cell.manifests.items():
            found[without_path(name), cell.task.resolution].add(sha256)
    return found


def _conditions(protocol: Protocol) -> dict[str, Any]:
    """The protocol without what changes no number: which metrics are computed, and where the weights lie."""
    fields = msgspec.to_builtins(protocol)
    return {name: value for name, value in fields.items() if name not in {"metrics", "weights"}}


def _difference(base: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> str:
    old = next(fields for key, fields in base.items() if key not in new) if base.keys() - new.keys() else None
    late = next(fields for key, fields in new.items() if key not in base) if new.keys() - base.keys() else None
    if old is None or late is None:
        side, other = ("base", "new run") if old is not None else ("new run", "base")
        extra = old or late or {}
        found = f"{extra['extractor']}@{extra['size']}, n = {extra['n_generated']}"
        return f"the {side} has {found}, which the {other} has not"
    return "; ".join(f"{name}: base {old[name]!r}, new {late[name]!r}" for name in old if old[name] != late[name])


# -------------------------------------------------------------------------------------------------------- matching


_Variants = dict[str, dict[str, dict[str, Any]]]
"""Method -> hash of its parameters -> the parameters."""


def _side(runs: Iterable[Iterable[Record]], variants: tuple[_Variants, _Variants], notes: list[str]) -> _Side:
    side: _Side = defaultdict(lambda: defaultdict(list))
    replaced = 0
    for run in runs:
        newest: dict[tuple[Series, int], Record] = {}
        for record in sorted(run, key=lambda record: record.finished_at):
            place = _series(record.cell, variants), record.cell.seed
            replaced += place in newest
            newest[place] = record
        for (series, seed), record in newest.items():
            side[series][seed].append(record)
    if replaced:
        notes.append(f"{replaced} records were left out: later ones of the same cells, of other code, replace them.")
    return side


def _series(cell: CellSpec, variants: tuple[_Variants, _Variants]) -> Series:
    protocol = content_hash(_conditions(cell.protocol))
    return _label(cell, variants), str(cell.task), cell.data_budget, str(cell.compute_budget), protocol


def _changed_parameters(base: _Variants, new: _Variants) -> list[str]:
    """A sentence for each method that has one set of parameters on each side, and not the same."""
    notes = []
    for method in base.keys() & new.keys():
        if len(base[method]) == len(new[method]) == 1:
            (old,), (late,) = base[method].values(), new[method].values()
            names = [name for name in dict.fromkeys((*old, *late)) if old.get(name) != late.get(name)]
            if names:
                changes = ", ".join(f"{name} {old.get(name)!r} → {late.get(name)!r}" for name in names)
                notes.append(f"Parameters of {method} differ: {changes}.")
    return sorted(notes)


def _changed_sources(base: Iterable[CellSpec], new: Iterable[CellSpec]) -> list[str]:
    """A sentence if a method starts from other source models."""
    sides: list[dict[str, set[str]]] = [defaultdict(set), defaultdict(set)]
    for side, cells in zip(sides, (base, new), strict=True):
        for cell in cells:
            side[cell.method].add(cell.source_model)
    changed = sorted(method for method in sides[0].keys() & sides[1].keys() if sides[0][method] != sides[1][method])
    return [f"Source models differ, of {', '.join(changed)}."] if changed else []


def _remade(base: Iterable[Iterable[Record]], new: Iterable[Iterable[Record]]) -> dict[str, str]:
    """Method -> a sentence, where it was submitted on one side and fitted on the other."""
    sides: list[dict[str, set[bool]]] = [defaultdict(set), defaultdict(set)]
    for side, runs in zip(sides, (base, new), strict=True):
        for record in (record for run in runs for record in run):
            side[record.cell.method].add(origin_of(record) == HANDED_IN)
    notes = {}
    for method, old in sorted(sides[0].items()):
        late = sides[1].get(method, old)
        if late != old:
            where = "new run" if True in late and old != {True} else "base"
            notes[method] = f"{method} was made elsewhere in the {where}: scores are compared, costs are not."
    return notes


def _variants(cells: Iterable[CellSpec]) -> _Variants:
    found: _Variants = defaultdict(dict)
    for cell in cells:
        found[cell.method][content_hash(cell.shown_parameters)] = cell.shown_parameters
    return found


def _label(cell: CellSpec, variants: tuple[_Variants, _Variants]) -> str:
    """The method, and where a run has several variants of it the parameters in which this one differs."""
    sets = [side.get(cell.method, {}) for side in variants]
    if all(len(found) <= 1 for found in sets):
        return cell.method
    every = {**sets[0], **sets[1]}.values()
    telling = [
        f"{name}={value!r}"
        for name, value in cell.shown_parameters.items()
        if any(other.get(name) != value for other in every)
    ]
    return f"{cell.method} ({', '.join(telling)})" if telling else cell.method


def _match_series(
    series: Series,
    base: dict[int, list[Record]],
    new: dict[int, list[Record]],
    matched: dict[str, list[Any]],
    notes: list[str],
) -> None:
    if base and new and not base.keys() & new.keys():
        couples = list(zip(sorted(base), sorted(new), strict=False))
        notes.append("Seeds of base and new run differ; they are paired in their order.")
    else:
        couples = [(seed, seed) for seed in sorted(base.keys() & new.keys())]
    gone, fresh = base.keys() - {old for old, _ in couples}, new.keys() - {late for _, late in couples}
    matched["vanished"] += [_cell_name(series, seed) for seed in sorted(gone)]
    matched["appeared"] += [_cell_name(series, seed) for seed in sorted(fresh)]
    for old, late in couples:
        pair = Pair(series, old, tuple(base[old]), tuple(new[late]))
        matched[_fate(pair)].append(pair)


def _cell_name(series: Series, seed: int) -> str:
    return f"{series[0]} {series[1]} n={series[2]} seed={seed}"


def _fate(pair: Pair) -> str:
    before, after = (all(record.status == Status.OK for record in side) for side in (pair.base, pair.new))
    if before:
        return "pairs" if after else "failing"
    return "mended" if after else "still_failing"


def _nearest(base: _Side, new: _Side) -> str:
    """What differs, in words: the parts of the series that have nothing in common."""
    parts = ("methods", "tasks", "data budgets", "compute budgets")
    told = []
    for i, part in enumerate(parts):
        old, late = ({str(series[i]) for series in side} for side in (base, new))
        if not old & late:
            told.append(f"{part}: base {', '.join(sorted(old)[:5])}; new {', '.join(sorted(late)[:5])}")
    return "They differ in " + "; ".join(told) + "." if told else "Each part occurs on both sides, but no combination."
