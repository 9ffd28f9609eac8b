"""Ranges of settings, as types: a field says what it may be, and `plugins.table_faults` says what it may not.

    class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
        weight: NonNegative = 0.3
        decay: ShareBelowOne = 0.99

They are msgspec's own constraints, so a plugin may write `Annotated[float, msgspec.Meta(gt=0, le=180)]` for a range
of its own. Every number must be finite, whether its field has a range or not.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

MOST = 10**9
"""The largest count: beyond it nothing is a number of images, steps or channels that anyone means."""

LARGEST_SIDE = 4096
"""Pixels: a larger square of float32 takes 200 MB, and no network here is meant for it."""

LARGEST = 2**63 - 1
"""The largest whole number that TOML has."""

Count: TypeAlias = Annotated[int, Meta(ge=1, le=MOST)]
"""1, 2, 3, …"""

CountOrZero: TypeAlias = Annotated[int, Meta(ge=0, le=MOST)]
"""0, 1, 2, …"""

AtLeastTwo: TypeAlias = Annotated[int, Meta(ge=2, le=MOST)]
"""2, 3, …: a batch that has a variance."""

Side: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_SIDE)]
"""Side of a square image in pixels."""

Seed: TypeAlias = Annotated[int, Meta(ge=0, le=LARGEST)]
"""A seed of a random generator."""

Positive: TypeAlias = Annotated[float, Meta(gt=0)]
"""Above 0, and finite."""

NonNegative: TypeAlias = Annotated[float, Meta(ge=0)]
"""At least 0, and finite."""

Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
"""[0, 1]."""

ShareBelowOne: TypeAlias = Annotated[float, Meta(ge=0, lt=1)]
"""[0, 1)."""

InnerShare: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]
"""(0, 1)."""


MOST_BLUR, MOST_DITHER = 8, 64
"""Pixels, and levels of 255: beyond them little of a picture is left."""

BlurPixels: TypeAlias = Annotated[float, Meta(ge=0, le=MOST_BLUR)]
"""Standard deviation of a Gaussian blur in pixels."""

Levels: TypeAlias = Annotated[float, Meta(ge=0, le=MOST_DITHER)]
"""Levels of the 255 of a colour channel."""
