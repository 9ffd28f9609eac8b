"""Check that a task's splits suffice for a suite; refusals name the way forward, and a plan gets notes on images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graftbench.comparison.too_few import LEAST_ORACLE, LEAST_REFERENCE, nothing_ranked
from graftbench.errors import GraftbenchError
from graftbench.images.datacard import notes_on_groups
from graftbench.images.decoding import left_out_text
from graftbench.metrics.catalogue import METRICS, resolve
from graftbench.plugins.registry import domains

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graftbench.images.prepared import ImageSet
    from graftbench.metrics.features import Features
    from graftbench.records.cell_spec import Protocol, TaskSpec

_LOOKED_INTO = 64
"""Reference images from which on every metric has a value."""

_MOST_GENERATED, _WIDTH = 600, 8
"""Rows and columns of the noise that metrics are tried on."""


def check_budgets(budgets: Sequence[int], task: TaskSpec, target: ImageSet) -> None:
    """Refuse a data budget that the target's training split does not have.

    Raises:
        GraftbenchError: The budget, the sizes of the splits, and what to do.
    """
    pool = target.counts["train"]
    for budget in budgets:
        if budget > pool:
            raise GraftbenchError(
                f"A data budget of {budget} images was asked for; the training split of {task.target}@{task.resolution}"
                f" has {pool} {_shares(target)}. {_way_forward(task.target, target, train=budget)}"
            )


def check_reference(task: TaskSpec, target: ImageSet, protocol: Protocol) -> None:
    """Refuse a task of which a metric of the protocol could have no value, whatever the methods do.

    Raises:
        GraftbenchError: The metrics, the sizes of the splits, and what to do.
    """
    count = target.counts[protocol.reference]
    if count >= _LOOKED_INTO:
        return
    undefined = _undefined(count, protocol)
    if undefined:
        names = ", ".join(METRICS[name].label for name in undefined)
        reasons = "; ".join(dict.fromkeys(undefined.values()))
        raise GraftbenchError(
            f"The split '{protocol.reference}' of {task.target}@{task.resolution}, the images to compare with, has "
            f"{count} {_shares(target)}, so that {names} cannot be computed ({reasons}). "
            f"{_way_forward(task.target, target, train=0)}"
        )


def check_source(task: TaskSpec, source: ImageSet) -> None:
    """Refuse a source domain without training images.

    Raises:
        GraftbenchError: The sizes of its splits, and what to do.
    """
    if not source.counts["train"]:
        raise GraftbenchError(
            f"The training split of {task.source}@{task.resolution} is empty {_shares(source)}. "
            f"{_way_forward(task.source, source, train=0)}"
        )


def notes_on_images(images: Mapping[tuple[str, int], ImageSet]) -> Iterable[str]:
    """Say which files were left out, which images were joined or moved, and which group is a large part of a set."""
    for (name, resolution), domain in images.items():
        if domain.excluded:
            yield f"{name}@{resolution}: {left_out_text(domain.excluded)}"
    for (name, resolution), domain in images.items():
        if sets := domain.near_duplicates:
            count, largest = sum(map(len, sets)), max(sets, key=len)
            yield (
                f"{name}@{resolution}: {count} images are nearly the same as others and stay on one side of the splits "
                f"with them ({len(sets)} sets, the largest of {len(largest)}: {', '.join(largest[:2])}, …)"
            )
        yield from (f"{name}@{resolution}: {note}" for note in notes_on_groups(domain))


def notes_on_ranking(targets: Mapping[tuple[str, int], ImageSet], protocol: Protocol) -> Iterable[str]:
    """Say of which targets the reference is too small to rank anything."""
    for (name, resolution), target in targets.items():
        if sentence := nothing_ranked(target.counts[protocol.reference]):
            yield f"{name}@{resolution}: {sentence}"


def withheld(target: ImageSet, data_budget: int) -> str:
    """Say that too few images are held out for an oracle beside budget and reference; empty if they are enough."""
    held_out = target.counts["train"] + target.counts["validation"] - data_budget
    if held_out >= LEAST_ORACLE:
        return ""
    return (
        f"{held_out} real images are held out beside them and the reference, and so few, replayed, can score worse "
        f"than an untransferred source; at least {LEAST_ORACLE} are needed"
    )


def _undefined(count: int, protocol: Protocol) -> dict[str, str]:
    """Return metric -> why it has no value against so few reference images, tried on noise in place of features."""
    metrics = [
        name
        for name in resolve(protocol.metrics)
        if "reference" in METRICS[name].needs and not {"train", "truth"} & set(METRICS[name].needs)
    ]
    if not count:
        return dict.fromkeys(metrics, "it is empty")
    from graftbench.metrics.evaluate import evaluate_features  # noqa: PLC0415 - most plans have enough, and score nothing

    generated = _noise(min(protocol.n_generated, _MOST_GENERATED), seed=0)
    few, enough = (
        evaluate_features(generated, _noise(images, seed=1), metrics=metrics, intervals=False)
        for images in (count, _LOOKED_INTO)
    )
    return {
        one.name: one.undefined
        for one, other in zip(few, enough, strict=True)
        if one.value is None and other.value is not None
    }


def _noise(count: int, *, seed: int) -> Features:
    import numpy as np  # noqa: PLC0415 - likewise

    from graftbench.metrics.features import Features  # noqa: PLC0415 - likewise

    rng = np.random.default_rng(seed)
    values = rng.standard_normal((count, _WIDTH)).astype(np.float32)
    return Features(values, values, rng.random((count, 3)))


def _shares(images: ImageSet) -> str:
    """Write the sizes of the splits in brackets, and how many images were joined: that is what empties a split."""
    sizes = ", ".join(f"{count} {split}" for split, count in images.counts.items())
    joined = sum(map(len, images.near_duplicates))
    cause = (
        f"; {joined} were joined as near-duplicates, up to {images.largest_group} in one group, which is never parted"
        if joined
        else ""
    )
    return f"(of {len(images.ids)} images: {sizes}{cause})"


def _way_forward(name: str, images: ImageSet, *, train: int) -> str:
    """Say how to get splits that serve.

    Args:
        name: The domain as the suite writes it.
        images: Its images.
        train: Training images that are asked for; 0 where their number is not what is wrong.
    """
    count = len(images.ids)
    mark = "&" if "?" in name else "?"
    ways = []
    if train >= count:
        more = _more_images(name, images, train) or f"add at least {train + LEAST_REFERENCE - count} images"
        ways.append(f"lower the budget, or {more}")
    elif "train=" in name:
        ways.append(f"raise the number behind train= to {train}" if train else "lower the number behind train=")
    elif train:
        ways.append(f"write '{name}{mark}train={train}', which keeps the other {count - train} for the reference")
    else:
        ways.append(f"write '{name}{mark}train=N' to train on N of them and keep the others for the reference")
    if train < count and name.startswith("folder:") and "train=" not in name:
        ways.append("put the images into folders train and reference in it")
    if images.near_duplicates:
        ways.append(f"write '{name}{mark}near_duplicates=keep' if images were joined that are not the same")
    text = "; or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."


def _more_images(name: str, images: ImageSet, train: int) -> str:
    """Say how many images to ask for, of a domain that makes as many as it is asked for; empty for all others.

    The training split keeps its share of them, up to a tenth that the draw of the splits may take.
    """
    base, _, text = name.partition("?")
    domain = domains().classes.get(base.partition(":")[0])
    if domain is None or "images=" not in domain.takes_argument:
        return ""
    count = math.ceil(1.1 * train * len(images.ids) / max(1, images.counts["train"]) / 1000) * 1000
    others = [option for option in text.split("&") if option and not option.startswith(("images=", "train="))]
    return f"write '{base}?{'&'.join([f'images={count}', *others])}'"
