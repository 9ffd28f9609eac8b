"""Budgets bind: subsets are nested, and a fit ends when its budget is spent and not before."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftbench.budget import Meter
from graftbench.errors import GraftbenchError
from graftbench.images.subsets import nested_subset
from graftbench.records.cell_spec import ComputeBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IDS = [f"emoji-{number:04d}" for number in range(200)]


class _Clock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


# ----------------------------------------------------------------------------------------------------- data budgets


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), small=st.integers(1, 200), large=st.integers(1, 200))
def test_subsets_of_one_seed_are_nested(seed: int, small: int, large: int) -> None:
    """The 25 images are among the 100, in the same order, for every seed and every pair of sizes."""
    small, large = sorted((small, large))
    chosen = nested_subset(IDS, large, seed)
    assert len(set(chosen)) == large
    assert nested_subset(IDS, small, seed) == chosen[:small]


def test_seeds_draw_different_images() -> None:
    """Two seeds share about n²/N of their images by chance (100²/200 = 50 ± 5): not all, not none."""
    first, second = set(nested_subset(IDS, 100, 0)), set(nested_subset(IDS, 100, 1))
    # Hypergeometric: variance n (n/N) (1 - n/N) (N-n)/(N-1) = 100/4 · 100/199 = 12.6, so 5 sd are 18.
    assert 32 <= len(first & second) <= 68


@settings(deadline=None, max_examples=25)
@given(order=st.permutations(IDS[:40]), seed=st.integers(0, 100))
def test_the_order_of_the_ids_does_not_matter(order: list[str], seed: int) -> None:
    """A domain may list its images in any order: the images drawn are the same ones."""
    expected = [IDS[position] for position in nested_subset(IDS[:40], 15, seed)]
    assert [order[position] for position in nested_subset(order, 15, seed)] == expected


@pytest.mark.parametrize("seed", range(5))
def test_a_new_image_displaces_at_most_one(seed: int) -> None:
    """A domain that grows by an image keeps its subsets, but for that image."""
    before = {IDS[position] for position in nested_subset(IDS, 50, seed)}
    grown = ["emoji-new", *IDS]
    after = {grown[position] for position in nested_subset(grown, 50, seed)}
    assert len(before - after) <= 1
    assert after - before <= {"emoji-new"}


def test_every_image_has_the_same_chance() -> None:
    """Over 400 seeds an image is among 20 of 200 forty times (sd 6): none is favoured or left out."""
    counts = [0] * len(IDS)
    for seed in range(400):
        for position in nested_subset(IDS, 20, seed):
            counts[position] += 1
    # Binomial(400, 0.1): mean 40, sd 6. Beyond 5 sd either way in any of 200 images has odds of about 1e-4.
    assert min(counts) >= 10
    assert max(counts) <= 70


@pytest.mark.parametrize("n", [-1, 0, 201])
def test_a_data_budget_outside_the_split(n: int) -> None:
    """More images than there are, or none, is an error that says both numbers."""
    with pytest.raises(GraftbenchError, match=f"{n} images.*has 200"):
        nested_subset(IDS, n, seed=0)


def test_all_images() -> None:
    """A budget of the whole split draws each image once."""
    assert sorted(nested_subset(IDS, 200, seed=3)) == list(range(200))


# -------------------------------------------------------------------------------------------------- images as budget


@settings(deadline=None, max_examples=50)
@given(images=st.integers(1, 3000), batch_size=st.integers(1, 700))
def test_images_are_spent_to_the_image(images: int, batch_size: int) -> None:
    """Whatever the batch size, exactly the budget is shown: whole batches, then one with the rest."""
    meter = Meter(ComputeBudget(kimg=images / 1000))
    sizes = list(meter.batches(batch_size))
    assert sum(sizes) == meter.images_seen == images
    assert all(size == batch_size for size in sizes[:-1])
    assert sizes[-1] == (images % batch_size or batch_size)


def test_the_last_batch_is_partial() -> None:
    """100 images in batches of 32: 32, 32, 32, 4."""
    assert list(Meter(ComputeBudget(kimg=0.1)).batches(32)) == [32, 32, 32, 4]


def test_a_batch_larger_than_the_budget() -> None:
    """10 images are one batch of 10, though 64 were offered."""
    assert list(Meter(ComputeBudget(kimg=0.01)).batches(64)) == [10]


def test_the_share_that_is_spent() -> None:
    """From 0 to 1 in proportion to the images; never above 1."""
    meter = Meter(ComputeBudget(kimg=0.1))
    assert meter.limit_images == 100
    assert meter.share() == 0.0
    meter.spend(25)
    assert meter.share() == 0.25
    meter.spend(100)
    assert meter.share() == 1.0


def test_a_method_that_counts_itself() -> None:
    """`grant` and `spend` without `batches`: granted is what is left."""
    meter = Meter(ComputeBudget(kimg=0.05))
    assert meter.grant(40) == 40
    meter.spend(40)
    assert meter.grant(40) == 10
    meter.spend(10)
    assert meter.grant(40) == 0


# ------------------------------------------------------------------------------------------------- seconds as budget


def test_seconds_bind() -> None:
    """Batches of 0.4 s in a budget of 2 s: the fifth ends at 2.0 and is the last."""
    clock = _Clock()
    meter = Meter(ComputeBudget(seconds=2.0), clock=clock)
    shown = 0
    for size in meter.batches(16):
        shown += size
        clock.now += 0.4
        if shown > 1000:
            break
    # 5 × 0.4 falls short of 2.0 by rounding or not; a sixth batch would be that rounding's.
    assert shown in {80, 96}
    assert meter.images_seen == shown
    assert meter.limit_images is None


def test_the_clock_starts_with_the_first_image() -> None:
    """Loading a source model before the first batch is not the fit's training time."""
    clock = _Clock()
    meter = Meter(ComputeBudget(seconds=2.0), clock=clock)
    clock.now += 50
    assert meter.seconds() == 0.0
    assert meter.grant(8) == 8
    clock.now += 0.5
    assert meter.seconds() == 0.5
    assert meter.share() == 0.25


