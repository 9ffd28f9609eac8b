"""A suite resolved: its cells, its shards, the code behind it, and what is ahead of a run."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_cells import make_cell
from safetensors.torch import save_file
from torch import nn

from graftbench.cache import cache_folder
from graftbench.errors import GraftbenchError
from graftbench.images.prepared import ImageSet
from graftbench.plugins.code_hash import hash_of
from graftbench.records.cell_spec import CellSpec, ComputeBudget, Protocol, TaskSpec
from graftbench.records.record import Record, Resources, Status
from graftbench.records.store import append
from graftbench.suites.code_file import known_code, note_code
from graftbench.suites.estimates import Estimates
from graftbench.suites.forecast import IDS_RENEWED, Outlook, look_ahead
from graftbench.suites.matrix import places
from graftbench.suites.missing import MissingImagesError
from graftbench.suites.plan import Plan, check_data, make_plan, resolve_suite
from graftbench.suites.shards import longest_first, parse_shard, shard
from graftbench.suites.status import RENEWED
from graftbench.suites.suite import Suite, load_suite
from graftbench.training import source
from graftbench.training.source import SourceModelSpec

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("shared_cache")

SUITE = Suite(
    name="planned",
    tasks=["twemoji->openmoji@32", "openmoji->twemoji@32"],
    methods=["memorizer", "dcgan", "finetune"],
    data_budgets=[10, 25],
    compute_budget=ComputeBudget(kimg=1),
    seeds=[0, 1],
    protocol=Protocol(n_generated=40),
    source_models={"gan": SourceModelSpec(kimg=2)},
)


@cache
def planned() -> Plan:
    """24 cells; planned once."""
    return make_plan(SUITE, cache_folder())


def test_every_combination_is_a_cell() -> None:
    """The matrix without gap or repeat, reference rows last."""
    plan = planned()
    cells = {(c.method, str(c.task), c.data_budget, c.seed) for c in plan.cells}
    assert len(cells) == len(set(plan.ids)) == len(plan.cells) == plan.suite.cells == 24
    assert plan.ids == [cell.id for cell in plan.cells]
    assert [cell.family == "reference" for cell in plan.cells] == [False] * 16 + [True] * 8


def test_a_source_under_another_name_is_refused() -> None:
    """A label of [domains] may lead to the target's own images; they are told by what they are, not by their name."""
    suite = msgspec.structs.replace(SUITE, tasks=["twemoji->again@32"], methods=["dcgan"])
    images = planned().images["twemoji", 32]
    with pytest.raises(GraftbenchError, match="'none->again@32' trains on them without a source"):
        check_data(resolve_suite(suite, ()), {("twemoji", 32): images, ("again", 32): images})


def test_long_cells_come_first() -> None:
    """Large images before small ones, reference rows last; the order is kept otherwise."""
    cells = cells_of(2, 2, 2)
    cells[0] = msgspec.structs.replace(cells[0], family="reference")
    found = [(c.family, c.task.resolution, c.seed, c.method) for c in longest_first(cells)]
    large = [("scratch", 16, seed, method) for seed in (0, 1) for method in ("m0", "m1")]
    small = [("scratch", 8, 0, "m1"), ("scratch", 8, 1, "m0"), ("scratch", 8, 1, "m1")]
    assert found == [*large, *small, ("reference", 8, 0, "m0")]


def test_a_cell_knows_its_source_model_its_images_and_its_code() -> None:
    """Each source domain has its own source model; only methods that start from one name it."""
    plan = planned()
    for cell in plan.cells:
        assert cell.manifests == {name: plan.images[name, 32].manifest for name in ("twemoji", "openmoji")}
        assert hash_of(plan.code[cell.code]) == cell.code
        assert any(name.startswith(f"graftbench/methods/{cell.method}.py::") for name in plan.code[cell.code])
        if cell.method == "finetune":
            planned_source = plan.sources[cell.source_model]
            recipe, images = planned_source.recipe, planned_source.material
            assert isinstance(images, ImageSet)
            assert (recipe.domain, recipe.kimg, images.domain) == (cell.task.source, 2, cell.task.source)
        else:
            assert cell.source_model == ""
    assert len(plan.sources) == 2


