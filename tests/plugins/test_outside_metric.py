"""A metric that is one file outside the package: listed, evaluated, asked for by a suite, and part of a cell's id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tiny_suites import suite_toml

import graftbench
from graftbench.errors import GraftbenchError
from graftbench.metrics import catalogue
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.plugins import registry
from graftbench.plugins.code_hash import code_of, files_of, files_of_scoring
from graftbench.records.run import read_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METRIC = '''
"""The mean length of features."""

import numpy as np

from graftbench.metrics import Estimate
from graftbench.metrics.catalogue import Metric

METRICS = (
    Metric("mean_length", "length×10", "mean length of features", better=-1, scale=10.0, needs=(), sets=("lengths",)),
)


def compute(sides):
    lengths = np.linalg.norm(sides.x, axis=1)
    return [Estimate(name="mean_length", value=float(lengths.mean()), n_generated=len(lengths))]
'''


@pytest.fixture(autouse=True)
def _catalogue_as_it_was() -> Iterator[None]:
    """What a test makes known is forgotten behind it."""
    tables = [vars(catalogue)[name] for name in ("METRICS", "EVERY_METRIC", "SETS", "FILES", "BROKEN")]
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The metric's file."""
    path = tmp_path / "length.py"
    path.write_text(METRIC)
    return path


def test_it_is_listed_and_evaluated(file: Path) -> None:
    """By its name and by its set; `all` and the default stay what they were; twice known is known."""
    everything = catalogue.SETS["all"]
    assert registry.metrics([file]) == registry.metrics([file.parent]) == {}
    assert catalogue.METRICS["mean_length"].heading == "length×10 ↓"
    assert catalogue.resolve(["lengths", "kid"]) == ("kid", "mean_length")
    assert catalogue.SETS["all"] == everything
    made = Features.of(np.array([[3.0, 4.0], [0.0, 1.0]]), np.zeros((2, 0)), np.ones((2, 3)))
    (score,) = evaluate_features(made, metrics=["lengths"])
    assert (score.name, score.value, score.n_generated) == ("mean_length", 3.0, 2)


def test_it_is_listed_without_being_imported(file: Path, tmp_path: Path) -> None:
    """`ls metrics`, in a process of its own: its output is JSON alone, so the file was not imported."""
    file.write_text(METRIC.replace("import numpy as np\n", "import numpy as np\nprint('imported')\n", 1))
    environment = os.environ | {"GRAFTBENCH_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "graftbench", "ls", "metrics", "--plugin", str(file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["mean_length"]["sets"] == "lengths"


def test_only_cells_that_ask_for_it_depend_on_it(file: Path) -> None:
    """A method's hash without it is what it was before; with it it changes with what the file computes, not says."""
    dcgan = registry.methods()["dcgan"]
    before, of_scoring = files_of(dcgan, ["fid", "kid"]), files_of_scoring(["kid"])
    registry.metrics([file])
    assert files_of(dcgan, ["fid", "kid"]) == before == files_of(dcgan)
    assert files_of_scoring(["kid"]) == of_scoring
    added = files_of(dcgan, ["kid", "mean_length"]).keys() - before.keys()
    assert "length.py::compute" in added
    with_it = code_of(dcgan, ["mean_length"])
    file.write_text(METRIC.replace("mean length of features", "another sentence"))
    assert code_of(dcgan, ["mean_length"]) == with_it
    file.write_text(METRIC.replace("lengths.mean()", "lengths.max()"))
    assert code_of(dcgan, ["mean_length"]) != with_it
    assert {name for name in files_of(dcgan, ["rke"]).keys() - before.keys() if "kernel_entropy" in name}


@pytest.mark.slow
@pytest.mark.usefixtures("shared_cache", "warm_executor")
def test_a_suite_asks_for_it(file: Path, tmp_path: Path) -> None:
    """Its score stands in the record, with a floor, for the held-out images have features too."""
    suite = tmp_path / "outside.toml"
    text = suite_toml(
        "memorizer", tasks=["none->avatars:micah?images=200@8"], images=12, budget="{ kimg = 0.02 }", n_generated=16
    )
    suite.write_text(text.replace('metrics = ["kid"]', 'metrics = ["kid", "lengths"]'))
    run = tmp_path / "run"
    assert graftbench.run(suite, run, plugins=[file]).statuses == {"ok": 1}
    (record,) = read_runs([run]).records
    scores = {score.name: score for score in record.scores}
    assert scores.keys() == {"kid", "mean_length"}
    assert (scores["mean_length"].value or 0.0) > 0.0
    assert (scores["mean_length"].floor or 0.0) > 0.0


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"mean_length", "', '"kid", "', "The name 'kid' of a metric in .* is taken"),
        ('sets=("lengths",)', 'sets=("default",)', "names a set that is taken: default"),
        ("needs=()", 'needs=("trian",)', "Did you mean 'train'"),
        ("needs=()", "needs=make()", "plain values"),
        ("better=-1", "better=2", "found 2"),
        ("better=-1", "worse=1", "plain values and the fields of Metric"),
        ("METRICS = (", "METRICS = (1,", "Metric\\(…\\) and nothing else; found `1`"),
        ("def compute", "def", "is no Python"),
    ],
)
def test_what_is_wrong_is_said_and_breaks_nothing(file: Path, old: str, new: str, reason: str) -> None:
    """The file is listed with its reason; who asks for the metric hears it."""
    file.write_text(METRIC.replace(old, new, 1))
    broken = registry.metrics([file])
    assert list(broken) == [str(file)]
    with pytest.raises(GraftbenchError, match=reason):
        raise GraftbenchError(broken[str(file)])
    with pytest.raises(GraftbenchError, match="Files whose metrics are not known"):
        catalogue.resolve(["lengths"])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [("def compute", "def other", "a function `compute"), ("return [", "return [] and [", "computes no 'mean_length'")],
)
def test_a_file_that_computes_nothing_is_an_error(file: Path, old: str, new: str, reason: str) -> None:
    """Without `compute`, or without the estimate that METRICS promise: the file and what it lacks."""
    file.write_text(METRIC.replace(old, new, 1))
    registry.metrics([file])
    made = Features.of(np.ones((2, 2)), np.zeros((2, 0)), np.ones((2, 3)))
    with pytest.raises(GraftbenchError, match=reason):
        evaluate_features(made, metrics=["mean_length"])
