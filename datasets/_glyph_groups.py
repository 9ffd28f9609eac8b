"""Which code points are one drawing, or nearly so, in some font: they share a group in all fonts.

A code point is first reduced to what it is a form of: compatibility forms (full width, mathematical alphabets,
presentation forms), case and diacritics fall away (Unicode's NFKC, case folding, NFKD without marks). Unicode promises
that these never change for a code point that is assigned. Then what looks alike in at least one font is joined
(`_lookalikes`). Blocks whose members differ in a dot or a line are one group each.
"""

from __future__ import annotations

import unicodedata

from ._lookalikes import GLYPHS, joined

_BLOCKS = {
    "enclosed": ((0x2460, 0x24FF), (0x2776, 0x2793), (0x1F100, 0x1F1FF)),
    "box-drawing": ((0x2500, 0x257F),),
    "block-elements": ((0x2580, 0x259F),),
    "trigrams": ((0x2630, 0x2637),),
    "braille": ((0x2800, 0x28FF),),
    "hexagrams": ((0x4DC0, 0x4DFF),),
    "tetragrams": ((0x1D300, 0x1D35F),),
    "mahjong": ((0x1F000, 0x1F02F),),
    "dominoes": ((0x1F030, 0x1F09F),),
    "cards": ((0x1F0A0, 0x1F0FF),),
}
"""Name -> first and last code points."""

_JOINED = joined(GLYPHS)


def group_of(point: int) -> str:
    """Return the group of a code point, the same in all fonts."""
    base = base_of(point)
    return _JOINED.get(base, base)


def base_of(point: int) -> str:
    """Return what a code point is a form of: a block's name, or code points in lower-case hexadecimal.

    >>> base_of(ord("É"))
    '65'
    >>> base_of(ord("ﬁ"))
    '66-69'
    """
    for name, ranges in _BLOCKS.items():
        if any(first <= point <= last for first, last in ranges):
            return name
    folded = unicodedata.normalize("NFKC", chr(point)).casefold()
    bare = [c for c in unicodedata.normalize("NFKD", folded) if unicodedata.category(c)[0] not in "MZ"]
    return "-".join(f"{ord(c):x}" for c in bare) or f"{point:x}"
