"""Why a cell is going to run or not: the cells of a plan beside the records of a folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.records.cell_spec import bare_name
from graftbench.records.record import Status
from graftbench.records.store import latest as latest_of
from graftbench.suites.code_file import is_of_whole_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from graftbench.records.cell_spec import CellSpec
    from graftbench.records.heads import Head, Software

Files = dict[str, str]
"""Name of a file -> SHA-256 of its contents."""


UNKNOWN_FILES = "files not known"
"""Reason given for a record whose code the folder does not know: it was made before there was a code.json."""


RENEWED = "code (hashed in another way since)"
"""Reason given for a record of an earlier version, whose ids covered whole files: perhaps only the id changed."""


RUN_AGAIN = frozenset({Status.SKIPPED, Status.LOST})
"""Statuses of cells that did not fail themselves: the next run tries them again without being asked."""


NAMES_SHOWN = 6
"""Edited definitions that are named one by one; of more than these, only their files are."""


class State(StrEnum):
    """How a cell stands in a run folder."""

    DONE = "done"
    """Its newest record is `ok`."""
    FAILED = "failed"
    """Its newest record has another status."""
    CHANGED = "changed"
    """It has no record, but another cell in its place has one."""
    NEW = "new"
    """Neither it nor another cell in its place has a record."""


@dataclass(frozen=True)
class CellStatus:
    """How one cell stands.

    Attributes:
        cell: The cell.
        id: Its id.
        state: How it stands.
        why: A phrase; empty for a new cell, and for one that is done with the software that is here.
        runs: The next `graftbench run` runs it without being asked to.
        group: What cells with a similar `why` share: a failed cell's reason is its own, its status is not.
        kinds: What a changed cell differs in: `code`, `parameters`, `data`, `protocol`, `source model`, …
    """

    cell: CellSpec
    id: str
    state: State
    why: str
    runs: bool
    group: str
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explained:
    """How the cells of a plan stand.

    Attributes:
        rows: One per cell, in their order.
        others: Number of records that belong to none of the suite's cells.
        other_software: In what the software of done cells differs -> number of such cells.
    """

    rows: list[CellStatus]
    others: int
    other_software: dict[str, int]


def explain(
    cells: Sequence[CellSpec],
    ids: Sequence[str],
    records: Sequence[Head],
    *,
    here: Software,
    code: Mapping[str, Files],
    suite_ids: Collection[str] | None = None,
    again: Collection[Status] = (),
) -> Explained:
    """Compare cells with records.

    A cell without a record is compared with the newest record in its place: of the same method, task, data budget,
    compute budget and seed.

    Args:
        cells: The cells.
        ids: Their ids.
        records: All of a folder, in the order in which they were written.
        here: The software that cells would be run with.
        code: Code hash -> files, for the cells' hashes and as far as known for the records'.
        suite_ids: Ids of the whole suite, where `cells` are a shard of it.
        again: Statuses whose cells run again without being asked to.
    """
    latest = latest_of(records)
    planned_ids = set(ids if suite_ids is None else suite_ids)
    missing = any(cell_id not in latest for cell_id in ids)
    predecessors = _Predecessors(cells, latest, planned_ids) if missing else None
    software = _Software(here)
    explained: list[CellStatus] = []
    for cell, cell_id in zip(cells, ids, strict=True):
        head = latest.get(cell_id)
        if head is None:
            explained.append(_without_record(cell, cell_id, predecessors and predecessors.of(cell), code))
        elif head.status == Status.OK:
            why = software.remark(head)
            explained.append(CellStatus(cell, cell_id, State.DONE, why, runs=False, group=why))
        else:
            explained.append(_failed(cell, cell_id, head, again))
    remarks = Counter(row.why for row in explained if row.state == State.DONE and row.why)
    return Explained(explained, sum(head.id not in planned_ids for head in records), dict(remarks.most_common()))


class _Predecessors:
    """The records that cells without a record may have replaced.

    Args:
        cells: The plan's.
        latest: Id -> newest record.
        planned: Ids of all cells of the suite: their records have been replaced by nothing.
    """

    def __init__(self, cells: Iterable[CellSpec], latest: Mapping[str, Head], planned: Collection[str]) -> None:
        self._heads: dict[object, list[Head]] = defaultdict(list)
        for cell_id, head in latest.items():
            if cell_id not in planned:
                self._heads[_coordinates(head.cell)].append(head)
        self._planned_data = {(_coordinates(cell), cell.domains) for cell in cells}

    def of(self, cell: CellSpec) -> Head | None:
        """Return the newest record in a cell's place, of the same images if there is one.

        One of images that another planned cell has is no predecessor: two folders of one name are two tasks.
        """
        coordinates = _coordinates(cell)
        heads = self._heads[coordinates]
        same = [head for head in heads if head.cell.domains == cell.domains]
        free = [head for head in heads if (coordinates, head.cell.domains) not in self._planned_data]
        return next(reversed(same or free), None)


def _coordinates(cell: CellSpec) -> tuple[object, ...]:
    """Return a cell's place in the matrix, whatever its code, data and parameters are; equal on every machine."""
    task, names = cell.task, tuple(domain.name for domain in cell.domains)
    return cell.method, task.kind, *names, task.resolution, cell.data_budget, cell.compute_budget, cell.seed


