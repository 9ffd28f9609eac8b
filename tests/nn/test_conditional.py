"""Conditional networks: they start as the plain ones, each domain has its own part, and one domain folds back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from random_inputs import noise
from torch import nn

from graftbench.nn.build import seeded
from graftbench.nn.conditional import ConditionalBatchNorm, ConditionalGenerator, Projection, ProjectionDiscriminator
from graftbench.nn.discriminator import Discriminator, DiscriminatorSpec
from graftbench.nn.generator import Generator, GeneratorSpec


def generator(resolution: int = 16) -> Generator:
    """A generator whose batch norms are not the identity."""
    spec = GeneratorSpec(resolution=resolution, latent=6, channels=2)
    found = seeded(lambda: Generator(spec), torch.Generator().manual_seed(0))
    for index, module in enumerate(found.modules()):
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0, generator=torch.Generator().manual_seed(index))
            nn.init.normal_(module.bias, generator=torch.Generator().manual_seed(index))
    found.train()
    found(noise(32, 6))  # running statistics that are not those of the start
    return found


def discriminator() -> Discriminator:
    """A discriminator with spectral norm at 16 px."""
    spec = DiscriminatorSpec(resolution=16, channels=4)
    return seeded(lambda: Discriminator(spec), torch.Generator().manual_seed(0))


def projecting() -> ProjectionDiscriminator:
    """The same, told the domain."""
    return seeded(lambda: ProjectionDiscriminator(discriminator()), torch.Generator().manual_seed(1))


# --------------------------------------------------------------------------------------------------------- generator


def test_batch_norm_by_hand() -> None:
    """Values −1 and 1 have mean 0 and variance 1: domain 0 gives γ₀x + β₀, domain 1 γ₁x + β₁.

    Batch norm's ε = 1e-5 beside the variance takes 5e-6 of γx, 1.5e-5 here.
    """
    norm = ConditionalBatchNorm(nn.BatchNorm2d(1), 2)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([[2.0], [3.0]]))
        norm.bias.copy_(torch.tensor([[10.0], [20.0]]))
    x = torch.tensor([-1.0, 1.0])[:, None, None, None]
    assert norm(x, torch.tensor([0, 1])).flatten().tolist() == pytest.approx([8.0, 23.0], abs=2e-5)
    assert norm(x, torch.tensor([1, 1])).flatten().tolist() == pytest.approx([17.0, 23.0], abs=2e-5)


def test_batch_norm_of_one_domain_is_torchs() -> None:
    """With γ and β of one domain alone: F.batch_norm, in training, statistics included.

    The two round differently (γ·x̂ + β in one step or two): a few ulp of values up to 10.
    """
    plain = nn.BatchNorm2d(5)
    norm = ConditionalBatchNorm(plain, 3)
    with torch.no_grad():
        norm.weight.copy_(noise(3, 5))
        norm.bias.copy_(noise(3, 5, seed=1))
    x = noise(7, 5, 4, 4, seed=2) * 3 + 1
    found = norm(x, torch.full((7,), 2))
    expected = F.batch_norm(x, plain.running_mean, plain.running_var, norm.weight[2], norm.bias[2], training=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(norm.statistics.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.statistics.running_var, plain.running_var)


@pytest.mark.parametrize("training", [False, True])
def test_the_generator_starts_as_the_plain_one(training: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """Whatever the domain, the images are the plain generator's (rounding through four norms and a tanh: 1e-5)."""
    z, domain = noise(9, 6, seed=1), torch.arange(9) % 2
    expected = generator().train(training)(z)
    found = ConditionalGenerator(generator()).train(training)(z, domain)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("resolution", [8, 16])
