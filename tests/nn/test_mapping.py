"""The miner: the identity at the start, and trainable everywhere."""

from __future__ import annotations

import torch

from graftbench.nn.build import seeded
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.nn.mapping import MappedGenerator, Miner


def test_it_starts_as_the_identity() -> None:
    """relu(z) − relu(−z) is z to the bit: every other term of the sums is 0."""
    z = torch.randn(50, 16, generator=torch.Generator().manual_seed(0)) * 3
    assert torch.equal(Miner(16)(z), z)


def test_nothing_is_drawn_for_it() -> None:
    """Torch's global generator is left as it was."""
    before = torch.get_rng_state()
    Miner(16)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_parameter_has_a_gradient() -> None:
    """Both halves of the hidden units and all biases learn from the first step on."""
    miner = Miner(8)
    z = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    (miner(z) - 1).square().sum().backward()
    for name, parameter in miner.named_parameters():
        assert parameter.grad is not None
        assert (parameter.grad != 0).all(), name


def test_mapped_generator() -> None:
    """Its images are those of the generator for mined latents; its architecture is the generator's."""
    spec = GeneratorSpec(resolution=8, latent=6, channels=2)
    generator = seeded(lambda: Generator(spec), torch.Generator().manual_seed(0)).eval()
    miner = Miner(6)
    network = MappedGenerator(miner, generator)
    z = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    assert network.spec == spec
    assert torch.equal(network(z), generator(z))
    with torch.no_grad():
        miner.merge.bias.fill_(1.0)
    assert torch.equal(network(z), generator(z + 1))
