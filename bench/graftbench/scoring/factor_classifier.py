"""Reads the factors of images: one small network per domain and resolution, trained on the domain's own images.

A trunk of four convolutions sees the pixels, and a linear head per factor tells its variant. It is trained on the
training split, in float32 on one thread of the CPU, and measured on the validation split. Factors that it reads wrongly
too often are left out, and so no score rests on them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from graftbench.cache import atomic_file, locked
from graftbench.errors import GraftbenchError
from graftbench.plugins.code_hash import code_hash
from graftbench.records.cell_spec import content_hash
from graftbench.training.samplers import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from graftbench.images.prepared import ImageSet

LEAST_ACCURACY = 0.97
"""A factor is read if the classifier is right this often: on all validation images, and on those that have it."""

LEAST_CONFIDENCE = 0.9
"""An image shows a variant that the classifier gives at least this probability; of a smear that looks like several it
shows none."""

STEPS, BATCH = 800, 64
_PEAK_LEARNING_RATE, _WEIGHT_DECAY, _DROPOUT = 3e-3, 1e-2, 0.3
_CHANNELS, _GRID = (12, 24, 48, 64), 32
_MOST_NOISE = 0.05
_READING_BATCH = 256


@dataclass(frozen=True, eq=False)
class FactorClassifier:
    """Reads the factors of images of one domain.

    Attributes:
        accuracy: Factor that is read -> its held-out accuracy.
        left_out: Factor that is not read -> why.
        variants: Factor that is read -> its variants, in the order of their numbers; "" is having none.
    """

    accuracy: dict[str, float]
    left_out: dict[str, str]
    variants: dict[str, tuple[str, ...]]
    _network: _Network

    def read(self, images: Tensor) -> NDArray[np.int64]:
        """Return the numbers of the variants of images, uint8 n×3×H×W on the CPU: n×F, a column per factor read.

        It is −1 where the image shows none for sure (`LEAST_CONFIDENCE`).
        """
        variants, confidence = _predict(self._network, images)
        read = [self._network.factors.index(name) for name in self.variants]
        return np.where(confidence >= LEAST_CONFIDENCE, variants, -1)[:, read]

    def labels(self, target: ImageSet, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the true variants of a domain's images, as `read` numbers them; −1 for one that it does not know."""
        return _labels(target, self.variants, positions)


def factor_classifier(target: ImageSet, cache: Path) -> FactorClassifier:
    """Return the classifier of a domain's factors from the cache, or train it, once however many ask for it.

    Args:
        target: Prepared images with factors.
        cache: Cache folder.

    Raises:
        GraftbenchError: The cache cannot be written.
    """
    key = content_hash([target.manifest, code_hash([Path(__file__)])])[:32]
    path = cache / "factors" / f"{key}.safetensors"
    network = _load(path, key)
    if network is None:
        with locked(path.with_suffix(".lock")):
            network = _load(path, key)
            if network is None:
                network = _train(target)
                _save(network, path, key)
    return _measured(network, target)


# ---------------------------------------------------------------------------------------------------------- the network