@pytest.mark.parametrize("domain", [0, 1])
def test_folding_is_exact(resolution: int, domain: int) -> None:
    """After the domains have parted, the plain generator makes the images of the one that it was folded from."""
    network = ConditionalGenerator(generator(resolution))
    with torch.no_grad():
        for index, parameter in enumerate(network.parameters()):
            parameter.add_(noise(*parameter.shape, seed=index), alpha=0.1)
    network(noise(20, 6), torch.arange(20) % 2)
    network.eval()
    z = noise(11, 6, seed=1)
    plain, other = network.folded(domain).eval(), network.folded(1 - domain).eval()
    torch.testing.assert_close(plain(z), network(z, torch.full((11,), domain)), rtol=0, atol=1e-5)
    assert (plain(z) - other(z)).abs().max() > 0.01
    assert plain.spec == network.spec


def test_folding_back_gives_the_generator_that_was_put_in() -> None:
    """Nothing trained: every tensor is the plain generator's, to the bit, in its own memory; nothing is drawn."""
    before = torch.get_rng_state()
    network = ConditionalGenerator(generator())
    torch.set_rng_state(before)  # the plain generator's own start draws
    plain, expected = network.folded(1), generator().state_dict()
    assert {key: tensor.shape for key, tensor in plain.state_dict().items()} == {
        key: tensor.shape for key, tensor in expected.items()
    }
    assert all(torch.equal(tensor, expected[key]) for key, tensor in plain.state_dict().items())
    with torch.no_grad():
        plain.to_rgb.weight.zero_()
    assert network.to_rgb.weight.abs().sum() > 0


# ----------------------------------------------------------------------------------------------------- discriminator


def test_projection_by_hand() -> None:
    """E = diag(3, 4) has spectral norm 4: with e⁰ = 0, ⟨e_y, h⟩ of h = (8, 2) is 6 for domain 0 and 2 for domain 1."""
    projection = seeded(lambda: Projection(2, 2), torch.Generator().manual_seed(0))
    raw = dict(projection.named_parameters())["embedding.parametrizations.weight.original"]
    with torch.no_grad():
        raw.copy_(torch.diag(torch.tensor([3.0, 4.0])))
        projection.start.zero_()
    h = torch.tensor([[8.0, 2.0], [8.0, 2.0]])
    for _ in range(60):  # power iteration: the error falls by (3/4)² a step, (9/16)^60 < 1e-14
        projection(h, torch.tensor([0, 1]))
    torch.testing.assert_close(projection(h, torch.tensor([0, 1])).detach(), torch.tensor([6.0, 2.0]))


def test_the_discriminator_starts_as_the_plain_one() -> None:
    """Whatever the domain, the logits are the plain discriminator's, and the embedding has a gradient at once.

    In training the power iteration goes on, so e and e⁰ differ by its rounding, 1e-7 of them.
    """
    x, domain = noise(6, 3, 16, 16), torch.arange(6) % 2
    plain, network = discriminator(), projecting()
    assert torch.equal(network.eval()(x, domain), plain.eval()(x))
    logits = network.train()(x, domain)
    torch.testing.assert_close(logits, plain.train()(x), rtol=0, atol=1e-5)
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.projection.parameters())


def test_the_logit_is_head_plus_projection() -> None:
    """Logit = ⟨w, h⟩ + b + ⟨e_y − e⁰_y, h⟩ with h the flattened features, from the modules' own numbers."""
    network = projecting().eval()
    with torch.no_grad():
        raw = dict(network.projection.named_parameters())["embedding.parametrizations.weight.original"]
        raw += noise(*raw.shape)
        x, domain = noise(4, 3, 16, 16), torch.tensor([0, 1, 1, 0])
        h = x
        for block in network.blocks:
            h = block(h)
        embedded = network.projection.embedding.weight - network.projection.start
        logits = network.head(h.flatten(1))[:, 0]
        expected = torch.stack([logits[i] + embedded[domain[i]] @ h[i].flatten() for i in range(4)])
        torch.testing.assert_close(network(x, domain), expected)
        assert not torch.allclose(network(x, domain), network(x, 1 - domain))
