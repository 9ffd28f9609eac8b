"""Learning from pairs: a translator against a judge of pairs, held to the truth by an L1 distance.

What the methods of the pix2pix kind share; they differ in the translator alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from graftbench.bounds import Count, NonNegative, Positive
from graftbench.nn.build import seeded
from graftbench.nn.losses import adversarial_loss
from graftbench.nn.paired import PairJudge, enlarged
from graftbench.nn.precision import autocast, resolve
from graftbench.nn.upload import upload
from graftbench.training.loop import adam, check_between, descend, prepare, train, trained
from graftbench.training.samplers import to_float
from graftbench.training.translation import TranslationConfig, TranslationSampler

if TYPE_CHECKING:
    from torch import Tensor, nn

    from graftbench.budget import Meter
    from graftbench.contracts import Task
    from graftbench.nn.paired import FrozenUNet, PairedUNet
    from graftbench.training.loop import TrainingLog


class PairedConfig(TranslationConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of Isola et al., arXiv 1611.07004, section 3.3 and 6, where nothing else is said.

    Attributes:
        lr: Adam's rate, with β = (0.5, 0.999) (paper: 2e-4 in batches of 1; a batch of 32 bears more).
        l1_weight: λ, weight of the L1 distance to the truth beside the adversarial loss.
        channels: Of the translator's layer at full or half resolution (paper: 64; 32 is what a CPU can pay).
        channels_judge: Of the judge's first layer (paper: 64).
        halvings: Halvings of the side before the judge's logits: 1 for patches of 16 px, 3 for the paper's 70.
    """

    lr: Positive = 1e-3
    l1_weight: NonNegative = 100.0
    channels: Count = 32
    channels_judge: Count = 32
    halvings: Count = 1


def check_judge(config: PairedConfig, resolution: int) -> None:
    """Refuse a judge with fewer than 2×2 logits: its two last convolutions each take a pixel of the side.

    Raises:
        GraftbenchError: It says how many halvings there may be.
    """
    most = resolution.bit_length() - 3  # the last halving leaves a side of 4
    check_between("halvings", config.halvings, 1, most, resolution)


def fit_pairs(
    task: Task, budget: Meter, config: PairedConfig, translator: PairedUNet | FrozenUNet
) -> TranslationSampler:
    """Train translator and judge on the task's pairs; the sampler holds the averaged translator and the inputs.

    One image of the budget is one pair shown.

    Raises:
        Diverged: A loss is not finite or has exploded, or the output collapsed.
        GraftbenchError: The task has no pairs.
    """
    inputs, truths = task.pairs
    step = PairedStep(task, config, translator, inputs, truths)
    return train(task, budget, config, step, translator, sampler=lambda network: TranslationSampler(network, inputs))


class PairedStep:
    """A step of the judge, then one of the translator, as in the published code.

    The judge's loss is halved, which slows it (section 3.3).
    """

    def __init__(self, task: Task, config: PairedConfig, translator: nn.Module, inputs: Tensor, truths: Tensor) -> None:
        self._translator, self._inputs, self._truths = translator, inputs, truths
        self._judge = seeded(lambda: PairJudge(config.channels_judge, config.halvings), task.generator)
        prepare(task, translator=translator, judge=self._judge)
        self._task, self._l1_weight = task, config.l1_weight
        self._dtype, self._loss = resolve(config.precision, task.device), adversarial_loss("non-saturating")
        self._adam_t, self._adam_j = (
            adam(trained(network), lr=config.lr, beta1=0.5, beta2=0.999) for network in (translator, self._judge)
        )
        task.keep(adam_translator=self._adam_t, adam_judge=self._adam_j)

    def __call__(self, size: int, log: TrainingLog) -> bool:
        """Take one step on so many pairs, drawn with replacement."""
        chosen = torch.randint(len(self._inputs), (size,), generator=self._task.generator)
        chosen = upload(chosen, self._inputs.device)
        # What the translator makes of the inputs
        inputs, truth = to_float(self._inputs[chosen]), to_float(self._truths[chosen])
        image = self._run(self._translator, inputs)
        log.look(image)
        # The judge's step
        inputs = enlarged(inputs, truth.shape[-1])
        judged = [self._run(self._judge, inputs, x) for x in (truth, image.detach())]
        loss_judge = 0.5 * self._loss.discriminator(*judged)
        descend(self._adam_j, loss_judge)
        # The translator's step
        adversarial = self._loss.generator(self._run(self._judge, inputs, image))
        distance = F.l1_loss(image, truth)
        descend(self._adam_t, adversarial + self._l1_weight * distance)
        log.add(discriminator=loss_judge, generator=adversarial, l1=distance)
        return True

    def _run(self, network: nn.Module, *images: Tensor) -> Tensor:
        with autocast(self._dtype, self._task.device):
            return network(*(x.contiguous(memory_format=torch.channels_last) for x in images)).float()
