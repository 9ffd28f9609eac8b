"""`graftbench source ls` and `graftbench source show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from graftbench.cli import source as command
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFTBENCH_CACHE", str(tmp_path))


def test_shipped_and_known_source_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its kind, what it makes, its side, and where it is; damaged files of the cache are left out."""
    from graftbench.cache import cache_folder

    folder = cache_folder() / "source_models"
    folder.mkdir(parents=True)
    (folder / "gan-broken-32-000000000000.safetensors").write_bytes(b"no")
    assert command.ls(json=True) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {row["place"] for name, row in rows.items() if name.startswith("gan-twemoji-")} == {"shipped"}
    assert (rows["gan-face-generate"]["side"], rows["gan-face-generate"]["kimg"]) == (64, None)
    assert not any("broken" in name for name in rows)
    assert command.ls() == 0
    assert "gan-face-generate" in capsys.readouterr().out


def test_a_shipped_source_model_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Licence, provenance, scores, who can start from it, and a sheet of 8×4 samples."""
    assert command.show("gan-twemoji-32", sheet=tmp_path / "s" / "sheet.png", json=True) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["licence"] == "CC-BY-4.0"
    assert facts["command"].startswith("graftbench source train twemoji")
    assert facts["recipe"]["domain"] == "twemoji"
    assert any(name.startswith("kid_") for name in facts["scores"])
    assert {"finetune", "adam", "joint"} <= set(facts["starts"])
    assert facts["cannot start"] == {}
    with Image.open(tmp_path / "s" / "sheet.png") as sheet:
        assert sheet.size == (8 * 32, 4 * 32)
        assert len(sheet.convert("RGB").getcolors(10**6) or []) > 100
    assert command.show("gan-twemoji-32") == 0
    text = capsys.readouterr().out
    assert "starts        adam, bsa, cdc" in text
    assert "kid_" in text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gan-twemojj", r"Unknown source model 'gan-twemojj'.*Did you mean"),
        ("gan-", "Several source models begin with 'gan-'"),
    ],
)
def test_a_name_that_is_none_or_several_is_refused(name: str, sentence: str) -> None:
    """With the nearest, or all of them."""
    with pytest.raises(GraftbenchError, match=sentence):
        command.show(name)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""

    def missing(name: str) -> str:
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    with pytest.raises(GraftbenchError, match="not installed: pip install --no-deps gan-face-generate"):
        command.show("gan-face-generate")


def test_a_sheet_is_a_png(tmp_path: Path) -> None:
    """Refused before anything is loaded."""
    with pytest.raises(GraftbenchError, match="written as PNG"):
        command.show("gan-twemoji-32", sheet=tmp_path / "sheet.jpg")
