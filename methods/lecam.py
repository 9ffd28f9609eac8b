"""LeCam: the discriminator's logits of real images are held near its recent mean of generated ones, and the reverse.

A discriminator that tells a few real images from all else with growing certainty has learnt them by heart; the
regulariser costs what the logits are apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graftbench.bounds import NonNegative, ShareBelowOne
from graftbench.contracts import Family, Method
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial, new_networks

if TYPE_CHECKING:
    from torch import Tensor

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.adversarial import DiscriminatorPass


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults: λ as in the published scripts for CIFAR (BigGAN); the anchors' decay as in its StyleGAN2 code.

    Attributes:
        weight: λ of the regulariser.
        decay: Decay of the anchors per discriminator step, [0, 1).
        one_sided: The published code's relu(D(x) − α_F)² + relu(α_R − D(G(z)))², which costs nothing once real images
            score below the generated ones' mean; otherwise the paper's regulariser, which pulls from both sides.
    """

    loss: str = "non-saturating"
    weight: NonNegative = 0.3
    decay: ShareBelowOne = 0.99
    one_sided: bool = False


class LeCam(Method):
    """Tseng, Jiang, Liu, Yang, Yang, CVPR 2021."""

    name = "lecam"
    family: ClassVar[Family] = "scratch"
    title = "LeCam regularisation from scratch"
    reference = cited("tseng2021regularizing")
    trains = "generator and discriminator, from fresh weights; the discriminator's logits are regularised"
    differs = (
        "the shared small networks and a non-saturating loss; the paper's two-sided regulariser, for which its theorem "
        "holds, where the published code's is one-sided (`one_sided`); it acts from the first step on, where the "
        "published BigGAN code waits 1,000 steps: more than a small budget has"
    )
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both networks on the target images, the discriminator with the regulariser beside its loss."""
        networks = new_networks(task, self.config)
        terms = [_Regularizer(self.config)] if self.config.weight else []
        return fit_adversarial(task, budget, self.config, *networks, discriminator_terms=terms)


class _Regularizer:
    """λ·R_LC and the two anchors: moving averages of the mean logits of real and of generated images.

    As in the published code, a step's own means enter the anchors before they are used. The first step's means start
    the averages, so no correction of their start is needed.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._real: Tensor | None = None
        self._fake: Tensor | None = None

    def __call__(self, batch: DiscriminatorPass) -> dict[str, Tensor]:
        self._real = self._average(self._real, batch.real_logits)
        self._fake = self._average(self._fake, batch.fake_logits)
        above, below = batch.real_logits - self._fake, self._real - batch.fake_logits
        if self._config.one_sided:
            above, below = above.relu(), below.relu()
        return {"lecam": self._config.weight * (above.square().mean() + below.square().mean())}

    def state_dict(self) -> dict[str, Any]:
        """Return the anchors."""
        return {"real": self._real, "fake": self._fake}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state."""
        self._real, self._fake = state["real"], state["fake"]

    def _average(self, anchor: Tensor | None, logits: Tensor) -> Tensor:
        mean = logits.detach().mean()
        return mean if anchor is None else mean.lerp(anchor, self._config.decay)