def test_known_factors_add_their_metrics_to_the_cells_of_that_target() -> None:
    """On a target with factors modes and KL are added to the default metrics; cells on others keep theirs, and ids."""
    avatars = "avatars:micah?images=40"
    both = [f"none->{avatars}@16", "none->openmoji@32"]
    suite = msgspec.structs.replace(SUITE, tasks=both, methods=["memorizer"], data_budgets=[5])
    plan = make_plan(suite, cache_folder())
    added = {cell.task.target: set(cell.protocol.metrics) - set(plan.suite.protocol.metrics) for cell in plan.cells}
    assert added == {avatars: {"modes", "variant_pairs", "factor_kl"}, "openmoji": set()}
    assert not any("factors" in note for note in plan.notes)
    alone = make_plan(msgspec.structs.replace(suite, tasks=both[1:]), cache_folder())
    assert set(alone.ids) < set(plan.ids)


def test_a_plan_says_where_metrics_of_factors_have_none() -> None:
    """A suite that names them for a domain without labels is told so, and its cells leave them out."""
    protocol = Protocol(n_generated=40, metrics=["kid", "modes"])
    suite = msgspec.structs.replace(SUITE, tasks=["none->openmoji@32"], methods=["memorizer"], protocol=protocol)
    plan = make_plan(suite, cache_folder())
    (note,) = [note for note in plan.notes if "factors" in note]
    assert "openmoji" in note
    assert "modes" in note
    assert {tuple(cell.protocol.metrics) for cell in plan.cells} == {("kid",)}


def test_reference_rows_that_lack_their_source_have_no_cells() -> None:
    """On a task without a source `source` and `source-images` are left out with the reason, and none is expected.

    Alone they are refused, as a trained method is on any such task.
    """
    tasks = ["none->openmoji@32", "twemoji->openmoji@32"]
    rows = ["blank", "source-images", "source"]
    suite = msgspec.structs.replace(SUITE, tasks=tasks, methods=rows, data_budgets=[10], seeds=[0])
    plan = make_plan(suite, cache_folder())
    cells = {(cell.method, cell.task.source) for cell in plan.cells}
    assert cells == {("blank", "none"), *((row, "twemoji") for row in rows)}
    assert len(places(plan.suite)) == plan.suite.cells == 4
    assert [note for note in plan.notes if "no source domain" in note] == [
        "none->openmoji@32: no cells of source-images, which needs source images: the task has no source domain",
        "none->openmoji@32: no cells of source, which needs a source model (gan): the task has no source domain",
    ]
    for methods, name in ((["source-images"], "source-images"), (["blank", "finetune"], "finetune")):
        with pytest.raises(GraftbenchError, match=f"^Method '{name}' needs .* has no source domain"):
            make_plan(msgspec.structs.replace(suite, methods=methods), cache_folder())


def test_a_budget_beyond_the_training_split_is_refused() -> None:
    """With what was asked for and what there is."""
    suite = msgspec.structs.replace(SUITE, data_budgets=[10, 10**6])
    with pytest.raises(GraftbenchError, match="1000000 images was asked for; the training split of openmoji@32 has"):
        make_plan(suite, cache_folder())


# ------------------------------------------------------------------------------------------------ sets that are missing


@pytest.fixture
def without_sets(tmp_path: Path) -> Suite:
    """Three tasks: one whose images are here, one that lacks both sets, one that lacks one of them."""
    absent, other = tmp_path / "absent", tmp_path / "other"
    tasks = ["openmoji->twemoji@32", f"folder:{absent}->folder:{other}@32", f"twemoji->folder:{other}@32"]
    return msgspec.structs.replace(SUITE, tasks=tasks, methods=["memorizer", "oracle"])


def test_a_suite_is_refused_with_all_sets_that_are_missing(without_sets: Suite) -> None:
    """Each is named once, with what its domain says of it; one alone is told in the words of its domain."""
    with pytest.raises(MissingImagesError) as refused:
        make_plan(without_sets, cache_folder())
    first, *others = str(refused.value).splitlines()
    assert first == "2 sets of images cannot be had:"
    assert [line.partition("@32: ")[0].rpartition("/")[2] for line in others] == ["absent", "other"]
    assert all("does not exist; expected a folder of images." in line for line in others)
    one = msgspec.structs.replace(without_sets, tasks=without_sets.tasks[::2])
    with pytest.raises(MissingImagesError, match=r"^The image folder '[^\n]*/other' does not exist; expected a folder"):
        make_plan(one, cache_folder())


