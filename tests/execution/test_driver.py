"""Runs from end to end on real images: resume, kill, failure as a row, bad input."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tiny_suites import Heard, suite_toml

import graftbench
from graftbench.errors import GraftbenchError
from graftbench.execution.driver import Summary, run
from graftbench.metrics.catalogue import resolve
from graftbench.records import store
from graftbench.records.record import Status
from graftbench.suites.suite import Suite, parse_suite

pytestmark = pytest.mark.usefixtures("shared_cache", "warm_executor")

TOML = suite_toml("memorizer", "gaussian", metrics=None)


def tiny(**changes: object) -> Suite:
    """A suite whose cells take a second each."""
    return msgspec.structs.replace(parse_suite(TOML, "tiny.toml"), **changes)


@pytest.mark.long
def test_a_target_with_known_factors_is_scored_by_them(tmp_path: Path) -> None:
    """Its classifier is made before the cells; their records have both scores, their floor, and what they rest on."""
    suite = tiny(tasks=["none->avatars:toon-head?images=600@32"], methods=["memorizer", "oracle"])
    assert run(suite, tmp_path / "run").statuses == {"ok": 2}
    memorizer, oracle = sorted(read(tmp_path / "run"), key=lambda record: record.cell.method)
    for record in (memorizer, oracle):
        assert record.truth is not None
        score = record.score("modes")
        assert score is not None
        assert score.value is not None
        assert score.floor is not None
        assert score.interval is not None
        assert 0 < score.value <= record.truth.variants
        assert record.truth.accuracy
        assert min(record.truth.accuracy.values()) >= 0.97
        assert all(each.generated_share < each.true_share / 4 for each in record.truth.neglected)
        assert record.score("factor_kl") is not None


def read(folder: Path) -> list[store.Record]:
    """All lines of a run."""
    records, warnings = store.read(folder / "records.jsonl")
    assert not warnings
    return records


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path, warm_executor: None) -> tuple[Path, Summary]:
    """The tiny suite, run once for all tests that begin with it, and what `run` returned."""
    del shared_cache, warm_executor
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, run(tiny(), folder)


@pytest.fixture
def done(finished: tuple[Path, Summary], tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return shutil.copytree(finished[0], tmp_path / "run")


def test_a_run_scores_real_images_and_a_second_one_does_nothing(finished: tuple[Path, Summary], done: Path) -> None:
    """Every cell leaves one record with its scores, cost and artifacts; a finished suite is not run again."""
    first = finished[1]
    assert (first.ran, first.exit_code, first.statuses) == (2, 0, {"ok": 2})
    records = read(done)
    for record in records:
        scores = {score.name: score for score in record.scores}
        assert tuple(scores) == resolve(["default", "memorization", "diversity"])
        assert (scores["fid"].n_reference, scores["inception_score"].n_reference, scores["authpct"].n_train) == (
            608,
            0,
            25,
        )
        for name in resolve(["default"]):
            assert scores[name].value is not None
            assert scores[name].floor is not None
        assert "two images for each of 25" in scores["intra_cluster_distance"].undefined
        assert record.resources is not None
        assert record.resources.fit_seconds is not None
        replays = record.cell.method == "memorizer"
        assert (record.resources.sampling_images_per_second is None) == replays
        assert any("no sampling rate" in note for note in record.notes) == replays
        assert (record.resources.fit_memory_mib or 0) < (record.resources.peak_memory_mib or 0)
        pictures = {"samples", "neighbors"} | ({"interpolation"} if record.cell.method == "gaussian" else set())
        assert {"sampler", "log", *pictures} == set(record.artifacts)
        assert all((done / path).is_file() for path in record.artifacts.values())
        assert "torch" in str(record.environment)
    kid = {r.cell.method: score.value for r in records for score in r.scores if score.name == "kid"}
    assert kid["memorizer"] is not None
    assert kid["gaussian"] is not None
    assert kid["memorizer"] < kid["gaussian"]
    before = (done / "records.jsonl").read_bytes()
    second = run(tiny(), done)
    assert (second.ran, second.exit_code) == (0, 0)
    assert (done / "records.jsonl").read_bytes() == before


@pytest.mark.slow
def test_the_same_cell_twice_gives_identical_scores(tmp_path: Path) -> None:
    """A trained method included: seed, data and code determine the result on one CPU machine."""
    suite = tiny(methods=["dcgan", "vae"])
    scores = []
    for name in ("a", "b"):
        run(suite, tmp_path / name)
        scores.append({r.cell.method: {s.name: s.value for s in r.scores} for r in read(tmp_path / name)})
    assert scores[0] == scores[1]
    assert all(values[name] is not None for values in scores[0].values() for name in resolve(["default"]))


@pytest.mark.slow
def test_more_seeds_run_only_what_is_new(done: Path) -> None:
    """An extended suite goes on in its folder."""
    assert run(tiny(seeds=[0, 1]), done).ran == 2
    assert len(read(done)) == 4


@pytest.mark.slow
def test_a_torn_last_line_is_set_aside(done: Path) -> None:
    """Half a record at the end of the file: said, moved aside, its cell run again, nothing else lost."""
    records = done / "records.jsonl"
    whole = records.read_bytes()
    records.write_bytes(whole[:-40])
    heard = Heard()
    summary = run(tiny(), done, progress=heard)
    assert summary.ran == 1
    assert any("unfinished" in sentence for sentence in heard.sentences)
    assert len(read(done)) == 2


def test_a_corrupt_line_stops_the_run_and_keeps_the_file(done: Path) -> None:
    """Damage in the middle is not passed over."""
    records = done / "records.jsonl"
    damaged = b"{not json}\n" + records.read_bytes()
    records.write_bytes(damaged)
    with pytest.raises(GraftbenchError, match="line 1 is no record"):
        run(tiny(), done)
    assert records.read_bytes() == damaged


def test_a_result_that_nobody_recorded_is_taken(done: Path) -> None:
    """A cell that ended while its driver was dead leaves a result; the next run records it and does not repeat it."""
    first, second = read(done)
    marked = msgspec.structs.replace(second, notes=["made by the first run"])
    left = done / "work" / f"{second.id}-0123abcd"
    (done / "cells" / second.id).rename(left)
    (left / "result.json").write_bytes(msgspec.json.encode(marked))
    (done / "records.jsonl").write_bytes(msgspec.json.encode(first) + b"\n")
    assert run(tiny(), done).ran == 0
    found = read(done)
    assert [record.notes for record in found] == [first.notes, marked.notes]
    assert found[1].finished_at == marked.finished_at
    assert (done / second.artifacts["sampler"]).exists()
    assert not list((done / "work").iterdir())


@pytest.mark.slow
def test_a_result_of_another_cell_is_not_taken(done: Path) -> None:
    """What a cell wrote into another one's folder is no result of that one."""
    first, second = read(done)
    left = done / "work" / f"{second.id}-0123abcd"
    left.mkdir()
    (left / "result.json").write_bytes(msgspec.json.encode(first))
    (done / "records.jsonl").write_bytes(msgspec.json.encode(first) + b"\n")
    assert run(tiny(), done).ran == 1
    assert [record.id for record in read(done)] == [first.id, second.id]


