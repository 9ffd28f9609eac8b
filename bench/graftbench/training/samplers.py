"""The samplers that methods share, and how any sampler is saved and loaded (safetensors, no pickle)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import msgspec
import torch
from safetensors import safe_open
from safetensors.torch import save

from graftbench.contracts import LatentSampler, Sampler
from graftbench.digests import SEAL, UNSEALED, is_damaged, write_sealed
from graftbench.errors import GraftbenchError, unknown
from graftbench.nn.build import place
from graftbench.nn.mapping import MappedGenerator
from graftbench.training.foreign import generator_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import Self

    from torch import nn

    from graftbench.training.foreign import AnyGenerator

BATCH = 128
"""Images that a generator makes at once: fixed, for the batch size changes the last bits of a convolution."""


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """Convert [−1, 1] to 0…255, rounded to nearest, clipped."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_float(images: torch.Tensor) -> torch.Tensor:
    """Convert 0…255 to [−1, 1] float32, channels last in memory."""
    return images.float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)


class DecodingSampler(LatentSampler):
    """A latent sampler that draws its latents at once and decodes them."""

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw n images: uint8 n×3×H×W on the CPU. The noise is drawn on the CPU, one seed one noise on any device."""
        return self.decode(torch.randn(n, *self.latent_shape, generator=generator))


class GeneratorSampler(DecodingSampler):
    """z ~ N(0, I) through a generator in eval mode and float32.

    Its weights lie channels last: another order in memory changes the last bits of a convolution, so a sampler that
    was fitted and the same one loaded would round a few pixels differently.
    """

    kind: ClassVar[str] = "generator"

    def __init__(self, network: AnyGenerator | MappedGenerator) -> None:
        self.network = place(network.eval(), next(network.parameters()).device)

    def to(self, device: torch.device) -> Self:
        """Compute on `device` from now on."""
        self.network = self.network.to(device)
        return self

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Return the dimensions of z."""
        return (self.network.spec.latent,)

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode n latents: uint8 n×3×H×W on the CPU."""
        device = next(self.network.parameters()).device
        return torch.cat([to_uint8(self.network(part.to(device))).cpu() for part in latents.split(BATCH)])

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Return the network's state dict and the generator's architecture."""
        return dict(self.network.state_dict()), {"spec": msgspec.json.encode(self.network.spec).decode()}

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> GeneratorSampler:
        """Build the architecture and load the weights."""
        return cls(generator_of(metadata["spec"], tensors))


class MappedSampler(GeneratorSampler):
    """z ~ N(0, I) through a mapping and a generator, in eval mode and float32, weights channels last.

    Saved with both networks' tensors and the generator's architecture.

    Attributes:
        mapping: Makes the mapping of so many latents.
    """

    mapping: ClassVar[Callable[[int], nn.Module]]

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> Self:
        """Build the architectures and load the weights."""
        generator = generator_of(metadata["spec"], below("generator", tensors))
        network = MappedGenerator(cls.mapping(generator.spec.latent), generator)
        network.load_state_dict(tensors)
        return cls(network)


