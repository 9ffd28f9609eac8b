"""Penalties on the gradient of a critic with respect to its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from graftbench.nn.upload import upload

if TYPE_CHECKING:
    from torch import Tensor, nn


def gradient_norms(critic: nn.Module, images: Tensor) -> Tensor:
    """Return the Euclidean norm of the critic's gradient at each image, over all its pixels and channels.

    Differentiable in the critic's parameters. The sum of the outputs has at each image the gradient of that image's
    own output only where no layer mixes a batch: a critic with batch norm has no gradient per image (Gulrajani et
    al., arXiv 1704.00028, section 4).

    Args:
        critic: Images -> B outputs; no batch norm in it.
        images: B×C×H×W.

    Returns:
        B, of the images' dtype.
    """
    # A view, not the leaf itself: torch's FLOP counter, which the first batch runs under, refuses leaves here.
    points = images.detach().requires_grad_().view_as(images)
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return torch.linalg.vector_norm(gradient, dim=(1, 2, 3))


def interpolates(real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a point on the line between each real image and the generated one beside it: fake + ε (real − fake).

    ε ~ U(0, 1), one per image, drawn on the CPU (arXiv 1704.00028, algorithm 1, lines 4 to 6).
    """
    share = upload(torch.rand(len(real), 1, 1, 1, generator=generator), real.device).to(real.dtype)
    return fake.lerp(real, share)


def lipschitz_penalty(critic: nn.Module, images: Tensor) -> Tensor:
    """Return WGAN-GP's E[(‖∇D(x)‖₂ − 1)²] at the images, without its factor of 10 (arXiv 1704.00028, equation 3).

    Two-sided: norms below 1 cost as well. It is called outside autocast: the loss is differentiated through the
    gradient itself, and bfloat16 with its 8 bits rounds a norm near 1 to steps of 1/128.

    Args:
        critic: Images -> B outputs; no batch norm in it.
        images: B×C×H×W, float32; `interpolates` of real and generated ones.

    Returns:
        A number, differentiable in the critic's parameters.
    """
    return (gradient_norms(critic, images) - 1).square().mean()
