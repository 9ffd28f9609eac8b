"""The built-in domains beside emoji: what they hold, how they are drawn, and that no split separates look-alikes."""

from __future__ import annotations

import importlib
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, features

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graftbench.images.prepared import ImageSet

_decode = importlib.import_module("graftbench.datasets._decode")
_patches = importlib.import_module("graftbench.datasets._patches")
_svg = importlib.import_module("graftbench.datasets._svg")
glyphs = importlib.import_module("graftbench.datasets.glyphs")
glyph_group = importlib.import_module("graftbench.datasets._glyph_groups").group_of
icons = importlib.import_module("graftbench.datasets.icons")
icon_group = importlib.import_module("graftbench.datasets._icon_groups").group_of

PICTURES = ("photos", "textures", "histology", "retina", "hubble")
FEW = (*PICTURES, "digits", "glyphs:stix-italic", "glyphs:cm-roman", "icons:octicons")
MANY = tuple(f"glyphs:{font}" for font in glyphs.FONTS) + tuple(f"icons:{name}" for name in icons.SETS)

PINNED = {
    "photos": (1224, "487ad9ff5d05389b90d8295bbe4b7218ba2d909af36ac0a024f7ec0b8766e09b"),
    "textures": (1200, "425a3af5a02571b42473b34fa8a76eae71d2c140ea28ffb8edaa307993e89c7e"),
    "histology": (400, "12a0f76175786b8099faea4f74bbda9c8770d667171f2cc7b14e961480a87e20"),
    "retina": (2477, "ed39e87c1f445975af9d5788395569eacfa1c06f6e88821b7c3c588eeaa8c1a0"),
    "hubble": (1050, "92e96d297d3f4fd2b83e348427b2b4e8f72eeb846ac0df26cc72bd593e93171b"),
    "digits": (1797, "e2b36187fbe3c518265d2b15526496f909b124924c2ef345d8dd11eb3c8f0a58"),
    "icons:octicons": (368, "086550715614610fb67fdace4805da1819d07985c29ebdf3372d553fd29c8ed5"),
    "glyphs:cm-roman": (126, "d0a6e84783d8064cef128ee0743f9c17ceb3f973fb74890208c633289760c0ee"),
    "glyphs:stix-italic": (1036, "0841e957c544f97c1c4ae0e508d16731b72e0ae179f3a21d4964f72e8dc5d697"),
    "glyphs:dejavu-sans": (5549, "95b03f8e9ab9ee4851004f295a882f1f31fee10c1352f11246a69b07c7d384aa"),
    "glyphs:dejavu-serif": (3247, "c40d5aea0d27dcffea809559b4bda3a6df6099a4a95ff482985f74a329c26b81"),
    "glyphs:dejavu-mono": (3197, "610dbf96a6194c0aed94762616053ce04aed3572d1477e76955f6f811d2da874"),
    "glyphs:stix": (3165, "5a418ffd40b4a74b07bc7670c4fc768431dbcdd1ef3953ec91317badeebf4749"),
    "icons:fontawesome": (2806, "88ff0cf717156a598b942d759fae6cbf9da5528506e0691bb39fd27205706b8a"),
    "icons:simple": (3369, "3cde480a27d501a1c53d830aa19d30dc195dd1e3de13272fc29ec80a32b79de7"),
    "icons:material": (7447, "5d50e9776ddd29b6b498e8f840b8ba924dada3c49db0780807c2544ed608c01e"),
}
"""Count and manifest at 32 pixels."""

NEAR = 0.03
"""Squared distance, as a share of the larger energy about the mean, that counts as none. The tables were made at 4 %;
what lies between may come and go with the last bits of a renderer."""


def _load(name: str, cache: Path, resolution: int = 32) -> ImageSet:
    return prepared.load(make_domain(name), name, resolution, cache)


