"""The trial: its file of results, going on, and its tables."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from graftbench.errors import GraftbenchError
from graftbench.scoring.court import trial
from graftbench.scoring.court.page import draw, smallest_dose, tables, verdict_rows
from graftbench.scoring.court.sanity import SanitySize
from graftbench.scoring.court.trial import CourtResults, CourtSize, DoseTuple, load_results, try_scores

if TYPE_CHECKING:
    from pathlib import Path

NO_IMAGES: Any = SimpleNamespace(manifest="m", domain="d", protocol=SimpleNamespace(label="p"))
TINY = CourtSize(SanitySize(images=30, points=3, sizes=(20, 30), dimensions=(0,)), images={}, clean={})


def test_what_is_there_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call computes nothing; another seed begins anew."""
    first = try_scores(["kid", "precision"], TINY, NO_IMAGES, NO_IMAGES, tmp_path)
    assert len(first.sanity) == 15
    tried: list[int] = []
    monkeypatch.setattr(trial, "run_check", lambda *given: tried.append(given[-1]) or {})
    assert try_scores(["kid", "precision"], TINY, NO_IMAGES, NO_IMAGES, tmp_path) == first
    assert not tried
    try_scores(["kid", "precision"], TINY, NO_IMAGES, NO_IMAGES, tmp_path, seed=1)
    assert tried == [1] * 15


def test_only_what_a_new_score_lacks_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clean sets and doses of the new one alone; what was there stays, and what is undefined is not tried again."""
    asked: list[tuple[str, tuple[str, ...]]] = []

    def drawn(_: object, n: int, draws: int, names: list[str], *, failure: str, dose: float, seed: int) -> Any:
        asked.append((f"{n}/{failure}/{dose:g}/{draws}/{seed}", tuple(names)))
        return {name: [float("nan") if name == "fld" else dose + draw for draw in range(draws)] for name in names}

    monkeypatch.setattr(trial, "run_check", lambda _check, names, *_: dict.fromkeys(names, ""))
    monkeypatch.setattr(trial, "planted_pool", lambda *_, **__: SimpleNamespace(kept_shares={"factor fixed": 0.3}))
    monkeypatch.setattr(trial, "drawn_values", drawn)
    monkeypatch.setattr(trial, "FAILURES", {"blur": "", "copies": ""})
    size = CourtSize(SanitySize(), images={50: 2}, clean={50: 3}, doses=(0.5,))
    first = try_scores(["kid"], size, NO_IMAGES, NO_IMAGES, tmp_path)
    assert [step for step, _ in asked] == ["50//0/3/0", "50/blur/0.5/2/0", "50/copies/0.5/2/0"]
    asked.clear()
    names = ["fld", "copies", "kid"]
    second = try_scores(names, size, NO_IMAGES, NO_IMAGES, tmp_path)
    assert [found for _, found in asked] == [("fld", "copies")] * 3
    assert second.doses["50/blur/0.5"] == first.doses["50/blur/0.5"] | {"fld": None, "copies": (1.0, 0.0, 0.0)}
    assert (second.metrics, second.kept_shares) == (names, {"factor fixed": 0.3})
    asked.clear()
    monkeypatch.setattr(trial, "FAILURES", {"blur": "", "copies": "", "garbage": ""})
    try_scores(names, size, NO_IMAGES, NO_IMAGES, tmp_path)
    assert asked == [("50/garbage/0.5/2/0", ("fld", "copies", "kid"))]


def test_a_file_of_something_else(tmp_path: Path) -> None:
    """It is refused by its name."""
    (tmp_path / "results.json").write_text('{"key": 3}')
    with pytest.raises(GraftbenchError, match=r"results\.json"):
        load_results(tmp_path / "results.json")


def results() -> CourtResults:
    """Two doses of every failure; KID tells the larger, precision rewards it."""
    doses: dict[str, dict[str, DoseTuple | None]] = {
        f"50/{failure}/{dose:g}": {"kid": (dose, float(dose > 0.3), 0.0), "precision": (1.0 + dose, 0.0, 0.9)}
        for failure in trial.FAILURES
        for dose in (0.1, 0.5)
    }
    return CourtResults(
        "k", "p", "d", ["kid", "precision"], {"c": {"kid": "", "precision": "why | not"}}, {"factor dropped": 0.2},
        {50: {"kid": [0.0, 0.1], "precision": [0.9, 1.0]}}, doses, {"variant_pairs": {"kid": (0.5, 0.1, 0.8, 20, 2)}},
    )  # fmt: skip


@pytest.mark.slow
def test_tables_and_figures(tmp_path: Path) -> None:
    """The smallest dose from which on all are told; rewards; the bias with its place; figures are written."""
    found = results()
    assert smallest_dose(found, "kid", "blur", 50) == "0.5"
    assert smallest_dose(found, "precision", "blur", 50) == "rewards"
    assert smallest_dose(found, "fid", "blur", 50) == "?"
    rows = verdict_rows(found)
    assert rows[2][1] == "0 of 1"
    assert rows[2][9] == "+1.00 (blur, 0.5)"
    assert rows[1][10] == "0.50 (0.10 to 0.80)"
    text = tables(found)
    assert "why \\| not" in text
    assert all(path.stat().st_size > 1000 for path in draw(found, tmp_path))


def test_figures_repeat_byte_for_byte(tmp_path: Path) -> None:
    """Drawn twice they are the same files, without a date."""
    drawn = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        drawn.append([path.read_bytes() for path in draw(results(), tmp_path / name)])
    assert drawn[0] == drawn[1]
    assert not any(b"dc:date" in content for content in drawn[0])
