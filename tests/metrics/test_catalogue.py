"""What is known of metrics before they are computed: names, sets, directions, and what a wrong name is told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.catalogue import FILES, METRICS, SETS, of_factors, resolve
from graftbench.metrics.evaluate import _COMPUTE
from graftbench.references import references


def test_every_metric_is_computed_and_every_computed_one_is_listed() -> None:
    """Every metric is known to `evaluate_features`, each once, in one order, but those that need labels of factors.

    Behind them come those that are files of their own: each of these has what computes it.
    """
    computed = [name for names, _ in _COMPUTE for name in names]
    assert [*computed, *of_factors(METRICS), *FILES] == list(METRICS)
    assert all(callable(file.load().compute) for file in FILES.values())


@pytest.mark.parametrize("name", METRICS)
def test_entries_are_whole(name: str) -> None:
    """Each says what it is; names are lower case; a paper is known by number or key; the arrow is the direction."""
    found = METRICS[name]
    assert found.name == name
    assert re.fullmatch(r"[a-z0-9_]+", found.name)
    assert found.title
    assert not found.title.endswith(".")
    assert found.paper == "" or found.paper in references() or re.fullmatch(r"\d{4}\.\d{5}", found.paper)
    assert found.scale > 0.0
    assert found.heading == found.label + {-1: " ↓", 0: "", 1: " ↑"}[found.better]


def test_labels_are_distinct() -> None:
    """No two rows of a table look alike."""
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)


def test_sets_hold_known_metrics() -> None:
    """Every member of a set is a metric, no set has the name of a metric, and `all` is the catalogue."""
    assert all(set(members) <= set(METRICS) for members in SETS.values())
    assert not set(SETS) & set(METRICS)
    assert set(SETS["all"]) == set(METRICS) - set(SETS["truth"])


def test_sets_are_written_out_in_the_catalogues_order() -> None:
    """Order and repetition of what is asked for do not matter; sets and names mix."""
    prdc = ("precision", "recall", "f_score", "density", "coverage", "null_coverage")
    assert resolve(["prdc", "kid", "recall", "fid"]) == ("fid", "kid", *prdc)
    assert resolve(["all", "fid"]) == SETS["all"]
    assert resolve(["is"]) == ("inception_score",)
    assert resolve(iter(["kid", "fid"])) == ("fid", "kid")


def test_a_string_is_one_name() -> None:
    """`resolve("kid")` asks for KID, not for three metrics of one letter."""
    assert resolve("kid") == ("kid",)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("kidd", "kid"), ("precison", "precision"), ("prdcs", "prdc"), ("memorisation", "memorization"), ("FID", None)],
)
def test_unknown_names_are_told_the_nearest(name: str, nearest: str | None) -> None:
    """A misspelt metric or set is an error that names the nearest one, and all of them."""
    with pytest.raises(GraftbenchError, match=f"Unknown metric '{name}' in the suite") as caught:
        resolve(["fid", name], where="in the suite")
    assert nearest is None or f"Did you mean '{nearest}'?" in str(caught.value)
    assert all(known in str(caught.value) for known in [*METRICS, *SETS])


def test_asking_for_nothing_is_an_error() -> None:
    """No metric at all is a mistake, not an empty table."""
    with pytest.raises(GraftbenchError, match="No metric was asked for in the suite"):
        resolve([], where="in the suite")


def test_the_catalogue_is_light() -> None:
    """Names and sets cost neither NumPy nor torch: the command line reads them for its lists."""
    code = "import sys, graftbench.metrics.catalogue\nprint(sorted({'numpy', 'scipy', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_has_every_metrics_row_and_paragraph() -> None:
    """docs/metrics.md says of each metric what its file says: the table's row, and the paragraph, line breaks apart."""
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
    words = " ".join(page.split())
    for metric in METRICS.values():
        assert f"| `{metric.name}` | {metric.heading} | {metric.title} |" in page
        assert metric.text in words
    assert {file.path for file in FILES.values()} == {FILES[m.name].path for m in METRICS.values() if m.text}


def test_no_default_has_a_metric_that_is_a_file_of_its_own() -> None:
    """What cells ask for by default stays as it is; such a metric is in `all` and in a set of its own."""
    for name in FILES:
        assert {key for key, members in SETS.items() if name in members} == {"all", *METRICS[name].sets}
    assert resolve(["effective"])[:2] == ("clipped_density", "clipped_coverage")
