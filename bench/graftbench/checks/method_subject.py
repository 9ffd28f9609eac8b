"""The method that is looked at, and its fits: tiny ones, each made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from graftbench.checks.check import Broken, Fault
from graftbench.checks.fixtures import BUDGET, IMAGES, Fit
from graftbench.checks.strict_task import NotOffered
from graftbench.contracts import OverBudget, Sampler
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from graftbench.checks.fixtures import World
    from graftbench.contracts import Method

SIDES = (32, 64)
"""Resolutions that are tried: a method is looked at in the first that it takes, and some rules in the next as well."""


class MethodSubject:
    """A method, and fits of it that several checks look at; each is made once.

    Args:
        cls: The method.
        world: The images at a resolution.
        folder: For files of the checks.
    """

    def __init__(self, cls: type[Method], world: Callable[[int], World], folder: Path) -> None:
        self.cls, self.world, self.folder = cls, world, folder
        self._fits: dict[tuple[int, int], Fit] = {}

    def sides(self) -> list[int]:
        """Return those of `SIDES` that the method takes."""
        return [side for side in SIDES if not refusal(self.cls, side)]

    def side(self, index: int = 0) -> int:
        """Return the first side that the method takes, or the next.

        Raises:
            Broken: There is none.
        """
        sides = self.sides()
        if len(sides) <= index:
            raise Broken(
                Fault(
                    f"`check` refuses every one of {', '.join(map(str, SIDES))} px: {refusal(self.cls, SIDES[0])}",
                    "a method that takes one of these sides with its default parameters",
                    "let the defaults fit small images, so that the method can be checked",
                )
            )
        return sides[index]

    def fitted(self, side: int | None = None, seed: int = 0) -> Fit:
        """Fit at a side (the first that the method takes) with a seed."""
        key = self.side() if side is None else side, seed
        if key not in self._fits:
            self._fits[key] = _explained(lambda: self.world(key[0]).fit(self.cls, seed=seed))
        return self._fits[key]

    def again(self, *, n: int = IMAGES, images: int = BUDGET, **parameters: Any) -> Fit:  # noqa: ANN401 - any settings
        """Fit anew at the first side; the arguments are those of `World.fit`."""
        return _explained(lambda: self.world(self.side()).fit(self.cls, n=n, images=images, **parameters))


def refusal(cls: type[Method], side: int) -> str:
    """Return what `check` says against a side; empty where it says nothing."""
    try:
        cls().check(side)
    except GraftbenchError as error:
        return str(error)
    return ""


def _explained(fit: Callable[[], Fit]) -> Fit:
    """Fit, and say in words what the suite's own guards raise."""
    try:
        return fit()
    except NotOffered as error:
        raise Broken(
            Fault(
                str(error),
                "images, generator, device, resolution, log, folder; source_model, source_images and pairs where "
                "the class says that it needs them",
                "declare `source_model`, `needs_source_images` or `needs_pairs` in the class, or do without; "
                "`hasattr` asks too",
            )
        ) from error
    except OverBudget as error:
        raise Broken(
            Fault(
                str(error), "a fit that ends when its budget does", "write `for size in budget.batches(batch_size): …`"
            )
        ) from error


def rng(seed: int = 0) -> torch.Generator:
    """Return a seeded generator."""
    return torch.Generator().manual_seed(seed)


def same_state(a: Sampler, b: Sampler) -> bool:
    """Return whether two samplers hold the same numbers, to the bit."""
    (tensors_a, metadata_a), (tensors_b, metadata_b) = a.state(), b.state()
    if metadata_a != metadata_b or tensors_a.keys() != tensors_b.keys():
        return False
    return all(torch.equal(tensor, tensors_b[name]) for name, tensor in tensors_a.items())


def form(images: object, shape: tuple[int, ...], what: str) -> Iterator[Fault]:
    """Find what is wrong with the type and shape of images."""
    expected = f"a torch.uint8 tensor {'×'.join(map(str, shape))} on the CPU"
    if not isinstance(images, torch.Tensor):
        yield Fault(f"{what} returned a {type(images).__name__}", expected, "return a tensor")
        return
    form_text = f"{images.dtype} {'×'.join(map(str, images.shape))} on {images.device.type}"
    if images.dtype != torch.uint8:
        yield Fault(
            f"{what} is {form_text}", expected, "graftbench.training.samplers.to_uint8 turns [−1, 1] into 0…255"
        )
    elif tuple(images.shape) != shape or images.device.type != "cpu":
        yield Fault(
            f"{what} is {form_text}", expected, "return so many RGB images of the task's resolution, on the CPU"
        )
