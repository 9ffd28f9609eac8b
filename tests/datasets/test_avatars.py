"""Avatars: drawn from seeds, with their factors, equal factors on one side of every split."""

from __future__ import annotations

import importlib
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.images.prepared import ImageSet

avatars = importlib.import_module("graftbench.datasets.avatars")


def _load(name: str, cache: Path) -> ImageSet:
    return prepared.load(make_domain(name), name, 16, cache)


FEW = ("micah", "pixel-art", "toon-head")
"""Styles that an ordinary test run draws: of circles and strokes, of squares, of faces with features."""


@pytest.mark.parametrize(
    "style", [pytest.param(style, marks=() if style in FEW else pytest.mark.long) for style in avatars.STYLES]
)
def test_every_style_has_heads_and_factors(style: str, shared_cache: Path) -> None:
    """Twelve avatars of a style differ, and every factor that is listed has at least two variants."""
    images = _load(f"avatars:{style}?images=12", shared_cache)
    assert images.ids == tuple(f"s{number:06d}" for number in range(12))
    assert len({image.tobytes() for image in images.pixels}) > 6
    assert images.factors
    assert all(len(set(variants)) > 1 and len(variants) == 12 for variants in images.factors.values())


@pytest.mark.slow
def test_factors_follow_the_definition(shared_cache: Path) -> None:
    """Micah draws each of 8 mouths alike often, glasses on 30 %: within five standard errors of 300 draws."""
    factors = _load("avatars:micah?images=300", shared_cache).factors
    mouths = Counter(factors["mouth"])
    assert len(mouths) == 8
    assert all(abs(count / 300 - 1 / 8) < 5 * (1 / 8 * 7 / 8 / 300) ** 0.5 for count in mouths.values())
    share = sum(variant != "" for variant in factors["glasses"]) / 300
    assert abs(share - 0.3) < 5 * (0.3 * 0.7 / 300) ** 0.5
    pairs = zip(factors["glasses"], factors["glasses color"], strict=True)
    assert all(color == "" for glasses, color in pairs if glasses == "")


def test_equal_factors_share_a_group(shared_cache: Path) -> None:
    """Fun-emoji has 15 x 15 x 6 heads: among 300 some are drawn twice, and those share their group and split."""
    images = _load("avatars:fun-emoji?images=300", shared_cache)
    combinations = list(zip(*images.factors.values(), strict=True))
    assert len(set(combinations)) < 300
    groups: dict[tuple[str, ...], set[str]] = {}
    for combination, group in zip(combinations, images.groups, strict=True):
        groups.setdefault(combination, set()).add(group)
    assert all(len(names) == 1 for names in groups.values())
    assert len(set(images.groups)) == len(groups)


def test_more_images_keep_the_first(shared_cache: Path) -> None:
    """A larger set has the smaller one's images, groups and splits in front."""
    few, more = (_load(f"avatars:pixel-art?images={count}", shared_cache) for count in (12, 30))
    assert more.ids[:12] == few.ids
    assert more.groups[:12] == few.groups
    assert more.splits[:12] == few.splits
    assert (more.pixels[:12] == few.pixels).all()


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("mica", "micah"),
        ("", "needs an argument"),
        ("micah?image=5", "images"),
        ("micah?images=0", "1 to 1,000,000"),
        ("micah?images=-3", "-3"),
        ("micah?images=9999999", "1 to 1,000,000"),
        ("micah?images=½", "½"),
        ("micah?images=", "no value"),
    ],
)
def test_bad_arguments_are_refused(argument: str, words: str) -> None:
    """What was written and what may be written are named."""
    with pytest.raises(GraftbenchError, match=words.replace("?", r"\?")):
        make_domain(f"avatars:{argument}").fingerprint()


def test_a_definition_of_another_schema_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A style that dicebear-core does not understand is named with both versions, no traceback of the package."""
    definition = avatars._definition("micah")
    monkeypatch.setattr(avatars, "_definition", lambda _: {**definition, "shapes": {"new": 1}})
    with pytest.raises(GraftbenchError, match=r"dicebear-core .* does not understand the style 'micah'"):
        make_domain("avatars:micah").items(16)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dicebear-styles the sentence names the package."""
    monkeypatch.setattr(avatars, "_PACKAGE", "dicebear_styles_of_tomorrow")
    with pytest.raises(GraftbenchError, match="dicebear_styles_of_tomorrow is not installed"):
        make_domain("avatars:micah").fingerprint()
