"""A DCGAN as a tutorial has it: transposed convolutions, batch norm, binary cross-entropy, Adam; no suite around it.

Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional GANs, arXiv 1511.06434, section 3.
The yardstick of the throughput look: what the same hardware does with a step that nobody wrapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

LATENT, WIDTH = 100, 64
RATE, BETAS = 2e-4, (0.5, 0.999)


def _generator() -> nn.Sequential:
    """Map B×100×1×1 to images B×3×32×32."""
    layers: list[nn.Module] = []
    before = LATENT
    for index, width in enumerate((4 * WIDTH, 2 * WIDTH, WIDTH)):
        stride, padding = (1, 0) if index == 0 else (2, 1)
        layers += [
            nn.ConvTranspose2d(before, width, 4, stride, padding, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        before = width
    return nn.Sequential(*layers, nn.ConvTranspose2d(before, 3, 4, 2, 1, bias=False), nn.Tanh())


def _discriminator() -> nn.Sequential:
    """Map images B×3×32×32 to logits B×1×1×1."""
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    before = WIDTH
    for width in (2 * WIDTH, 4 * WIDTH):
        layers += [
            nn.Conv2d(before, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        before = width
    return nn.Sequential(*layers, nn.Conv2d(before, 1, 4, 1, 0, bias=False))


class PlainDcgan:
    """Both networks, their optimisers, and one step.

    Args:
        device: Where it computes.
        capturable: Whether the optimisers may be part of a CUDA graph.
    """

    def __init__(self, device: torch.device, *, capturable: bool = False) -> None:
        self.generator, self.discriminator = _generator().to(device), _discriminator().to(device)
        self.loss = nn.BCEWithLogitsLoss()
        self.adam_g, self.adam_d = (
            torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, capturable=capturable)
            for network in (self.generator, self.discriminator)
        )

    def step(self, real: Tensor, z: Tensor) -> None:
        """Train the discriminator on real and generated images, then the generator.

        Args:
            real: B×3×32×32 in [−1, 1].
            z: B×100×1×1.
        """
        fake = self.generator(z)
        self.adam_d.zero_grad(set_to_none=True)
        on_real, on_fake = self.discriminator(real), self.discriminator(fake.detach())
        (self.loss(on_real, torch.ones_like(on_real)) + self.loss(on_fake, torch.zeros_like(on_fake))).backward()
        self.adam_d.step()
        self.adam_g.zero_grad(set_to_none=True)
        judged = self.discriminator(fake)
        self.loss(judged, torch.ones_like(judged)).backward()
        self.adam_g.step()
