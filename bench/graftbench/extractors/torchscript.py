"""TorchScript files as extractors, in the convention of StyleGAN's metric networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from graftbench.errors import GraftbenchError
from graftbench.extractors.base import Network
from graftbench.extractors.preprocessing import resized
from graftbench.extractors.state_dicts import read_script

if TYPE_CHECKING:
    from pathlib import Path

_PROBE = 256  # pixels of the image by which a network without a given size is tried


class ScriptNetwork(Network):
    """Uint8 B×3×H×W, at the images' own size or the one given, to what the file returns: B×D, or B×D and B×K.

    A file whose `forward` has a parameter `return_features` is called with True for it, as the metrics of StyleGAN2-ADA
    and StyleGAN3 call their Inception and VGG. At a given size the images are resized in float and rounded to uint8
    again, because that is what such files take.

    Loading a TorchScript file unpickles no Python objects, but using it runs the file's own operators: use files from
    sources that you trust.

    Args:
        path: The file.
        size: Side in pixels to which images are resized; None to pass them as they are.
        resize: Resize rule for a given size.

    Raises:
        GraftbenchError: It is no TorchScript file, refuses a uint8 image, or returns something else.
    """

    def __init__(self, path: Path, size: int | None, resize: str) -> None:
        super().__init__()
        self.path, self.size, self.resize = path, size, resize
        self.script: Any = read_script(path)
        self.script.eval()
        arguments = [argument.name for argument in self.script.forward.schema.arguments]
        self.options = {"return_features": True} if "return_features" in arguments else {}
        side = size or _PROBE
        with torch.inference_mode():
            pooled, logits = self(torch.zeros(1, 3, side, side, dtype=torch.uint8))
        self.width, self.classes = pooled.shape[1], logits.shape[1]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map uint8 B×3×H×W to pooled features B×D and logits B×K (B×0 where the file returns features alone)."""
        if self.size is not None:
            images = resized(images, self.size, self.resize).round_().to(torch.uint8)
        try:
            # TorchScript otherwise rewrites the code after the first calls, and with it the last digits.
            with torch.jit.optimized_execution(False):  # type: ignore[reportPrivateImportUsage] # noqa: FBT003 - documented
                returned = self.script(images, **self.options)
        except (RuntimeError, torch.jit.Error) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise GraftbenchError(
                f"The TorchScript file '{self.path}' fails on uint8 images {tuple(images.shape)}: {lines[-1][:200]}. "
                "If it needs another size, give that as the protocol's `size`, with a resize rule."
            ) from error
        return self._checked(returned, len(images))

    def _checked(self, returned: object, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        parts: list[Any] = list(returned) if isinstance(returned, tuple | list) else [returned]
        if len(parts) in {1, 2} and all(
            isinstance(part, torch.Tensor) and part.ndim == 2 and len(part) == count and part.is_floating_point()
            for part in parts
        ):
            pooled = parts[0].float()
            return pooled, parts[1].float() if len(parts) == 2 else pooled.new_empty(count, 0)
        types = ", ".join(
            f"{str(part.dtype).removeprefix('torch.')} {tuple(part.shape)}"
            if isinstance(part, torch.Tensor)
            else type(part).__name__
            for part in parts
        )
        raise GraftbenchError(
            f"The TorchScript file '{self.path}' returns {types} for {count} images; expected float features N×D, or "
            "features N×D and logits N×K."
        )
