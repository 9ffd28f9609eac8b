"""Training, sampling and extraction against bare loops over the same networks: what the suite adds to torch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from graftbench.budget import Meter
from graftbench.contracts import FitLog, Task
from graftbench.extractors.load import make_extractor
from graftbench.nn.build import seeded
from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.records.cell_spec import ComputeBudget
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.contracts import Sampler

pytestmark = pytest.mark.long

STEPS, BATCH = 8, 32
CONFIG = AdversarialConfig(batch_size=BATCH, precision="float32")


def networks() -> tuple[Generator, Discriminator]:
    """Those of `dcgan` at 32 px, channels last."""
    random = torch.Generator().manual_seed(0)
    generator = seeded(lambda: Generator(GeneratorSpec(resolution=32)), random)
    discriminator = seeded(lambda: Discriminator(DiscriminatorSpec(resolution=32)), random)
    for network in (generator, discriminator):
        network.train().to(memory_format=torch.channels_last)
    return generator, discriminator


def pixels(n: int, side: int = 32) -> torch.Tensor:
    """Smooth coloured noise: uint8 n×3×side×side."""
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    fine = F.interpolate(coarse, size=(side, side), mode="bilinear")
    return (255 * fine).to(torch.uint8)


def our_fit(images: torch.Tensor) -> Sampler:
    """The loop that GAN methods share, with its log, meter, average and checks."""
    offer: dict[str, Any] = dict.fromkeys(("keep", "resume", "snapshot", "checkpoint"), lambda *_, **__: None)
    offer |= {"resolution": 32, "device": torch.device("cpu"), "images": images, "log": FitLog()}
    task = cast("Task", SimpleNamespace(generator=torch.Generator().manual_seed(2), **offer))
    return fit_adversarial(task, Meter(ComputeBudget(kimg=STEPS * BATCH / 1000)), CONFIG, *networks())


def bare_fit(images: torch.Tensor) -> torch.nn.Module:
    """The same steps as one would write them down: hinge loss, Adam, torch's own average."""
    generator, discriminator = networks()
    random = torch.Generator().manual_seed(2)
    betas = (CONFIG.beta1, CONFIG.beta2)
    adam_g = torch.optim.Adam(generator.parameters(), lr=CONFIG.lr_generator, betas=betas, foreach=True)
    adam_d = torch.optim.Adam(discriminator.parameters(), lr=CONFIG.lr_discriminator, betas=betas, foreach=True)
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(CONFIG.ema_decay), use_buffers=False)
    latent = generator.spec.latent
    for _ in range(STEPS):
        choice = torch.randint(len(images), (BATCH,), generator=random)
        real = images[choice].float().div(127.5).sub(1)
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, latent, generator=random))
        both = torch.cat([real, fake]).contiguous(memory_format=torch.channels_last)
        real_logits, fake_logits = discriminator(both).split(BATCH)
        adam_d.zero_grad()
        ((1 - real_logits).relu().mean() + (1 + fake_logits).relu().mean()).backward()
        adam_d.step()
        discriminator.requires_grad_(requires_grad=False)
        adam_g.zero_grad()
        (-discriminator(generator(torch.randn(BATCH, latent, generator=random))).mean()).backward()
        adam_g.step()
        discriminator.requires_grad_(requires_grad=True)
        average.update_parameters(generator)
    return average


def test_training(versus: Callable[..., None]) -> None:
    """Eight steps of generator and discriminator with batches of 32."""
    images = pixels(64)
    versus("training, 8 steps", lambda: our_fit(images), {"bare loop": lambda: bare_fit(images)}, rounds=7)


def test_sampling(versus: Callable[..., None]) -> None:
    """512 images of a generator, uint8 on the CPU."""
    generator = networks()[0].eval()
    sampler = GeneratorSampler(generator)

    def bare() -> torch.Tensor:
        with torch.inference_mode():
            parts = [generator(torch.randn(128, generator.spec.latent)) for _ in range(4)]
            return ((torch.cat(parts) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)

    versus(
        "sampling, 512 images",
        lambda: sampler.sample(512, torch.Generator().manual_seed(3)),
        {"bare loop": bare},
        rounds=9,
    )


def test_extraction(versus: Callable[..., None]) -> None:
    """Features of 64 images at 96 px: ours with batch norm folded in, against timm's network as it comes."""
    images = pixels(64)
    extractor = make_extractor("lite0", size=96, resize="bicubic-antialias")
    network = plain_lite0()

    def bare() -> torch.Tensor:
        found = []
        with torch.inference_mode():
            for batch in images.split(16):
                large = F.interpolate(batch.float(), size=(96, 96), mode="bicubic", antialias=True).clamp(0, 255)
                x = (large - 127.0) / 128.0  # the scale of the converted TF weights
                found.append(network.forward_head(network.forward_features(x), pre_logits=True))
        return torch.cat(found)

    ours = extractor.features(images)[0]
    assert torch.allclose(ours, bare(), atol=1e-3 * float(ours.abs().max()))  # folding: 5e-5; the same network
    versus("extraction, 64 images", lambda: extractor.features(images), {"plain loop": bare}, rounds=7)


def plain_lite0() -> Any:
    """EfficientNet-Lite0 as timm makes it, with the same weights."""
    import timm

    from graftbench.extractors.load import weights_file
    from graftbench.extractors.state_dicts import load_by_position, read_state

    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    file = weights_file("lite0", "")
    load_by_position(network, read_state(file), file)
    return network.eval().requires_grad_(requires_grad=False)
