"""The matching of two runs: which cell of the new run answers to which of the base."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graftbench.comparison.protocols import scoring_fields
from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import SAMPLES, bare_name, content_hash
from graftbench.records.domain_names import PrintedNames, renamed
from graftbench.records.provenance import HANDED_IN, origin_of
from graftbench.records.record import Record, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.records.cell_spec import CellSpec

Series = tuple[str, str, int, str, str]
"""Label of the method, task, data budget, compute budget, protocol: cells that differ in the seed alone."""


Place = tuple[str, int, str, str]
"""All of a series but the method."""


def place_of(cell: CellSpec) -> Place:
    """Return a cell's task, data budget, compute budget and protocol, as a series has them."""
    protocol = content_hash(scoring_fields(cell.protocol))
    return str(cell.task), cell.data_budget, str(cell.compute_budget), protocol


@dataclass(frozen=True)
class Pair:
    """A cell on both sides.

    Attributes:
        series: The series of which the cell is a repetition.
        seed: The base's seed.
        base: The base's records: one, or one a repeat.
        new: The new run's records, likewise.
    """

    series: Series
    seed: int
    base: tuple[Record, ...]
    new: tuple[Record, ...]

    @property
    def method(self) -> str:
        """Return the method's name, with what tells it from its variants if a run has several."""
        return self.series[0]

    @property
    def task(self) -> str:
        """Return the task as text."""
        return self.series[1]

    @property
    def data_budget(self) -> int:
        """Return the number of target training images."""
        return self.series[2]

    def __str__(self) -> str:
        return _cell_name(self.series, self.seed)


@dataclass(frozen=True)
class Matched:
    """Two runs, cell by cell.

    Attributes:
        pairs: Cells that ended well on both sides.
        failing: Cells that ended well in the base and not in the new run.
        mended: Cells that ended well in the new run and not in the base.
        still_failing: Cells that ended well on neither side.
        vanished: Cells of the base that the new run has not.
        appeared: Cells of the new run that the base has not.
        notes: Remarks on the matching, in sentences.
        base: All records of the base, under the names of the pairs.
    """

    pairs: tuple[Pair, ...]
    failing: tuple[Pair, ...] = ()
    mended: tuple[Pair, ...] = ()
    still_failing: tuple[Pair, ...] = ()
    vanished: tuple[str, ...] = ()
    appeared: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    base: tuple[Record, ...] = ()


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
    _check_images(_cells(base), _cells(new))
    # one name for each domain: a path of another machine names the same images here
    names = PrintedNames((*_cells(base), *_cells(new)))
    base, new = ([[renamed(record, names.cell(record.cell)) for record in run] for run in runs] for runs in (base, new))
    base_cells, new_cells = _cells(base), _cells(new)
    _check_protocols(base_cells, new_cells)
    # sentences on what differs between the sides; a method of which one side was made elsewhere gets no other
    variants = (_variants(base_cells), _variants(new_cells))
    made_elsewhere = _made_elsewhere(base, new)
    fitted = [[cell for cell in cells if cell.method not in made_elsewhere] for cells in (base_cells, new_cells)]
    notes = [
        *made_elsewhere.values(),
        *_changed_parameters(*map(_variants, fitted)),
        *_changed_sources(*fitted),
    ]
    # cells by series and seed, then series by series
    base_side, new_side = (_side(runs, variants, notes) for runs in (base, new))
    matched: dict[str, list[Any]] = defaultdict(list)
    for series in dict.fromkeys((*base_side, *new_side)):
        _match_series(series, base_side.get(series, {}), new_side.get(series, {}), matched, notes)
    renamed_notes = _renamed_methods(base, new)
    notes += renamed_notes
    if not any(matched[fate] for fate in ("pairs", "failing", "mended", "still_failing")):
        sentences = ["The runs have no cell in common.", _nearest(base_side, new_side), *renamed_notes]
        raise GraftbenchError(" ".join(sentences))
    return Matched(
        **{fate: tuple(cells) for fate, cells in matched.items()},
        notes=tuple(dict.fromkeys(notes)),
        base=tuple(record for run in base for record in run),
    )


def _cells(runs: Iterable[Iterable[Record]]) -> list[CellSpec]:
    return [record.cell for run in runs for record in run]


# ------------------------------------------------------------------------------------------------------ conditions