def test_pauses_do_not_count() -> None:
    """A snapshot of 30 s inside a budget of 2 s costs nothing of it, also when it raises."""
    clock = _Clock()
    meter = Meter(ComputeBudget(seconds=2.0), clock=clock)
    meter.grant(8)
    clock.now += 1.0
    with meter.paused():
        clock.now += 30.0
    assert meter.seconds() == 1.0

    def failing_snapshot() -> None:
        with meter.paused():
            clock.now += 5.0
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - raised right here, without a message
        failing_snapshot()
    assert meter.seconds() == 1.0
    assert meter.grant(8) == 8
    clock.now += 1.0
    assert meter.grant(8) == 0


def test_the_clock_stands_still_in_a_pause() -> None:
    """A snapshot that is taken in the third second is of the third second, however long it takes; others look away."""
    clock, away = _Clock(), []

    @contextmanager
    def aside() -> Iterator[None]:
        away.append("away")
        yield
        away.append("back")

    meter = Meter(ComputeBudget(seconds=10.0), clock=clock, aside=aside)
    meter.grant(4)
    clock.now += 3
    with meter.paused():
        clock.now += 100
        with meter.paused():
            assert (meter.seconds(), meter.share()) == (3.0, 0.3)
        assert away == ["away"]
    assert away == ["away", "back"]
    clock.now += 1
    assert meter.seconds() == 4.0


def test_a_meter_goes_on_in_another_process() -> None:
    """Images, arithmetic and seconds are those that were; the batch that was granted and not shown is granted again."""
    clock = _Clock()
    meter = Meter(ComputeBudget(seconds=10.0), clock=clock)
    meter.grant(4)
    meter.spend(4)
    meter.flops_per_image = 7.0
    clock.now += 3
    with meter.paused():
        clock.now += 50
        state = meter.state_dict()
    later = Meter(ComputeBudget(seconds=10.0), clock=clock)
    later.load_state_dict(state)
    assert (later.images_seen, later.flops_per_image, later.seconds()) == (4, 7.0, 3.0)
    clock.now += 6
    assert later.grant(4) == 4
    clock.now += 1
    assert later.grant(4) == 0


def test_queued_device_work_is_paid_for() -> None:
    """Under a budget in seconds the device is waited for before each look at the clock, and around a pause."""
    clock = _Clock()

    def synchronize() -> None:
        clock.now += 1.0  # what was queued takes a second to finish

    meter = Meter(ComputeBudget(seconds=3.0), clock=clock, synchronize=synchronize)
    assert [meter.grant(8) for _ in range(4)] == [8, 8, 0, 0]
    before = meter.seconds()
    with meter.paused():
        clock.now += 7.0
    assert meter.seconds() == before + 1.0  # the wait before the pause is the fit's; the one after it is the pause's


# ---------------------------------------------------------------------------------------------------- FLOPs as budget


@pytest.mark.parametrize(
    ("step", "expected"),
    [("forward", 2 * 8 * 4), ("weights", 4 * 8 * 4), ("input", 6 * 8 * 4)],
    ids=["forward", "forward and weights' gradient", "forward and both gradients"],
)
def test_flops_of_a_linear_layer(step: str, expected: int) -> None:
    """Per image, Linear(in, out) multiplies and adds in·out times: 2·in·out.

    The gradient of the weights is the outer product of input and output gradient, that of the input the transposed
    product: 2·in·out each. The sum that makes a loss of it has no products and counts nothing.
    """
    import torch

    layer = torch.nn.Linear(8, 4)
    meter = Meter(ComputeBudget(kimg=0.02))
    for size in meter.batches(5):
        images = torch.zeros(size, 8, requires_grad=step == "input")
        loss = layer(images).sum()
        if step != "forward":
            loss.backward()
    assert meter.flops_per_image == expected


def test_flops_are_counted_on_the_first_batch_alone() -> None:
    """A later batch that does more does not change the count, and pays no counting."""
    import torch

    layer = torch.nn.Linear(8, 4)
    meter = Meter(ComputeBudget(kimg=0.02))
    for number, size in enumerate(meter.batches(10)):
        for _ in range(number + 1):
            layer(torch.zeros(size, 8))
    assert meter.flops_per_image == 64


def _forward(in_features: int, out_features: int) -> Callable[[int], object]:
    import torch

    layer = torch.nn.Linear(in_features, out_features)
    return lambda size: layer(torch.zeros(size, in_features))


@pytest.mark.parametrize("images", [25, 30, 41])
def test_flops_bind(images: int) -> None:
    """A budget of `images` times 64 FLOPs pays for exactly so many images once the first batch has been counted."""
    step = _forward(8, 4)
    meter = Meter(ComputeBudget(gflops=images * 64 / 1e9))
    for size in meter.batches(10):
        step(size)
        assert meter.images_seen < 1000, "the budget did not bind"
    assert meter.images_seen == meter.limit_images == images
    assert meter.share() == 1.0


def test_a_larger_network_gets_fewer_images() -> None:
    """Under one FLOP budget, twice the arithmetic per image buys half the images."""
    seen = []
    for out_features in (4, 8):
        step = _forward(8, out_features)
        meter = Meter(ComputeBudget(gflops=64 * 200 / 1e9))
        for size in meter.batches(10):
            step(size)
        seen.append(meter.images_seen)
    assert seen == [200, 100]
