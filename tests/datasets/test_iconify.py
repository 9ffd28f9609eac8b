"""Noto and Fluent emoji: sets that the tests make in Iconify's format, and npm's packages where they are installed."""

from __future__ import annotations

import importlib
import json
import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from pathlib import Path

_node_modules = importlib.import_module("graftbench.datasets._node_modules")

NOTO, FLUENT = "@iconify-json/noto", "@iconify-json/fluent-emoji-flat"
TOP_LEFT = '<path fill="#f00" d="M0 0h16v16H0z"/>'
ICONS: dict[str, Any] = {
    "prefix": "noto",
    "icons": {
        "grinning-face": {"body": TOP_LEFT},
        "cat-face": {"body": '<path fill="#00f" d="M0 0h16v16H0z"/>'},
        "wide": {"body": '<path fill="#0f0" d="M0 0h32v16H0z"/>', "height": 16},
        "old": {"body": "<path/>", "hidden": True},
    },
    "aliases": {
        "mirrored": {"parent": "grinning-face", "hFlip": True},
        "twice-mirrored": {"parent": "mirrored", "hFlip": True},
        "upside-down": {"parent": "grinning-face", "vFlip": True},
        "turned": {"parent": "grinning-face", "rotate": 1},
    },
    "width": 32,
    "height": 32,
}
CHARS = {
    "1f600": "grinning-face",
    "1f601": "mirrored",
    "1f602": "twice-mirrored",
    "1f603": "upside-down",
    "1f604": "turned",
    "1f605": "wide",
    "1f431": "cat-face",
    "1f63a": "cat-face",
    "23-fe0f-20e3": "wide",
    "1f550": "wide",
    "1f551": "mirrored",
    "1f44d-1f3fb": "wide",
    "1f468-200d-1f33e": "wide",
    "fe82b": "wide",
}


def write_package(modules: Path, name: str = NOTO, **changed: Any) -> Path:
    """A package as npm leaves it: package.json, icons.json and chars.json in a folder of its name."""
    folder = modules / name
    folder.mkdir(parents=True)
    contents = {"package": {"name": name, "version": "1.2.9"}, "icons": ICONS, "chars": CHARS} | changed
    for stem, value in contents.items():
        (folder / f"{stem}.json").write_text(json.dumps(value), "utf-8")
    return folder


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that $NODE_PATH names, and no npm."""
    monkeypatch.setenv("NODE_PATH", f"{tmp_path / 'none'}{os.pathsep}{tmp_path / 'modules'}")
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "modules"


def pictures(name: str, resolution: int = 32) -> dict[str, np.ndarray]:
    """Id -> pixels 3×R×R as numbers."""
    images = make_domain(name).images(resolution)
    return dict(zip(images.ids, images.pixels.astype(int), strict=True))


def quarters(picture: np.ndarray) -> str:
    """Where a picture is red: in its quarters from the top left, row by row."""
    red = (picture[0] > 200) & (picture[1] < 50)
    return "".join("#" if red[y : y + 12, x : x + 12].all() else "." for y in (2, 18) for x in (2, 18))


def test_ids_and_groups_are_those_of_the_other_designs(modules: Path) -> None:
    """Code points without variants; no skin tone, joiner or private use, in plane 15 neither; clocks are one."""
    write_package(modules)
    images = make_domain("noto").images(16)
    assert list(images.ids) == sorted(
        CHARS.keys() - {"23-fe0f-20e3", "1f44d-1f3fb", "1f468-200d-1f33e", "fe82b"} | {"23-20e3"}
    )
    groups = dict(zip(images.ids, images.groups, strict=True))
    assert groups["1f550"] == groups["1f551"] == "clock-faces"
    assert groups["1f600"] == "1f600"
    assert list(make_domain("noto:animals").images(16).ids) == ["1f431"]


def test_an_alias_is_its_parent_mirrored_or_turned(modules: Path) -> None:
    """Red at the top left moves right, stays after two mirrors, moves down, and right by a quarter turn clockwise."""
    write_package(modules)
    drawn = pictures("noto")
    where = {emoji: quarters(drawn[emoji]) for emoji in ("1f600", "1f601", "1f602", "1f603", "1f604")}
    assert where == {"1f600": "#...", "1f601": ".#..", "1f602": "#...", "1f603": "..#.", "1f604": ".#.."}
    assert np.abs(drawn["1f601"] - drawn["1f600"][..., ::-1]).max() <= 1


def test_a_drawing_of_another_shape_lies_in_the_middle(modules: Path) -> None:
    """32×16 units: half of the square's height is green, from a quarter down; above and below is white."""
    write_package(modules)
    wide = pictures("noto")["1f605"]
    assert (wide[:, :7] > 245).all()
    assert (wide[:, 25:] > 245).all()
    assert (wide[1, 10:22] > 245).all()
    assert (wide[0, 10:22] < 10).all()


