"""MineGAN: a small network learns where in the latent space the source generator already makes target-like images.

First the generator rests and only the miner before it is trained, against the discriminator; then all of it is
fine-tuned, from a start that is nearer to the target than the source was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from graftbench.bounds import Share
from graftbench.contracts import Family, Method, SourceNeed
from graftbench.nn.build import freeze, train_unfrozen
from graftbench.nn.mapping import MappedGenerator, Miner
from graftbench.references import cited
from graftbench.training import prepare, staged, train, trained
from graftbench.training.adversarial import AdversarialConfig, Adversary, any_source_networks
from graftbench.training.samplers import MappedSampler

if TYPE_CHECKING:
    import torch

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults: those of `finetune`, with which it shares the second stage.

    Attributes:
        mining_share: Share of the budget that the miner and the discriminator have for themselves. Ours: the published
            StyleGAN script has 100 steps of it, whatever follows.
    """

    loss: str = "non-saturating"
    mining_share: Share = 0.25


class MinedSampler(MappedSampler):
    """z ~ N(0, I) through miner and generator."""

    kind: ClassVar[str] = "mined-generator"
    mapping = Miner

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> MinedSampler:
        """Build the architectures and load the weights; older files name those of the miner `miner.…`."""
        renamed = {re.sub(r"^miner\.", "mapping.", name): tensor for name, tensor in tensors.items()}
        return super().from_state(renamed, metadata)


class MineGan(Method):
    """Wang, Gonzalez-Garcia, Berga, Herranz, Khan, van de Weijer, CVPR 2020."""

    name = "minegan"
    family: ClassVar[Family] = "fine-tune"
    title = "MineGAN"
    reference = cited("wang2020minegan")
    trains = "miner and discriminator for the first quarter of the budget; then these and the generator"
    differs = (
        "the shared small networks with spectral norm and a non-saturating loss instead of BigGAN, Progressive GAN and "
        "StyleGAN with theirs; one source generator, not several; the miner starts as the identity, because these "
        "generators do not normalise their latents; the generator's batch-norm statistics rest while it is mined"
    )
    source_model: ClassVar[SourceNeed] = "gan"
    source_parts = ("network",)
    resumable = True
    moves = ("miner.*", "generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Train miner and discriminator, then all three; one optimiser each from beginning to end."""
        generator, discriminator = any_source_networks(task.source_model, task.resolution)
        freeze(generator)
        miner = Miner(generator.spec.latent)
        prepare(task, miner=miner, generator=generator, discriminator=discriminator)
        network = MappedGenerator(miner, generator)
        step = Adversary(task, self.config, network, discriminator)

        def thawed() -> Adversary:
            generator.requires_grad_(requires_grad=True)
            train_unfrozen(generator)
            task.log.watch(generator=generator)
            step.adam_g.add_param_group({"params": trained(generator)})
            return step

        stages = [(self.config.mining_share, lambda: step), (1.0, thawed)]
        return train(task, budget, self.config, staged(task, budget, stages), network, sampler=MinedSampler)
