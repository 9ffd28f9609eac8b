"""Brings what was drawn on the CPU to a device, without waiting for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device; the same where that is the CPU.

    All randomness is drawn on the CPU, so that a seed draws the same numbers on every device. To CUDA the copy goes
    from page-locked memory: from any other a copy waits until the device has done all that was asked of it before,
    several times a step, and the device waits for the CPU in turn.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