def test_a_plan_without_its_images_has_the_matrix(without_sets: Suite) -> None:
    """The cells of the first task are planned as if it were alone; of the others the most that there can be is known.

    2 methods, 2 budgets, 2 seeds: 8 cells each.
    """
    plan = make_plan(without_sets, cache_folder(), without_images=True)
    alone = make_plan(msgspec.structs.replace(without_sets, tasks=without_sets.tasks[:1]), cache_folder())
    assert plan.ids == alone.ids
    assert len(plan.ids) == 8
    assert [missing.name.rpartition("/")[2] for missing in plan.missing] == ["absent", "other"]
    assert [(task.task, task.cells, len(task.missing)) for task in plan.uncounted] == [
        (without_sets.tasks[1], 8, 2),
        (without_sets.tasks[2], 8, 1),
    ]
    outlook = look_ahead(plan, cache_folder()).as_json()
    assert json.loads(json.dumps(outlook["missing"])) == [
        {"name": m.name, "resolution": 32, "source": m.source, "reason": m.reason} for m in plan.missing
    ]
    assert outlook["not_counted"][0]["cells_at_most"] == 8
    assert outlook["not_counted"][0]["data_budgets"] == (10, 25)
    assert (outlook["totals"]["cells"], outlook["totals"]["not_counted_at_most"]) == (8, 16)


def test_a_plan_without_any_image_is_a_plan() -> None:
    """The suite `paper`, whose sets everybody fetches: 7 tasks, 8 sets, and each says where it comes from and goes."""
    plan = make_plan(load_suite("paper"), cache_folder(), without_images=True)
    assert (plan.cells, plan.targets) == ([], {})
    assert (len(plan.uncounted), len(plan.missing), sum(task.cells for task in plan.uncounted)) == (7, 8, 741)
    assert all("://" in missing.reason and "expected the folder" in missing.reason for missing in plan.missing)


# ------------------------------------------------------------------------------------------------------------ shards


def cells_of(methods: int, tasks: int, seeds: int) -> list[CellSpec]:
    """A matrix in the order of a plan: methods change fastest."""
    return [
        make_cell(f"m{method}", seed, family="scratch", task=TaskSpec("a", "b", 2 ** (3 + task)))
        for task in range(tasks)
        for seed in range(seeds)
        for method in range(methods)
    ]


@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 5), st.integers(1, 9))
def test_shards_are_disjoint_whole_and_balanced(methods: int, tasks: int, seeds: int, n: int) -> None:
    """Together every cell once, each in the plan's order; of each kind, and in all, they differ by one cell at most."""
    cells = cells_of(methods, tasks, seeds)
    shards = [shard(cells, k, n) for k in range(1, n + 1)]
    keys = [[(c.method, c.task.resolution, c.seed) for c in part] for part in shards]
    assert sorted(key for part in keys for key in part) == sorted((c.method, c.task.resolution, c.seed) for c in cells)
    order = {id(cell): i for i, cell in enumerate(cells)}
    assert all([order[id(c)] for c in part] == sorted(order[id(c)] for c in part) for part in shards)
    kinds = {(c.method, c.task.resolution) for c in cells}
    counts = [Counter((c.method, c.task.resolution) for c in part) for part in shards]
    assert all(max(c[kind] for c in counts) - min(c[kind] for c in counts) <= 1 for kind in kinds)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_one_shard_of_one_is_the_plan() -> None:
    """Nothing is left out and nothing moves."""
    assert shard(planned().cells, 1, 1) == planned().cells


@pytest.mark.parametrize(("text", "part"), [("1/1", (1, 1)), ("3/8", (3, 8)), (" 8/8 ", (8, 8))])
def test_a_shard_is_written_k_of_n(text: str, part: tuple[int, int]) -> None:
    """Counted from one."""
    assert parse_shard(text) == part


@pytest.mark.parametrize("text", ["3/2", "0/4", "x", "", "1", "1/", "/2", "1/0", "-1/2", "1/2/3", "1.0/2", "a/b"])
def test_another_form_is_no_shard(text: str) -> None:
    """The error shows the form, and what was found."""
    with pytest.raises(GraftbenchError, match=r"3/8.*found") as error:
        parse_shard(text)
    assert f"'{text}'" in str(error.value)