def _without_record(cell: CellSpec, cell_id: str, predecessor: Head | None, code: Mapping[str, Files]) -> CellStatus:
    if predecessor is None:
        return CellStatus(cell, cell_id, State.NEW, "", runs=True, group="")
    phrases = differences(predecessor.cell, cell, code)
    why = "; ".join(phrases.values()) or "its id is made in another way than that of the record in its place"
    return CellStatus(cell, cell_id, State.CHANGED, why, runs=True, group=why, kinds=tuple(phrases))


def _failed(cell: CellSpec, cell_id: str, head: Head, again: Collection[Status]) -> CellStatus:
    runs = head.status in again
    then = "runs again by itself" if runs else f"--retry {head.status} runs it again"
    group = f"{head.status} ({then})"
    reason = " ".join(head.reason.split())
    why = f"{head.status}: {reason} ({then})" if reason else group
    return CellStatus(cell, cell_id, State.FAILED, why, runs=runs, group=group)


def differences(old: CellSpec, new: CellSpec, code: Mapping[str, Files]) -> dict[str, str]:
    """Say in what two cells differ: kind -> a phrase (`lr 0.002 -> 0.003`), for all that makes their ids differ.

    Args:
        old: The record's.
        new: The plan's.
        code: Code hash -> files.
    """
    phrases = {
        "parameters": _fields("parameters", old.parameters, new.parameters),
        "data": _data(old.manifests, new.manifests),
        "protocol": _protocol(old, new),
        "source model": _values("source model", old.source_model or None, new.source_model or None),
    }
    compared = {"code", "parameters", "manifests", "protocol", "source_model", "task"}
    for name in sorted(set(new.__struct_fields__) - compared):
        label = name.replace("_", " ")
        phrases[label] = _values(label, getattr(old, name), getattr(new, name))
    phrases["code"] = _code(old.code, new.code, code)
    return {kind: phrase for kind, phrase in phrases.items() if phrase}


def _code(old: str, new: str, code: Mapping[str, Files]) -> str:
    if old == new:
        return ""
    before, after = code.get(old), code.get(new)
    if before is None or after is None:
        return f"code ({UNKNOWN_FILES})"
    if is_of_whole_files(before) and not is_of_whole_files(after):
        return RENEWED
    edited = [name for name in after if name in before and before[name] != after[name]]
    added = [f"{name} is new" for name in after if name not in before]
    removed = [f"{name} is gone" for name in before if name not in after]
    names = [*edited, *added, *removed]
    if len(names) > NAMES_SHOWN:
        names = sorted({name.partition("::")[0] for name in names})
    return f"code ({', '.join(names) or 'a definition is there once more or once less'})"


def _data(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    if old == new:
        return ""
    before = {bare_name(name, manifest): manifest for name, manifest in old.items()}
    after = {bare_name(name, manifest): manifest for name, manifest in new.items()}
    names = sorted(name for name in before | after if before.get(name) != after.get(name))
    return f"data (the images of {', '.join(names)})" if names else ""


def _protocol(old: CellSpec, new: CellSpec) -> str:
    if old.protocol == new.protocol:
        return ""
    before, after = (msgspec.to_builtins(cell.protocol) for cell in (old, new))
    for fields in (before, after):
        for extractor in filter(None, (fields, fields.get("second"))):
            del extractor["weights"]  # a path; the hash is what counts
            extractor["weights_sha256"] = str(extractor["weights_sha256"])[:12]
    return _fields("protocol", before, after)


def _fields(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Write `parameters (lr 0.002 -> 0.003, ema is new: 0.99)`, or nothing."""
    if old == new:
        return ""
    changed = [
        _values(name, old[name], new[name]) if name in old and name in new else _one_sided(name, old, new)
        for name in dict.fromkeys([*new, *old])
        if name not in old or name not in new or old[name] != new[name]
    ]
    return f"{what} ({', '.join(changed)})" if changed else ""


def _one_sided(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return f"{name} is new: {_shown(new[name])}" if name in new else f"{name} is gone: {_shown(old[name])}"


def _values(name: str, old: object, new: object) -> str:
    """Write `lr 0.002 -> 0.003`; of two lists what came and what went."""
    if old == new:
        return ""
    if isinstance(old, list) and isinstance(new, list):
        moves = [f"+{value}" for value in new if value not in old] + [f"-{value}" for value in old if value not in new]
        return f"{name} {' '.join(moves) or 'in another order'}"
    return f"{name} {_shown(old)} -> {_shown(new)}"


def _shown(value: object) -> str:
    return "none" if value is None else repr(value) if value == "" else str(value)


class _Software:
    """Says in what records were made with other software than is here; thousands of records share few answers."""

    def __init__(self, here: Software) -> None:
        self._here = _versions(here)
        self._remarks: dict[tuple[object, ...], str] = {}

    def remark(self, head: Head) -> str:
        """Write `made with torch 2.10.0 (2.11.0 here)`; empty if all that the record names is the same here."""
        software = head.environment
        key = (software.graftbench, software.python, *software.packages.items())
        if key not in self._remarks:
            self._remarks[key] = self._remark(software)
        return self._remarks[key]

    def _remark(self, software: Software) -> str:
        unlike = [
            f"{name} {version or 'missing'} ({self._here[name] or 'missing'} here)"
            for name, version in _versions(software).items()
            if name in self._here and self._here[name] != version
        ]
        return f"made with {', '.join(unlike)}" if unlike else ""


def _versions(software: Software) -> dict[str, str | None]:
    own = {"graftbench": software.graftbench, "python": software.python}
    return {name: version for name, version in own.items() if version} | software.packages