class TensorSampler(Sampler):
    """A sampler that is nothing but tensors: its attributes, and its constructor's arguments, under their names."""

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Return the attributes."""
        return dict(vars(self)), {}

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> Self:
        """Rebuild the sampler from its attributes."""
        del metadata
        return cls(**tensors)


class ImageBankSampler(TensorSampler):
    """Replays a bank of images: without replacement until it is used up, then from a new shuffle.

    Raises:
        GraftbenchError: The bank is empty.
    """

    kind: ClassVar[str] = "images"

    def __init__(self, images: torch.Tensor) -> None:
        if not len(images):
            raise GraftbenchError("There are no images to replay: a sampler's bank needs at least one.")
        self.images = images.cpu()

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw n images: uint8 n×3×H×W."""
        size = len(self.images)
        rounds = max(1, -(-n // size))
        order = torch.cat([torch.randperm(size, generator=generator) for _ in range(rounds)])
        return self.images[order[:n]]


def principal_components(images: torch.Tensor, kept: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute the exact PCA of uint8 images n×3×H×W by a singular value decomposition, on the CPU in float32.

    The sign of a component is arbitrary, and LAPACK's differs between CPUs: the one that has a positive inner product
    with a fixed direction is taken, so that the same latents give the same images everywhere.

    Returns:
        Mean 3×H×W; components K×(3HW), orthonormal, the first the strongest; the images' coordinates n×K on them.
        Pixels in [−1, 1]. K is `kept`, n − 1 where that is less, and at least 1.
    """
    x = to_float(images).cpu()
    mean = x.mean(dim=0)
    rows, singular, components = torch.linalg.svd((x - mean).flatten(1), full_matrices=False)
    kept = min(kept, max(1, len(x) - 1), len(singular))
    components, coordinates = components[:kept], rows[:, :kept] * singular[:kept]
    direction = torch.randn(components.shape[1], generator=torch.Generator().manual_seed(0))
    signs = torch.where(components @ direction < 0, -1.0, 1.0)
    return mean.contiguous(), components * signs[:, None], coordinates * signs


def _at_coordinates(coordinates: torch.Tensor, components: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Turn n×K coordinates on K components into images, uint8 n×3×H×W."""
    return to_uint8((coordinates @ components).unflatten(1, mean.shape) + mean)


@dataclass(eq=False)
class PcaGaussianSampler(TensorSampler, DecodingSampler):
    """x = mean + Σ_k σ_k ε_k v_k with ε ~ N(0, I): a Gaussian on the principal components of the pixels.

    Attributes:
        mean: 3×H×W, pixels in [−1, 1].
        components: v, K×(3HW).
        scales: σ, K.
    """

    kind: ClassVar[str] = "pca-gaussian"
    mean: torch.Tensor
    components: torch.Tensor
    scales: torch.Tensor

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Return the dimensions of ε: one for each component."""
        return (len(self.scales),)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode n ε: uint8 n×3×H×W."""
        return _at_coordinates(latents * self.scales, self.components, self.mean)


@dataclass(eq=False)
class PcaMixtureSampler(TensorSampler):
    """x = mean + Σ_k (m_ck + σ_ck ε_k) v_k, cluster c drawn by its weight: a mixture on the principal components.

    The noise is drawn before the clusters, so a mixture of one cluster draws the images of its Gaussian.

    Attributes:
        mean: 3×H×W, pixels in [−1, 1].
        components: v, K×(3HW).
        weights: Of the clusters, C.
        centres: m, C×K.
        scales: σ, C×K.
    """

    kind: ClassVar[str] = "pca-mixture"
    mean: torch.Tensor
    components: torch.Tensor
    weights: torch.Tensor
    centres: torch.Tensor
    scales: torch.Tensor

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw n images: uint8 n×3×H×W."""
        noise = torch.randn(n, len(self.components), generator=generator)
        uniform = torch.rand(n, generator=generator, dtype=torch.float64)
        edges = self.weights.double().cumsum(0)
        cluster = torch.searchsorted(edges / edges[-1], uniform, right=True)
        return _at_coordinates(self.centres[cluster] + noise * self.scales[cluster], self.components, self.mean)


def _kinds(base: type[Sampler] = Sampler) -> Iterator[type[Sampler]]:
    """Yield every sampler class that is imported, a plugin's own included."""
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def save_sampler(sampler: Sampler, path: Path) -> None:
    """Write a sampler as safetensors; see `write_tensors`."""
    tensors, metadata = sampler.state()
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_tensors(contiguous, path, metadata | {"sampler": sampler.kind})


def write_tensors(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write tensors (contiguous, on the CPU) and text as safetensors.

    The file is sealed, and has the mode of any other: safetensors' own `save_file` makes it private.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    data = save(tensors, metadata | UNSEALED)
    with path.open("wb") as file:
        write_sealed(file, data)


def below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors `prefix.*` by what follows the prefix."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}


def load_sampler(path: Path) -> Sampler:
    """Load a sampler that `save_sampler` wrote.

    Raises:
        GraftbenchError: The file is no sampler, is damaged, or is of a kind that no imported plugin defines.
    """
    tensors, metadata = read_tensors(path)
    if "sampler" not in metadata:
        raise GraftbenchError(f"{path} is no sampler: its metadata names no kind.")
    kinds = {kind.kind: kind for kind in _kinds() if "kind" in vars(kind)}
    if metadata["sampler"] not in kinds:
        raise unknown("kind of sampler", metadata["sampler"], kinds, where=f"in {path}")
    try:
        return kinds[metadata["sampler"]].from_state(tensors, metadata)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # something is missing or does not fit
        raise GraftbenchError(f"{path} is a damaged sampler of kind '{metadata['sampler']}': {error!r}.") from error


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read tensors and metadata of a safetensors file.

    Raises:
        GraftbenchError: The file is missing or damaged.
    """
    try:
        damaged = is_damaged(path)
        with safe_open(path, framework="pt") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own type from Rust, and OSError
        raise GraftbenchError(f"{path} cannot be read as safetensors: {error}") from error
    if damaged:
        raise GraftbenchError(f"{path} is damaged: its contents do not fit the SHA-256 in its header.")
    metadata.pop(SEAL, None)
    return tensors, metadata