def _check_protocols(base: list[CellSpec], new: list[CellSpec]) -> None:
    """Refuse runs that were scored under different protocols."""
    base_protocols, new_protocols = (
        {content_hash(fields := scoring_fields(cell.protocol)): fields for cell in cells} for cells in (base, new)
    )
    if base_protocols.keys() != new_protocols.keys():
        raise GraftbenchError(
            f"The runs were scored under different protocols ({_difference(base_protocols, new_protocols)}); numbers "
            "of two protocols do not compare. Run one of them again under the other's protocol, or save a new baseline."
        )


def _difference(base: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> str:
    """Return in words how the protocols of two runs differ: the first of each run that the other has not."""
    old = next((fields for key, fields in base.items() if key not in new), None)
    late = next((fields for key, fields in new.items() if key not in base), None)
    if old and late:
        return "; ".join(
            f"{name}: base {old.get(name, 'not set')!r}, new {late.get(name, 'not set')!r}"
            for name in dict.fromkeys((*old, *late))
            if old.get(name) != late.get(name)
        )
    side, other = ("base", "new run") if old else ("new run", "base")
    extra = old or late or {}
    return f"the {side} has {extra['extractor']}@{extra['size']}, n = {extra['n_generated']}, which the {other} has not"


def _check_images(base: list[CellSpec], new: list[CellSpec]) -> None:
    """Refuse runs on other pixels, splits or ids."""
    base_hashes, new_hashes = _image_hashes(base), _image_hashes(new)
    changed = []
    for name, resolution in sorted(base_hashes.keys() & new_hashes.keys()):
        old, late = base_hashes[name, resolution], new_hashes[name, resolution]
        # of several folders of one name some may be on one side alone
        if not old & late if ":" in name else old != late:
            changed.append((name, resolution))
    if changed:
        images = ", ".join(f"{name} at {resolution} px" for name, resolution in changed)
        raise GraftbenchError(
            f"The images of {images} are not the same in both runs (other pixels, splits or ids), so their scores do "
            "not compare. Install the versions that the base was made with, or save a new baseline."
        )


def _image_hashes(cells: Iterable[CellSpec]) -> dict[tuple[str, int], set[str]]:
    """Map (domain, resolution) to the hashes of its images."""
    hashes: dict[tuple[str, int], set[str]] = defaultdict(set)
    for cell in cells:
        for name, sha256 in cell.manifests.items():
            hashes[bare_name(name, sha256), cell.task.resolution].add(sha256)
    return hashes


# ------------------------------------------------------------------------------------- what differs, in sentences


_Variants = dict[str, dict[str, dict[str, Any]]]
"""Method -> hash of its parameters -> the parameters."""


def _variants(cells: Iterable[CellSpec]) -> _Variants:
    variants: _Variants = defaultdict(dict)
    for cell in cells:
        variants[cell.method][content_hash(cell.shown_parameters)] = cell.shown_parameters
    return variants


def _made_elsewhere(base: Iterable[Iterable[Record]], new: Iterable[Iterable[Record]]) -> dict[str, str]:
    """Map each method that was submitted on one side and fitted on the other to a sentence that says so."""
    submitted: list[dict[str, set[bool]]] = [defaultdict(set), defaultdict(set)]
    for side, runs in zip(submitted, (base, new), strict=True):
        for record in (record for run in runs for record in run):
            side[record.cell.method].add(origin_of(record) == HANDED_IN)
    notes = {}
    for method, old in sorted(submitted[0].items()):
        late = submitted[1].get(method, old)
        if late != old:
            side_name = "new run" if True in late and old != {True} else "base"
            notes[method] = f"{method} was made elsewhere in the {side_name}: scores are compared, costs are not."
    return notes


def _changed_parameters(base: _Variants, new: _Variants) -> list[str]:
    """Return a sentence for each method that has one set of parameters on each side, and not the same."""
    notes = []
    for method in base.keys() & new.keys():
        if len(base[method]) == len(new[method]) == 1:
            (old,), (late,) = base[method].values(), new[method].values()
            names = [name for name in dict.fromkeys((*old, *late)) if old.get(name) != late.get(name)]
            if names:
                changes = ", ".join(f"{name} {old.get(name)!r} → {late.get(name)!r}" for name in names)
                notes.append(f"Parameters of {method} differ: {changes}.")
    return sorted(notes)


def _renamed_methods(base: Iterable[Iterable[Record]], new: Iterable[Iterable[Record]]) -> list[str]:
    """Return a sentence for each method of one side that the other side has under another name: a renamed variant."""
    sides = [{cell.method: cell for cell in _cells(runs)} for runs in (base, new)]
    notes = []
    for old in (cell for name, cell in sides[0].items() if name not in sides[1]):
        same = [name for name, late in sides[1].items() if name not in sides[0] and _is_renamed(old, late)]
        notes += [
            f"{old.method} of the base and {name} of the new run are the same method with the same parameters: if it "
            "was renamed, run it under one name, for methods are matched by name."
            for name in same
        ]
    return notes


def _is_renamed(old: CellSpec, late: CellSpec) -> bool:
    methods = {cell.variant_of or cell.method for cell in (old, late)}
    return len(methods) == 1 and SAMPLES not in methods and old.shown_parameters == late.shown_parameters


def _changed_sources(base: Iterable[CellSpec], new: Iterable[CellSpec]) -> list[str]:
    """Return a sentence if a method starts from other source models."""
    sources: list[dict[str, set[str]]] = [defaultdict(set), defaultdict(set)]
    for side, cells in zip(sources, (base, new), strict=True):
        for cell in cells:
            side[cell.method].add(cell.source_model)
    old, late = sources
    changed = sorted(method for method in old.keys() & late.keys() if old[method] != late[method])
    return [f"Source models differ, of {', '.join(changed)}."] if changed else []


# -------------------------------------------------------------------------------------------------------- matching


def _side(runs: Sequence[Sequence[Record]], variants: tuple[_Variants, _Variants], notes: list[str]) -> _Side:
    """Sort the records of one side by series and seed; of several of one cell in a run the newest counts."""
    side: _Side = defaultdict(lambda: defaultdict(list))
    replaced = 0
    for run in runs:
        newest = {}
        for record in sorted(run, key=lambda record: record.finished_at):
            series = (_label(record.cell, variants), *place_of(record.cell))
            newest[series, record.cell.seed] = record
        replaced += len(run) - len(newest)
        for (series, seed), record in newest.items():
            side[series][seed].append(record)
    if replaced:
        notes.append(f"{replaced} records were left out: later ones of the same cells, of other code, replace them.")
    return side


def _label(cell: CellSpec, variants: tuple[_Variants, _Variants]) -> str:
    """Return the method, and where a run has several variants of it the parameters in which this one differs."""
    base, new = (side.get(cell.method, {}) for side in variants)
    if len(base) <= 1 and len(new) <= 1:
        return cell.method
    parameter_sets = {**base, **new}.values()
    telling = [
        f"{name}={value!r}"
        for name, value in cell.shown_parameters.items()
        if any(parameters.get(name) != value for parameters in parameter_sets)
    ]
    return f"{cell.method} ({', '.join(telling)})" if telling else cell.method


def _match_series(
    series: Series,
    base: dict[int, list[Record]],
    new: dict[int, list[Record]],
    matched: dict[str, list[Any]],
    notes: list[str],
) -> None:
    """Pair the seeds of one series and sort the pairs into `matched` by how they ended."""
    common = base.keys() & new.keys()
    seed_pairs = [(seed, seed) for seed in sorted(common)]
    if base and new and not common:
        seed_pairs = list(zip(sorted(base), sorted(new), strict=False))
        notes.append("Seeds of base and new run differ; they are paired in their order.")
    vanished, appeared = base.keys() - {old for old, _ in seed_pairs}, new.keys() - {late for _, late in seed_pairs}
    matched["vanished"] += [_cell_name(series, seed) for seed in sorted(vanished)]
    matched["appeared"] += [_cell_name(series, seed) for seed in sorted(appeared)]
    for old, late in seed_pairs:
        pair = Pair(series, old, tuple(base[old]), tuple(new[late]))
        before, after = (all(record.status == Status.OK for record in side) for side in (pair.base, pair.new))
        fate = ("pairs" if after else "failing") if before else ("mended" if after else "still_failing")
        matched[fate].append(pair)


def _cell_name(series: Series, seed: int) -> str:
    return f"{series[0]} {series[1]} n={series[2]} seed={seed}"


def _nearest(base: _Side, new: _Side) -> str:
    """Return in words which parts of the series have nothing in common."""
    differences = []
    for i, part in enumerate(("methods", "tasks", "data budgets", "compute budgets")):
        old, late = ({str(series[i]) for series in side} for side in (base, new))
        if not old & late:
            differences.append(f"{part}: base {', '.join(sorted(old)[:5])}; new {', '.join(sorted(late)[:5])}")
    if not differences:
        return "Each part occurs on both sides, but no combination."
    return f"They differ in {'; '.join(differences)}."