class _Network(nn.Module):
    """From images in −1 to 1 to the scores of every factor's variants.

    Args:
        resolution: Side of the images; the first convolution brings it to about 32, each further one halves it.
        variants: Factor -> its variants.
    """

    def __init__(self, resolution: int, variants: dict[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.resolution, self.variants, self.factors = resolution, variants, list(variants)
        stride = max(1, round(resolution / _GRID))
        layers: list[nn.Module] = [nn.Conv2d(3, _CHANNELS[0], 2 * stride + 1, stride, stride)]
        for width, wider in pairwise(_CHANNELS):
            layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, wider, 4, 2, 1)]
        self.trunk = nn.Sequential(
            *layers, nn.BatchNorm2d(_CHANNELS[-1]), nn.ReLU(), nn.Flatten(), nn.Dropout(_DROPOUT)
        )
        side = ((resolution - 1) // stride + 1) >> (len(_CHANNELS) - 1)
        self.heads = nn.ModuleList(nn.Linear(_CHANNELS[-1] * side**2, len(each)) for each in variants.values())

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return n×V scores for each factor of images n×3×H×W."""
        features = self.trunk(images)
        return [head(features) for head in self.heads]


def _scaled(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1.0


def _predict(network: _Network, images: Tensor) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the likeliest variant of each factor and its probability, both n×F over all factors of the network."""
    network.eval()
    if not network.factors or not len(images):
        empty = np.empty((len(images), len(network.factors)))
        return empty.astype(np.int64), empty.astype(np.float32)
    with torch.inference_mode():
        batches = [network(_scaled(batch)) for batch in images.split(_READING_BATCH)]
    best = [torch.cat([scores[i] for scores in batches]).softmax(1).max(1) for i in range(len(network.factors))]
    return torch.stack([each.indices for each in best], 1).numpy(), torch.stack(
        [each.values for each in best], 1
    ).numpy()


# ------------------------------------------------------------------------------------------------------------- training


def _train(target: ImageSet) -> _Network:
    """Train on the domain's training split; the same images give the same network on the same kind of machine."""
    positions = target.positions("train")
    variants = {name: tuple(sorted({column[i] for i in positions.tolist()})) for name, column in target.factors.items()}
    variants = {name: each for name, each in variants.items() if len(each) > 1}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            network = _Network(target.resolution, variants)
            if variants:
                labels = torch.from_numpy(_labels(target, variants, positions))
                _fit(network, torch.from_numpy(target.images("train")), labels)
    finally:
        torch.set_num_threads(threads)
    return network.eval()


def _fit(network: _Network, images: Tensor, labels: Tensor) -> None:
    """Minimise the sum of the factors' cross entropies over shuffled images, degraded a little each time."""
    optimizer = torch.optim.AdamW(network.parameters(), _PEAK_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_LEARNING_RATE, total_steps=STEPS)
    waiting = torch.empty(0, dtype=torch.int64)
    for _ in range(STEPS):
        while len(waiting) < BATCH:
            waiting = torch.cat((waiting, torch.randperm(len(images))))
        chosen, waiting = waiting[:BATCH], waiting[BATCH:]
        scores = network(_degraded(_scaled(images[chosen])))
        loss = sum(functional.cross_entropy(each, labels[chosen, i]) for i, each in enumerate(scores))
        assert isinstance(loss, torch.Tensor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _degraded(images: Tensor) -> Tensor:
    """Blur half of the images and put noise on all, each by its own strength: generated images are seldom clean."""
    n = len(images)
    blurred = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    blur = torch.rand(n, 1, 1, 1) * (torch.rand(n, 1, 1, 1) < 0.5)
    noise = _MOST_NOISE * torch.rand(n, 1, 1, 1)
    return images + blur * (blurred - images) + noise * torch.randn_like(images)


# ---------------------------------------------------------------------------------------------------------- measurement


def _labels(
    target: ImageSet, variants: dict[str, tuple[str, ...]], positions: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.int64]:
    numbers = {name: {variant: number for number, variant in enumerate(each)} for name, each in variants.items()}
    rows = [[numbers[name].get(target.factors[name][i], -1) for name in variants] for i in positions]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(variants))


def _measured(network: _Network, target: ImageSet) -> FactorClassifier:
    """Return the classifier with the factors that it reads well on the validation split."""
    positions = target.positions("validation")
    variants, _ = _predict(network, torch.from_numpy(target.images("validation")))
    right = variants == _labels(target, network.variants, positions)
    accuracy: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for name, column in target.factors.items():
        if name not in network.variants:
            left_out[name] = "all training images have one variant"
            continue
        has = np.array([bool(column[i]) for i in positions], dtype=bool)
        correct = right[:, network.factors.index(name)]
        if not has.any():
            left_out[name] = "no validation image has it"
            continue
        share = min(float(correct.mean()), float(correct[has].mean()))
        if share >= LEAST_ACCURACY:
            accuracy[name] = share
        else:
            left_out[name] = f"read rightly in {100 * share:.1f} % of held-out images"
    return FactorClassifier(accuracy, left_out, {name: network.variants[name] for name in accuracy}, network)


# ---------------------------------------------------------------------------------------------------------------- cache


def _save(network: _Network, path: Path, key: str) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    metadata = {
        "key": key,
        "resolution": str(network.resolution),
        "variants": json.dumps(network.variants),
    }
    with atomic_file(path) as part:
        write_tensors(tensors, part, metadata)


def _load(path: Path, key: str) -> _Network | None:
    """Read what `_save` wrote; None if nothing is there, or nothing whole: a cache is never a reason to fail."""
    try:
        tensors, metadata = read_tensors(path)
        if metadata["key"] != key:
            return None
        variants = {name: tuple(each) for name, each in json.loads(metadata["variants"]).items()}
        with torch.random.fork_rng(devices=[]):  # weights that are drawn first and replaced at once
            network = _Network(int(metadata["resolution"]), variants)
        network.load_state_dict(tensors)
    except (GraftbenchError, KeyError, ValueError, RuntimeError):
        return None
    return network.eval()
