"""Records arranged for reading: groups of comparable cells, and in them one row per method and data budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import msgspec

from graftbench.comparison.nothing_learnt import SOURCE
from graftbench.comparison.stats import SeedSummary, summarize
from graftbench.comparison.too_few import nothing_ranked
from graftbench.errors import GraftbenchError
from graftbench.metrics.catalogue import is_by_second
from graftbench.records.cell_spec import NO_SOURCE, ComputeBudget, Protocol, TaskSpec, content_hash
from graftbench.records.provenance import is_declared, known_cost, origin_of
from graftbench.records.record import Record, Score, Status

from .numbers import KID, finite
from .text import listing, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graftbench.metrics.catalogue import Metric
    from graftbench.records.cell_spec import Origin
    from graftbench.records.run import Run

Item = TypeVar("Item")
Key = TypeVar("Key")

REFERENCE_FAMILY = "reference"
MARKS = {
    "oracle": "real images that no method has seen, scored like a method: a perfect generator would score this",
    "memorizer": "what copying buys: it replays its training images",
    "source": "the untransferred generator: where every transfer starts",
    "source-flow": "the untransferred flow: where transfers of a flow start",
    "source-vae": "the untransferred VAE: where transfers of a VAE start",
    "source-diffusion": "the untransferred diffusion model: where transfers of one start",
    "source-stylegan2": "the untransferred StyleGAN2: where transfers of one start",
    "source-images": "untouched images of the source: a perfect source model, not transferred",
    "blank": "white images: a method that does not beat them has shown nothing",
    "gaussian": "a Gaussian in pixel space (PCA): what mean and covariance alone buy",
}
"""Name of a reference row -> what its scores mark."""
ON_ANY_DEVICE = frozenset(
    (
        "images_seen",
        "parameters_total",
        "parameters_trained",
        "flops_per_image",
        "flops",
        "sampler_bytes",
        "stored_bytes",
    )
)
"""Costs that do not depend on the device."""
ANOTHER_REFERENCE = frozenset({"source_kid"})
"""Scores against other images than the target's reference."""


