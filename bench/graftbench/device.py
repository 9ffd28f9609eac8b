"""The device that computes."""

from __future__ import annotations

from graftbench.errors import GraftbenchError


def resolve_device(device: str) -> str:
    """`auto` as `cuda` where it is there, else `cpu`; what was asked for otherwise.

    Raises:
        GraftbenchError: No such device, or CUDA was asked for and is not there.
    """
    import torch  # noqa: PLC0415 - the command line checks other things first

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise GraftbenchError(f"Unknown device '{device}'; use auto, cpu, cuda or cuda:N.") from error
    if wanted.type not in ("cpu", "cuda"):
        raise GraftbenchError(f"The device '{device}' is not supported; use auto, cpu, cuda or cuda:N.")
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise GraftbenchError("The device 'cuda' was asked for, but torch finds none; use --device cpu.")
    return device
