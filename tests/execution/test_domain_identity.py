"""Whose images a task is about: folders of one last name are two tasks, one data set under two paths is one.

No path of this machine leaves the suite's own file and the run's `local.toml`.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from random_inputs import blobs
from tiny_suites import suite_toml

from graftbench.cache import cache_folder
from graftbench.errors import GraftbenchError
from graftbench.execution.add_samples import add_samples
from graftbench.execution.clean import clean_run
from graftbench.execution.driver import run
from graftbench.execution.merge import merge
from graftbench.execution.run_folder import RunFolder
from graftbench.images.writers import write_png_folder
from graftbench.records.cell_spec import CellSpec
from graftbench.records.record import Record, Status
from graftbench.records.run import read_run
from graftbench.records.store import read
from graftbench.regression.history.history import entry_of
from graftbench.regression.matching import match
from graftbench.report import write_report
from graftbench.suites.export import export_task
from graftbench.suites.forecast import look_ahead
from graftbench.suites.plan import make_plan
from graftbench.suites.status import State
from graftbench.suites.suite import load_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graftbench.suites.status import CellStatus
    from graftbench.suites.suite import Suite

pytestmark = pytest.mark.usefixtures("shared_cache", "warm_executor")

N = 12
PLAIN, BOTH = "none->folder:train@16", ["d/retina/train", "d/textures/train"]


def suite_file(folder: Path, targets: Sequence[str], *, seeds: Sequence[int] = (0,), domains: str = "") -> Path:
    """A suite of one quick method on these targets."""
    file = folder / f"suite-{len(list(folder.glob('suite-*')))}.toml"
    tasks = [f"none->{target}@16" for target in targets]
    file.write_text(
        suite_toml(
            "memorizer", tasks=tasks, images=4, budget="{ kimg = 1 }", seeds=seeds, top=domains, n_generated=N, size=32
        )
    )
    return file


def folders(*paths: str) -> list[str]:
    """As a task writes them."""
    return [f"folder:{path}" for path in paths]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of other pictures, both called `train`."""
    root = tmp_path_factory.mktemp("maja")
    for seed, name in enumerate(BOTH):
        write_png_folder(blobs(60, seed, 16), root / name)
    return root


@pytest.fixture(scope="module")
def both(data: Path, shared_cache: Path) -> Path:
    """The run of both."""
    del shared_cache
    assert run(load_suite(suite_file(data, folders(*BOTH))), data / "both").statuses == {"ok": 2}
    return data / "both"


@pytest.fixture
def elsewhere(data: Path, tmp_path: Path) -> Path:
    """The same pictures on another disk."""
    return shutil.copytree(data / "d", tmp_path / "other" / "d").parent


def spelled(record: Record, task: str, names: Callable[[str], str]) -> Record:
    """The record as an earlier version wrote it: paths in its task and in its manifests' keys."""
    cell = msgspec.structs.replace(
        record.cell,
        task=msgspec.structs.replace(record.cell.task, target=names(task)),
        manifests={names(task): record.cell.manifests[record.cell.task.target]},
    )
    return msgspec.structs.replace(record, cell=cell)


def older(run_folder: Path, out: Path, root: Path, names: Sequence[str] = BOTH) -> Path:
    """The run of both, or of other folders, as an earlier version left it."""
    records, _ = read(run_folder / "records.jsonl")
    shutil.copytree(run_folder, out)
    for name in ("planned.json", "local.toml"):
        (out / name).unlink()
    by_manifest = {
        cell.manifests[cell.task.target]: cell for cell in make_plan(_suite(root, names), cache_folder()).cells
    }
    paths = dict(zip(by_manifest, folders(*names), strict=True))
    old = []
    for record in records:
        path = paths[record.cell.manifests[record.cell.task.target]].replace("folder:", f"folder:{root}/")
        old.append(spelled(record, path, str))
    (out / "records.jsonl").write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in old))
    suite = RunFolder(run_folder).suite()
    tasks = [f"none->{path.replace('folder:', f'folder:{root}/')}@16" for path in folders(*names)]
    RunFolder(out).write_suite(msgspec.structs.replace(suite, tasks=tasks, domains={}))
    return out


def _suite(root: Path, names: Sequence[str] = BOTH) -> Suite:
    return load_suite(suite_file(root, folders(*names)))


# ------------------------------------------------------------------------------------ two folders with one last name


