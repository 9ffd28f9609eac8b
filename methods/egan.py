"""E-GAN: generators evolve against one discriminator. Each loss is a mutation, and the fittest children live on.

No single generator loss is best all along: minimax gives small gradients while the discriminator wins, the
non-saturating loss is unsteady, least squares is in between. So every generation tries them all.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from graftbench.bounds import Count, NonNegative
from graftbench.contracts import Family, Method
from graftbench.nn.build import place, seeded
from graftbench.nn.generator import Generator
from graftbench.nn.losses import AdversarialLoss, adversarial_loss
from graftbench.nn.precision import autocast, resolve
from graftbench.references import cited
from graftbench.training import Batches, adam, descend, prepare, train, trained
from graftbench.training.adversarial import AdversarialConfig, Adversary, new_networks
from graftbench.training.samplers import GeneratorSampler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.budget import Meter
    from graftbench.contracts import Sampler, Task
    from graftbench.training import TrainingLog

CROSSOVER = "crossover"
"""Origin of a child that has two parents."""


class Config(AdversarialConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Defaults: the published CIFAR-10 scripts, except Adam's, which all methods here share.

    `loss` is the discriminator's (and that of the diversity score); the generators' losses are the mutations.

    Attributes:
        discriminator_steps: Discriminator steps per generation (both scripts: 3).
        mutations: Names in nn/losses.py (the paper's three).
        population: Children that survive a generation (both scripts: 1).
        gamma: Weight γ of diversity in the fitness. The Theano script weighs log ‖∇‖² by 0.002, so log ‖∇‖ by 0.004;
            the PyTorch script takes 0.05 beside a quality that is no probability but a logit.
        crossover: Ours: one more child per generation, the mean of the two fittest.
    """

    loss: str = "non-saturating"
    discriminator_steps: Count = 3
    mutations: tuple[str, ...] = ("minimax", "non-saturating", "least-squares")
    population: Count = 1
    gamma: NonNegative = 0.004
    crossover: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for mutation in self.mutations:
            adversarial_loss(mutation)
        if not self.mutations or len(set(self.mutations)) < len(self.mutations):
            raise ValueError(f"mutations must name at least one loss, and each once; found {list(self.mutations)}")
        if self.crossover and self.population * len(self.mutations) < 2:
            raise ValueError("crossover needs two children: name a second mutation or raise the population")


# ---------------------------------------------------------------------------------------------------------- fitness


def fitness(discriminator: nn.Module, loss: AdversarialLoss, real: Tensor, fake: Tensor, gamma: float) -> Tensor:
    """Return F = E[D(G(z))] − γ log ‖∇ of the discriminator's loss with respect to its weights‖.

    D is a probability here, the sigmoid of a logit. Images of few modes are told from real ones by a small change of
    the discriminator, so the gradient is large where diversity is small: the paper's argument and sign, and those of
    its Theano code. Its PyTorch code adds the logarithm where this one subtracts it, and takes the logit for D.

    Args:
        discriminator: Images -> logits, B.
        loss: What it is trained with.
        real: Real images, B×3×H×W in [−1, 1].
        fake: Likewise generated ones.
        gamma: Weight of diversity.

    Returns:
        Float32, 0-dimensional, without gradient.
    """
    real_logits, fake_logits = discriminator(torch.cat([real, fake])).float().split(len(real))
    weights = trained(discriminator)
    discriminator.zero_grad(set_to_none=True)
    # Not autograd.grad: under the FLOP counter it refuses leaves that are a module's input, as spectral norm's are.
    loss.discriminator(real_logits, fake_logits).backward(inputs=weights)
    norm = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None]).norm()
    discriminator.zero_grad(set_to_none=True)
    diversity = -norm.clamp_min(torch.finfo(norm.dtype).tiny).log()
    return (fake_logits.sigmoid().mean() + gamma * diversity).detach()


# -------------------------------------------------------------------------------------------------------- evolution


