"""Which points belong together, and what their steps mean."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from graftbench.regression.history import words
from graftbench.regression.history.history import FILE, HistoryEntry, Value, read
from graftbench.regression.history.page import render
from graftbench.regression.history.series import series_of
from graftbench.regression.measures import MEASURES, parse_measures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KID = (MEASURES["kid"],)


def stepped(n: int = 20, place: int = 12, size: float = 0.5) -> list[float]:
    """One, then more, with a little noise."""
    noise = 0.02 * np.random.default_rng(0).standard_normal(n)
    return list(1 + noise + size * (np.arange(n) >= place))


def test_a_step_names_its_commits(entry: Callable[..., HistoryEntry]) -> None:
    """The last commit of the old level and the first of the new one; higher KID is worse."""
    entries = [entry(i, {"kid": value}) for i, value in enumerate(stepped())]
    (series,) = series_of(entries, KID)
    (change,) = series.steps
    assert (change.old, change.new, change.date) == (entries[11].commit, entries[12].commit, entries[12].date)
    assert change.commits == "000000000b..000000000c"
    # 2 (1.5 - 1) / 2.5 = 0.4; the levels are means of 12 and 8 points of noise 0.02.
    assert change.worse == pytest.approx(0.4, abs=0.02)
    assert series.lost == pytest.approx(change.worse, abs=1e-9)
    levels = (words.number(series.measure, level) for level in (change.step.before, change.step.after))
    assert words.changes(series) == [f"39 % worse at 000000000b..000000000c ({' → '.join(levels)})"]


def test_the_direction_is_the_measures(entry: Callable[..., HistoryEntry]) -> None:
    """More images per second are better."""
    name = "sampling_images_per_second"
    (series,) = series_of([entry(i, {name: 100 * value}) for i, value in enumerate(stepped())], (MEASURES[name],))
    assert series.steps[0].worse < 0
    assert (series.lost, series.changed) == (0, True)


def test_small_steps_are_not_told(entry: Callable[..., HistoryEntry]) -> None:
    """Below the measure's threshold nobody minds; with a lower one it is a step."""
    entries = [entry(i, {"kid": value}) for i, value in enumerate(stepped(size=0.08))]
    (series,) = series_of(entries, KID)
    assert (len(series.segmentation.steps), series.steps, series.changed) == (1, (), False)
    assert len(series_of(entries, parse_measures(["kid=5%"]))[0].steps) == 1


def test_a_loss_that_was_made_good_is_none(entry: Callable[..., HistoryEntry]) -> None:
    """Up and down again: two steps, nothing lost. Small steps up add up."""
    values = np.array(stepped(30, 10)) - 0.5 * (np.arange(30) >= 20)
    (series,) = series_of([entry(i, {"kid": value}) for i, value in enumerate(values)], KID)
    assert (len(series.steps), series.lost) == (2, 0)
    values = np.array(stepped(30, 10, 0.09)) + 0.09 * (np.arange(30) >= 20)
    (series,) = series_of([entry(i, {"kid": value}) for i, value in enumerate(values)], KID)
    assert series.steps == ()
    assert series.lost == pytest.approx(2 * 0.18 / 2.18, abs=0.02)


def test_a_drift_is_told(entry: Callable[..., HistoryEntry]) -> None:
    """With its size over all runs."""
    values = np.array(stepped(40, 40)) + 0.01 * np.arange(40)
    (series,) = series_of([entry(i, {"kid": value}) for i, value in enumerate(values)], KID)
    assert series.drift is not None
    assert words.drift(series) == "drifts: 33 % worse over 40 runs"  # 2 · 0.39 / 2.39 = 0.326


def test_hardware_splits_costs_alone(entry: Callable[..., HistoryEntry]) -> None:
    """A faster machine is no step in time, and scores go on over it."""
    other = {"cpu.model": "Xeon"}
    entries = []
    for i in range(16):
        values = {"kid": 1 + 0.01 * (i % 3), "fit_seconds": 10.0 if i < 8 else 5.0, "flops_per_image": 1e9}
        entries.append(entry(i, values, **({} if i < 8 else {"hardware": other})))
    found = series_of(entries, tuple(MEASURES[name] for name in ("kid", "fit_seconds", "flops_per_image")))
    assert [(one.measure.name, one.segmentation.n) for one in found] == [
        ("kid", 16),
        ("fit_seconds", 8),
        ("fit_seconds", 8),
        ("flops_per_image", 16),
    ]
    assert [one.scope for one in found] == ["", entries[0].machine, "processor Xeon", ""]
    assert not any(one.changed for one in found)


