"""A VAE whose reconstructions are judged in the feature maps of a frozen classifier instead of pixel by pixel.

A pixel's squared error forgives a blur and punishes an edge that is one pixel off; a classifier's maps do the opposite.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from graftbench.bounds import Count, Share
from graftbench.extractors.load import lite0_file
from graftbench.nn.lite0 import Lite0Blocks
from graftbench.nn.perceptual import feature_errors
from graftbench.references import cited
from graftbench.training.autoencoding import VaeConfig, best_sigma_nll, fit_vae, new_autoencoder, optimal_sigma_nll

from ._lite0 import Lite0Method, check_layers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from graftbench.budget import Meter
    from graftbench.contracts import Family, Sampler, Task


class Config(VaeConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where reconstructions are judged.

    Attributes:
        layers: Stages of the backbone (0 is the stem); the published code takes three, the first of each depth.
        pixel_share: Share of the pixels' term in the reconstruction loss, 0 (the paper's) to 1 (then it is `vae`).
        enlarge: The backbone sees the images enlarged so many times (bilinear).
    """

    layers: tuple[int, ...] = (0, 1, 2)
    pixel_share: Share = 0.0
    enlarge: Count = 1

    def __post_init__(self) -> None:
        check_layers(self.layers)


class VaePerceptual(Lite0Method):
    """Hou, Shen, Sun, Qiu, WACV 2017."""

    name = "vae-perceptual"
    family: ClassVar[Family] = "vae"
    title = "VAE, feature loss (DFC-VAE)"
    reference = cited("hou2017deep")
    trains = "encoder and decoder, from fresh weights"
    frozen = "the ImageNet backbone EfficientNet-Lite0 that judges reconstructions"
    differs = (
        "EfficientNet-Lite0 instead of VGG-19, which is not shipped; each map's σ is learnt as in `vae` instead of a "
        "weight of 0.5, for which no value fits every backbone; latents as in `vae`"
    )
    resumable = True
    moves = ("encoder.*", "decoder.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Maximise the ELBO, its likelihood taken in feature maps."""
        networks = new_autoencoder(task, self.config)
        backbone = Lite0Blocks(lite0_file(), enlarge=self.config.enlarge)
        reconstruction = partial(feature_nll, backbone, self.config)
        others: dict[str, nn.Module] = {"backbone": backbone}
        return fit_vae(task, budget, self.config, *networks, reconstruction=reconstruction, others=others)


def feature_nll(backbone: Lite0Blocks, config: Config, reconstruction: Tensor, x: Tensor) -> Tensor:
    """Return the reconstruction loss: pixels' and maps' negative log-likelihoods, each at its own best σ.

    Ours: the rule of the σ-VAE (arXiv 2006.13202), applied to each map. An image of D numbers has no more to tell when
    it is looked at through several maps, so the maps' mean per dimension counts D times, not their sum over their own
    dimensions: the KL term weighs as in `vae`. The published loss is Σ 0.5·‖φ_l(x) − φ_l(x̂)‖² per map.
    """
    maps = best_sigma_nll(feature_errors(backbone, config.layers, reconstruction, x)).mean()
    share = config.pixel_share
    return share * optimal_sigma_nll(reconstruction, x) + (1 - share) * x[0].numel() * maps
