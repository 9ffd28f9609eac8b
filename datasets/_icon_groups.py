"""Which icons are one drawing in variants: they share a group, the same in all sets."""

from __future__ import annotations

from ._lookalikes import ICONS, joined

_VARIANTS = (
    "alt outline outlined filled fill face box circle square rectangle shape hexagon octagon regular rounded round "
    "small large up down left right big arrow arrows long"
)
"""Words of a name that say how something is drawn, not what."""

_JOINED = joined(ICONS)


def group_of(icon: str) -> str:
    """Return the group of an id: what the icon shows, joined with what looks alike (`_lookalikes`)."""
    base = base_of(icon)
    return _JOINED.get(base, base)


def base_of(icon: str) -> str:
    """Return the first word of a name that says what is drawn; the first word of all if none does.

    >>> base_of("regular/circle-user"), base_of("account-box-outline")
    ('user', 'account')
    """
    words = icon.rpartition("/")[2].split("-")
    variants = _VARIANTS.split()
    return next((word for word in words if word not in variants and not word.isdigit()), words[0])