# -------------------------------------------------------------------------------------------------------------- code


def test_noted_code_is_added_and_never_lost(tmp_path: Path) -> None:
    """A plan's hashes join those of earlier plans; the same plan again changes no byte."""
    (tmp_path / "code.json").write_text(json.dumps({"earlier": {"a.py": "1"}}))
    note_code(tmp_path, planned())
    assert known_code(tmp_path) == {"earlier": {"a.py": "1"}} | planned().code
    before = (tmp_path / "code.json").stat()
    note_code(tmp_path, planned())
    after = (tmp_path / "code.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert [path.name for path in tmp_path.iterdir()] == ["code.json"]


def test_a_damaged_note_is_put_aside(tmp_path: Path) -> None:
    """What cannot be read is kept under another name, and the run goes on."""
    (tmp_path / "code.json").write_text('{"earlier": {"a.py": ')
    assert known_code(tmp_path) == {}
    note_code(tmp_path, planned())
    assert known_code(tmp_path) == planned().code
    assert (tmp_path / "code.json.damaged").read_text() == '{"earlier": {"a.py": '


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Not the cache, whose writer is used."""
    (tmp_path / "file").write_text("")
    with pytest.raises(GraftbenchError, match=r"code\.json' cannot be written"):
        note_code(tmp_path / "file", planned())


# ----------------------------------------------------------------------------------------------------------- outlook


def record(cell: CellSpec, **changes: Any) -> Record:
    """What a cell left after 10 s, 8 of them in its fit."""
    cost = Resources(device="cpu", fit_seconds=8.0, images_seen=1000, peak_memory_mib=400.0)
    whole = Record(id=cell.id, cell=cell, status=Status.OK, resources=cost, wall_seconds=10.0)
    return msgspec.structs.replace(whole, **changes)


def ahead(folder: Path | None, **options: Any) -> Outlook:
    """What is ahead of the suite in that folder."""
    return look_ahead(planned(), cache_folder(), out=folder, **options)


def test_a_folder_that_is_not_there_has_all_ahead_of_it(tmp_path: Path) -> None:
    """Every cell is new, nothing is known, nothing is made."""
    found = ahead(tmp_path / "run")
    assert {row.state for row in found.rows} == {"new"}
    assert (found.wall_time.seconds, found.peak_memory_mib, found.explained.others) == (None, None, 0)
    assert found.disk_guessed == 24
    assert not (tmp_path / "run").exists()


def test_what_runs_is_what_is_not_recorded(tmp_path: Path) -> None:
    """Done cells are left out, failed ones too, lost ones run again; time is that of the rest on so many slots."""
    cells = [cell for cell in planned().cells if cell.method == "dcgan"]
    records = [record(cells[0]), record(cells[1], status=Status.OOM), record(cells[2], status=Status.LOST)]
    records.append(record(msgspec.structs.replace(cells[3], parameters={"lr": 1.0})))
    records.append(record(msgspec.structs.replace(cells[4], seed=77)))
    for one in records:
        append(tmp_path / "records.jsonl", one)
    found = ahead(tmp_path, jobs=4, again={Status.LOST})
    states = {row.id: str(row.state) for row in found.rows}
    assert [states[cell.id] for cell in cells[:5]] == ["done", "failed", "failed", "changed", "new"]
    assert len(found.to_run) == 22
    assert found.explained.others == 2
    # 22 cells of 10 s each (those of other methods are taken to last as long) on 4 slots: 6 rounds
    # beside the trainings of both source models, which come first
    assert found.training_seconds > 0
    assert found.wall_time.seconds == pytest.approx(60 + found.training_seconds)
    assert found.peak_memory_mib == 400


def test_other_runs_tell_how_long_it_takes(tmp_path: Path) -> None:
    """A folder and a file of records count; one that is not there is named."""
    cell = planned().cells[0]
    (tmp_path / "a").mkdir()
    append(tmp_path / "a" / "records.jsonl", record(cell))
    append(tmp_path / "b.jsonl", record(cell, wall_seconds=30.0))
    found = ahead(None, others=[tmp_path / "a", tmp_path / "b.jsonl"])
    assert found.estimates.seconds(cell) == 20
    assert {row.state for row in found.rows} == {"new"}
    with pytest.raises(GraftbenchError, match="--from takes a run folder"):
        ahead(None, others=[tmp_path / "c"])


def test_edited_files_are_named_by_the_folder_s_note(tmp_path: Path) -> None:
    """The record's code is in code.json; the one file that differs is the reason."""
    plan = planned()
    cell = plan.cells[0]
    older = plan.code[cell.code] | {"graftbench/scoring/score.py::score_sampler": "0" * 64}
    old = msgspec.structs.replace(cell, code=hash_of(older))
    append(tmp_path / "records.jsonl", record(old))
    (tmp_path / "code.json").write_text(json.dumps({old.code: older}))
    assert ahead(tmp_path).rows[0].why == "code (graftbench/scoring/score.py::score_sampler)"


def test_ids_of_an_earlier_version_are_explained_in_one_sentence(tmp_path: Path) -> None:
    """A folder whose code.json names whole files: its cells would run again, and the plan says why, once."""
    cell = planned().cells[0]
    older = {"graftbench/scoring.py": "0" * 64, "graftbench/cell.py": "1" * 64}
    old = msgspec.structs.replace(cell, code=hash_of(older))
    append(tmp_path / "records.jsonl", record(old))
    before = (tmp_path / "records.jsonl").read_bytes()
    (tmp_path / "code.json").write_text(json.dumps({old.code: older}))
    outlook = ahead(tmp_path)
    assert outlook.rows[0].why == RENEWED
    assert outlook.notes.count(IDS_RENEWED) == 1
    assert (tmp_path / "records.jsonl").read_bytes() == before


def test_a_shard_s_outlook_is_about_its_cells(tmp_path: Path) -> None:
    """Records of the other shards' cells are no strangers."""
    for cell in planned().cells:
        append(tmp_path / "records.jsonl", record(cell))
    found = ahead(tmp_path, part=(2, 5))
    assert [row.cell for row in found.rows] == shard(planned().cells, 2, 5)
    assert [row.id for row in found.rows] == [row.cell.id for row in found.rows]
    assert (found.explained.others, found.wall_time.seconds) == (0, 0)


def test_source_models_are_there_or_to_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached, shipped or missing, with what the training shows and how many cells wait for it."""
    one, other = (planned_source.recipe for planned_source in planned().sources.values())
    places = {one.id: cache_folder() / "source_models" / "x.safetensors", other.id: tmp_path / "y.safetensors"}
    monkeypatch.setattr(source, "find", lambda recipe, _: places[recipe.id])
    assert [(m.id, m.place, m.cells) for m in ahead(None).models] == [(one.id, "cached", 4), (other.id, "shipped", 4)]
    monkeypatch.setattr(source, "find", lambda *_: None)
    assert [(m.place, m.kimg) for m in ahead(None).models] == [("missing", 2), ("missing", 2)]


def test_an_artifact_tells_how_much_disk_the_next_cells_need(tmp_path: Path) -> None:
    """The median of what cells of a method left, for each cell of it that runs; the others are guessed."""
    cell = planned().cells[0]
    append(tmp_path / "records.jsonl", record(cell))
    kept = tmp_path / "cells" / cell.id
    kept.mkdir(parents=True)
    (kept / "samples.png").write_bytes(b"0" * 10_000_000)
    found, unknown = ahead(tmp_path), ahead(None)
    of_method = sum(c.method == cell.method for c in planned().cells)
    assert (found.disk_guessed, unknown.disk_guessed) == (24 - of_method, 24)
    assert found.disk_needed_bytes > (of_method - 1) * 10_000_000
    assert found.disk_free_bytes
    assert unknown.disk_free_bytes is None


def test_the_outlook_is_plain_values() -> None:
    """What `--json` prints can be read back, with the fields that were promised."""
    plain = json.loads(msgspec.json.encode(ahead(None).as_json()))
    wanted = {"id", "method", "task", "data_budget", "seed", "state", "why", "expected_seconds", "expected_memory_mib"}
    assert all(wanted <= cell.keys() for cell in plain["cells"])
    assert plain["totals"]["cells"] == plain["totals"]["new"] == plain["totals"]["to_run"] == 24
    assert [model["place"] for model in plain["source_models"]] == ["missing", "missing"]


def test_a_driver_may_ask_with_records_or_heads() -> None:
    """Both have what estimates need."""
    cell = planned().cells[0]
    assert Estimates.of([record(cell)]).seconds(cell) == 10


# --------------------------------------------------------------------------------------------- which source models


def one_cell(**changes: Any) -> Suite:
    """A suite of one cell of `finetune`."""
    small = {"tasks": ["twemoji->openmoji@32"], "methods": ["finetune"], "data_budgets": [10], "seeds": [0]}
    return msgspec.structs.replace(SUITE, **small | changes)


def test_without_a_table_the_shipped_source_model_is_taken() -> None:
    """Nothing is trained; a domain for which none is shipped gets one of the default budget, and the plan says so."""
    (planned_source,) = make_plan(one_cell(source_models={}), cache_folder()).sources.values()
    assert planned_source.recipe == source.shipped_recipe("gan", planned().images["twemoji", 32])
    outlook = look_ahead(make_plan(one_cell(source_models={}), cache_folder()), cache_folder())
    assert [(model.place, model.seconds) for model in outlook.models] == [("shipped", 0.0)]
    plan = make_plan(one_cell(source_models={}, tasks=["openmoji->twemoji@32"]), cache_folder())
    (model,) = look_ahead(plan, cache_folder()).models
    assert (model.place, model.kimg) == ("missing", SourceModelSpec().kimg)
    assert model.seconds
    assert model.avoid == (
        '[source_models.gan] file = "MODEL.safetensors" takes one that is there, kimg = 64 makes it shorter'
    )


def test_the_plan_says_which_lines_avoid_a_training() -> None:
    """Where one is shipped for the domain, those that ask for another."""
    (model,) = look_ahead(make_plan(one_cell(), cache_folder()), cache_folder()).models
    assert model.avoid.startswith("without [source_models.gan] the shipped gan-twemoji-32-")


def test_a_source_model_from_elsewhere_stands_for_every_source(tmp_path: Path) -> None:
    """A file of ours, by its contents: also where the task names no source; whoever lacks something is skipped."""
    (tmp_path / "nets.py").write_text(NETS, "utf-8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(nn.Sequential(nn.Flatten(), nn.Linear(4, 3 * 32 * 32)).state_dict(), tmp_path / "g.safetensors")
    spec = SourceModelSpec(builder="nets.py:make", weights="g.safetensors", latent=[4], folder=str(tmp_path))
    methods = ["finetune", "ewc", "bsa", "adam", "memorizer"]
    suite = one_cell(source_models={"gan": spec}, tasks=["none->openmoji@32"], methods=methods)
    plan = make_plan(suite, cache_folder())
    (recipe_id,) = plan.sources
    assert recipe_id.startswith("gan-builder-32-")
    assert {cell.method: cell.source_model for cell in plan.cells} == {
        **dict.fromkeys(methods, recipe_id),
        "memorizer": "",
    }
    assert plan.lacking.keys() == {("bsa", recipe_id), ("adam", recipe_id)}
    assert any(note.startswith("bsa: its cells are skipped, for it needs batch norms") for note in plan.notes)
    assert plan.sources[recipe_id].note.startswith("It starts from 'nets.py:make' (builder, sha256 ")
    (model,) = look_ahead(plan, cache_folder()).models
    assert (model.place, model.kimg, model.avoid) == (
        "missing",
        16,
        "[source_models.gan] discriminator_kimg = 4 makes it shorter",
    )


NETS = """
from torch import nn


def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3 * 32 * 32), nn.Unflatten(1, (3, 32, 32)), nn.Tanh())
"""
"""A generator without anything that most methods look into."""


def test_a_source_model_that_is_not_as_declared_ends_the_plan(tmp_path: Path) -> None:
    """Before any training, with the table's name."""
    spec = SourceModelSpec(file="nowhere.pt", latent=[4], folder=str(tmp_path))
    with pytest.raises(GraftbenchError, match=r"\[source_models\.gan\] 'nowhere\.pt': There is no such file"):
        make_plan(one_cell(source_models={"gan": spec}), cache_folder())