@pytest.mark.slow
def test_two_folders_of_one_name_are_two_tasks(both: Path) -> None:
    """In records, and so in every table: the name, and digits of the manifest, which do not change a cell's id."""
    records = read(both / "records.jsonl")[0]
    for record in records:
        target = record.cell.task.target
        assert target == f"folder:train#{record.cell.manifests[target][:8]}"
        assert record.id == record.cell.id
        plain = msgspec.structs.replace(
            record.cell,
            task=msgspec.structs.replace(record.cell.task, target="folder:/any/where/train"),
            manifests={"folder:/any/where/train": record.cell.manifests[target]},
        )
        assert plain.id == record.id
    assert len({str(record.cell.task) for record in read_run(both).records}) == 2


@pytest.mark.slow
def test_clean_leaves_what_the_suite_plans(both: Path, data: Path, tmp_path: Path) -> None:
    """Neither folder's cells are superseded by the other's; in a run of an earlier version neither."""
    assert clean_run(both, superseded=True, dry_run=True).items == []
    old = older(both, tmp_path / "old", data)
    assert clean_run(old, superseded=True, dry_run=True).items == []


def test_clean_leaves_cells_whose_task_left_the_suite(data: Path, both: Path, tmp_path: Path) -> None:
    """One of the two tasks is taken out of the suite: its cells are nobody's predecessors."""
    shutil.copytree(both, tmp_path / "run")
    run(load_suite(suite_file(data, folders(BOTH[0]))), tmp_path / "run")
    assert clean_run(tmp_path / "run", superseded=True, dry_run=True).items == []


