"""What the second extractor says beside the first: how alike they order methods, and what one of them reverses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.comparison.agreement import OrderAgreement, agreement
from graftbench.metrics.catalogue import metric_named

from .numbers import DASH, FID, KID, number
from .text import listing

if TYPE_CHECKING:
    from graftbench.metrics.catalogue import Metric

    from .groups import Group, Row

METRICS = (KID, FID)
"""Scores of which both networks have one."""
MOST_NAMED = 2
"""Most reversed pairs that a clause names."""


def label_of(group: Group) -> str:
    """Return the label of the second extractor; empty without one."""
    return group.protocol.second.label if group.protocol.second else ""


def name_of(group: Group) -> str:
    """Return what the second extractor is called in a sentence; empty without one."""
    return f"{group.protocol.second.extractor}, a second network" if group.protocol.second else ""


def agreements(group: Group) -> dict[tuple[Metric, int], OrderAgreement]:
    """Return (the first extractor's score, data budget) -> how alike both order those that compete by both.

    Kept with the group, for table, page and comparisons all ask. Empty without a second extractor, or where nothing can
    be ranked.
    """
    if "_agreements" not in vars(group):
        budgets = group.method_budgets if label_of(group) and not group.too_few else []
        vars(group)["_agreements"] = {
            (metric, budget): found
            for metric in METRICS
            for budget in budgets
            if (found := _agreement(group, metric, budget)) is not None
        }
    return vars(group)["_agreements"]


def by_second(group: Group, metric: Metric) -> Metric | None:
    """Return a score as the second extractor has it; None without one."""
    return metric_named(f"{metric.name}.{label_of(group)}") if label_of(group) else None


def _agreement(group: Group, metric: Metric, budget: int) -> OrderAgreement | None:
    second = by_second(group, metric)
    if second is None:
        return None
    rows = [row for row in group.methods_at(budget) if row.competes_by(metric) and row.competes_by(second)]
    sides = [{row.label: row.by_seed(each) for row in rows} for each in (metric, second)]
    found = agreement(*sides, lower_is_better=metric.better < 0)
    return found if found.tau is not None else None


def shown_tau(found: OrderAgreement) -> str:
    """Write `0.67 (0.33 to 1.00)`."""
    if found.interval is None:
        return number(found.tau, 2)
    return f"{number(found.tau, 2)} ({number(found.interval.low, 2)} to {number(found.interval.high, 2)})"


def in_words(group: Group, budget: int) -> str:
    """Say in a clause whether the second extractor orders the methods of a data budget as the first does, by KID."""
    found = agreements(group).get((KID, budget))
    if found is None:
        return ""
    name = f"{name_of(group)},"
    if found.reversed_pairs:
        pairs = listing([f"{a} and {b}" for a, b in found.reversed_pairs[:MOST_NAMED]])
        more = len(found.reversed_pairs) - MOST_NAMED
        return f"{name} reverses {pairs}{f' and {more} other pairs' if more > 0 else ''} (τ {shown_tau(found)})"
    if found.tau == 1:
        return f"{name} gives the same order"
    return f"{name} reverses nothing that is settled and gives another order of the rest (τ {shown_tau(found)})"


def note_on_reversals(group: Group, row: Row) -> str:
    """Say which conclusions about a row the second extractor reverses; empty where it reverses none."""
    first, second = group.protocol.label, label_of(group)
    sentences = []
    for (metric, budget), found in agreements(group).items():
        pairs = found.reversed_pairs if budget == row.data_budget else ()
        above = [b for a, b in pairs if a == row.label]
        below = [a for a, b in pairs if b == row.label]
        for names, here, there in ((above, "better", "worse"), (below, "worse", "better")):
            if names:
                label = metric.label.removesuffix("×10³")
                sentences.append(f"By {label} {here} than {listing(names)} with {first}, {there} with {second}.")
    return " ".join(sentences)


def out_of_one(group: Group) -> str:
    """Say which methods compete by one of the extractors alone, having been trained with the other."""
    first, second = group.protocol.label, label_of(group)
    named = {
        f"By {second} alone compete": sorted({row.label for row in group.methods if row.leaks}),
        f"By {first} alone compete": sorted({row.label for row in group.methods if row.leaks_second}),
    }
    return " ".join(f"{start} {listing(labels)}, trained with the other." for start, labels in named.items() if labels)


def reversals(found: OrderAgreement) -> str:
    """Write the reversed pairs, as the first extractor orders them: `finetune before vae`; a dash for none."""
    return listing([f"{a} before {b}" for a, b in found.reversed_pairs]) or DASH