@pytest.mark.slow
def test_a_full_disk_stops_the_run_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No record can be written: one sentence. With room again the finished cell's result is taken, not made again."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(store, "append", full)
        with pytest.raises(GraftbenchError, match=r"cannot be written \(No space left"):
            run(tiny(methods=["memorizer"]), tmp_path)
    (result,) = tmp_path.glob("work/*/result.json")
    left = msgspec.json.decode(result.read_bytes(), type=store.Record)
    assert run(tiny(methods=["memorizer"]), tmp_path).exit_code == 0
    (taken,) = read(tmp_path)
    assert msgspec.structs.replace(taken, artifact_hashes={}) == left


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"methods": ["dcgna"]}, r"Unknown method 'dcgna'. Did you mean 'dcgan'\?"),
        ({"tasks": ["twemoij->openmoji@32"]}, r"Unknown domain 'twemoij'. Did you mean 'twemoji'\?"),
        ({"data_budgets": [5000]}, "A data budget of 5000 images was asked for; the training split .* has 934"),
        ({"parameters": {"gaussian": {"component": 3}}}, r"Unknown key 'component' in \[parameters.gaussian\]"),
        ({"parameters": {"gaussian": {"components": 0}}}, "components must be at least 1"),
        (
            {"tasks": ["none->openmoji@32"], "methods": ["finetune"]},
            r"'finetune' needs a source model \(gan\); .* no source",
        ),
        (
            {"tasks": ["none->openmoji@32"], "methods": ["gatys"]},
            "'gatys' needs source images; the task .* has no source",
        ),
        (
            {"methods": ["freezed"], "parameters": {"freezed": {"frozen_blocks": 7}}},
            "'freezed' cannot run on twemoji->openmoji@32: frozen_blocks is 0 to 6 at 32 px; found 7",
        ),
    ],
)
def test_bad_input_is_found_before_anything_runs(tmp_path: Path, changes: dict[str, object], sentence: str) -> None:
    """One sentence, and no cell is started."""
    with pytest.raises(GraftbenchError, match=sentence):
        run(tiny(**changes), tmp_path / "run")
    assert not (tmp_path / "run" / "records.jsonl").exists()