def test_clean_leaves_what_was_planned_last(both: Path, tmp_path: Path) -> None:
    """Code was edited, run, and edited back: the older cells are the suite's again, the newer ones are superseded."""
    shutil.copytree(both, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    first = read(folder.records)[0][0]
    cell = msgspec.structs.replace(first.cell, code="ab" * 32)
    artifacts = {name: path.replace(first.id, cell.id) for name, path in first.artifacts.items()}
    newer = msgspec.structs.replace(first, id=cell.id, cell=cell, artifacts=artifacts)
    with folder.records.open("ab") as file:
        file.write(msgspec.json.encode(newer) + b"\n")
    shutil.copytree(folder.cell(first.id), folder.cell(cell.id))
    items = clean_run(tmp_path / "run", superseded=True, dry_run=True).items
    assert [item.path for item in items] == [folder.cell(cell.id)]


def test_clean_leaves_the_folder_of_a_planned_cell_without_a_record(both: Path, tmp_path: Path) -> None:
    """Its record may come back with a merge; of a cell that the suite does not plan the folder goes."""
    shutil.copytree(both, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    folder.records.write_bytes(b"")
    folder.cell("ab" * 8).mkdir()
    items = clean_run(tmp_path / "run", superseded=True, dry_run=True).items
    assert [item.path for item in items] == [folder.cell("ab" * 8)]


def test_the_history_has_a_series_for_each(both: Path, data: Path, tmp_path: Path) -> None:
    """Two tasks are never averaged, in a run of an earlier version neither."""
    for folder in (both, older(both, tmp_path / "old", data)):
        entry, _ = entry_of(read_run(folder))
        assert len(entry.series) == 2
        assert all(value.n == 1 for values in entry.series.values() for value in values.values())


def _rows(suite: Path, out: Path) -> dict[str, CellStatus]:
    plan = make_plan(load_suite(suite), cache_folder())
    outlook = look_ahead(plan, cache_folder(), out=out, others=(), part=(1, 1), jobs=1, again=())
    return {row.id: row for row in outlook.rows}


def test_the_plan_calls_a_second_folder_new(data: Path, tmp_path: Path) -> None:
    """And the first, whose name now has digits, done."""
    run(load_suite(suite_file(data, folders(BOTH[0]))), tmp_path / "run")
    (first,) = read(tmp_path / "run" / "records.jsonl")[0]
    assert first.cell.task.target == "folder:train"
    rows = _rows(suite_file(data, folders(*BOTH)), tmp_path / "run")
    assert rows.pop(first.id).state == State.DONE
    (other,) = rows.values()
    assert other.state == State.NEW
    # Where the code changed since, the first one's record is the predecessor of the first alone.
    cell = msgspec.structs.replace(first.cell, code="ab" * 32)
    older_record = msgspec.structs.replace(first, id=cell.id, cell=cell, artifacts={}, artifact_hashes={})
    (tmp_path / "run" / "records.jsonl").write_bytes(msgspec.json.encode(older_record) + b"\n")
    rows = _rows(suite_file(data, folders(*BOTH)), tmp_path / "run")
    assert (rows[first.id].state, rows[other.id].state) == (State.CHANGED, State.NEW)


def test_the_plan_says_that_images_changed(data: Path, tmp_path: Path) -> None:
    """A picture more in the only folder of that name: the same task, of other images."""
    shutil.copytree(data / BOTH[0], tmp_path / "train")
    suite = suite_file(tmp_path, folders("train"))
    run(load_suite(suite), tmp_path / "run")
    write_png_folder(blobs(1, 9, 16), tmp_path / "train" / "more")
    (row,) = _rows(suite, tmp_path / "run").values()
    assert (row.state, row.why) == (State.CHANGED, "data (the images of folder:train)")


def test_exported_images_come_back_to_their_task(data: Path, both: Path, tmp_path: Path) -> None:
    """The manifest of an export names one of the two, and samples beside it are of that one."""
    suite = suite_file(data, folders(*BOTH))
    manifest = export_task(f"none->folder:{BOTH[1]}@16", tmp_path / "out", budget=4, seed=1, suite=suite)
    assert manifest.task == f"none->folder:train#{manifest.target.manifest[:8]}@16"
    shutil.copytree(both, tmp_path / "run")
    write_png_folder(blobs(N, 7, 16), tmp_path / "out" / "samples")
    added = add_samples(tmp_path / "out" / "samples", tmp_path / "run", method="anns", suite=suite)
    assert [str(record.cell.task) for record in added.records] == [manifest.task]
    assert clean_run(tmp_path / "run", superseded=True, dry_run=True).items == []


def test_one_set_under_two_paths_is_refused(data: Path, elsewhere: Path) -> None:
    """Two tasks of equal images in one suite would be cells with one id."""
    suite = load_suite(suite_file(data, folders(BOTH[0], f"{elsewhere}/{BOTH[0]}")))
    with pytest.raises(GraftbenchError, match="are one: their images are the same"):
        make_plan(suite, cache_folder())


# ---------------------------------------------------------------------------------------- one data set under two paths


def _texts(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".png", ".safetensors"}]
    return "\n".join(path.read_text("utf-8", "replace") for path in files if path.name != "local.toml")


def test_no_path_is_published(data: Path, both: Path, tmp_path: Path) -> None:
    """Neither in the run folder, but for local.toml, nor in any report; records of earlier versions are cut."""
    assert str(data / "d") in (both / "local.toml").read_text()
    assert f"{data}/d" not in _texts(both)
    old = older(both, tmp_path / "old", data)
    for folder, formats in ((both, ["csv", "md", "tex"]), (old, ["csv", "html"])):
        report = tmp_path / f"report-{folder.name}"
        write_report(folder, report, formats=formats)
        texts = _texts(report)
        assert "folder:train#" in texts
        assert f"{data}/d" not in texts


@pytest.mark.slow
def test_shards_of_two_machines_are_one_run(data: Path, elsewhere: Path, tmp_path: Path) -> None:
    """Each keeps the images somewhere else; the merged run has one task of two seeds, and so has an older run's."""
    runs = []
    for seed, root in enumerate((data, elsewhere)):
        suite = suite_file(tmp_path, folders(f"{root}/{BOTH[0]}"), seeds=[seed])
        run(load_suite(suite), tmp_path / f"run-{seed}")
        runs.append(tmp_path / f"run-{seed}")
    merged = merge(runs, tmp_path / "merged")
    assert (merged.total, merged.present) == (2, 2)
    before = [
        older(one, tmp_path / f"old-{one.name}", root, BOTH[:1])
        for one, root in zip(runs, (data, elsewhere), strict=True)
    ]
    merged = merge(before, tmp_path / "old")
    assert (merged.total, merged.present) == (2, 2)
    for folder in ("merged", "old"):
        assert {str(record.cell.task) for record in read_run(tmp_path / folder).records} == {PLAIN}
        assert RunFolder(tmp_path / folder).suite().tasks == [PLAIN]


def test_records_with_paths_compare_with_records_without(both: Path, data: Path, tmp_path: Path) -> None:
    """All cells are matched: the images are equal."""
    old = older(both, tmp_path / "old", data)
    new = [msgspec.structs.replace(record) for record in read(both / "records.jsonl")[0]]
    matched = match([read(old / "records.jsonl")[0]], [new])
    assert (len(matched.pairs), matched.vanished, matched.appeared) == (2, (), ())


def test_an_older_run_goes_on(both: Path, data: Path, tmp_path: Path) -> None:
    """Its cells have the same ids: nothing is run again."""
    old = older(both, tmp_path / "old", data)
    assert run(_suite(data), old).ran == 0


# -------------------------------------------------------------------------------------------------- names and places


def test_a_label_names_images(data: Path, elsewhere: Path, tmp_path: Path) -> None:
    """Tasks are written with it, records say it, and two machines that keep the images elsewhere have equal ids."""
    ids = []
    for root in (data, elsewhere):
        labels = f'[domains.fundus]\npath = "{root}/{BOTH[0]}"\n[domains.walls]\npath = "folder:{root}/{BOTH[1]}"'
        plan = make_plan(load_suite(suite_file(tmp_path, ["fundus", "walls"], domains=labels)), cache_folder())
        assert [str(cell.task) for cell in plan.cells] == ["none->fundus@16", "none->walls@16"]
        assert sorted(name for cell in plan.cells for name in cell.manifests) == ["fundus", "walls"]
        ids.append(plan.ids)
    assert ids[0] == ids[1]


def test_a_label_is_recorded_with_its_licence(data: Path, tmp_path: Path) -> None:
    """The run knows what reads the images; nothing but local.toml says where they are."""
    suite = suite_file(tmp_path, ["fundus"], domains=f'[domains.fundus]\npath = "{data}/{BOTH[0]}"')
    run(load_suite(suite), tmp_path / "run")
    (record,) = read(tmp_path / "run" / "records.jsonl")[0]
    assert (record.status, record.environment["domains"]["fundus"]["license"]) == (Status.OK, "that of the images")
    assert str(data) not in _texts(tmp_path / "run").replace(str(data.parent / "cache"), "")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ('[domains.openmoji]\npath = "x"', "name of a domain that is there already"),
        ('[domains.fundos]\npath = "x"', "Did you mean 'fundos'"),
        ('[domains."a/b"]\npath = "x"', "letters, digits"),
    ],
)
def test_labels_that_are_none(labels: str, words: str, tmp_path: Path) -> None:
    """A registered domain's name, another name than the task's, a name with other characters."""
    target = "openmoji" if "openmoji" in labels else "fundus"
    with pytest.raises(GraftbenchError, match=words):
        make_plan(load_suite(suite_file(tmp_path, [target], domains=labels)), cache_folder())


