"""Which emoji the emoji domains take, what they are called, and which of them are one drawing in variants.

All designs use the same rules, so an emoji has one id and one group in all and lies in the same split of all: a model
pretrained on one domain has not seen another domain's reference emoji in its own design.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from graftbench.errors import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

_Value = TypeVar("_Value")

_SKIN_TONES = range(0x1F3FB, 0x1F3FF + 1)
_PRIVATE_USE = (range(0xE000, 0xF8FF + 1), range(0xF0000, 0x10FFFF + 1))
_ZERO_WIDTH_JOINER = 0x200D
_EMOJI_PRESENTATION = 0xFE0F
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F1FF + 1)
_BLACK_FLAG = 0x1F3F4

_FAMILIES = {
    "clock-faces": "1f550-1f567",
    # Full and new moon are plain discs in Twemoji and OpenMoji.
    "discs": "1f534 1f535 1f7e0-1f7e4 26aa 26ab 2b24 1f311-1f318 1f31a 1f31d",
    "squares": "1f7e5-1f7eb 2b1b 2b1c 25a1 25aa 25ab 25fb-25fe 20e3",
    "hearts": "2764 1f499-1f49c 1f5a4 1f90d 1f90e 1f9e1 1fa75-1fa77",
    "books": "1f4d5 1f4d7-1f4d9",
    "globes": "1f30d-1f30f",
    "medals": "1f947-1f949",
    "marks": "2753-2755 2757",
    "snowmen": "2603 26c4",
    "padlocks": "1f512 1f513",
    "speakers": "1f508-1f50a",
    "file-folders": "1f4c1 1f4c2",
    "envelopes": "2709 1f4e7",
    "hexagrams": "1f52f 2721",
    "horned-faces": "1f47f 1f608",
    "frowning-faces": "1f641 2639",
    "restroom-signs": "1f6b9 1f6ba",
    "stick-figures": "1fbc5-1fbc9",
    # One figure as child, man, woman, person; fair hair, frown and pout change a few pixels of it.
    "children": "1f466 1f467 1f9d2",
    "adults": "1f468 1f469 1f9d1 1f471 1f64d 1f64e",
    "older-adults": "1f474 1f475 1f9d3",
    "pairs": "1f46b-1f46d",
    "royals": "1f934 1f478 1fac5",
    "pregnant": "1f930 1fac3 1fac4",
    "christmas": "1f385 1f936",
    "weddings": "1f470 1f935",
    "superpowers": "1f9b8 1f9b9",
}
"""Name -> single code points and ranges (in hexadecimal, both ends included) of what is the same drawing but for
colour, gender, or the position of a hand."""

_EQUAL_FLAGS = ("no sj bv", "fr mf cp", "es ea", "us um", "au hm", "id mc", "ro td", "io dg", "hu tj", "hn ni")
"""Regions that fly the same flag, or the same but for an emblem of a few pixels (ISO 3166 codes, first one names)."""


_KINDS = {
    "faces": "2639-263a 1f479-1f47b 1f47d-1f480 1f4a9 1f600-1f644 1f910-1f917 1f920-1f925 1f927-1f92f 1f970-1f976 "
    "1f978-1f97a 1f9d0 1fae0-1fae5 1fae8-1faea",
    "animals": "1f400-1f43f 1f54a 1f577-1f578 1f981-1f98f 1f992-1f99d 1f99f-1f9a9 1f9ab-1f9ae 1fab0-1fab3 1fab6 1fab8 "
    "1fabc-1fabd 1fabf 1facd-1facf",
    "food": "2615 1f32d-1f330 1f336 1f33d 1f345-1f373 1f375-1f37c 1f37e-1f37f 1f382 1f942-1f943 1f950-1f961 "
    "1f963-1f96f 1f980 1f990-1f991 1f99e 1f9aa 1f9c0-1f9cb 1fad0-1fad8 1fada-1fadc",
    "symbols": "a9 ae 203c 2049 20e3 2122 2139 2194-2199 21a9-21aa 23cf 23e9-23ef 23f8-23fa 24c2 25aa-25ab 25b6 25c0 "
    "25fb-25fe 2611 2622-2623 2626 262a 262e-262f 2638 2640 2642 2648-2653 267b 267e-267f 2695 269b-269c 26a0 26a7 "
    "26aa-26ab 26ce 26d4 2705 2714 2716 271d 2721 2733-2734 2747 274c 274e 2753-2755 2757 2795-2797 27a1 27b0 27bf "
    "2934-2935 2b05-2b07 2b1b-2b1c 2b55 3030 303d 3297 3299 1f170-1f171 1f17e-1f17f 1f18e 1f191-1f19a 1f201-1f202 "
    "1f21a 1f22f 1f232-1f23a 1f250-1f251 1f3a6 1f3e7 1f4a0 1f4b1-1f4b2 1f4db 1f4f3-1f4f6 1f500-1f506 1f518-1f524 "
    "1f52f-1f53d 1f549 1f54e 1f6ab 1f6ad-1f6b1 1f6b3 1f6b7-1f6bc 1f6be 1f6c2-1f6c5 1f6d0 1f6dc 1f7e0-1f7eb 1f7f0 "
    "1faaf",
    "flags": "1f38c 1f3c1 1f3f3-1f3f4 1f6a9",
}
"""Kind -> code points of which one makes an emoji of that kind; flags of regions and keycaps are known by their form.

