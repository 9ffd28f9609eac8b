"""Names under which domains are printed: no path of anybody's machine, and never one name for two sets of images.

A domain is what its name and its manifest say. Where several with one name meet, the first digits of its manifest
follow each (`folder:train#1a2b3c4d`). Records of earlier versions name paths; they are printed like new ones.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeVar

import msgspec

from graftbench.records.cell_spec import DomainKey, with_digits, without_digits, without_path
from graftbench.records.heads import Head
from graftbench.records.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graftbench.records.cell_spec import CellSpec, TaskSpec

Named = TypeVar("Named", Record, Head)
"""A record, or its head."""

_PATH = re.compile(r"[^:]*:([/~\\]|\.{1,2}([/\\]|$)|[A-Za-z]:[/\\])")


def public_name(domain: str) -> str:
    """Return a domain's name with a path cut to its last part; `hf:owner/name` and other words stay as they are.

    A relative path (`folder:data/cats`) cannot be told from such a word: only a record of an earlier version has one.
    """
    return without_path(domain) if _PATH.match(domain) else domain


def public_task(task: TaskSpec) -> str:
    """Write a task with public names."""
    return str(msgspec.structs.replace(task, source=public_name(task.source), target=public_name(task.target)))


class PrintedNames:
    """The names of the domains of some cells, each a different one.

    Args:
        cells: The cells.
        bare: Cut every path, also one that may be a word (`hf:owner/name`).
    """

    def __init__(self, cells: Iterable[CellSpec], *, bare: bool = False) -> None:
        # Which names each domain was written under.
        written: dict[DomainKey, set[str]] = defaultdict(set)
        for cell in cells:
            for key, name in zip(cell.domains, _sides(cell), strict=True):
                written[key].add(name)
        # One name for each, with digits where another domain has it too or where a cell had them before.
        plain = {
            key: key.name if bare else min((_plain(name, key) for name in names), key=lambda name: (len(name), name))
            for key, names in written.items()
        }
        sharing = Counter((name, key.resolution) for key, name in plain.items())
        self._names = {
            key: with_digits(name, key.manifest)
            if (":" in name and sharing[name, key.resolution] > 1) or _has_digits(written[key], key)
            else name
            for key, name in plain.items()
        }

    def cell(self, cell: CellSpec) -> CellSpec:
        """Return one of the cells with its domains' names; its id stays."""
        names = dict(zip(_sides(cell), (self._names[key] for key in cell.domains), strict=True))
        if all(name == written for written, name in names.items()):
            return cell
        source, target = names[cell.task.source], names[cell.task.target]
        return msgspec.structs.replace(
            cell,
            task=msgspec.structs.replace(cell.task, source=source, target=target),
            manifests={names.get(name, name): sha256 for name, sha256 in cell.manifests.items()},
        )

    def of_suite(self, cells: Iterable[CellSpec]) -> Callable[[TaskSpec], TaskSpec]:
        """Return what gives a suite's task its printed names.

        Args:
            cells: Of the suite: a name in a task means what it meant in the last of them. One that none of them has
                means the only domain of all cells with that name, if there is one.
        """
        meant: dict[tuple[str, int], str] = {}
        alike: dict[tuple[str, int], set[str]] = defaultdict(set)
        for cell in cells:
            for key, name in zip(cell.domains, _sides(cell), strict=True):
                meant[name, key.resolution] = self._names[key]
        for key, name in self._names.items():
            alike[key.name, key.resolution].add(name)

        def named(name: str, resolution: int) -> str:
            only = alike[without_path(name), resolution]
            guess = next(iter(only)) if len(only) == 1 else public_name(name)
            return meant.get((name, resolution), guess)

        return lambda task: msgspec.structs.replace(
            task, source=named(task.source, task.resolution), target=named(task.target, task.resolution)
        )


def _sides(cell: CellSpec) -> tuple[str, str]:
    return cell.task.source, cell.task.target


def _has_digits(names: Iterable[str], key: DomainKey) -> bool:
    return any(without_digits(name, key.manifest) != name for name in names)


def _plain(name: str, key: DomainKey) -> str:
    return public_name(without_digits(name, key.manifest))


def with_printed_names(records: Sequence[Named], *, bare: bool = False) -> list[Named]:
    """Return records that are read together, with their domains' printed names; see `PrintedNames`."""
    names = PrintedNames((record.cell for record in records), bare=bare)
    return [renamed(record, names.cell(record.cell)) for record in records]


def renamed(record: Named, cell: CellSpec) -> Named:
    """Return the record about a cell under other names; what it says of its domains goes with them."""
    if cell is record.cell:
        return record
    if not isinstance(record, Record) or not isinstance(facts := record.environment.get("domains"), dict):
        return msgspec.structs.replace(record, cell=cell)
    names = dict(zip(map(without_path, _sides(record.cell)), _sides(cell), strict=True))
    facts = {names.get(without_path(str(name)), name): value for name, value in facts.items()}
    return msgspec.structs.replace(record, cell=cell, environment=record.environment | {"domains": facts})