def _skip_unless_pinned(name: str) -> None:
    """Skip where the pixels come from other versions than those that were pinned."""
    base = name.partition(":")[0]
    found, pinned = {
        "glyphs": ((version("matplotlib"), features.version("freetype2")), ("3.11.2", "2.14.3")),
        "icons": (
            (version("mkdocs-material"), version("resvg_py"), platform.machine()),
            ("9.8.1", "0.5.0", "x86_64"),
        ),
    }.get(base, ((version("pillow"),), ("13.0.0",) if base in ("photos", "retina", "hubble") else (version("pillow"),)))
    if found != pinned:
        pytest.skip(f"the manifest of {name} is pinned for {pinned}, found {found}")


def _skip_without_icons(name: str) -> None:
    if name.startswith("icons"):
        pytest.importorskip("material", reason="the extra `icons` is not installed")


@pytest.mark.parametrize("name", [n if n in FEW else pytest.param(n, marks=pytest.mark.long) for n in PINNED])
def test_manifest(name: str, shared_cache: Path) -> None:
    """Ids, groups, splits and pixels are the same bits everywhere: lossless files or one version of what draws."""
    _skip_without_icons(name)
    _skip_unless_pinned(name)
    images = _load(name, shared_cache)
    assert (len(images.ids), images.manifest) == PINNED[name]


def _near(images: NDArray[np.uint8], groups: list[str]) -> list[tuple[int, int]]:
    """Pairs of images in different groups that are nearly equal, by the plain formula."""
    flat = images.mean(1, dtype=np.float32).reshape(len(images), -1)
    flat -= flat.mean(1, keepdims=True)
    energy, number = np.square(flat).sum(1), np.unique(groups, return_inverse=True)[1]
    found: list[tuple[int, int]] = []
    for start in range(0, len(flat), 512):
        rows = slice(start, start + 512)
        squared = energy[rows, None] + energy - 2 * flat[rows] @ flat.T
        near = squared <= NEAR * np.maximum(energy[rows, None], energy)
        near &= number[rows, None] < number
        found += [(int(i) + start, int(j)) for i, j in zip(*np.nonzero(near), strict=True)]
    return found


@pytest.mark.parametrize("name", [*FEW, *(pytest.param(n, marks=pytest.mark.long) for n in MANY if n not in FEW)])
def test_no_split_separates_lookalikes(name: str, shared_cache: Path) -> None:
    """Two images that are nearly equal, or equal, share a group."""
    _skip_without_icons(name)
    images = _load(name, shared_cache)
    pairs = _near(images.pixels, list(images.groups))
    assert [(images.ids[i], images.ids[j]) for i, j in pairs] == []