@dataclass(frozen=True)
class Row:
    """All seeds of one method (with one set of parameters) at one data budget.

    What is made of the records is kept: tables, figures and the page all ask for the same summaries.

    Attributes:
        label: The method's name, with what tells it from its variants if there are any.
        method: Its registered name.
        family: Its family.
        data_budget: Target training images.
        records: Its cells, by seed.
        missing: How many seeds others have and it has not.
    """

    label: str
    method: str
    family: str
    data_budget: int
    records: tuple[Record, ...]
    missing: int

    @property
    def is_reference(self) -> bool:
        """Return whether it is a reference row, which never competes."""
        return self.family == REFERENCE_FAMILY

    @cached_property
    def ok(self) -> tuple[Record, ...]:
        """Return the cells that ended well."""
        return tuple(record for record in self.records if record.status == Status.OK)

    @cached_property
    def leaks(self) -> bool:
        """Return whether the method was trained with the scoring network: such a row is shown but does not compete."""
        return any(record.leaks for record in self.records)

    @cached_property
    def leaks_second(self) -> bool:
        """Return whether it was trained with the second extractor: it does not compete under that one."""
        return any(record.leaks_second for record in self.records)

    def competes_by(self, metric: Metric) -> bool:
        """Return whether the method was not trained with the network that this metric looks through."""
        return not (self.leaks_second if is_by_second(metric.name) else self.leaks)

    @cached_property
    def origin(self) -> Origin:
        """Return who made its generators: the suite (empty), a foreign program, or somebody elsewhere."""
        for record in self.records:
            if origin := origin_of(record):
                return origin
        return ""

    @cached_property
    def source_models(self) -> frozenset[str]:
        """Return the ids of the source models that its cells start from; of the row `source`, those that it is."""
        return frozenset(record.cell.source_model for record in self.records if record.cell.source_model)

    @cached_property
    def is_transfer(self) -> bool:
        """Return whether the method started from a source model."""
        return not self.is_reference and bool(self.source_models)

    def started_elsewhere(self, source: Row) -> bool:
        """Return whether the method started from another source model than the row `source` is: a flow, a VAE."""
        known = self.is_transfer and bool(source.source_models)
        return known and self.source_models.isdisjoint(source.source_models)

    def by_seed(self, metric: Metric) -> dict[int, float]:
        """Return seed -> score in the metric's printed scale, where it is defined."""
        values = ((seed, finite(score.value)) for seed, score in self._scores.get(metric.name, ()))
        return {seed: value * metric.scale for seed, value in values if value is not None}

    def summary(self, metric: Metric) -> SeedSummary | None:
        """Summarise a score over seeds, in its printed scale; None where no seed has a value."""
        key = metric.name, metric.scale
        if key not in self._summaries:
            values = self.by_seed(metric)
            self._summaries[key] = summarize(list(values.values())) if values else None
        return self._summaries[key]

    def cost(self, name: str) -> SeedSummary | None:
        """Summarise a field of the resources over the cells that ended well.

        None where no cell has it, and of what depends on the device where the fits were measured on several kinds.
        """
        if name not in self._costs:
            costs = [finite(known_cost(record, name)) for record in self.ok]
            values = [float(value) for value in costs if value is not None]
            if name not in ON_ANY_DEVICE and len(self.devices) > 1:
                values = []
            self._costs[name] = summarize(values) if values else None
        return self._costs[name]

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Return the names of the devices on which its fits were measured."""
        return tuple(devices(record for record in self.ok if not is_declared(record, "device")))

    def declared(self, name: str) -> tuple[Record, ...]:
        """Return the cells that ended well whose cost of that name was declared, not measured."""
        return tuple(record for record in self.ok if is_declared(record, name))

    def undefined(self, metric: Metric) -> list[str]:
        """Return why the score has no value, once for each reason."""
        undefined = [score for _, score in self._scores.get(metric.name, ()) if finite(score.value) is None]
        return list(dict.fromkeys(score.undefined or "no reason was recorded" for score in undefined))

    @cached_property
    def _scores(self) -> dict[str, list[tuple[int, Score]]]:
        """Return name -> (seed, score) of each cell that ended well; of two scores of one name in a cell the first."""
        scores: dict[str, list[tuple[int, Score]]] = {}
        for record in self.ok:
            for name, score in {score.name: score for score in reversed(record.scores)}.items():
                scores.setdefault(name, []).append((record.cell.seed, score))
        return scores

    @cached_property
    def _summaries(self) -> dict[tuple[str, float], SeedSummary | None]:
        """Keep the results of `summary`."""
        return {}

    @cached_property
    def _costs(self) -> dict[str, SeedSummary | None]:
        """Keep the results of `cost`."""
        return {}

    @property
    def endings(self) -> dict[str, int]:
        """Return status, or `missing` -> number of seeds that ended so, in the order of `Status`; no zeros."""
        counts = Counter(str(record.status) for record in self.records)
        endings = {str(status): counts[status] for status in Status} | {"missing": self.missing}
        return {status: count for status, count in endings.items() if count}

    @property
    def outcome(self) -> str:
        """Return `2` where all seeds ended well; else what became of each: `1 of 2 ok, 1 of 2 diverged`."""
        total = len(self.records) + self.missing
        if len(self.ok) == total:
            return str(total)
        return ", ".join(f"{count} of {total} {status}" for status, count in self.endings.items())


@dataclass(frozen=True)
class Group:
    """Cells whose numbers compare: one task, one protocol, one compute budget, the same target images.

    Attributes:
        task: Source, target, resolution.
        protocol: How they were scored.
        compute_budget: What each fit could spend.
        key: Hash of all that the group shares, eight digits: tells apart groups whose titles are alike.
        rows: By data budget, then by KID, rows without it last.
    """

    task: TaskSpec
    protocol: Protocol
    compute_budget: ComputeBudget
    key: str
    rows: tuple[Row, ...]

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Return all its cells."""
        return tuple(record for row in self.rows for record in row.records)

    @cached_property
    def scores(self) -> dict[str, list[Score]]:
        """Return name -> that score of every cell that has it."""
        return grouped((score for record in self.records for score in record.scores), lambda score: score.name)

    @cached_property
    def floors(self) -> dict[str, tuple[float, float]]:
        """Return name -> lowest and highest floor of that score, as recorded; none for a score without one."""
        ends = {}
        for name, scores in self.scores.items():
            floors = [floor for score in scores if (floor := finite(score.floor)) is not None]
            if floors:
                ends[name] = (min(floors), max(floors))
        return ends

    @cached_property
    def methods(self) -> tuple[Row, ...]:
        """Return the rows that compete."""
        return tuple(row for row in self.rows if not row.is_reference)

    @cached_property
    def references(self) -> tuple[Row, ...]:
        """Return the reference rows, which mark floors and ceilings."""
        return tuple(row for row in self.rows if row.is_reference)

    def own_source(self, row: Row) -> Row | None:
        """Return the reference row at a row's data budget that is the source model it started from; None without one.

        Of a row, or a row `source`, whose source model is not known it is `source`.
        """
        at_budget = [each for each in self.references if each.data_budget == row.data_budget]
        shared = [each for each in at_budget if each.source_models & row.source_models]
        unknown = [each for each in at_budget if each.method == SOURCE and not row.started_elsewhere(each)]
        return next(iter(shared + unknown), None)

    def methods_at(self, data_budget: int) -> list[Row]:
        """Return the rows that compete at a data budget."""
        return [row for row in self.methods if row.data_budget == data_budget]

    @property
    def method_budgets(self) -> list[int]:
        """Return the data budgets of the rows that compete, ascending."""
        return sorted({row.data_budget for row in self.methods})

    @property
    def labels(self) -> list[str]:
        """Return the labels of the rows that compete, each once, in alphabetical order."""
        return sorted({row.label for row in self.methods})

    @property
    def budgets(self) -> list[int]:
        """Return the data budgets of all rows, ascending."""
        return sorted({row.data_budget for row in self.rows})

    @property
    def seeds(self) -> list[int]:
        """Return the seeds of all cells, ascending."""
        return sorted({record.cell.seed for record in self.records})

    @property
    def n_generated(self) -> set[int]:
        """Return the numbers of generated images that its scores stand on; scores that need none are left out."""
        return {score.n_generated for scores in self.scores.values() for score in scores if score.n_generated}

    @property
    def n_reference(self) -> set[int]:
        """Return the numbers of target images that its scores stand on; scores that need none of them are left out."""
        return {
            score.n_reference
            for scores in self.scores.values()
            for score in scores
            if score.n_reference and score.name not in ANOTHER_REFERENCE
        }

    @property
    def too_few(self) -> str:
        """Say that its reference images are too few to rank anything; empty where they are enough."""
        return nothing_ranked(max(self.n_reference, default=0))

    @property
    def task_title(self) -> str:
        """Return `twemoji → openmoji at 32×32`, with the kind before it where it is not plain generation."""
        names = one_line(named(self.task))
        return f"{names} at {self.task.resolution}×{self.task.resolution}"

    @property
    def title(self) -> str:
        """Return task, compute budget and protocol."""
        return f"{self.task_title}, {self.compute_budget}, {self.protocol.label}"


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Gather the items that share a key: key -> its items, both in order of appearance."""
    lists: dict[Key, list[Item]] = {}
    for item in items:
        lists.setdefault(key(item), []).append(item)
    return lists


def named(task: TaskSpec) -> str:
    """Return `twemoji → openmoji`, or `colorize: openmoji` where the task has a kind and no source."""
    transfer = f"{task.source} → {task.target}"
    if task.kind == "generate":
        return transfer
    return f"{task.kind}: {transfer if task.source != NO_SOURCE else task.target}"


def _protocol_key(protocol: Protocol) -> dict[str, object]:
    fields = msgspec.to_builtins(protocol)
    for extractor in filter(None, (fields, fields.get("second"))):
        del extractor["weights"]  # where the file lies does not matter, what it is does
    return fields


def _group_key(record: Record) -> str:
    cell = record.cell
    target = cell.manifests.get(cell.task.target, "")
    return content_hash([cell.task, _protocol_key(cell.protocol), cell.compute_budget, target])


def _variant_key(record: Record) -> str:
    """Return what tells two rows of one method apart. Within it seeds are repetitions; across it they are not."""
    cell = record.cell
    return content_hash([cell.method, cell.family, cell.shown_parameters, cell.source_model, cell.manifests, cell.code])


def _differing(variants: Sequence[Record]) -> list[str]:
    """Name the parameters in which the variants of a method differ, given one record of each."""
    settings = [record.cell.shown_parameters for record in variants]
    names = sorted({name for parameters in settings for name in parameters})
    return [name for name in names if len({content_hash(parameters.get(name)) for parameters in settings}) > 1]


def _labels(variants: dict[str, list[Record]]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for method, keys in grouped(variants, lambda key: variants[key][0].cell.method).items():
        differing = _differing([variants[key][0] for key in keys])
        for key in keys:
            parameters = variants[key][0].cell.shown_parameters
            values = [f"{name}={msgspec.json.encode(parameters.get(name)).decode()}" for name in differing]
            difference = "" if len(keys) == 1 else f" ({', '.join(values) or f'version {key[:8]}'})"
            labels[key] = one_line(method + difference) or "(no name)"
    clashes = Counter(labels.values())
    return {key: label if clashes[label] == 1 else f"{label} {key[:8]}" for key, label in labels.items()}


def _rank(row: Row) -> tuple[object, ...]:
    kid = row.summary(KID)
    return (row.data_budget, not row.ok, kid is None, kid.mean if kid else 0.0, row.label)


def _rows(records: Sequence[Record], *, complete: bool) -> tuple[Row, ...]:
    variants = grouped(records, _variant_key)
    competing = [record.cell for record in records if record.cell.family != REFERENCE_FAMILY and not complete]
    expected = {(cell.data_budget, cell.seed) for cell in competing}
    rows = [row for key, label in _labels(variants).items() for row in _rows_of_variant(label, variants[key], expected)]
    return tuple(sorted(rows, key=_rank))


def _rows_of_variant(label: str, records: Sequence[Record], expected: set[tuple[int, int]]) -> list[Row]:
    """Make a row a data budget; `expected`: the (data budget, seed) of all methods, which reference rows need not."""
    cell = records[0].cell
    recorded = {(record.cell.data_budget, record.cell.seed) for record in records}
    missing = set() if cell.family == REFERENCE_FAMILY else expected - recorded
    return [
        Row(
            label=label,
            method=one_line(cell.method),
            family=one_line(cell.family),
            data_budget=budget,
            records=tuple(
                sorted((r for r in records if r.cell.data_budget == budget), key=lambda r: (r.cell.seed, r.id))
            ),
            missing=sum(missing_budget == budget for missing_budget, _ in missing),
        )
        for budget in sorted({budget for budget, _ in recorded | missing})
    ]


def groups(run: Run) -> list[Group]:
    """Return the run's records as comparable groups, a task, compute budget and protocol each.

    Tasks stand in the order of the suite; where it is not known, or does not name them, in that in which the first cell
    of each ended, for a run takes cells in its suite's order.

    Seeds that others have and a method has not are counted as missing, unless the run is known to be complete. The
    groups are kept with the run, as a cached property would be: every report begins here.

    Raises:
        GraftbenchError: The run has no records.
    """
    records = tuple(run.records)
    cached = vars(run).get("_groups")
    if cached is None or cached[0] != records:
        cached = vars(run)["_groups"] = (records, _groups(run))
    return list(cached[1])


def _groups(run: Run) -> list[Group]:
    if not run.records:
        raise GraftbenchError(f"The run '{run.name}' has no records; a report needs at least one finished cell.")
    complete = 0 < run.expected <= len(run.records)
    groups_of_run = []
    for key, records in grouped(run.records, _group_key).items():
        cell = records[0].cell
        rows = _rows(records, complete=complete)
        groups_of_run.append(Group(cell.task, cell.protocol, cell.compute_budget, key[:8], rows))
    named_tasks = {task: i for i, task in enumerate(run.tasks)}

    def position(group: Group) -> tuple[object, ...]:
        ends = [record.finished_at for record in group.records if record.finished_at]
        place = named_tasks.get(str(group.task), len(named_tasks))
        return place, min(ends, default=""), str(group.task), group.title, group.key

    return sorted(groups_of_run, key=position)


def titles(all_groups: Iterable[Group]) -> dict[str, str]:
    """Return key -> title; where two titles are alike the key is appended."""
    by_key = {group.key: group.title for group in all_groups}
    counts = Counter(by_key.values())
    return {key: title if counts[title] == 1 else f"{title}, set {key}" for key, title in by_key.items()}


def outcome(run: Run) -> str:
    """Say in a sentence how many results there are, of how many expected ones, and how they ended."""
    counts = Counter(str(record.status) for record in run.records)
    ok, total = counts.pop(str(Status.OK), 0), len(run.records)
    of = f" of {run.expected:,}" if run.expected > total else ""
    results = f"{total:,}{of} {'result' if total == 1 and not of else 'results'}"
    if not counts:
        return f"{results}; all ended well."
    parts = [f"{counts[str(status)]:,} {status}" for status in Status if counts[str(status)]]
    return f"{results}; {ok:,} ended well, {listing(parts)}."


def mixed_protocols(all_groups: Sequence[Group]) -> str:
    """Say that the groups were scored under more than one protocol; else empty."""
    count = len({content_hash(_protocol_key(group.protocol)) for group in all_groups})
    if count < 2:
        return ""
    return (
        f"These records were scored under {count} protocols. Numbers of two protocols do not compare: "
        "each has tables and figures of its own."
    )


def several_devices_note(rows: Iterable[Row]) -> str:
    """Say which rows were measured on devices of several kinds; empty where none was."""
    labels: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if len(row.devices) > 1:
            labels.setdefault(row.devices, []).append(row.label)
    return " ".join(
        f"Run on {listing(list(names))}, so that what depends on the device has no mean: "
        f"{listing(list(dict.fromkeys(methods)))}."
        for names, methods in labels.items()
    )


def has_any(rows: Iterable[Row], cost: str) -> bool:
    """Return whether any cell that ended well has a cost of that name, whether or not its row has a mean."""
    return any(finite(known_cost(record, cost)) is not None for row in rows for record in row.ok)


def devices(records: Iterable[Record]) -> list[str]:
    """Name the devices that the cells ran on; what was only declared says so."""
    names = {
        f"{record.resources.device}{' (declared)' if is_declared(record, 'device') else ''}"
        for record in records
        if record.resources is not None and record.resources.device
    }
    return sorted(names)
