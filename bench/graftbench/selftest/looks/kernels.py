"""Features on the device against float64 on the CPU, and the scores that they give.

Metrics are computed in float64 on the CPU whatever the device: what a device changes are features.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from graftbench.extractors.load import make_extractor
from graftbench.images import prepared
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.plugins import registry
from graftbench.selftest.finding import judged
from graftbench.selftest.rounding import FACTOR, REPEATS, UNIT_FLOAT32, RoundedProducts, allowance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from graftbench.extractors.base import Extractor
    from graftbench.selftest.finding import Bench, SelftestFinding

EXTRACTOR, SIZE, RESIZE = "lite0", 96, "bicubic-antialias"
METRICS = ("fid", "kid")


def look(bench: Bench) -> Iterator[SelftestFinding]:
    """Extract features of real images on the device and in float64, and score one half against the other."""
    n = 8 if bench.quick else 64 if bench.device.is_gpu else 16
    images = prepared.load(registry.make_domain("openmoji"), "openmoji", 32, bench.cache).images("train")[: 2 * n]
    pixels = torch.from_numpy(images)
    extractor = make_extractor(EXTRACTOR, size=SIZE, resize=RESIZE, device=bench.device.name)
    features = extractor.features(pixels)[0].double()
    truth = exact(extractor, pixels)
    around = _disturbed(extractor, pixels)

    # Features.
    difference = float((features - truth).abs().max())
    allowed = allowance(float((other - truth).abs().max()) for other in around)
    yield judged(
        "kernels",
        f"features of {EXTRACTOR} against float64",
        ok=difference <= allowed,
        found=f"{difference:.2e} at the most, of values up to {float(truth.abs().max()):.3g}",
        expected=f"at most {allowed:.2e}: {FACTOR:g} times what disturbed products move them",
        difference=difference,
        allowed=allowed,
    )

    # Scores.
    for name in METRICS:
        here, true = _score(features, name, n), _score(truth, name, n)
        allowed = allowance(_score(other, name, n) - true for other in around)
        yield judged(
            "kernels",
            f"{name} of these features",
            ok=abs(here - true) <= allowed,
            found=f"{here:.9g}",
            expected=f"{true:.9g} ± {allowed:.1e}: {FACTOR:g} times what disturbed products move it",
            score=here,
            exact=true,
        )


def exact(extractor: Extractor, pixels: Tensor) -> Tensor:
    """Return the pooled features in float64 on the CPU, N×D, by the same network."""
    network = copy.deepcopy(extractor.network).cpu().double()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode():
            return torch.cat([_in_float64(network, batch) for batch in pixels.split(16)]).clone()
    finally:
        torch.set_default_dtype(before)


def _in_float64(network: torch.nn.Module, batch: Tensor) -> Tensor:
    """Run the network on float64 pixels: its input rule makes float32 of them, so its first layer casts."""
    first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    cast = first.register_forward_pre_hook(lambda _, inputs: tuple(x.double() for x in inputs))
    try:
        return network(batch)[0]
    finally:
        cast.remove()


def _disturbed(extractor: Extractor, pixels: Tensor) -> list[Tensor]:
    """Return the features in float32 on the CPU with disturbed products, a few times."""
    network = copy.deepcopy(extractor.network).cpu()
    repeats = []
    for repeat in range(REPEATS):
        with torch.no_grad(), RoundedProducts(UNIT_FLOAT32, torch.Generator().manual_seed(repeat)):
            repeats.append(torch.cat([network(batch)[0] for batch in pixels.split(16)]).double())
    return repeats


def _score(values: Tensor, name: str, n: int) -> float:
    generated, reference = (Features.of(half, torch.empty(n, 0)) for half in (values[:n], values[n:]))
    value = evaluate_features(generated, reference, metrics=[name])[0].value
    assert value is not None
    return value
