"""Rank agreement with the truth over the cells of a run."""

from __future__ import annotations

import math

import numpy as np
from made_cells import make_cell, make_scores

from graftbench.records.cell_spec import Protocol, TaskSpec
from graftbench.records.record import Record, Status
from graftbench.scoring.court.generators import agreements

PROTOCOL = Protocol(size=96, resize="bicubic-antialias", weights_sha256="57" * 32)


def cells() -> list[Record]:
    """Ten cells of each of two tasks: pairs of variants fall as KID rises, but for noise."""
    rng = np.random.default_rng(1)
    records = []
    for target in ("micah", "lorelei"):
        for seed in range(10):
            cell = make_cell("vae", seed, 10, family="vae", task=TaskSpec("twemoji", target, 32), protocol=PROTOCOL)
            kid = float(rng.uniform(0.1, 1.0))
            scores = {"kid": kid, "variant_pairs": float(round(100 * (1.2 - kid + rng.normal(0, 0.3))))}
            records.append(Record(id=cell.id, cell=cell, status=Status.OK, scores=make_scores(scores, PROTOCOL.label)))
    return records


def test_the_order_of_the_records_does_not_matter() -> None:
    """A run that was resumed, or merged, has its cells in another order: value and interval are equal to the bit."""
    records = cells()
    given = agreements(records)["variant_pairs"]["kid"]
    assert (given.cells, given.tasks) == (20, 2)
    assert given.low < given.tau < given.high
    for order in (records[::-1], [records[i] for i in np.random.default_rng(2).permutation(len(records))]):
        assert agreements(order)["variant_pairs"]["kid"] == given


def test_scores_that_order_alike_agree_wholly() -> None:
    """KID that falls whenever the pairs rise: τ is 1 in every draw."""
    records = []
    for seed in range(8):
        cell = make_cell("vae", seed, 10, family="vae", task=TaskSpec("twemoji", "micah", 32), protocol=PROTOCOL)
        scores = {"kid": 1.0 - 0.1 * seed, "variant_pairs": 10.0 * seed}
        records.append(Record(id=cell.id, cell=cell, status=Status.OK, scores=make_scores(scores, PROTOCOL.label)))
    found = agreements(records)["variant_pairs"]["kid"]
    assert math.isclose(found.tau, 1.0)
    assert math.isclose(found.low, 1.0)
