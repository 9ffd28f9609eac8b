"""DiffFit: of the source model's velocity network only biases, norms and one factor a channel of each block learn.

The filters that the source domain has left stay; what a block adds to its input is weighed anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from graftbench.bounds import Positive
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze
from graftbench.nn.lowrank import merge
from graftbench.nn.unet import Attention, ResidualBlock, VelocityUNet
from graftbench.references import cited
from graftbench.training.flow_matching import FlowConfig, fit_flow, source_velocity

if TYPE_CHECKING:
    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(FlowConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is trained, beside the biases; with neither it is BitFit (arXiv 2106.10199).

    Attributes:
        lr: Adam's rate. The paper, too, takes a higher one than for all weights.
        scales: Train a factor for each channel of what a block adds to its input.
        norms: Train the scales of the group norms.
    """

    lr: Positive = 1e-2
    scales: bool = True
    norms: bool = True


class FlowDifffit(Method):
    """Xie, Yao, Shi, Liu, Zhou, Liu, Li, ICCV 2023."""

    name = "flow-difffit"
    family: ClassVar[Family] = "frozen"
    title = "DiffFit (biases, norms and factors) of a flow"
    reference = cited("xie2023difffit")
    trains = "biases, group norms and a factor for each channel of a block's output, from the source model"
    frozen = "all other weights of the U-Net"
    differs = (
        "a U-Net that predicts a velocity instead of a transformer that predicts noise, so a block is a residual block "
        "or the attention, and there are no embeddings of classes to train; the factors are merged into the weights "
        "of a block's last layer, whose bias is trained anyway"
    )
    source_model: ClassVar[SourceNeed] = "flow"
    resumable = True
    moves = ("unet.*.bias", "unet.*norm*.weight", "unet.*.parametrizations.weight.0.factors")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Minimise ‖(x_1 − x_0) − v_θ(x_t, t)‖² over what is free, then merge the factors."""
        unet = source_velocity(task.source_model, task.resolution)
        thaw(unet, norms=self.config.norms, scales=self.config.scales)

        def plain(average: VelocityUNet) -> VelocityUNet:
            return merge(average, VelocityUNet(average.spec)) if self.config.scales else average

        return fit_flow(task, budget, self.config, unet, plain=plain)


class ChannelFactors(nn.Module):
    """W -> γ W, a parametrisation: output channel c is multiplied by γ_c, which begins at 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.ones(channels))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with its factors, C'×…."""
        return weight * self.factors.view(-1, *[1] * (weight.ndim - 1))


def thaw(unet: VelocityUNet, *, norms: bool, scales: bool) -> None:
    """Freeze a U-Net but for its biases and, if asked for, the scales of its norms and new factors of its blocks."""
    freeze(unet)
    for part in unet.modules():
        if isinstance(bias := getattr(part, "bias", None), nn.Parameter):
            bias.requires_grad_()
        if norms and isinstance(part, nn.GroupNorm):
            part.weight.requires_grad_()
    blocks = [part for part in unet.modules() if isinstance(part, (ResidualBlock, Attention))]
    for block in blocks if scales else ():
        last = block.conv2 if isinstance(block, ResidualBlock) else block.out
        parametrize.register_parametrization(last, "weight", ChannelFactors(len(last.weight)))
