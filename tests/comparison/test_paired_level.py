"""What docs/statistics.md says of the paired test, by simulation from the committed records: level and power."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftbench.comparison.paired import PairedDifferences

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def simulation() -> Any:
    """docs/paired_tests.py."""
    spec = importlib.util.spec_from_file_location("graftbench_docs_paired_tests", DOCS / "paired_tests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_simulated_p_is_the_one_of_the_package(simulation: Any) -> None:
    """Row by row, also where all differences are the same or zero."""
    rows = np.random.default_rng(0).normal(0.1, 1.0, (50, 3))
    rows[0], rows[1] = 0.3, 0.0
    expected = [PairedDifferences(values=tuple(row), scale="log").p for row in rows.tolist()]
    assert simulation.p_of(rows) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_the_level_is_kept_where_noise_is_normal(simulation: Any, seeds: int) -> None:
    """15 pairs of methods at three numbers of images, 4,000 draws each: 5 % and at most 4.5 errors of 0.1."""
    logs = simulation.recorded("results")
    assert simulation.false_alarms(logs, seeds, "normal", pooled=False) == pytest.approx(5.0, abs=0.45)
    assert simulation.false_alarms(logs, seeds, "normal", pooled=True) <= 5.45  # unequal spreads: conservative


def test_logarithms_of_noise_that_doubles_are_told(simulation: Any) -> None:
    """A factor of 4 is found by three seeds of fine-tuned models at one number of images; of 5 % hardly any is."""
    least = simulation.least_found(simulation.recorded("results"), simulation.FINE_TUNED, 3, pooled=False)
    assert 5 < least < 300


@pytest.mark.long
@pytest.mark.parametrize("part", ["level", "power"])
def test_the_tables_are_those_of_the_page(simulation: Any, part: str) -> None:
    """Every line, word by word: the draws have seeds of their own."""
    text = (DOCS / "statistics.md").read_text("utf-8").partition(f"<!-- {part} -->\n\n")[2].partition("\n\n<!--")[0]
    assert getattr(simulation, f"{part}_table")() == text.splitlines()