def test_fluent_leaves_out_what_it_draws_as_another(modules: Path) -> None:
    """The cat's face stays, the grinning cat, which is the same drawing there, goes; Noto draws two."""
    write_package(modules, FLUENT)
    write_package(modules)
    fluent, noto = set(pictures("fluent-emoji", 8)), set(pictures("noto", 8))
    assert noto - fluent == {"1f63a"}


def test_the_fingerprint_names_package_and_renderer(modules: Path) -> None:
    """Another version of either is prepared again; a kind has one of its own."""
    package = write_package(modules)
    fingerprint = make_domain("noto").fingerprint()
    assert fingerprint.startswith("@iconify-json/noto 1.2.9, 11 files, ")
    assert f"resvg-py {version('resvg_py')}" in fingerprint
    assert make_domain("noto:animals").fingerprint() == fingerprint.replace("11 files", "1 files") + ", animals"
    (package / "package.json").write_text('{"version": "1.3.0"}', "utf-8")
    assert make_domain("noto").fingerprint() == fingerprint.replace("1.2.9", "1.3.0")


def test_packages_are_looked_for_where_npm_puts_them(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$NODE_PATH first, then node_modules here and above, then where `npm root --global` says."""
    here, tools, everywhere = tmp_path / "a" / "b", tmp_path / "bin", tmp_path / "lib" / "node_modules"
    here.mkdir(parents=True)
    tools.mkdir()
    (tools / "npm").write_text(f'#!/bin/sh\n[ "$*" = "root --global" ] && echo "{everywhere}"\n')
    (tools / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.chdir(here)
    for folder in (everywhere, tmp_path / "node_modules", tmp_path / "a" / "node_modules", modules):
        package = write_package(folder)
        assert _node_modules.node_package(NOTO) == package


def test_a_package_that_is_not_there_is_a_sentence(modules: Path) -> None:
    """With the command that installs it; also where npm is broken, and where a folder has the name alone."""
    (modules / NOTO).mkdir(parents=True)
    with pytest.raises(GraftbenchError, match=r"`npm install @iconify-json/noto` puts it into \./node_modules"):
        make_domain("noto").fingerprint()
    with pytest.raises(GraftbenchError, match="@iconify-json/fluent-emoji-flat is not installed"):
        make_domain("fluent-emoji").images(16)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"chars": {"1f600": "no-such-icon"}}, "is no set in Iconify's format: KeyError 'no-such-icon'"),
        ({"icons": {"icons": {}, "aliases": {"mirrored": {"parent": "mirrored"}}}}, "is no set in Iconify's format"),
        ({"chars": ["1f600"]}, "holds a list; expected an object"),
    ],
)
def test_another_format_is_a_sentence(modules: Path, changed: dict[str, Any], sentence: str) -> None:
    """A name without an icon, aliases in a circle, a list."""
    package = write_package(modules, **changed)
    with pytest.raises(GraftbenchError, match=sentence):
        make_domain("noto").images(16)
    (package / "chars.json").write_text("{", "utf-8")
    with pytest.raises(GraftbenchError, match="cannot be read as JSON"):
        make_domain("noto").images(16)


# ------------------------------------------------------------------------------------------------- the real packages

REAL = {
    "noto": (NOTO, "1.2.9", "ca6964a3b6b527a60a2f2e78568612e078a55097654536d421288e0972b029ad"),
    "fluent-emoji": (FLUENT, "1.2.6", "63d3921cabab451fef2a26ecd61a684bb1e6c8827ae57a5b19001975a95604f9"),
}
"""Domain -> package, version, manifest at 32 pixels."""


@pytest.mark.parametrize("name", REAL)
def test_the_real_package_has_the_ids_and_splits_of_openmoji(name: str, shared_cache: Path) -> None:
    """An emoji of both is on one side in both: a source model has seen no reference emoji in the other design."""
    package, released, manifest = REAL[name]
    try:
        folder = _node_modules.node_package(package)
    except GraftbenchError as error:
        pytest.skip(str(error))
    images = prepared.load(make_domain(name), name, 32, shared_cache)
    others = prepared.load(make_domain("openmoji"), "openmoji", 32, shared_cache)
    split = dict(zip(others.ids, others.splits, strict=True))
    shared = [(emoji, side) for emoji, side in zip(images.ids, images.splits, strict=True) if emoji in split]
    assert len(shared) > 1300
    assert [emoji for emoji, side in shared if split[emoji] != side] == []
    found = json.loads((folder / "package.json").read_text("utf-8"))["version"]
    if (found, version("resvg_py"), platform.machine()) == (released, "0.5.0", "x86_64"):
        assert images.manifest == manifest
        assert f"{len(images.ids):,} emoji" in type(make_domain(name)).description
