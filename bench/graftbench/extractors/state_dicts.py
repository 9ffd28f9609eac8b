"""Weights files to networks: tensors only are read, and a file that does not fit is named with the entry at fault."""

from __future__ import annotations

import pickle
import warnings
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Return the state dict in a .pth, .pt or .safetensors file; nothing but tensors is unpickled.

    A state dict that lies under `state_dict` or `model` in a training checkpoint is found there.

    Raises:
        GraftbenchError: It is no state dict, or is damaged.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # says that the file is TorchScript; so does the error below
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise GraftbenchError(
            f"The weights file '{path}' cannot be read as a PyTorch state dict ({type(error).__name__}: {reason}); "
            "it may be damaged or of another format."
        ) from error
    if isinstance(state, dict):
        state = next((state[key] for key in ("state_dict", "model") if isinstance(state.get(key), dict)), state)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise GraftbenchError(f"The weights file '{path}' holds a {type(state).__name__}; expected a dict of tensors.")
    return state


def read_script(path: Path) -> torch.jit.ScriptModule:
    """Return the module in a TorchScript file, on the CPU.

    Its unpickler is not Python's and knows tensors and TorchScript's own types only; all the same torch advises to open
    files from trusted sources only.

    Raises:
        GraftbenchError: It is no TorchScript file, or is damaged.
    """
    try:
        with warnings.catch_warnings():
            for kind in (DeprecationWarning, FutureWarning):  # of TorchScript itself, in which the files are
                warnings.simplefilter("ignore", kind)
            return torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise GraftbenchError(f"The file '{path}' cannot be read as TorchScript ({reason}).") from error


def load_by_name(network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path, what: str) -> None:
    """Load a state dict with the network's own names; the tensors themselves become its parameters.

    Args:
        network: The network that gets them; it may be on the meta device.
        state: All its entries and no others.
        path: The file that they come from, for the message.
        what: Name of the network, for the message.

    Raises:
        GraftbenchError: An entry is missing, unexpected or of another shape.
    """
    expected = network.state_dict()
    for name, parameter in expected.items():
        if name not in state:
            raise misfit(path, what, f"it has no entry '{name}'")
        if state[name].shape != parameter.shape:
            shapes = f"{tuple(state[name].shape)}, expected {tuple(parameter.shape)}"
            raise misfit(path, what, f"its '{name}' is {shapes}")
    extra = next((name for name in state if name not in expected), None)
    if extra is not None:
        raise misfit(path, what, f"it has the entry '{extra}', which the network has not")
    network.load_state_dict({name: value.to(expected[name].dtype) for name, value in state.items()}, assign=True)


def misfit(path: Path, what: str, why: str | Exception) -> GraftbenchError:
    """Make the error for a file whose entries are not those of the network.

    Args:
        path: The file.
        what: Name of the network.
        why: The reason, or torch's error: its second line tells the first reason, where there are two.
    """
    if isinstance(why, Exception):
        lines = str(why).splitlines() or [type(why).__name__]
        why = lines[min(1, len(lines) - 1)].strip().rstrip(".")[:200]
    return GraftbenchError(f"The weights file '{path}' does not fit {what}: {why}.")


def load_by_position(network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load a state dict whose entries are in the network's order but under another implementation's names.

    Each pair must agree in shape and in the last part of its name (weight, bias, running_mean, …).

    Raises:
        GraftbenchError: Number, shape or kind of the entries differ.
    """
    expected = network.state_dict()
    if len(state) != len(expected):
        raise GraftbenchError(f"The weights file '{path}' has {len(state)} entries; the network has {len(expected)}.")
    for (stored, tensor), (name, parameter) in zip(state.items(), expected.items(), strict=True):
        if tensor.shape != parameter.shape or stored.rpartition(".")[2] != name.rpartition(".")[2]:
            entry = f"its '{stored}' {tuple(tensor.shape)}"
            expected_entry = f"'{name}' {tuple(parameter.shape)}"
            raise misfit(path, "the network", f"{entry} stands where {expected_entry} is expected")
    network.load_state_dict(dict(zip(expected, state.values(), strict=True)))