@pytest.mark.slow
def test_a_source_model_that_does_not_fit_is_found_before_anything_runs(tmp_path: Path, shared_cache: Path) -> None:
    """A file of another architecture under the right name: one sentence, no cell. A damaged one is made again."""
    from safetensors.torch import load_file, save_file

    from graftbench.images import prepared
    from graftbench.plugins import registry
    from graftbench.training import source
    from graftbench.training.source import SourceModelSpec

    spec = SourceModelSpec(kimg=0.064, seed=11)
    suite = tiny(methods=["finetune"], source_models={"gan": spec})
    images = prepared.load(registry.make_domain("twemoji"), "twemoji", 32, shared_cache)
    recipe = source.recipe_for(spec, "gan", images)
    file = source.obtain(recipe, images, shared_cache)
    tensors, metadata = load_file(file), source.load(file, recipe.id).metadata
    save_file({name: t for name, t in tensors.items() if name != "generator.to_rgb.weight"}, file, metadata)
    with pytest.raises(GraftbenchError, match=r"is of another architecture \(generator\).*to_rgb"):
        run(suite, tmp_path / "run")
    assert not (tmp_path / "run" / "records.jsonl").exists()
    file.write_bytes(file.read_bytes()[:500])
    assert run(suite, tmp_path / "run").exit_code == 0
    assert source.load(file, recipe.id).tensors.keys() == tensors.keys()
    file.unlink()


@pytest.mark.slow
def test_a_task_without_a_source(tmp_path: Path) -> None:
    """What starts from nothing runs there; batches larger than the data budget are noted in the record."""
    suite = tiny(tasks=["none->openmoji@32"], methods=["dcgan", "oracle"], data_budgets=[10])
    assert run(suite, tmp_path).exit_code == 0
    (record,) = [r for r in read(tmp_path) if r.cell.method == "dcgan"]
    assert str(record.cell.task) == "none->openmoji@32"
    assert list(record.cell.manifests) == ["openmoji"]
    assert record.cell.source_model == ""
    assert "Batches of 32 were drawn with replacement from 10 images." in record.notes


def test_an_unknown_extractor_is_named(tmp_path: Path) -> None:
    """With the nearest one."""
    suite = parse_suite(TOML + 'extractor = "lite1"\n', "tiny.toml")
    with pytest.raises(GraftbenchError, match=r"Unknown extractor 'lite1'. Did you mean 'lite2'\?"):
        run(suite, tmp_path)


@pytest.mark.parametrize("content", [None, b"not weights"])
def test_missing_or_wrong_weights_are_named(tmp_path: Path, content: bytes | None) -> None:
    """Either stops the run before a cell is started, by the file's name."""
    weights = tmp_path / "weights.pth"
    suite = parse_suite(TOML + f'weights = "{weights}"\n', "tiny.toml")
    if content is not None:
        weights.write_bytes(content)
    with pytest.raises(GraftbenchError, match=r"weights\.pth"):
        run(suite, tmp_path / "run")
    assert not (tmp_path / "run" / "records.jsonl").exists()


