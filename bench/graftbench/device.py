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


def resolve_devices(devices: str) -> list[str]:
    """The devices that a run spreads its cells over: `auto` or `cuda` is every GPU, else `cpu` or names with commas.

    Raises:
        GraftbenchError: No such device, CUDA was asked for and is not there, or cpu stands beside cuda.
    """
    import torch  # noqa: PLC0415

    names = list(dict.fromkeys(resolve_device(name.strip()) for name in devices.split(",")))
    if len(names) > 1 and "cpu" in names:
        raise GraftbenchError(f"A run uses the CPU or GPUs, not both; found --device {devices}.")
    count = torch.cuda.device_count() if names != ["cpu"] else 0
    if "cuda" in names:
        return [f"cuda:{index}" for index in range(count)]
    for name in names:
        if name != "cpu" and int(name.partition(":")[2]) >= count:
            raise GraftbenchError(f"There is no device '{name}'; torch finds {count}: cuda:0 to cuda:{count - 1}.")
    return names
