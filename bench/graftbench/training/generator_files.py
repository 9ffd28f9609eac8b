"""Which kind of file a generator is in, and how it is opened: TorchScript or `torch.export`, nothing else.

Both hold code that runs when the file is loaded or called.
"""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch

from graftbench.contracts import Diverged
from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from graftbench.contracts import PixelRange

Kind = Literal["TorchScript", "torch.export"]

LIMITS: dict[PixelRange, tuple[float, float]] = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}

OVERSHOOT = 0.5
"""Generators without a tanh leave their range a little, and published code clips that. By more than this share of the
range it is another range that was meant."""

HINT = (
    "Write the generator as one of these: torch.export.save(torch.export.export(g, (z,)), 'g.pt2'), or "
    "torch.jit.trace(g, z).save('g.pt')."
)


def kind_of(file: Path) -> Kind:
    """Return which of the two formats a file has, judged by its contents; nothing is loaded.

    Raises:
        GraftbenchError: It is neither; it says what it is, where that can be told.
    """
    if not file.is_file():
        problem = "is a folder" if file.is_dir() else "does not exist"
        raise GraftbenchError(f"The checkpoint '{file}' {problem}; expected a TorchScript or torch.export file.")
    if (what := _described(file)) in ("TorchScript", "torch.export"):
        return what
    raise GraftbenchError(f"'{file.name}' is {what}, and neither a TorchScript nor a torch.export file. {HINT}")


def _described(file: Path) -> Any:  # noqa: ANN401 - a `Kind`, or in words what else it is
    if not zipfile.is_zipfile(file):
        return _no_zip(file)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    if any("/code/" in f"/{name}" for name in names):
        return "TorchScript"
    last = {name.rpartition("/")[2] for name in names}
    if last & {"archive_format", "serialized_exported_program.json", "serialized_exported_program.pt"}:
        return "torch.export"
    if "data.pkl" in last:
        return "what torch.save writes (a state dict has no architecture, and a pickled module runs whatever it likes)"
    return "a zip file of other things"


def _no_zip(file: Path) -> str:
    with file.open("rb") as stream:
        start = stream.read(16)
    if start[:1] == b"\x80":
        return "a pickle, which runs whatever it likes when it is loaded"
    if start[8:9] == b"{":
        return "a safetensors file, which has weights and no architecture"
    return "a file of another kind" if start else "empty"


def opened(data: bytes, kind: Kind, device: torch.device) -> Callable[[torch.Tensor], Any]:
    """Load a file's generator onto a device, in eval mode where it has modes.

    Raises:
        GraftbenchError: It cannot be loaded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript grows old is not the reader's trouble
            if kind == "TorchScript":
                return torch.jit.load(io.BytesIO(data), map_location=device).eval()
            return _exported(data, device)
    except (RuntimeError, ValueError, OSError, KeyError, AttributeError, TypeError, ImportError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise GraftbenchError(
            f"The checkpoint cannot be loaded as {kind} (torch {torch.__version__}): {lines[0]}"
        ) from error


def _exported(data: bytes, device: torch.device) -> Callable[[torch.Tensor], Any]:
    program = torch.export.load(io.BytesIO(data))
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass  # noqa: PLC0415 - only a GPU needs it

        program = move_to_device_pass(program, str(device))
    return program.module()


def parameters_of(model: Callable[[torch.Tensor], Any]) -> int:
    """Count the numbers in its parameters; what was frozen into constants does not count."""
    return sum(parameter.numel() for parameter in model.parameters()) if isinstance(model, torch.nn.Module) else 0


@contextmanager
def own_chances(device: torch.device) -> Iterator[None]:
    """Start torch's global generators at zero inside the block; outside they are left as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


def images_of(output: object, batch: int) -> torch.Tensor:
    """Return a generator's output as float32 B×C×H×W on the CPU, C 1 or 3.

    Raises:
        GraftbenchError: It is something else.
    """
    if not isinstance(output, torch.Tensor):
        raise GraftbenchError(
            f"The checkpoint returns {type(output).__name__}; expected one tensor of images. Export a module that "
            "returns that alone."
        )
    shape = tuple(output.shape)
    if len(shape) != 4 or shape[0] != batch or shape[1] not in (1, 3):
        raise GraftbenchError(
            f"The checkpoint makes {shape} of {batch} latents; expected ({batch}, 3, side, side), or 1 channel."
        )
    return output.float().cpu()


def check_numbers(images: torch.Tensor, declared: PixelRange) -> None:
    """Refuse numbers that are not finite, or of another range.

    Raises:
        Diverged: There are some that are not finite.
        GraftbenchError: The smallest and largest that were found.
    """
    least, most = (float(value) for value in images.aminmax())
    if not (math.isfinite(least) and math.isfinite(most)):
        raise Diverged("the checkpoint makes images with numbers that are not finite")
    low, high = LIMITS[declared]
    slack = OVERSHOOT * (high - low)
    black = declared == "0..255" and most <= LIMITS["0..1"][1] + OVERSHOOT
    if least < low - slack or most > high + slack or black:
        near = next((name for name, (a, b) in LIMITS.items() if least >= a - 0.01 and most <= b + 0.01), "")
        hint = f' Write range = "{near}"?' if near and near != declared else ""
        raise GraftbenchError(
            f"The checkpoint's images have numbers from {least:.4g} to {most:.4g}; expected {declared}.{hint}"
        )