From the groups and subgroups of Unicode's emoji list (Emoji 17.0): faces are "Smileys & Emotion" down to the monkeys,
without hearts and marks of emotion; animals are "Animals & Nature" without plants; food is "Food & Drink" without
dishes and cutlery; symbols and flags are the groups of that name. Objects, activities, places and people are in none.
"""

KINDS = tuple(_KINDS)
"""Arguments of the emoji domains."""


def canonical(sequence: str) -> str:
    """Return the id of an emoji: its code points in lower-case hexadecimal without leading zeros or U+FE0F.

    >>> canonical("0023-FE0F-20E3")
    '23-20e3'
    """
    return "-".join(f"{point:x}" for point in _points(sequence) if point != _EMOJI_PRESENTATION)


def is_taken(sequence: str) -> bool:
    """Return whether a sequence is an emoji without variants.

    Left out are skin tones and sequences with a zero-width joiner (hundreds of near-copies), and the code points of
    the private use areas, which are a design's own additions (brands, interface symbols) and no emoji.
    """
    left_out = (_SKIN_TONES, *_PRIVATE_USE)
    return not any(p == _ZERO_WIDTH_JOINER or any(p in area for area in left_out) for p in _points(sequence))


def of_kind(files: Mapping[str, _Value], kind: str) -> dict[str, _Value]:
    """Return the entries of a mapping from ids whose emoji are of one of `KINDS`; all of them where none is asked for.

    Raises:
        GraftbenchError: There is no such kind.
    """
    if not kind:
        return dict(files)
    if kind not in KINDS:
        raise unknown("kind of emoji", kind, KINDS)
    return {emoji: file for emoji, file in files.items() if _kind(emoji) == kind}


def group_of(emoji: str) -> str:
    """Return the group of an id: a family's name, the flag's first region, else the id itself."""
    return _GROUPS.get(emoji, emoji)


def _points(sequence: str) -> list[int]:
    return [int(point, 16) for point in sequence.split("-")]


def _kind(emoji: str) -> str:
    """Return the kind of an emoji, one of `KINDS`; empty if it is of none."""
    first, *others = _points(emoji)
    if others and (first in _REGIONAL_INDICATORS or first == _BLACK_FLAG):
        return "flags"
    return _KIND_OF.get(others[-1] if others else first, "")


def _flag(region: str) -> str:
    """Return the id of a region's flag: one regional indicator symbol for each letter."""
    return "-".join(f"{0x1F1E6 + ord(letter) - ord('a'):x}" for letter in region)


def _spread(members: str) -> list[int]:
    """Return the code points of a list of single ones and ranges in hexadecimal, both ends included."""
    points: list[int] = []
    for member in members.split():
        first, _, last = member.partition("-")
        points += range(int(first, 16), int(last or first, 16) + 1)
    return points


def _groups() -> dict[str, str]:
    groups = {}
    for name, members in _FAMILIES.items():
        groups |= {f"{point:x}": name for point in _spread(members)}
    for regions in _EQUAL_FLAGS:
        first, *_ = names = [_flag(region) for region in regions.split()]
        groups |= dict.fromkeys(names, first)
    return groups


_GROUPS = _groups()
_KIND_OF = {point: kind for kind, members in _KINDS.items() for point in _spread(members)}