@dataclass(frozen=True)
class Individual:
    """A generator with its Adam.

    Attributes:
        generator: In training mode.
        adam: Of its weights.
        origin: The mutation that it came by.
        loss: The loss of that mutation, 0-dimensional, without gradient.
        images: What it was mutated on, B×3×H×W, without gradient.
    """

    generator: Generator
    adam: torch.optim.Adam
    origin: str = ""
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))
    images: Tensor = field(default_factory=lambda: torch.zeros(0))


def fittest(scores: Sequence[Tensor], n: int) -> list[int]:
    """Return the positions of the n highest scores, best first; of equal ones the earlier, NaN last."""
    ranks = torch.stack(list(scores)).nan_to_num(nan=-torch.inf).argsort(descending=True, stable=True)
    return ranks[:n].tolist()


def crossed(first: Individual, second: Individual) -> Individual:
    """Average two in weights, batch-norm statistics and Adam's moments (ours: the paper has none)."""
    generator, optimizer = deepcopy((first.generator, first.adam))
    pairs = list(zip(generator.state_dict().values(), second.generator.state_dict().values(), strict=True))
    for mine, other in zip(trained(generator), trained(second.generator), strict=True):
        pairs += [(optimizer.state[mine][key], value) for key, value in second.adam.state[other].items()]
    with torch.no_grad():
        for mine, other in pairs:
            if mine.is_floating_point():
                mine.lerp_(other, 0.5)
    return Individual(generator, optimizer, CROSSOVER, (first.loss + second.loss) / 2, first.images)


