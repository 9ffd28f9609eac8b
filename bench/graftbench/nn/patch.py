"""A discriminator that judges whole images or patches of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

if TYPE_CHECKING:
    from graftbench.nn.discriminator import Discriminator


class TwoLevelDiscriminator(nn.Module):
    """One discriminator, two readings: its own logit of an image, and logits of a feature map's patches.

    The patch reading shares the discriminator's blocks up to `block` and adds a 3×3 convolution to one channel, under
    spectral norm where the discriminator is. Counted with that convolution, a logit of block 0 sees 8×8 pixels, of
    block 1 12×12, of block 2 22×22, of block 3 30×30.
    """

    def __init__(self, image: Discriminator, block: int) -> None:
        super().__init__()
        self.image = image
        self.block = block
        convolution = image.blocks[block].get_submodule("0")
        assert isinstance(convolution, nn.Conv2d)
        patch = nn.Conv2d(convolution.out_channels, 1, 3, padding=1)
        self.patch = spectral_norm(patch) if image.spec.spectral_norm else patch

    def forward(self, x: Tensor, whole: Tensor) -> Tensor:
        """Return logits, each row with the same weight in a mean over all.

        Args:
            x: Images, B×3×R×R.
            whole: Bool, B: which are judged as a whole.

        Returns:
            B×P, P the patches: an image's own P logits, or P times its one.
        """
        features = x
        patches = None
        for index, block in enumerate(self.image.blocks):
            features = block(features)
            if index == self.block:
                patches = self.patch(features).flatten(1)
        assert patches is not None
        logit = self.image.head(features.flatten(1))
        return torch.where(whole[:, None], logit, patches)
