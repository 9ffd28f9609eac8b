"""ADA: the discriminator sees augmented images only, each augmentation with a probability that adapts to overfitting.

While the discriminator is nearly always sure that the training images are real, the probability rises; otherwise it
falls. Below about 0.8 the generator can still tell what the images look like without the augmentations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from graftbench.bounds import Count, Positive, Share
from graftbench.contracts import Family, Method
from graftbench.nn.ada import AdaptiveAugment
from graftbench.references import cited
from graftbench.training.adversarial import AdversarialConfig, fit_adversarial, new_networks

if TYPE_CHECKING:
    from torch import Tensor

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training.adversarial import DiscriminatorPass


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults: target and interval are the paper's (section 3.1).

    Attributes:
        target: r_t = E[sign D(x)] over real images, to which p is steered.
        interval: Discriminator steps between changes of p.
        adjust_share: Share of the budget in which p could go from 0 to 1. The paper's 500,000 images are 0.02 of its
            25 million and would be all of a small budget many times over; 0.02 of 250 steps would be five.
        p_max: Highest p. The paper sets none, and finds leaks unlikely below 0.8.
    """

    loss: str = "non-saturating"
    target: Annotated[float, Meta(ge=-1, le=1)] = 0.6
    interval: Count = 4
    adjust_share: Positive = 0.25
    p_max: Share = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment:
            raise ValueError(f"ada has its own augmentations: augment must be empty; found '{self.augment}'")


class Ada(Method):
    """Karras, Aittala, Hellsten, Laine, Lehtinen, Aila, NeurIPS 2020."""

    name = "ada"
    family: ClassVar[Family] = "scratch"
    title = "ADA from scratch"
    reference = cited("karras2020training")
    trains = "generator and discriminator, from fresh weights; the discriminator sees every image augmented"
    differs = (
        "the shared small networks with spectral norm instead of StyleGAN2 with an R1 penalty; the probability moves "
        "in shares of the budget, not by 1 in 500,000 images, or it would stay near 0 in a small budget, and ends at "
        "0.8; bilinear warps without supersampling; no horizontal flips of the training images"
    )
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train both networks on the target images; a term of the discriminator's loss watches, and adds nothing."""
        augment = AdaptiveAugment(task.generator)
        watch = _Controller(self.config, augment, budget)
        networks = new_networks(task, self.config)
        sampler = fit_adversarial(task, budget, self.config, *networks, augment=augment, discriminator_terms=[watch])
        task.log.notes.append(
            f"The augmentation probability was {augment.p:.2f} at the end, at most {watch.highest:.2f}."
        )
        return sampler


class _Controller:
    """Moves p up where the discriminator is too sure of the real images, down where not: always at the same pace.

    The signs stay on the device and are read at intervals: one synchronisation in `interval` steps.
    """

    def __init__(self, config: Config, augment: AdaptiveAugment, budget: Meter) -> None:
        self._config, self._augment, self._budget = config, augment, budget
        self._signs: list[Tensor] = []
        self._share = 0.0
        self.highest = 0.0

    def __call__(self, batch: DiscriminatorPass) -> dict[str, Tensor]:
        self._signs.append(batch.real_logits.detach().sign().mean())
        if len(self._signs) == self._config.interval:
            self._adjust(sum(sign.item() for sign in self._signs) / len(self._signs))
            self._signs.clear()
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return the probability and what it is adjusted by."""
        return {"p": self._augment.p, "highest": self.highest, "share": self._share, "signs": list(self._signs)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state."""
        self._augment.p, self.highest, self._share = state["p"], state["highest"], state["share"]
        self._signs = state["signs"]

    def _adjust(self, sureness: float) -> None:
        share = self._budget.share()
        step = (share - self._share) / self._config.adjust_share
        direction = (sureness > self._config.target) - (sureness < self._config.target)
        self._augment.p = min(max(self._augment.p + direction * step, 0.0), self._config.p_max)
        self._share, self.highest = share, max(self.highest, self._augment.p)