class Evolution:
    """Discriminator steps and generations in turn (`graftbench.training.Step`).

    `champion` takes the weights of the fittest after every generation: it is what is averaged. Fitness looks at the
    real images of the discriminator's last batch, so that a generation spends nothing of the budget.

    Args:
        task: Images, device, randomness.
        config: Losses, rates, population.
        generators: The first parents; the first of them becomes the champion.
        discriminator: Whom they all play against.
    """

    def __init__(self, task: Task, config: Config, generators: Sequence[Generator], discriminator: nn.Module) -> None:
        rates = {"lr": config.lr_generator, "beta1": config.beta1, "beta2": config.beta2}
        self.config, self.discriminator, self.champion = config, discriminator, generators[0]
        self.parents = [Individual(one, adam(trained(one), **rates)) for one in generators]
        self._adversary = Adversary(task, config, self.champion, discriminator, real=self._draw)
        self._batches, self._chance = Batches(task.images, task.generator), task.generator
        self._device, self._dtype = task.device, resolve(config.precision, task.device)
        self._children, self._steps = config.population * len(config.mutations), 0
        task.keep(evolution=self)

    def __call__(self, size: int, log: TrainingLog) -> bool:
        """Take a discriminator step, and a generation when it is due; return whether the champion moved."""
        self._steps += 1
        losses = self._adversary.discriminator_step(size, self._offspring)
        moved = self._steps % self.config.discriminator_steps == 0
        if moved:
            losses |= self.generation(size)
            log.look(self.parents[0].images)
        log.add(**losses)
        return moved

    def state_dict(self) -> dict[str, Any]:
        """Return the parents with their Adams, and the count of steps. No later step needs a parent's origin."""
        states = [(dict(parent.generator.state_dict()), parent.adam.state_dict()) for parent in self.parents]
        return {"parents": states, "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Resume from such a state."""
        self._steps = state["steps"]
        for index, (parent, (weights, moments)) in enumerate(zip(self.parents, state["parents"], strict=True)):
            # The first parent at the start is the champion itself; later ones are networks of their own.
            generator, optimizer = deepcopy((parent.generator, parent.adam))
            generator.load_state_dict(weights)
            optimizer.load_state_dict(moments)
            self.parents[index] = Individual(generator, optimizer)

    def generation(self, size: int) -> dict[str, Tensor]:
        """Let every parent have a child by every mutation; the fittest of them are the next parents.

        All children meet the same chances, so that they are compared by their losses and not by their luck; the
        generator of randomness moves on as if there had been one child.

        Returns:
            The champion's loss, and each mutation's share of the survivors.
        """
        start = self._chance.get_state()
        pairs = product(self.parents, self.config.mutations)
        children = [self._mutated(parent, mutation, size, start) for parent, mutation in pairs]
        judged = self._chance.get_state()
        scores = [self._score(child, size, judged) for child in children]
        if self.config.crossover:
            children.append(crossed(*(children[i] for i in fittest(scores, 2))))
            scores.append(self._score(children[-1], size, judged))
        self.parents = [children[i] for i in fittest(scores, self.config.population)]
        self.champion.load_state_dict(self.parents[0].generator.state_dict())
        names = [*self.config.mutations, *([CROSSOVER] if self.config.crossover else [])]
        origins = [one.origin for one in self.parents]
        shares = {f"{name} share": torch.tensor(origins.count(name) / len(origins)) for name in names}
        return {"generator": self.parents[0].loss, **shares}

    def _mutated(self, parent: Individual, mutation: str, size: int, chance: Tensor) -> Individual:
        """Copy the parent and its Adam, and take one step down the mutation's loss."""
        self._chance.set_state(chance)
        parent.adam.zero_grad(set_to_none=True)  # nothing to copy
        generator, optimizer = deepcopy((parent.generator, parent.adam))
        fake = self._images(generator, size)
        loss = adversarial_loss(mutation).generator(self._adversary.judge(fake))
        descend(optimizer, loss)
        return Individual(generator, optimizer, mutation, loss.detach(), fake.detach())

    def _score(self, child: Individual, size: int, chance: Tensor) -> Tensor:
        """Return the child's fitness; 0 for an only child, which is compared with no other."""
        if self._children == 1:
            return torch.zeros(())
        self._chance.set_state(chance)
        with torch.no_grad():
            real, fake = (self._adversary.augment(x) for x in (self._real, self._images(child.generator, size)))
        self.discriminator.eval()  # measuring must not move its spectral norm: all children meet the same one
        with autocast(self._dtype, self._device):
            score = fitness(self.discriminator, self._adversary.loss, real, fake, self.config.gamma)
        self.discriminator.train()
        return score

    @torch.no_grad()
    def _offspring(self, size: int) -> Tensor:
        """Generate images for the discriminator, from each parent as many as from the others or one more."""
        n = len(self.parents)
        counts = [size * (i + 1) // n - size * i // n for i in range(n)]
        return torch.cat([self._images(one.generator, k) for one, k in zip(self.parents, counts, strict=True) if k])

    def _images(self, generator: Generator, n: int) -> Tensor:
        with autocast(self._dtype, self._device):
            return generator(self._adversary.latents(n)).float()

    def _draw(self, n: int) -> Tensor:
        self._real = self._batches.draw(n)
        return self._real


class Egan(Method):
    """Wang, Xu, Yao, Tao, IEEE Transactions on Evolutionary Computation 2019."""

    name = "egan"
    family: ClassVar[Family] = "scratch"
    title = "E-GAN from scratch"
    reference = cited("wang2019evolutionary")
    trains = "a population of generators and one discriminator, from fresh weights; the fittest generator is averaged"
    differs = (
        "the shared small networks with spectral norm and an averaged generator; children are compared on the same "
        "latents, on one batch, and on real images that the discriminator has just seen instead of 256 further ones: "
        "a small batch compares fairly when chance is the same, and the budget counts real images; three discriminator "
        "steps to a generation spend the budget, so generators take a third of the steps of other methods "
        "(`discriminator_steps = 1` gives them as many); the published scripts count generations"
    )
    resumable = True
    moves = ("generator.*", "discriminator.*")
    Config = Config

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Evolve generators until the budget is spent."""
        config: Config = self.config
        generator, discriminator = new_networks(task, config)
        prepare(task, generator=generator, discriminator=discriminator)
        siblings = [seeded(lambda: Generator(generator.spec), task.generator) for _ in range(config.population - 1)]
        parents = [generator, *(place(other, task.device) for other in siblings)]
        step = Evolution(task, config, parents, discriminator)
        return train(task, budget, config, step, generator, sampler=GeneratorSampler)
