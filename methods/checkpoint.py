"""A generator that was trained elsewhere: a TorchScript or `torch.export` file that makes images out of latents.

    [variants.our-gan]
    method = "checkpoint"
    [variants.our-gan.parameters]
    file = "g.pt"
    latent = [128]
    range = "-1..1"
    costs = { fit_seconds = 5400, device = "A100" }

Nothing is trained here: its scores are measured, its costs are those that are declared. Loading a file runs the code in
it: name files only of people whose programs you would run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
import torch

from graftbench.bounds import Count
from graftbench.contracts import Method, PixelRange, Reference
from graftbench.errors import GraftbenchError
from graftbench.training.generator_files import (
    LIMITS,
    Kind,
    check_numbers,
    images_of,
    kind_of,
    opened,
    own_chances,
    parameters_of,
)
from graftbench.training.samplers import DecodingSampler

from ._costs import check_costs

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.budget import Meter
    from graftbench.contracts import Family, Sampler, Task
    from graftbench.records.cell_spec import Origin

NOT_HERE: dict[str, float | str | None] = {
    "fit_seconds": None,
    "fit_cpu_seconds": None,
    "peak_memory_mib": None,
    "memory_kind": "",
    "energy_joules": None,
    "energy_source": "",
    "other_cpu_share": None,
    "timing_shared": False,
    "calibration_seconds": None,
}
"""What the suite measured is the loading of a file, and no cost of the generator's."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Path of the generator, and the form of its inputs and images.

    Attributes:
        file: TorchScript (`.pt`) or `torch.export` (`.pt2`).
        latent: Shape of one z ~ N(0, I), without the batch.
        range: What its images' black and white are; a little beyond is clipped.
        batch: Latents that it gets at once, always exactly so many: an exported program may take no other number, and
            the number changes the last bits of a convolution.
        dtype: Of the latents.
        costs: What its training cost, as whoever hands it in says: names of `graftbench add samples --cost`.
    """

    file: str
    latent: list[Count]
    range: PixelRange = "-1..1"
    batch: Count = 128
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    costs: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not self.latent:
            raise ValueError("latent is the shape of one z, as [128] or [4, 8, 8]; found []")
        check_costs(self.costs)


class Checkpoint(Method):
    """Loads a generator that was trained elsewhere."""

    name = "checkpoint"
    family: ClassVar[Family] = "submitted"
    title = "Adapter: a generator as TorchScript or torch.export file"
    reference = Reference(authors="graftbench", title="Adapter: a generator in a file", venue="", year=2026)
    trains = "nothing here"
    adapter = True
    origin: ClassVar[Origin] = "submitted"
    paths: ClassVar[tuple[str, ...]] = ("file",)
    Config = Config

    def check(self, resolution: int) -> None:
        """Refuse a file that is missing or of another kind, before anything of it is loaded."""
        del resolution
        kind_of(Path(self.config.file))

    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Load the file and make one batch of images to check them.

        Raises:
            GraftbenchError: They are of another shape, size or range.
            Diverged: They have numbers that are not finite.
        """
        del budget
        config: Config = self.config
        file = Path(config.file)
        sampler = CheckpointSampler(file.read_bytes(), kind_of(file), config).to(task.device)
        latents = torch.randn(config.batch, *config.latent, generator=task.generator)
        clipped, least = sampler.check_batch(latents, task.resolution)
        task.log.measured |= NOT_HERE | ({"device": ""} if "device" in config.costs else {})
        task.log.parameters_total = parameters_of(sampler.model)
        task.log.declared |= config.costs
        task.log.notes.append(
            "It was trained elsewhere; one generator stands for every data budget and seed of the suite, so that what "
            "differs between seeds is the draw of images alone."
        )
        if clipped > 0:
            task.log.notes.append(f"{100 * clipped:.2g} % of its numbers were beyond {config.range} and were clipped.")
        if config.range == "-1..1" and least >= 0:
            task.log.notes.append('No number of its images was below 0: is their range "0..1"?')
        return sampler


class CheckpointSampler(DecodingSampler):
    """z ~ N(0, I) through a generator in a file; saved with the file's bytes.

    The noise is drawn on the CPU, and always `batch` latents go through at once. A generator that draws noise of its
    own draws the same for every batch.
    """

    kind: ClassVar[str] = "checkpoint"

    def __init__(self, data: bytes, kind: Kind, config: Config) -> None:
        self._data, self._config = data, config
        self._kind: Kind = kind
        self._device = torch.device("cpu")
        self._model: Callable[[torch.Tensor], Any] | None = None

    @property
    def model(self) -> Callable[[torch.Tensor], Any]:
        """Return the generator; it is loaded at the first call."""
        if self._model is None:
            self._model = opened(self._data, self._kind, self._device)
        return self._model

    def to(self, device: torch.device) -> CheckpointSampler:
        """Compute on `device` from now on."""
        if device != self._device:
            self._device, self._model = device, None
        return self

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Return the configured shape of one z."""
        return tuple(self._config.latent)

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode n latents: uint8 n×3×H×W on the CPU."""
        return torch.cat([self._bytes(self._raw(part)) for part in latents.split(self._config.batch)])

    @torch.inference_mode()
    def check_batch(self, latents: torch.Tensor, side: int) -> tuple[float, float]:
        """Return the share of a batch's numbers that lie beyond the range, and the least number.

        Raises:
            GraftbenchError: Its images are of another size, or of another range.
            Diverged: They have numbers that are not finite.
        """
        images = self._raw(latents)
        if tuple(images.shape[2:]) != (side, side):
            height, width = images.shape[2:]
            raise GraftbenchError(f"The checkpoint makes images of {width}×{height}; the task's are {side}×{side}.")
        low, high = LIMITS[self._config.range]
        beyond = (images < low - 1e-3) | (images > high + 1e-3)
        return float(beyond.float().mean()), float(images.min())

    def _raw(self, latents: torch.Tensor) -> torch.Tensor:
        """Generate images of up to `batch` latents and check them: float32 n×3×H×W on the CPU."""
        n, batch = len(latents), self._config.batch
        padded = torch.cat([latents, latents.new_zeros(batch - n, *latents.shape[1:])])
        batch_latents = padded.to(self._device, getattr(torch, self._config.dtype))
        with own_chances(self._device):
            output = self._called(batch_latents)
        images = images_of(output, batch)[:n]
        check_numbers(images, self._config.range)
        return images.expand(-1, 3, -1, -1)

    def _called(self, latents: torch.Tensor) -> object:
        try:
            return self.model(latents)
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise GraftbenchError(
                f"The checkpoint does not take {latents.dtype} latents of shape {tuple(latents.shape)} "
                f"(batch and `latent`): {last}"
            ) from error

    def _bytes(self, images: torch.Tensor) -> torch.Tensor:
        """Scale to 0…255, round to nearest, clip."""
        low, high = LIMITS[self._config.range]
        return images.sub(low).mul(255 / (high - low)).round().clamp(0, 255).to(torch.uint8)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Return the file's bytes and the configuration."""
        contents = torch.frombuffer(bytearray(self._data), dtype=torch.uint8)
        config = msgspec.structs.replace(self._config, file="")
        return {"file": contents}, {"kind": self._kind, "config": msgspec.json.encode(config).decode()}

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> CheckpointSampler:
        """Rebuild the sampler; the file's code runs when images are first drawn."""
        config = msgspec.json.decode(metadata["config"], type=Config)
        kind: Kind = "TorchScript" if metadata["kind"] == "TorchScript" else "torch.export"
        return cls(tensors["file"].numpy().tobytes(), kind, config)
