"""`graftbench clean` as a user meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

from graftbench.execution.run_folder import RunFolder
from graftbench.records.store import read
from graftbench.suites.suite import load_suite

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with two cells: samplers of 2 MB, sheets of 0.6 MB; and a leftover of a killed run."""
    records = read(EMOJI_RECORDS)[0][:2]
    run = RunFolder(tmp_path / "run")
    with run.claimed("emoji"):
        run.write_suite(msgspec.structs.replace(load_suite(EMOJI_SUITE), protocol=records[0].cell.protocol))
        run.records.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
        for record in records:
            run.cell(record.id).mkdir(parents=True)
            (run.path / record.artifacts["sampler"]).write_bytes(b"x" * 2_000_000)
            (run.path / record.artifacts["samples"]).write_bytes(b"x" * 600_000)
    run.work("0123456789abcdef").joinpath("checkpoint.safetensors").write_bytes(b"x" * 1_000_000)
    return run.path


def samplers(folder: Path) -> int:
    """How many samplers there are."""
    return len(list(folder.glob("cells/*/sampler.safetensors")))


def test_without_options_it_says_what_there_is(run: Command, folder: Path) -> None:
    """Kinds, numbers and megabytes of all that could go; nothing goes."""
    code, out, _ = run("clean", folder)
    assert code == 0
    assert out.splitlines() == [
        "sampler: 2, 4.0 MB",
        "samples: 2, 1.2 MB",
        "checkpoints: 1, 1.0 MB",
        f"{folder}: 6.2 MB could be removed.",
        "Say what: --keep samples, --keep nothing, --superseded, --work.",
    ]
    assert samplers(folder) == 2


def test_what_is_named_is_removed(run: Command, folder: Path) -> None:
    """First as a dry run, which lists the paths; then in earnest."""
    code, out, _ = run("clean", folder, "--keep", "samples", "--dry-run")
    assert code == 0
    assert out.count("sampler.safetensors  2.0 MB") == 2
    assert f"{folder}: 4.0 MB would be removed." in out
    assert samplers(folder) == 2
    code, out, _ = run("clean", folder, "--keep", "samples", "--work")
    assert code == 0
    assert out.splitlines()[-1] == f"{folder}: 5.0 MB removed."
    assert samplers(folder) == 0
    assert list((folder / "work").iterdir()) == []


def test_the_cache_is_cleared(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's cache folder, source models only when asked."""
    monkeypatch.setenv("GRAFTBENCH_CACHE", str(tmp_path / "cache"))
    for name in ("features/a.npz", "source_models/m.safetensors"):
        (tmp_path / "cache" / name).parent.mkdir(parents=True)
        (tmp_path / "cache" / name).write_bytes(b"x" * 300_000)
    assert run("clean", "--cache")[1].splitlines() == [
        "features: 1, 0.3 MB",
        f"{tmp_path / 'cache'}: 0.3 MB removed.",
    ]
    assert run("clean", "--cache", "--source-models")[1].startswith("source models: 1, 0.3 MB\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["FOLDER", "--cache"],
        ["FOLDER", "--source-models"],
        ["--cache", "--work"],
        ["FOLDER", "--keep", "everything"],
        ["no/such/run", "--work"],
    ],
)
def test_what_does_not_go_together_ends_with_two(arguments: list[str], run: Command, folder: Path) -> None:
    """One sentence, nothing removed."""
    code, out, err = run("clean", *(str(folder) if a == "FOLDER" else a for a in arguments))
    assert code == 2
    assert "Traceback" not in out + err
    assert samplers(folder) == 2
