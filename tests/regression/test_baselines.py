"""Named baselines: what is kept, what is refused, and what a crash leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made_cells import EMOJI_RECORDS

from graftbench.errors import GraftbenchError
from graftbench.records.record import Status
from graftbench.records.run import read_run
from graftbench.regression import baselines
from graftbench.regression.gate import compare
from graftbench.regression.measures import MEASURES
from graftbench.regression.options import GateOptions
from graftbench.regression.sides import read_side

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def run(make: Any, written: Callable[..., Path]) -> Path:
    """A run of two cells, one of which failed."""
    return written("run", [make.record("a", scores={"kid": 1.0}), make.record("b", status=Status.OOM)])


def test_saved_and_listed(run: Path, tmp_path: Path) -> None:
    """A baseline tells what it is made of."""
    saved = baselines.save("main", run, tmp_path / "b", now=NOW)
    assert baselines.listed(tmp_path / "b") == [saved]
    assert (saved.name, saved.suite, saved.cells, saved.failed) == ("main", "run", 2, 1)
    assert (saved.commits, saved.saved_at) == (["a" * 40], "2026-01-02T03:04:05+00:00")
    assert (tmp_path / "b" / "main").stat().st_mode & 0o777 == 0o755
    assert baselines.listed(tmp_path / "none") == []


def test_a_comparison_reads_the_same_of_a_baseline(tmp_path: Path) -> None:
    """Every row, note and code as with the whole records, at less than half their size."""
    baselines.save("main", EMOJI_RECORDS, tmp_path)
    whole = list(read_run(EMOJI_RECORDS).records)
    (slim,) = read_side("main", folder=tmp_path).repeats
    computed = {score.name for score in whole[0].scores} & MEASURES.keys()
    measured = ("fit_seconds", "training_images_per_second", "peak_memory_mib", "flops_per_image", "parameters_total")
    options = GateOptions(measures=tuple(MEASURES[name] for name in (*sorted(computed), *measured)), shared=True)
    elsewhere = [msgspec.structs.replace(r, environment=r.environment | {"cpu": {"model": "Xeon"}}) for r in whole]
    for new in (whole, whole[9:], elsewhere):
        assert compare([slim], [new], options) == compare([whole], [new], options)
    assert [r.id for r in slim] == [r.id for r in whole]
    assert [r.cell.id for r in slim] == [r.cell.id for r in whole]
    assert (tmp_path / "main" / "records.jsonl").stat().st_size < 0.4 * EMOJI_RECORDS.stat().st_size


def test_a_name_that_is_taken(run: Path, tmp_path: Path) -> None:
    """It is replaced when told to, and not otherwise."""
    baselines.save("main", run, tmp_path, now=NOW)
    with pytest.raises(GraftbenchError, match=r"There is a baseline 'main'.*--replace"):
        baselines.save("main", run, tmp_path)
    baselines.save("main", EMOJI_RECORDS, tmp_path, replace=True)
    assert [known.cells for known in baselines.listed(tmp_path)] == [36]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["", "../main", "a/b", ".hidden", "a b", "-x"])
def test_bad_names(run: Path, tmp_path: Path, name: str) -> None:
    """Nothing that is no single plain name."""
    with pytest.raises(GraftbenchError, match="A baseline's name is letters"):
        baselines.save(name, run, tmp_path)


def test_runs_that_would_let_everything_pass(make: Any, written: Callable[..., Path], tmp_path: Path) -> None:
    """No records, or none of a cell that ended well."""
    empty, broken = written("empty", []), written("broken", [make.record(status=Status.OOM)])
    (empty / "records.jsonl").touch()
    with pytest.raises(GraftbenchError, match="holds 0 records, none of a cell that ended well"):
        baselines.save("main", empty, tmp_path)
    with pytest.raises(GraftbenchError, match="holds 1 records, none"):
        baselines.save("main", broken, tmp_path)
    with pytest.raises(GraftbenchError, match="There are no records at"):
        baselines.save("main", tmp_path / "no", tmp_path)


def test_an_unfinished_run(run: Path, tmp_path: Path) -> None:
    """A torn last line would make a cell vanish from the base."""
    file = run / "records.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(GraftbenchError, match="ends in an unfinished line"):
        baselines.save("main", run, tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("version", [0, 2])
def test_other_formats_are_refused_with_the_way_out(run: Path, tmp_path: Path, version: int) -> None:
    """Older or newer: the command that makes it again; others in the folder still work."""
    baselines.save("main", run, tmp_path)
    baselines.save("fine", run, tmp_path)
    file = tmp_path / "main" / "baseline.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": version}))
    with pytest.raises(
        GraftbenchError, match=rf"format {version}; this .* reads 1.*graftbench baseline save main RUN --replace"
    ):
        read_side("main", folder=tmp_path)
    assert read_side("fine", folder=tmp_path).repeats
    baselines.save("main", run, tmp_path, replace=True)
    assert read_side("main", folder=tmp_path).repeats


def test_broken_files(run: Path, tmp_path: Path) -> None:
    """No JSON, or fewer records than it says."""
    baselines.save("main", run, tmp_path)
    records = tmp_path / "main" / "records.jsonl"
    records.write_bytes(records.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(GraftbenchError, match="says it holds 2 records; found 1"):
        baselines.load("main", tmp_path)
    (tmp_path / "main" / "baseline.json").write_text("{")
    with pytest.raises(GraftbenchError, match="cannot be read as a baseline"):
        baselines.load("main", tmp_path)


@pytest.mark.parametrize("moment", [0, 1])
def test_a_crash_while_replacing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """At either rename, the old baseline is still found under its name, and the next save goes through."""
    folder = tmp_path / "b"
    old = baselines.save("main", run, folder, now=NOW)
    renames = iter(range(9))
    whole = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if next(renames) == moment:
            raise KeyboardInterrupt
        return whole(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            baselines.save("main", EMOJI_RECORDS, folder, replace=True)
    assert baselines.listed(folder) == [old]
    assert len(baselines.load("main", folder)[1]) == 2
    baselines.save("main", EMOJI_RECORDS, folder, replace=True)
    assert [known.cells for known in baselines.listed(folder)] == [36]


def test_removed(run: Path, tmp_path: Path) -> None:
    """And an unknown one names the nearest."""
    baselines.save("main", run, tmp_path / "b")
    with pytest.raises(GraftbenchError, match=r"Unknown baseline 'mian'.*Did you mean 'main'"):
        baselines.remove("mian", tmp_path / "b")
    baselines.remove("main", tmp_path / "b")
    assert baselines.names(tmp_path / "b") == []


def test_a_folder_that_cannot_be_written(run: Path, tmp_path: Path) -> None:
    """A sentence, no traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(GraftbenchError, match="The baseline cannot be written"):
        baselines.save("main", run, tmp_path / "file" / "b")
