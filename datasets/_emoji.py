"""Which emoji the two emoji domains take, what they are called, and which of them are one drawing in variants.

Both domains use the same rules, so an emoji has one id and one group in both and lies in the same split of both: a
model pretrained on one domain has not seen the other domain's reference emoji in another design.
"""

from __future__ import annotations

_SKIN_TONES = range(0x1F3FB, 0x1F3FF + 1)
_PRIVATE_USE = range(0xE000, 0xF8FF + 1)
_ZERO_WIDTH_JOINER = 0x200D
_EMOJI_PRESENTATION = 0xFE0F

_FAMILIES = {
    "clock-faces": "1f550-1f567",
    # Full and new moon are plain discs in both designs.
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


def canonical(sequence: str) -> str:
    """The id of an emoji: its code points in lower-case hexadecimal without leading zeros or U+FE0F.

    >>> canonical("0023-FE0F-20E3")
    '23-20e3'
    """
    return "-".join(f"{point:x}" for point in _points(sequence) if point != _EMOJI_PRESENTATION)


def is_taken(sequence: str) -> bool:
    """Whether a sequence is an emoji without variants.

    Left out are skin tones and sequences with a zero-width joiner (hundreds of near-copies), and the code points of
    the private use area, which are a design's own additions (brands, interface symbols) and no emoji.
    """
    return not any(p in _SKIN_TONES or p in _PRIVATE_USE or p == _ZERO_WIDTH_JOINER for p in _points(sequence))


def group_of(emoji: str) -> str:
    """The group of an id: a family's name, the flag's first region, else the id itself."""
    return _GROUPS.get(emoji, emoji)


def _points(sequence: str) -> list[int]:
    return [int(point, 16) for point in sequence.split("-")]


def _flag(region: str) -> str:
    """The id of a region's flag: one regional indicator symbol for each letter."""
    return "-".join(f"{0x1F1E6 + ord(letter) - ord('a'):x}" for letter in region)


def _groups() -> dict[str, str]:
    groups = {}
    for name, members in _FAMILIES.items():
        for member in members.split():
            first, _, last = member.partition("-")
            groups |= {f"{point:x}": name for point in range(int(first, 16), int(last or first, 16) + 1)}
    for regions in _EQUAL_FLAGS:
        first, *_ = names = [_flag(region) for region in regions.split()]
        groups |= dict.fromkeys(names, first)
    return groups


_GROUPS = _groups()
