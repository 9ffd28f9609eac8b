"""Which points of a history belong together, and what their steps mean: worse or better, between which commits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from graftbench.regression.history.history import SeriesKey, short
from graftbench.regression.history.steps import find, relative
from graftbench.regression.measures import DEFAULT, MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.regression.history.history import HistoryEntry, Value
    from graftbench.regression.history.steps import Drift, Segmentation, Step
    from graftbench.regression.measures import Measure


@dataclass(frozen=True)
class SeriesPoint:
    """A run in a series.

    Attributes:
        commit: Of the run.
        date: Of the run, ISO 8601.
        value: The measure; None where the run has none.
    """

    commit: str
    date: str
    value: Value | None


@dataclass(frozen=True)
class LevelChange:
    """A step that somebody minds.

    Attributes:
        step: Where and from what to what.
        worse: Its size as a share, above zero worse.
        old: Last commit of the old level.
        new: First commit of the new level.
        date: Of the first run of the new level.
        skipped: Runs between the two that have no value.
    """

    step: Step
    worse: float
    old: str
    new: str
    date: str
    skipped: int

    @property
    def commits(self) -> str:
        """Return `0123456789..abcdef0123`: the change came with a commit after the first, up to the second."""
        return f"{short(self.old)}..{short(self.new)}"


@dataclass(frozen=True)
class Series:
    """One measure of one method, task and budget over time, on comparable runs.

    Attributes:
        key: What was run.
        measure: What was measured.
        scope: For costs the hardware, for scores and counts a mark of protocol and images; empty where the history
            has but one.
        points: In time, from the first run with a value to the last one; runs without one in between are kept.
    """

    key: SeriesKey
    measure: Measure
    scope: str
    points: tuple[SeriesPoint, ...]

    @cached_property
    def segmentation(self) -> Segmentation:
        """Return levels, steps and drift, whatever their size."""
        means = [None if point.value is None else point.value.mean for point in self.points]
        return find(means, exact=self.measure.kind == "work")

    @property
    def latest(self) -> SeriesPoint:
        """Return the newest point; it has a value."""
        return self.points[-1]

    @cached_property
    def steps(self) -> tuple[LevelChange, ...]:
        """Return the steps of at least the measure's threshold."""
        changes = map(self._change, self.segmentation.steps)
        return tuple(change for change in changes if abs(change.worse) >= self.measure.threshold)

    def _change(self, step: Step) -> LevelChange:
        old, new = self.points[step.last], self.points[step.first]
        worse = -self.measure.better * step.size
        return LevelChange(step, worse, old.commit, new.commit, new.date, step.first - step.last - 1)

    @property
    def drift(self) -> Drift | None:
        """Return the drift, if over all runs it comes to the measure's threshold."""
        drift = self.segmentation.drift
        return drift if drift is not None and abs(drift.size) >= self.measure.threshold else None

    @property
    def drift_worse(self) -> float:
        """Return the drift as a share over all runs, above zero worse; 0 if there is none."""
        return 0.0 if self.drift is None else -self.measure.better * self.drift.size

    @property
    def too_few(self) -> bool:
        """Return whether the runs are too few to look for a step (`steps.LEAST`), so that nothing can be judged."""
        return self.segmentation.sigma is None

    @property
    def raw_change(self) -> float:
        """Return the change from the first run to the latest as a share, above zero worse, whatever explains it."""
        values = [point.value.mean for point in self.points if point.value is not None]
        return -self.measure.better * relative(values[0], values[-1])

    @property
    def changed(self) -> bool:
        """Return whether there is a step or a drift that somebody minds."""
        return bool(self.steps) or self.drift is not None

    @cached_property
    def lost(self) -> float:
        """Return by which share the fit ends worse than it ever was before; 0 if below the measure's threshold.

        A step for the worse that a later one made good is no loss, and small steps add up.
        """
        levels = self.segmentation.levels
        if not levels:
            return 0.0
        end = levels[-1].end
        before = [value for level in levels for value in (level.start, level.end)]
        lost = max(-self.measure.better * relative(value, end) for value in before)
        return lost if lost >= self.measure.threshold else 0.0


def series_of(
    entries: Sequence[HistoryEntry], measures: Iterable[Measure] | None = None, *, methods: Iterable[str] = ()
) -> list[Series]:
    """Return all series of a history, the greatest loss first, then those that changed, then in the order of the file.

    Costs of other hardware are other series, never joined. Scores and counts are one series over all hardware, but
    other protocols and other images are other series. Of several lines of a commit on the same hardware the last one
    counts for each series that it has.

    Args:
        entries: In time, as `history.read` gives them.
        measures: Which ones, each with its threshold; the gate's by default.
        methods: Which ones, by their names without parameters; all by default.

    Raises:
        GraftbenchError: A line names a series that is none.
    """
    chosen = tuple(measures or (MEASURES[name] for name in DEFAULT))
    method_names = set(methods)
    hardware = [entry.machine for entry in entries]
    if len(set(hardware)) == 1:
        hardware = [""] * len(entries)
    keys = {text: SeriesKey.parse(text) for entry in entries for text in entry.series}
    all_series = []
    for text, key in keys.items():
        if method_names and name_of(key.method) not in method_names:
            continue
        by_kind = {True: _by_hardware(entries, hardware, text), False: _by_conditions(entries, text, key.task)}
        for measure in chosen:
            for scope, group in by_kind[measure.kind == "cost"].items():
                points = _points(group, text, measure)
                if points:
                    all_series.append(Series(key, measure, scope, points))
    return sorted(all_series, key=lambda series: (-series.lost, not series.changed))


def name_of(method: str) -> str:
    """Return the method's name without the parameters of its variant."""
    return method.partition(" (")[0]


def _by_hardware(entries: Sequence[HistoryEntry], hardware: Sequence[str], text: str) -> dict[str, list[HistoryEntry]]:
    """Map hardware that has run the series to its runs, those without the series too."""
    runs = list(zip(entries, hardware, strict=True))
    machines = dict.fromkeys(machine for entry, machine in runs if text in entry.series)
    return {machine: [entry for entry, on in runs if on == machine] for machine in machines}


def _by_conditions(entries: Sequence[HistoryEntry], text: str, task: str) -> dict[str, list[HistoryEntry]]:
    """Map protocol and images of the series to its runs, those without it too; of a single one the name is empty."""
    marks = dict.fromkeys((entry.protocol, entry.images.get(task, "")) for entry in entries if text in entry.series)
    groups = {
        (protocol, images): [
            entry for entry in entries if entry.protocol == protocol and entry.images.get(task, images) == images
        ]
        for protocol, images in marks
    }
    if len(groups) == 1:
        return {"": next(iter(groups.values()))}
    return {f"protocol {protocol[:6]}, images {images[:6]}": group for (protocol, images), group in groups.items()}


def _points(entries: Sequence[HistoryEntry], text: str, measure: Measure) -> tuple[SeriesPoint, ...]:
    values = [entry.series.get(text, {}).get(measure.name) for entry in entries]
    measured = [i for i, value in enumerate(values) if value is not None]
    if not measured:
        return ()
    span = range(measured[0], measured[-1] + 1)
    return tuple(SeriesPoint(entries[i].commit, entries[i].date, values[i]) for i in span)
