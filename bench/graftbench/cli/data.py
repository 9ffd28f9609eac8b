"""`graftbench data show` and `graftbench data prepare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.cli.options import Plugins, SuiteName
from graftbench.cli.output import check_sheet, print_json, write_sheet

if TYPE_CHECKING:
    from graftbench.images.datacard import Card

NAMED = 10
"""Images that were left out and are named; --json names all."""


def show(
    name: str,
    *,
    resolution: int = 32,
    sheet: Path | None = None,
    plugin: Plugins = [],  # noqa: B006 - never changed
    json: bool = False,
) -> int:
    """Show a domain's card, and write a contact sheet of it.

    Args:
        name: The domain (graftbench ls domains), with its argument where it takes one.
        resolution: Side of the images in pixels: 8, 16, 32, …, as in a task.
        sheet: PNG file for a contact sheet of 16×8 images; none by default.
        plugin: File or folder with more domains.
        json: Print an object, with every image that was left out.
    """
    from graftbench.cache import cache_folder
    from graftbench.images import prepared
    from graftbench.images.datacard import card_of, contact_sheet
    from graftbench.plugins import registry
    from graftbench.suites.suite import check_resolution

    check_sheet(sheet)
    check_resolution(resolution, f"--resolution {resolution}")
    domain = registry.make_domain(name, plugin)
    images = prepared.load(domain, name, resolution, cache_folder())
    card = card_of(domain, images)
    if json:
        print_json(card)
    else:
        print("\n".join(lines_of(card)))
    if sheet is not None:
        write_sheet(contact_sheet(images), sheet, json=json)
    return 0


def lines_of(card: Card) -> list[str]:
    """Return the card as text, a fact a line."""
    splits = ", ".join(f"{count:,} {split}" for split, count in card.splits.items())
    facts = {
        "domain": f"{card.name} at {card.resolution}×{card.resolution}",
        "title": card.title,
        "images": card.description,
        "licence": card.license,
        "attribution": card.attribution,
        "source": card.source,
        "count": f"{card.images:,}: {splits}",
        "groups": (
            f"{card.groups:,}, the largest of {card.largest_group:,}; {card.grouped_images:,} images share their group "
            f"with another, {card.equal_images:,} have the pixels of another"
        ),
        "near-dupl.": _near_duplicates(card),
        "left out": f"{len(card.excluded):,}",
        "manifest": card.manifest,
    }
    lines = [f"{label:<12} {' '.join(text.split())}" for label, text in facts.items()]
    left_out = [f"{'':<12} {name}: {reason}" for name, reason in list(card.excluded.items())[:NAMED]]
    more = len(card.excluded) - len(left_out)
    if more:
        left_out.append(f"{'':<12} and {more:,} more (--json names them)")
    notes = [f"{'note':<12} {note}" for note in card.notes]
    return [*lines[:-1], *left_out, *notes, lines[-1]]


def _near_duplicates(card: Card) -> str:
    """Describe how many sets of near-duplicates there are, and the first of them."""
    sets = card.near_duplicates
    if not sets:
        return "none joined by comparison"
    examples = "; ".join(", ".join(ids[:NAMED]) for ids in sets[:3])
    return f"{sum(map(len, sets)):,} images in {len(sets):,} sets, joined by comparison ({examples})"


def prepare(
    suite: SuiteName,
    *,
    device: str = "auto",
    plugin: Plugins = [],  # noqa: B006 - never changed
) -> int:
    """Prepare all that a suite needs: images, extractor weights, reference features and floors, source models.

    What is there already is left as it is. Exit code 2 where something could not be had; it is told what.

    Args:
        suite: A packaged suite or a TOML file.
        device: Where source models train: auto, cpu, cuda or cuda:N.
        plugin: File or folder with more methods and domains.
    """
    import time

    from graftbench.cache import cache_folder
    from graftbench.resources.device import resolve_device
    from graftbench.suites.offline import prepare as prepare_suite
    from graftbench.suites.suite import load_suite

    started = time.perf_counter()

    def say(sentence: str) -> None:
        print(f"{time.perf_counter() - started:7.1f} s  {sentence}", flush=True)

    outcome = prepare_suite(load_suite(suite), cache_folder(), plugins=plugin, device=resolve_device(device), say=say)
    print()
    for sentence in outcome.ready:
        print(f"ready: {sentence}")
    for sentence in outcome.failed:
        print(f"graftbench: {sentence}", file=sys.stderr)
    return 2 if outcome.failed else 0
