"""Checkpoints: what a fit has come to, in one safetensors file, from which another process goes on.

No pickle: tensors lie in the file's body, and a JSON text in its header says how states are made of them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from graftbench.digests import SEAL, UNSEALED, is_damaged, write_sealed
from graftbench.errors import is_disk_full

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.contracts import Stateful

FILE = "checkpoint.safetensors"
"""Its name in a job's folder."""

FORMAT = "1"
"""Version of the file."""

_TENSOR, _DICT, _TUPLE = "tensor", "dict", "tuple"


class Unusable(Exception):  # noqa: N818 - not an error of the fit, which starts anew
    """A checkpoint that does not go with the fit. What was loaded so far is spoilt."""


class GeneratorState:
    """A torch.Generator as something that can be kept."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def state_dict(self) -> dict[str, Any]:
        """Return the generator's state."""
        return {"state": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Set the generator to a state."""
        self._generator.set_state(state["state"])


class Checkpoints:
    """Writes and reads the checkpoint of one fit.

    `restore` does in the new process what `write` did in the old one, backwards: the fit has been set up as it was then
    and has kept its parts under the same names; parts that came up on the way are made by those with a method
    `rebuild(state)`, which is called first (`graftbench.training.Staged`).

    Args:
        path: The file; made and replaced as a whole.
        identity: What the fit is; a checkpoint of another one is left alone.
        seconds: A checkpoint is due when so many have passed since the last, or since the start; 0: never.
        own: Parts that are kept whatever the method keeps, loaded last and in this order.
        device: Where tensors are put that did not lie on the CPU.
        clock: Seconds, monotonic.
        say: Told why a checkpoint is not resumed from, or cannot be written; by default a line of the log.

    Attributes:
        resumed: How often the fit has gone on from a checkpoint, in this process and in those before it.
    """

    def __init__(
        self,
        path: Path,
        *,
        identity: dict[str, str],
        seconds: float,
        own: dict[str, Stateful],
        device: torch.device | None = None,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.resumed = 0
        self._path, self._identity, self._seconds, self._own = path, identity | {"format": FORMAT}, seconds, own
        self._device, self._clock = device, clock
        self._say = say or (lambda sentence: print(sentence, file=sys.stderr))  # noqa: T201 - the log
        self._parts: dict[str, Stateful] = {}
        self._last = clock()

    def keep(self, **parts: Stateful) -> None:
        """Name parts to keep; a name that is given again stands for the newer one."""
        self._parts |= parts

    def due(self) -> bool:
        """Return whether it is time for a checkpoint."""
        return self._seconds > 0 and self._clock() - self._last >= self._seconds

    def write(self) -> None:
        """Replace the file by the present state of all parts.

        A file that cannot be written (a folder has its name) is said, and the fit goes on without checkpoints.

        Raises:
            OSError: The disk is full.
        """
        state = {
            "resumed": self.resumed,
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
            "own": {name: part.state_dict() for name, part in self._own.items()},
        }
        tensors, text = pack(state)
        whole = save(tensors, self._identity | {"state": text} | UNSEALED)
        part = self._path.with_name(self._path.name + ".part")
        try:
            with part.open("wb") as file:
                write_sealed(file, whole)
                file.flush()
                os.fsync(file.fileno())  # a crash of the machine must not leave the new name before the new contents
            part.replace(self._path)
        except OSError as error:
            if is_disk_full(error):
                raise
            self._seconds = 0
            self._say(
                f"The checkpoint {self._path.name} cannot be written ({error.strerror}); the fit goes on without."
            )
        self._last = self._clock()

    def restore(self) -> bool:
        """Load the file into all parts, if it exists and is this fit's; return whether it did.

        Raises:
            Unusable: It is this fit's, but holds other parts than the fit has kept, or other shapes.
        """
        state = self._read()
        if state is None:
            return False
        try:
            for name, part in list(self._parts.items()):
                if (rebuild := getattr(part, "rebuild", None)) is not None:
                    rebuild(state["parts"][name])
            self._load(self._parts, state["parts"])
            self._load(self._own, state["own"])
        except Unusable:
            raise
        except Exception as error:
            raise Unusable(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
        self.resumed = state["resumed"] + 1
        self._last = self._clock()
        return True

    def _load(self, parts: dict[str, Stateful], states: dict[str, Any]) -> None:
        if parts.keys() != states.keys():
            raise Unusable(f"it holds {', '.join(sorted(states))}; the fit keeps {', '.join(sorted(parts))}")
        for name, part in parts.items():
            part.load_state_dict(states[name])

    def _read(self) -> dict[str, Any] | None:
        if not self._path.exists():
            return None
        try:
            if is_damaged(self._path):
                self._say(f"The checkpoint {self._path.name} is damaged and was left alone: the fit starts anew.")
                return None
            with safe_open(self._path, framework="pt") as file:
                metadata = file.metadata() or {}
                metadata.pop(SEAL, None)
                text = metadata.pop("state", "")
                if metadata != self._identity:
                    self._say(f"The checkpoint {self._path.name} is of another fit and was left alone: {metadata}.")
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            return unpack(tensors, text, self._device)
        except Exception as error:  # noqa: BLE001 - safetensors raises its own type from Rust; a torn file is no error
            self._say(f"The checkpoint {self._path.name} cannot be read and was left alone: {error}.")
            return None


# ----------------------------------------------------------------------------------------------------- state <-> file


def pack(state: object) -> tuple[dict[str, torch.Tensor], str]:
    """Turn a state into named tensors, on the CPU and contiguous, and a JSON text that says where each belongs.

    Raises:
        TypeError: It holds something else than dicts, lists, tuples, tensors, numbers, strings, booleans and None.
    """
    tensors: dict[str, torch.Tensor] = {}

    def packed(value: object) -> object:
        if isinstance(value, torch.Tensor):
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
            return {_TENSOR: name, "strides": list(value.stride()), "host": value.device.type == "cpu"}
        if isinstance(value, dict):
            return {_DICT: [[_key(key), packed(item)] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            items = [packed(item) for item in value]
            return items if isinstance(value, list) else {_TUPLE: items}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"a state cannot hold {type(value).__name__}: {value!r}")

    return tensors, json.dumps(packed(state))


def _key(key: object) -> object:
    if isinstance(key, str | int):
        return key
    raise TypeError(f"the keys of a state are strings or whole numbers; found {key!r}")


def unpack(tensors: dict[str, torch.Tensor], text: str, device: torch.device | None = None) -> Any:  # noqa: ANN401 - a state has any form
    """Rebuild the state that was packed; what lay on an accelerator is put on `device`.

    Tensors lie in memory as they did, for another order in it changes the last bits of a sum.
    """

    def unpacked(value: Any) -> Any:  # noqa: ANN401 - likewise
        if isinstance(value, list):
            return [unpacked(item) for item in value]
        if not isinstance(value, dict):
            return value
        if _TENSOR in value:
            tensor = _laid_out(tensors[value[_TENSOR]], value["strides"])
            return tensor if value["host"] else tensor.to(device)
        if _TUPLE in value:
            return tuple(unpacked(item) for item in value[_TUPLE])
        return {key: unpacked(item) for key, item in value[_DICT]}

    return unpacked(json.loads(text))


def _laid_out(tensor: torch.Tensor, strides: list[int]) -> torch.Tensor:
    """Lay the same numbers out in another order in memory; an order with gaps or repetitions is left out."""
    reach = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, strides, strict=True))
    if list(tensor.stride()) == strides or reach != tensor.numel():
        return tensor
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)
