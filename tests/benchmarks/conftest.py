"""How something is timed beside a peer: in one test, by turns, so that a busy minute hits both."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_benchmark.fixture import BenchmarkFixture

    Versus = Callable[..., dict[str, float]]

OURS = "graftbench"


@pytest.fixture
def versus(benchmark: BenchmarkFixture) -> Versus:
    """`versus(group, ours, {who: call})`: each round times every peer once, then ours, on one thread.

    What is timed minutes apart differs by what else the machine does, and its own rounds do not show it; what is timed
    by turns shares it. pytest-benchmark's file has ours as the benchmark and the peers' seconds, round by round, as
    `peer_seconds` in its `extra_info`; `ratios.py` reads both. Returns who -> median seconds.
    """

    def run(
        group: str, ours: Callable[[], object], peers: Mapping[str, Callable[[], object]], *, rounds: int = 0
    ) -> dict[str, float]:
        seconds: dict[str, list[float]] = {who: [] for who in peers}

        def others() -> None:
            for who, call in peers.items():
                seconds[who].append(_seconds(call))

        benchmark.group, benchmark.name = group, OURS
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            slowest = max(_seconds(call) for call in (ours, *peers.values()))  # and all of them are warm
            rounds = rounds or _affordable(slowest)
            benchmark.pedantic(ours, setup=others, rounds=rounds)
        finally:
            torch.set_num_threads(threads)
        benchmark.extra_info |= {"who": OURS, "peer_seconds": seconds}
        stats: Any = benchmark.stats  # untyped
        return {OURS: float(stats.stats.median)} | {who: median(values) for who, values in seconds.items()}

    return run


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    assert call() is not None
    return time.perf_counter() - began


def _affordable(slowest: float) -> int:
    """Rounds: of fewer than five the noise is hardly known, and some peers take half a minute."""
    return 11 if slowest < 0.5 else 7 if slowest < 2 else 5
