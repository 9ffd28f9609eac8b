"""An image-to-image network and the discriminator of patches that goes with it."""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec


class TranslatorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Architecture of a translator.

    Attributes:
        channels: Channels at full resolution; they double with each of the two halvings of the side.
        blocks: Residual blocks at a quarter of the resolution.
    """

    channels: int = 16
    blocks: int = 3

    def __post_init__(self) -> None:
        if self.channels < 1 or self.blocks < 0:
            raise ValueError(
                f"channels must be at least 1 and blocks at least 0; found {self.channels} and {self.blocks}"
            )


class Translator(nn.Module):
    """Image in [−1, 1] (B×3×R×R, R a multiple of 4, at least 8) -> image in [−1, 1] of the same size.

    Johnson et al.'s network (arXiv 1603.08155, supplement) as CycleGAN has it (arXiv 1703.10593, section 7.2): a wide
    convolution, two of stride 2, residual blocks, two doublings, a wide convolution; instance norm and ReLU between.
    Both pad by reflection; the zeros here cost a quarter less time on a CPU.
    """

    def __init__(self, spec: TranslatorSpec) -> None:
        super().__init__()
        self.spec = spec
        c = spec.channels
        self.down = nn.Sequential(*_layer(3, c, 7), *_layer(c, 2 * c, 3, 2), *_layer(2 * c, 4 * c, 3, 2))
        self.blocks = nn.Sequential(*(Residual(4 * c) for _ in range(spec.blocks)))
        self.up = nn.Sequential(
            *(nn.Upsample(scale_factor=2), *_layer(4 * c, 2 * c, 3)),
            *(nn.Upsample(scale_factor=2), *_layer(2 * c, c, 3)),
        )
        self.to_rgb = nn.Conv2d(c, 3, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Map B×3×R×R to B×3×R×R."""
        return self.to_rgb(self.up(self.blocks(self.down(x)))).tanh()


class Residual(nn.Module):
    """Two 3×3 convolutions, added to what comes in; no ReLU after the addition (as Johnson et al., supplement)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = _layer(channels, channels, 3), _layer(channels, channels, 3)
        self.body = nn.Sequential(*first, *second[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Map B×C×H×W to B×C×H×W."""
        return x + self.body(x)


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm without weights, whose output lies channels last: torch's own does not, and slows what follows."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name of it
        """Map B×C×H×W to B×C×H×W."""
        return super().forward(input).contiguous(memory_format=torch.channels_last)


def _layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Make convolution, instance norm, ReLU. The norm would take a bias out again, so there is none."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, InstanceNorm(outputs), nn.ReLU()]


class PatchDiscriminator(nn.Module):
    """Image in [−1, 1] (B×3×R×R) -> one logit per patch (B×R/2^k×R/2^k). Positive means real.

    The shared discriminator's blocks down to a 2^k-th of the side and a 3×3 convolution instead of the linear head, so
    that each logit sees a patch (Isola et al., arXiv 1611.07004, section 3.2.2). Patches are 12 px wide for k = 1 and
    30 for k = 2.

    Args:
        spec: Architecture of the shared discriminator.
        halvings: k, at least 1.
    """

    def __init__(self, spec: DiscriminatorSpec, halvings: int) -> None:
        super().__init__()
        body = Discriminator(spec)
        self.blocks = body.blocks[: 2 * halvings]
        head = nn.Conv2d(min(2 ** (halvings - 1), 4) * spec.channels, 1, 3, padding=1)
        self.head = spectral_norm(head) if spec.spectral_norm else head

    def forward(self, x: Tensor) -> Tensor:
        """Map B×3×R×R to B×R/2^k×R/2^k."""
        for block in self.blocks:
            x = block(x)
        return self.head(x).squeeze(1)
