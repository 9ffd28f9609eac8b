"""A generator and a discriminator that are told the domain: one pair of networks for several domains.

The projection discriminator of Miyato & Koyama (ICLR 2018, arXiv 1802.05637), and the class-conditional batch norm that
their generator has. Both networks start as the unconditional ones that they are made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from graftbench.nn.generator import Generator, UpsamplingBlock

if TYPE_CHECKING:
    from graftbench.nn.discriminator import Discriminator


class ConditionalBatchNorm(nn.Module):
    """γ_y · (x − mean) / std + β_y: the statistics are those of the whole batch, γ and β each domain's own.

    Args:
        norm: Every domain's γ and β, and the running statistics, start as this one's.
        domains: Number of domains.
    """

    def __init__(self, norm: nn.BatchNorm2d, domains: int) -> None:
        super().__init__()
        self.statistics = nn.BatchNorm2d(norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=False)
        self.statistics.load_state_dict(dict(norm.named_buffers()))
        self.weight = nn.Parameter(norm.weight.detach().repeat(domains, 1))
        self.bias = nn.Parameter(norm.bias.detach().repeat(domains, 1))

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Map B×C×H×W and int64 B to B×C×H×W."""
        weight, bias = (p[domain][:, :, None, None].to(x.dtype) for p in (self.weight, self.bias))
        return torch.addcmul(bias, self.statistics(x), weight)


class ConditionalGenerator(nn.Module):
    """z (B×latent) and domain (int64 B) -> image in [−1, 1] (B×3×R×R); parts are named as in `Generator`.

    Args:
        generator: The generator that it starts as, whatever the domain; its parts are taken over.
        domains: Number of domains.
    """

    def __init__(self, generator: Generator, domains: int = 2) -> None:
        super().__init__()
        self.spec, self.stem, self.to_rgb = generator.spec, generator.stem, generator.to_rgb
        self.stem_norm = ConditionalBatchNorm(generator.stem_norm, domains)
        self.blocks = nn.ModuleList(
            ConditionalBlock(cast("UpsamplingBlock", block), domains) for block in generator.blocks
        )

    def forward(self, z: Tensor, domain: Tensor) -> Tensor:
        """Map B×latent and int64 B to B×3×R×R."""
        x = self.stem(z).unflatten(1, (-1, 4, 4))
        x = self.stem_norm(x, domain).relu()
        for block in self.blocks:
            x = block(x, domain)
        return self.to_rgb(x).tanh()

    def folded(self, domain: int) -> Generator:
        """Return the plain generator that it is for one domain in eval mode: γ_y and β_y as those of a batch norm."""
        state = {key.replace("norm.statistics.", "norm."): tensor for key, tensor in self.state_dict().items()}
        rows = {key: tensor[domain] for key, tensor in state.items() if key.endswith(("norm.weight", "norm.bias"))}
        with torch.device("meta"):  # no weights are drawn
            plain = Generator(self.spec)
        plain.load_state_dict({key: tensor.clone() for key, tensor in (state | rows).items()}, assign=True)
        return plain


class ConditionalBlock(nn.Module):
    """A generator's block whose batch norm is told the domain."""

    def __init__(self, block: UpsamplingBlock, domains: int) -> None:
        super().__init__()
        self.upsample, self.conv = block.upsample, block.conv
        self.norm = ConditionalBatchNorm(block.norm, domains)

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Map B×C×H×W and int64 B to B×C'×2H×2W."""
        return self.norm(self.conv(self.upsample(x)), domain).relu()


class Projection(nn.Module):
    """⟨e_y − e_y⁰, h⟩ for the spectrally normalised embedding e of the domains and its start e⁰: B.

    Ours: without e⁰ a discriminator that was trained before would start as another one, and e = 0 cannot be divided
    by its spectral norm. The gradient with respect to e is that of ⟨e_y, h⟩.

    Args:
        features: Dimensions of h, at least as many as domains.
        domains: Number of domains.
    """

    def __init__(self, features: int, domains: int) -> None:
        super().__init__()
        embedding = nn.Embedding(domains, features)
        nn.init.orthogonal_(embedding.weight)  # all singular values are 1: e = e⁰ wherever the power iteration is
        self.embedding = cast("nn.Embedding", spectral_norm(embedding))
        self.start: Tensor
        self.register_buffer("start", self.embedding.eval().weight.detach().clone())
        self.train()

    def forward(self, h: Tensor, domain: Tensor) -> Tensor:
        """Map B×features and int64 B to B."""
        return ((self.embedding.weight - self.start)[domain] * h).sum(dim=1)


class ProjectionDiscriminator(nn.Module):
    """Image in [−1, 1] (B×3×R×R) and domain (int64 B) -> logit (B): head(h) + projection of h on the domain.

    h is what the head of the plain discriminator reads, all positions; Miyato & Koyama sum over the positions first.

    Args:
        discriminator: The discriminator that it starts as, whatever the domain; its parts are taken over.
        domains: Number of domains.
    """

    def __init__(self, discriminator: Discriminator, domains: int = 2) -> None:
        super().__init__()
        self.blocks, self.head = discriminator.blocks, discriminator.head
        self.projection = Projection(discriminator.features, domains)

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Map B×3×R×R and int64 B to B."""
        for block in self.blocks:
            x = block(x)
        h = x.flatten(1)
        return self.head(h).squeeze(1) + self.projection(h, domain)
