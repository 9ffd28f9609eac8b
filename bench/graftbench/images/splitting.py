"""On which side each image of a domain is: training, validation or reference.

Splits follow from a hash of each image's group, so that they depend neither on the order nor on the number of images:
adding images to a domain moves no other image to another side. A domain may state the split of its images itself (the
folders `train` and `reference`), and a suite a number of training images (`?train=40`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple, cast, get_args

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.contracts import SplitRule

Split = Literal["train", "validation", "reference"]
SPLITS: tuple[Split, ...] = get_args(Split)

_TRAIN_PERCENT = 50
_VALIDATION_PERCENT = 15


class Assigned(NamedTuple):
    """The split of each image.

    Attributes:
        splits: One an image.
        moved: Positions of images that their domain states another split for: those of one group stay together.
    """

    splits: list[Split]
    moved: list[int]


def split_of(group: str) -> Split:
    """Return the split of a group: the SHA-256 of its name cuts it to 50 % train, 15 % validation, 35 % reference."""
    percent = _share(group) * 100 >> 64
    if percent < _TRAIN_PERCENT:
        return "train"
    return "validation" if percent < _TRAIN_PERCENT + _VALIDATION_PERCENT else "reference"


def assign(groups: Sequence[str], stated: Sequence[str], rule: SplitRule, name: str) -> Assigned:
    """Put every image on a side; those of one group on one side.

    Args:
        groups: One group an image.
        stated: The split that the domain states for each image; "" for all where it states none.
        rule: Numbers of images, where they are stated.
        name: The domain, for messages.

    Raises:
        GraftbenchError: A split is stated for some images alone, or beside a number; or the numbers cannot be had.
    """
    states = [split for split in stated if split]
    if states and (len(states) < len(groups) or not set(states) <= set(SPLITS)):
        raise GraftbenchError(
            f"Domain '{name}' states the splits {', '.join(sorted(set(states)))} for {len(states)} of {len(groups)} "
            f"images; expected one of {', '.join(SPLITS)} for each, or for none."
        )
    if states and rule.train is not None:
        raise GraftbenchError(
            f"'{name}' states the splits by its folders; leave ?train= out, or put the images into one folder."
        )
    if states:
        return _as_stated(groups, cast("Sequence[Split]", stated))
    if rule.train is not None:
        return Assigned(_by_number(groups, rule.train, rule.validation, name), [])
    return Assigned([split_of(group) for group in groups], [])


def _as_stated(groups: Sequence[str], stated: Sequence[Split]) -> Assigned:
    """Keep to what is stated; a group on several sides goes to the reference, or else to validation, as a whole."""
    side: dict[str, Split] = {}
    for group, split in zip(groups, stated, strict=True):
        before = side.get(group, split)
        side[group] = split if SPLITS.index(split) > SPLITS.index(before) else before
    splits: list[Split] = [side[group] for group in groups]
    return Assigned(splits, [i for i, split in enumerate(stated) if split != splits[i]])


def _by_number(groups: Sequence[str], train: int, validation: int, name: str) -> list[Split]:
    """Draw stated numbers of images, whole groups by the hash of their names; all others are the reference.

    Raises:
        GraftbenchError: There are not as many, none is left for the reference, or groups are too large to meet them.
    """
    if train + validation >= len(groups):
        both = f"{train} for training and {validation} for validation" if validation else f"{train} for training"
        raise GraftbenchError(
            f"'{name}' has {len(groups)} images, and {both} were asked for; at least one must be left for the "
            "reference."
        )
    sizes = Counter(groups)
    ranked = sorted(sizes, key=lambda group: (_share(group), group))
    side = dict.fromkeys(_filled(ranked, sizes, train, name), "train")
    others = [group for group in ranked if group not in side]
    side |= dict.fromkeys(_filled(others, sizes, validation, name), "validation")
    return [cast("Split", side.get(group, "reference")) for group in groups]


def _filled(ranked: Iterable[str], sizes: Counter[str], count: int, name: str) -> list[str]:
    """Return groups, in their order, of `count` images together; a group that would be too much is passed over.

    Raises:
        GraftbenchError: No such groups are left.
    """
    chosen, total = [], 0
    for group in ranked:
        if total + sizes[group] <= count:
            chosen.append(group)
            total += sizes[group]
    if total < count:
        raise GraftbenchError(
            f"{count} images cannot be drawn from '{name}': its images are joined in {len(sizes)} groups, the largest "
            f"of {max(sizes.values())}, which stay together, and {total} is as near as they come. Ask for {total}, or "
            "write ?near_duplicates=keep if images were joined that are not the same."
        )
    return chosen


def _share(group: str) -> int:
    """Return the first 64 bits of the SHA-256 of a group's name, in UTF-8; bytes that are none are kept."""
    return int.from_bytes(hashlib.sha256(group.encode("utf-8", "surrogateescape")).digest()[:8], "big")