def test_a_relative_path_begins_at_the_suite_file(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command is run; where nothing is there, the error says where was looked."""
    monkeypatch.chdir(tmp_path)
    assert len(make_plan(load_suite(suite_file(data, folders(BOTH[0]))), cache_folder()).cells) == 1
    (tmp_path / "pictures").mkdir()
    with pytest.raises(GraftbenchError) as caught:
        make_plan(load_suite(suite_file(data, folders("pictures"))), cache_folder())
    assert f"'{data / 'pictures'}'" in str(caught.value)
    assert f"'{tmp_path / 'pictures'}' exists" in str(caught.value)


@pytest.mark.parametrize("domain", ["zip", "npz", "webdataset"])
def test_files_are_resolved_and_named_likewise(
    domain: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive or array beside the suite file; the record names the file, an error says where it was looked for."""
    monkeypatch.chdir(data)
    endings = {"zip": "zip", "npz": "npz", "webdataset": "tar"}
    if domain == "npz":
        np.savez(tmp_path / "cats.npz", blobs(60, 0, 16).transpose(0, 2, 3, 1))
    else:
        shutil.make_archive(str(tmp_path / "cats"), endings[domain], data / BOTH[0])
    name = f"{domain}:cats.{endings[domain]}"
    (cell,) = make_plan(load_suite(suite_file(tmp_path, [name])), cache_folder()).cells
    assert (cell.task.target, list(cell.manifests)) == (name, [name])
    with pytest.raises(GraftbenchError, match=f"{tmp_path}/dogs"):
        make_plan(load_suite(suite_file(tmp_path, [f"{domain}:dogs.{endings[domain]}"])), cache_folder())


def test_ids_are_those_of_earlier_versions() -> None:
    """Of a cell with paths, as version 0.1 wrote it: computed with the code before public names."""
    cell = msgspec.convert(
        {
            "method": "dcgan",
            "family": "scratch",
            "parameters": {"lr": 0.002},
            "task": {"source": "folder:/home/maja/dogs/train", "target": "folder:d/cats/train", "resolution": 32},
            "data_budget": 25,
            "compute_budget": {"kimg": 8},
            "seed": 0,
            "protocol": {},
            "manifests": {"folder:/home/maja/dogs/train": "a" * 64, "folder:d/cats/train": "b" * 64},
        },
        CellSpec,
    )
    assert cell.id == "8d4f6e4481d85bc1"