@pytest.mark.parametrize("name", ["twemoji", "openmoji"])
def test_emoji_that_are_equal_share_a_split(name: str, shared_cache: Path) -> None:
    """Of the emoji no two in different groups are nearer than 0.9 %; designs that differ in a mouth or a star exist."""
    images = _load(name, shared_cache)
    flat = images.pixels.reshape(len(images.ids), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    energy, number = np.square(flat).sum(1), np.unique(images.groups, return_inverse=True)[1]
    squared = energy[:, None] + energy - 2 * flat @ flat.T
    share = squared / np.maximum(energy[:, None], energy)
    assert share[number[:, None] != number].min() > 0.009


@pytest.mark.parametrize("name", [f"glyphs:{font}" for font in ("cm-roman", "stix-italic")])
def test_a_code_point_has_one_group_in_all_fonts(name: str, shared_cache: Path) -> None:
    """The group follows from the code point alone: loading joins nothing that the tables do not."""
    images = _load(name, shared_cache)
    assert list(images.groups) == [glyph_group(int(point.removeprefix("U+"), base=16)) for point in images.ids]


@pytest.mark.long
@pytest.mark.parametrize("font", sorted(glyphs.FONTS))
def test_groups_of_every_font(font: str, shared_cache: Path) -> None:
    """Likewise for every font, so that the source font has seen no reference code point of the target font."""
    test_a_code_point_has_one_group_in_all_fonts(f"glyphs:{font}", shared_cache)


@pytest.mark.parametrize(
    "forms",
    [
        "\u0041\u0061\u00c1\uff21\U0001d400\u0391\u0410",  # A, a, A with acute, full width, bold, Greek, Cyrillic
        "\u004f\u006f\u03bf\u043e\u0555",  # O, o, Greek, Cyrillic, Armenian
        "\u0031\uff11\u00b9",  # 1, full width, superscript
        "\u0628\ufe8f\ufe91",  # Arabic beh, isolated, initial
    ],
)
def test_forms_and_lookalikes_share_a_group(forms: str) -> None:
    """Case, diacritics, width, mathematical alphabets; Latin, Greek and Cyrillic capitals of one shape."""
    assert len({glyph_group(ord(character)) for character in forms}) == 1


def test_other_letters_do_not_share_a_group() -> None:
    """The 26 letters but for those that some font draws alike (i and l) stay apart."""
    assert len({glyph_group(ord(letter)) for letter in "abcdefghjklmnopqrstuvwxyz"}) >= 20


def test_glyphs_stand_on_one_baseline() -> None:
    """The feet of E, H and x end in one row, 0.74 of the side from the top; y goes below it."""
    images = make_domain("glyphs:cm-sans").images(64)
    dark = {name: image[0] < 128 for name, image in zip(images.ids, images.pixels, strict=True)}
    lowest = {c: int(np.flatnonzero(dark[f"U+{ord(c):04X}"].any(1)).max()) for c in "EHxy"}
    assert lowest["E"] == lowest["H"] == lowest["x"] < lowest["y"]
    assert abs(lowest["E"] + 1 - 0.74 * 64) <= 1


def test_glyphs_are_visible_public_characters(shared_cache: Path) -> None:
    """No blanks, controls, combining marks or private code points; every glyph has ink; ids are code points."""
    import unicodedata

    images = _load("glyphs:stix-italic", shared_cache)
    assert all(re.fullmatch(r"U\+[0-9A-F]{4,6}", point) for point in images.ids)
    points = [int(point.removeprefix("U+"), base=16) for point in images.ids]
    assert {unicodedata.category(chr(point))[0] for point in points} <= set("LNPS")
    assert (images.pixels.min((1, 2, 3)) < 200).all()
    assert (images.pixels[:, 0] == images.pixels[:, 2]).all()


def test_computer_modern_is_found_by_meaning() -> None:
    """TeX keeps Gamma at another code than Unicode; here it is U+0393, and its group is that of other fonts."""
    ids = make_domain("glyphs:cm-roman").images(16).ids
    assert {"U+0041", "U+0393", "U+03A9", "U+FB03"} <= set(ids)


@pytest.mark.parametrize("name", PICTURES)
def test_patches_of_two_groups_share_no_pixel(name: str, shared_cache: Path) -> None:
    """A group is a block of 128×128 pixels, and all its patches lie within it."""
    images = _load(name, shared_cache)
    for patch, group in zip(images.ids, images.groups, strict=True):
        stem, top, left = re.findall(r"^(.+)-y(\d{4})-x(\d{4})$", patch)[0]
        assert group == f"{stem}-{int(top) // 128}-{int(left) // 128}"
        assert int(top) % 128 <= 64
        assert int(left) % 128 <= 64


def test_patches_are_the_pictures_pixels() -> None:
    """At 64 pixels nothing is resized: a patch is the crop that its id names; flat ones are left out by name."""
    images = make_domain("histology").images(64)
    with Image.open(_decode.package_files("skimage", "data", "ihc.png")[0]) as picture:
        crop = np.asarray(picture.crop((144, 256, 208, 320)))
    position = list(images.ids).index("ihc-y0256-x0144")
    assert np.array_equal(images.pixels[position].transpose(1, 2, 0), crop)
    assert all("flat" in why for why in make_domain("retina").images(8).excluded.values())


def test_every_split_of_pictures_has_images(shared_cache: Path) -> None:
    """Few groups could leave a split empty: each has at least two blocks' worth of patches."""
    for name in PICTURES:
        splits = _load(name, shared_cache).splits
        assert min(splits.count(side) for side in prepared.SPLITS) >= 50


def test_digits_are_those_of_scikit_learn() -> None:
    """At 8×8 nothing is resized: 16 is black, 0 is white; the id names the digit."""
    from sklearn.datasets import load_digits

    values, digits = map(np.asarray, load_digits(return_X_y=True))
    images = make_domain("digits").images(8)
    assert np.array_equal(images.pixels[:, 0], np.floor(255 * (16 - values.reshape(-1, 8, 8)) / 16 + 0.5))
    assert [int(name[-1]) for name in images.ids] == digits.tolist()


def test_a_tall_drawing_stands_in_the_middle() -> None:
    """Half as wide as tall: columns 5 to 14 of 20 are black, the rest is transparent."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 2"><path d="M0 0h1v2H0"/></svg>'
    picture = np.asarray(_svg.drawn(svg, 20))
    assert (picture[:, 5:15] == [0, 0, 0, 255]).all()
    assert picture[..., 3].sum() == 255 * 20 * 10


def test_a_drawing_without_size_is_refused() -> None:
    """An SVG without viewBox has no known shape."""
    with pytest.raises(ValueError, match="viewBox"):
        _svg.drawn("<svg/>", 8)


def test_icons_are_black_on_white(shared_cache: Path) -> None:
    """Grey without colours; an icon has ink and leaves white; sizes and variants of one icon are one group."""
    pytest.importorskip("material", reason="the extra `icons` is not installed")
    images = _load("icons:octicons", shared_cache)
    assert (images.pixels[:, 0] == images.pixels[:, 1]).all()
    assert (images.pixels.min((1, 2, 3)) < 100).all()
    assert (images.pixels.max((1, 2, 3)) > 200).mean() > 0.99
    assert not any(re.search(r"-\d\d$", name) for name in images.ids)
    assert icon_group("account-box-outline") == icon_group("regular/circle-account") == icon_group("account")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["histology", "glyphs:cm-math"])
def test_ids_are_the_same_at_every_resolution(name: str) -> None:
    """From 8 to 256 pixels: the shape asked for, the same ids and groups."""
    small, large = make_domain(name).images(8), make_domain(name).images(256)
    assert small.pixels.shape == (len(small.ids), 3, 8, 8)
    assert large.pixels.shape == (len(small.ids), 3, 256, 256)
    assert (small.ids, small.groups) == (large.ids, large.groups)


@pytest.mark.parametrize("name", [*PICTURES, "digits", "glyphs:stix", "icons:material", "twemoji", "openmoji"])
def test_licence_and_attribution_are_stated(name: str) -> None:
    """Who made the images, under which licence, and the package that they come from."""
    domain = type(make_domain(name))
    assert domain.license
    assert len(domain.attribution) > 20
    assert domain.source.startswith("Python package ")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("glyphs:dejavu-san", "dejavu-sans"), ("icons:octicon", "octicons"), ("twemoji:animal", "animals")],
)
def test_unknown_argument_names_the_nearest(name: str, nearest: str) -> None:
    """A slip in the name of a font, a set or a kind is answered with what was meant."""
    with pytest.raises(GraftbenchError, match=nearest):
        make_domain(name).fingerprint()


@pytest.mark.parametrize(("name", "extra"), [("icons:simple", "icons"), ("digits", "digits")])
def test_missing_extra_is_named(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed the optional package is told how to."""
    monkeypatch.setattr(_decode, "find_spec", lambda _: None)
    with pytest.raises(GraftbenchError, match=rf"is not installed.*graftbench\[{extra}\]"):
        make_domain(name).fingerprint()


@pytest.mark.parametrize("name", ["glyphs:cm-roman", "icons:octicons", "digits"])
def test_other_groups_are_other_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was prepared under another table of lookalikes has other splits, so the fingerprint is another."""
    domain = make_domain(name)
    before = domain.fingerprint()
    read = Path.read_bytes

    def edited(self: Path) -> bytes:
        return read(self) + (b"\n# edited\n" if self.name == "_lookalikes.py" else b"")

    monkeypatch.setattr(Path, "read_bytes", edited)
    assert domain.fingerprint() != before