def test_the_output_folder_is_checked(tmp_path: Path, done: Path) -> None:
    """A file, a folder with other things, another suite's run, another protocol's: refused, each by its name."""
    (tmp_path / "file").touch()
    with pytest.raises(GraftbenchError, match="is a file; a run needs a folder"):
        run(tiny(), tmp_path / "file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(GraftbenchError, match="is not empty and holds no run"):
        run(tiny(), tmp_path / "other")
    with pytest.raises(GraftbenchError, match="cannot be written"):
        run(tiny(), Path("/proc/graftbench"))
    before = (done / "records.jsonl").read_bytes()
    with pytest.raises(GraftbenchError, match="holds a run of suite 'tiny', not 'small'"):
        run(tiny(name="small"), done)
    with pytest.raises(GraftbenchError, match=r"another protocol \(n_generated: 40 there, 41 now\)"):
        run(parse_suite(TOML.replace("40", "41"), "tiny.toml"), done)
    assert (done / "records.jsonl").read_bytes() == before


def test_two_drivers_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second one refuses."""
    import fcntl

    tmp_path.joinpath("run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(GraftbenchError, match="Another run is working"):
            run(tiny(), tmp_path / "run")


@pytest.mark.slow
def test_folders_of_images_are_domains(tmp_path: Path) -> None:
    """`folder:PATH` as a target, a truncated, a 1×1 and a CMYK picture among the images: the rest is used."""
    from PIL import Image

    from graftbench.cache import cache_folder
    from graftbench.images import prepared
    from graftbench.plugins import registry

    emoji = prepared.load(registry.make_domain("openmoji"), "openmoji", 32, cache_folder())
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(60):
        Image.fromarray(emoji.pixels[i].transpose(1, 2, 0)).save(folder / f"{i:03}.png")
    Image.fromarray(emoji.pixels[60].transpose(1, 2, 0)).convert("CMYK").save(folder / "cmyk.jpg")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    (folder / "torn.png").write_bytes((folder / "000.png").read_bytes()[:200])
    heard = Heard()
    suite = tiny(tasks=[f"none->folder:{folder}@32"], data_budgets=[10], methods=["memorizer"])
    assert run(suite, tmp_path / "run", progress=heard).exit_code == 0
    assert any("2 files are left out: " in sentence for sentence in heard.sentences)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GraftbenchError, match="holds no images"):
        run(tiny(tasks=[f"twemoji->folder:{tmp_path / 'empty'}@32"]), tmp_path / "run2")


@pytest.mark.long
def test_inception_scores_from_a_local_file(tmp_path: Path, random_inception: Path) -> None:
    """The field's extractor, named in the suite with a local weights file: its own input rule, named in the scores."""
    from PIL import Image

    from graftbench.cache import cache_folder
    from graftbench.images import prepared
    from graftbench.plugins import registry

    emoji = prepared.load(registry.make_domain("openmoji"), "openmoji", 32, cache_folder())
    (tmp_path / "few").mkdir()
    for i in range(40):
        Image.fromarray(emoji.pixels[i].transpose(1, 2, 0)).save(tmp_path / "few" / f"{i:02}.png")
    toml = TOML.replace("size = 32\n", "").replace(
        "n_generated = 40", f'n_generated = 12\nextractor = "inception-v3-compat"\nweights = "{random_inception}"'
    )
    suite = msgspec.structs.replace(
        parse_suite(toml, "inception.toml"),
        tasks=[f"folder:{tmp_path / 'few'}->folder:{tmp_path / 'few'}@32"],
        data_budgets=[10],
        methods=["memorizer"],
    )
    assert run(suite, tmp_path / "run").exit_code == 0
    (record,) = read(tmp_path / "run")
    assert {score.protocol for score in record.scores} == {"inception-v3-compat"}
    assert record.cell.protocol.size is None
    undefined = record.score("inception_score")
    assert undefined is not None
    assert undefined.value is None
    assert "12" in undefined.undefined


@pytest.mark.slow
def test_a_source_model_is_trained_once_and_shared(tmp_path: Path, shared_cache: Path) -> None:
    """Cells that transfer get the same model; it is trained where none is cached, and never again."""
    from graftbench.training.source import SourceModelSpec

    suite = tiny(methods=["source", "finetune", "freezed"], source_models={"gan": SourceModelSpec(kimg=0.064, seed=7)})
    heard = Heard()
    assert run(suite, tmp_path / "a", progress=heard).exit_code == 0
    assert sum("training source model" in sentence for sentence in heard.sentences) == 1
    models = {r.cell.source_model for r in read(tmp_path / "a")}
    (model,) = models
    assert (shared_cache / "source_models" / f"{model}.safetensors").is_file()
    heard = Heard()
    run(suite, tmp_path / "b", progress=heard)
    assert not any("training source model" in sentence for sentence in heard.sentences)


@pytest.mark.slow
def test_the_python_interface_gives_a_data_frame(tmp_path: Path) -> None:
    """`graftbench.run` does what the command does, `graftbench.load` gives one row a cell."""
    graftbench.run(tiny(), tmp_path)
    frame = graftbench.load(tmp_path)
    assert len(frame) == 2
    assert {"method", "family", "task", "data_budget", "seed", "status", "fid", "kid", "inception_score"} <= set(frame)
    assert {"fit_seconds", "peak_memory_mib"} <= set(frame)
    assert set(frame["method"]) == {"memorizer", "gaussian"}
    assert set(frame["status"]) == {"ok"}


@pytest.mark.slow
def test_shards_make_up_the_suite(tmp_path: Path) -> None:
    """Two halves on machines that share nothing, merged: the whole suite; running it again does nothing."""
    from graftbench.execution.merge import merge

    suite = tiny(seeds=[0, 1])
    halves = [tmp_path / "one", tmp_path / "two"]
    assert [run(suite, half, shard=(k, 2)).ran for k, half in enumerate(halves, start=1)] == [2, 2]
    merge(halves, tmp_path / "all")
    assert len({record.id for record in read(tmp_path / "all")}) == 4
    assert run(suite, tmp_path / "all").ran == 0
    with pytest.raises(GraftbenchError, match="no shard 3 of 2"):
        run(suite, tmp_path / "three", shard=(3, 2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keep", "files"), [("samples", {"log.txt", "samples.png", "neighbors.png"}), ("nothing", {"log.txt"})]
)
def test_what_is_kept(tmp_path: Path, keep: str, files: set[str]) -> None:
    """`samples` leaves no sampler, `nothing` no picture either; the scores are there in any case."""
    run(tiny(methods=["memorizer"]), tmp_path, keep=keep)
    (record,) = read(tmp_path)
    assert record.status == Status.OK
    assert {file.name for file in (tmp_path / "cells" / record.id).iterdir()} == files
    assert {Path(path).name for path in record.artifacts.values()} == files
    with pytest.raises(GraftbenchError, match="Did you mean 'samples'"):
        run(tiny(), tmp_path, keep="sample")


def test_a_disk_without_room_is_found_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what is needed and what is free; no cell ran."""
    from graftbench.suites import disk

    monkeypatch.setattr(disk, "free_bytes", lambda _: 1_000_000)
    with pytest.raises(GraftbenchError, match="MB"):
        run(tiny(), tmp_path)
    assert not (tmp_path / "records.jsonl").exists()


@pytest.mark.long
def test_two_runs_train_a_source_model_once(tmp_path: Path) -> None:
    """Two drivers that need the same source model at the same moment: one trains it, the other waits and uses it."""
    suite = tmp_path / "suite.toml"
    suite.write_text(
        TOML.replace('["memorizer", "gaussian"]', '["source"]') + "[source_models.gan]\nkimg = 0.5\nseed = 99\n"
    )
    drivers = [
        subprocess.Popen(
            [sys.executable, "-m", "graftbench", "run", str(suite), "--out", str(tmp_path / name), "--jobs", "1"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    said = [driver.communicate(timeout=120)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0]
    assert sum("training source model" in output for output in said) == 1
    (one,), (two,) = read(tmp_path / "one"), read(tmp_path / "two")
    assert one.scores == two.scores
