"""Which kind of file a generator is in, and how it is opened: TorchScript or `torch.export`, nothing else.

Both hold code that runs when the file is loaded or called.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, Literal

import torch

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Kind = Literal["TorchScript", "torch.export"]

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
        found = "is a folder" if file.is_dir() else "does not exist"
        raise GraftbenchError(f"The checkpoint '{file}' {found}; expected a TorchScript or torch.export file.")
    if (what := _known(file)) in ("TorchScript", "torch.export"):
        return what
    raise GraftbenchError(f"'{file.name}' is {what}, and neither a TorchScript nor a torch.export file. {HINT}")


def _known(file: Path) -> Any:  # noqa: ANN401 - a `Kind`, or in words what else it is
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
            return _script(data, device) if kind == "TorchScript" else _exported(data, device)
    except (RuntimeError, ValueError, OSError, KeyError, AttributeError, TypeError, ImportError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise GraftbenchError(
            f"The checkpoint cannot be loaded as {kind} (torch {torch.__version__}): {lines[0]}"
        ) from error


def _script(data: bytes, device: torch.device) -> Callable[[torch.Tensor], Any]:
    module = torch.jit.load(io.BytesIO(data), map_location=device)
    module.eval()
    return module


def _exported(data: bytes, device: torch.device) -> Callable[[torch.Tensor], Any]:
    program = torch.export.load(io.BytesIO(data))
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass  # noqa: PLC0415 - only a GPU needs it

        program = move_to_device_pass(program, str(device))
    return program.module()


def parameters_of(model: Callable[[torch.Tensor], Any]) -> int:
    """Count the numbers in its parameters; what was frozen into constants does not count."""
    return sum(parameter.numel() for parameter in model.parameters()) if isinstance(model, torch.nn.Module) else 0