@pytest.mark.parametrize("field", [{"protocol": "c" * 16}, {"images": {"twemoji->openmoji@32": "c" * 16}}])
def test_protocol_and_images_split_scores_alone(entry: Callable[..., HistoryEntry], field: dict[str, object]) -> None:
    """Numbers of two protocols, or on other pixels, do not compare; times do."""
    entries = [entry(i, {"kid": 1.0 + (i >= 8), "fit_seconds": 10.0}, **({} if i < 8 else field)) for i in range(16)]
    found = series_of(entries, (MEASURES["kid"], MEASURES["fit_seconds"]))
    assert [(one.measure.name, one.segmentation.n, one.changed) for one in found] == [
        ("kid", 8, False),
        ("kid", 8, False),
        ("fit_seconds", 16, False),
    ]
    assert all(one.scope for one in found[:2])


def test_missing_runs(entry: Callable[..., HistoryEntry]) -> None:
    """Runs before the first value and after the last one are no points; those between widen the range of commits."""
    values: list[dict[str, float]] = [{"kid": value} for value in stepped()]
    values[0] = values[12] = values[19] = {"fid": 1.0}
    entries = [entry(i, value) for i, value in enumerate(values)]
    (series,) = series_of(entries, KID)
    assert (series.segmentation.n, len(series.points), series.latest.commit) == (17, 18, entries[18].commit)
    (change,) = series.steps
    assert (change.commits, change.skipped) == ("000000000b..000000000d", 1)
    assert "1 run between has no value" in words.changes(series)[0]


def test_one_run(entry: Callable[..., HistoryEntry]) -> None:
    """A history that begins: a series with its value and no change."""
    (series,) = series_of([entry(1, {"kid": 0.03})], KID)
    assert (series.segmentation.n, series.changed, series.lost, words.changes(series)) == (1, False, 0, [])
    assert series_of([], KID) == []


def test_the_worst_first_and_only_the_methods_asked_for(entry: Callable[..., HistoryEntry]) -> None:
    """By what was lost, then what changed; a variant goes by its method's name."""
    keys = [f"{name}|twemoji->openmoji@32|25|8 kimg" for name in ("steady", "better", "bad (lr=1)", "worse")]
    entries = []
    for i in range(20):
        sizes = [1.0, 1 - 0.5 * (i >= 10), 1 + 0.3 * (i >= 10), 1 + 0.6 * (i >= 10)]
        series = {key: {"kid": Value(size, None, 1)} for key, size in zip(keys, sizes, strict=True)}
        entries.append(entry(i, series=series))
    assert [one.key.method for one in series_of(entries, KID)] == ["worse", "bad (lr=1)", "better", "steady"]
    assert [one.key.method for one in series_of(entries, KID, methods=["bad"])] == ["bad (lr=1)"]


def test_numbers_in_words() -> None:
    """Scaled, four digits, thousands with commas; shares with what they mean."""
    assert words.number(MEASURES["flops_per_image"], 1.2346e9) == "1.235"
    assert words.number(MEASURES["fid"], 1234.6) == "1,235"
    assert words.number(MEASURES["kid"], -0.0) == "0"
    assert (words.share(0.123), words.share(-0.012)) == ("12 % worse", "1.2 % better")


@pytest.mark.long
def test_a_long_history_of_many_series(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> None:
    """500 runs × 200 series are read, judged and drawn within a minute; about five seconds on one idle core."""
    rng = np.random.default_rng(0)
    keys = [f"m{i}|twemoji->openmoji@32|25|8 kimg" for i in range(100)]
    values = 1 + 0.05 * rng.standard_normal((500, 100, 2))
    values[300:, 7] += 0.5
    lines = [
        msgspec.json.encode(
            entry(
                i,
                date=f"{2000 + i}-01-01T00:00:00Z",
                series={
                    key: {"kid": Value(kid, 0.1, 3), "fit_seconds": Value(seconds, 0.1, 3)}
                    for key, (kid, seconds) in zip(keys, row.tolist(), strict=True)
                },
            )
        )
        for i, row in enumerate(values)
    ]
    (tmp_path / FILE).write_bytes(b"\n".join(lines) + b"\n")
    started = time.perf_counter()
    entries, _ = read(tmp_path)
    found = series_of(entries)
    page = render(entries, found, name="long")
    assert time.perf_counter() - started < 60
    assert len(found) == 200
    assert {one.key.method for one in found[:2]} == {"m7"}
    assert page.count("<svg") == 200
