"""What was compared, in words for somebody who knows image generators and not this project."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from graftbench.extractors.catalogue import FIXED
from graftbench.records.cell_spec import NO_SOURCE

from .._tables.text import one_line, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.records.cell_spec import ComputeBudget
    from graftbench.records.record import Record

    from .._tables.groups import Group

_KINDS = {"colorize": "colour grey images of", "superres4": "enlarge small images of", "stylize": "restyle images as"}
"""Kind of task -> what its methods learn; those of all others draw."""

REFERENCES = {
    "oracle": ("real images", "other real images"),
    "memorizer": ("copies", "copies of the training images"),
    "source": ("before transfer", "the generator before the transfer"),
    "source-flow": ("flow before transfer", "the flow before the transfer"),
    "source-vae": ("VAE before transfer", "the VAE before the transfer"),
    "source-diffusion": ("diffusion before transfer", "the diffusion model before the transfer"),
    "source-stylegan2": ("StyleGAN2 before transfer", "the StyleGAN2 before the transfer"),
    "source-images": ("source images", "untouched images of the source"),
    "blank": ("white images", "white images"),
    "gaussian": ("Gaussian", "mean and covariance of the pixels alone"),
}
"""Method of a reference row -> what it is in a word or two, and in full."""


def compared(group: Group, budget: int) -> str:
    """Say what is compared at one data budget, and under which conditions, in two sentences."""
    labels = {row.label for row in group.methods_at(budget)}
    methods = "One method learns" if len(labels) == 1 else f"{len(labels):,} methods learn"
    task = group.task
    learns = _KINDS.get(task.kind, "draw")
    side = f"{task.resolution}×{task.resolution}"
    images = plural(budget, "training image")
    sentence = f"{methods} to {learns} {one_line(task.target)} at {side} pixels from {images}"
    if task.source != NO_SOURCE:
        sentence += f"; those that transfer start from a generator of {one_line(task.source)}"
    seeds = {record.cell.seed for row in group.methods_at(budget) for record in row.records}
    repeated = f" and is repeated {len(seeds):,} times (seeds)" if len(seeds) > 1 else ""
    return f"{sentence}. Each training {effort(group.compute_budget)}{repeated}."


def effort(budget: ComputeBudget) -> str:
    """Say what one training may spend: `is shown 4,000 images`."""
    if budget.kimg is not None:
        return f"is shown {plural(max(1, round(1000 * budget.kimg)), 'image')}"
    if budget.seconds is not None:
        return f"lasts {budget.seconds:,g} seconds"
    return f"may take {budget.gflops:,g} billion operations"


def judge(group: Group) -> str:
    """Name the network that scores: its title, and the protocol's exact label."""
    info = FIXED.get(group.protocol.extractor)
    return f"{info.title if info else one_line(group.protocol.extractor)} (protocol {one_line(group.protocol.label)})"


def finished(records: Sequence[Record]) -> str:
    """Return the days from the first to the last result, `29 November 2026`; empty if unknown."""
    days = sorted({day for record in records if (day := _day(record.finished_at)) is not None})
    if not days:
        return ""
    first, last = (f"{day.day} {day:%B %Y}" for day in (days[0], days[-1]))
    return first if first == last else f"{first} to {last}"


def moment(time: str) -> str:
    """Print a time as `29 November 2026, 22:41 UTC`; what is no time as it is."""
    try:
        at = dt.datetime.fromisoformat(time).astimezone(dt.UTC)
    except ValueError:
        return time
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def _day(time: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(time[:10])
    except ValueError:
        return None
