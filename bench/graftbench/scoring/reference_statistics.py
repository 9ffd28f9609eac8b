"""Reference statistics in a file: features or moments of a set of images, with a manifest of how they were made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from graftbench.cache import atomic_file
from graftbench.digests import UNSEALED, is_damaged, write_sealed
from graftbench.errors import GraftbenchError
from graftbench.metrics.covariance import Moments
from graftbench.metrics.features import Features
from graftbench.scoring.protocol import Extraction, differences

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.records.cell_spec import Protocol

FORMAT = 1
SUFFIX = ".safetensors"
_KEY = "graftbench_statistics"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Description of a statistics file, inside it.

    Attributes:
        name: What the images are: a folder's name, or a domain's spec.
        images: Content hash of the images, in their order.
        n_images: Their number.
        extraction: How features were extracted, the weights' hash included.
        graftbench: Version that wrote the file.
        format: Version of the file's format.
    """

    name: str
    images: str
    n_images: int
    extraction: Extraction
    graftbench: str = ""
    format: int = FORMAT


@dataclass(frozen=True)
class Statistics:
    """A set of images as metrics see it.

    Attributes:
        manifest: Where it comes from.
        features: One row per image; None where the moments alone were kept.
        moments: Mean and covariance; None where the features are there.
    """

    manifest: Manifest
    features: Features | None
    moments: Moments | None

    @property
    def content(self) -> Features | Moments:
        """Return the features where they are there, else the moments."""
        content_kept = self.features if self.features is not None else self.moments
        assert content_kept is not None
        return content_kept

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all.

        Raises:
            GraftbenchError: The file cannot be written, or its name does not end in `.safetensors`.
        """
        from safetensors.numpy import save  # noqa: PLC0415 - half a second that only files need

        check_name(path)
        if self.features is not None:
            tensors: dict[str, np.ndarray] = {"pooled": self.features.pooled, "logits": self.features.logits}
            if self.features.powers is not None:
                tensors["powers"] = self.features.powers
        else:
            assert self.moments is not None
            tensors = {"mean": self.moments.mean, "root": self.moments.root}
        text = json.dumps(msgspec.to_builtins(self.manifest), sort_keys=True)
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        data = save(contiguous, metadata={_KEY: text} | UNSEALED)
        try:
            with atomic_file(path) as part, part.open("wb") as file:
                write_sealed(file, data)
        except GraftbenchError as error:  # the former speaks of the cache, and of what is to be done
            cause = error.__cause__ or error
            why = getattr(cause, "strerror", None) or cause
            raise GraftbenchError(f"The statistics cannot be written to '{path}' ({why}).") from error


def check_name(path: Path) -> None:
    """Refuse a name that a reader would not take for statistics.

    Raises:
        GraftbenchError: It does not end in `.safetensors`.
    """
    if path.suffix != SUFFIX:
        raise GraftbenchError(f"Statistics are written to a file NAME{SUFFIX}; found '{path.name}'.")


def is_statistics(path: Path) -> bool:
    """Return whether a path looks like a statistics file."""
    return path.suffix == SUFFIX


def load_statistics(path: Path, protocol: Protocol | None = None) -> Statistics:
    """Read what `Statistics.save` wrote.

    Args:
        path: The file.
        protocol: The resolved protocol under which it is going to be used.

    Raises:
        GraftbenchError: The file is missing, damaged, something else, of a newer format, or of another protocol.
    """
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    if not path.is_file():
        raise GraftbenchError(f"There is no statistics file '{path}'; `graftbench stats` writes one.")
    try:
        if is_damaged(path):
            raise GraftbenchError(
                f"The statistics file '{path}' is damaged: its contents do not fit the SHA-256 in its header, or it is "
                "cut off. Make it again with `graftbench stats`."
            )
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:  # said before any tensor is read: NumPy cannot read those of every network
                raise GraftbenchError(
                    f"'{path}' is no statistics file: it has no manifest; `graftbench stats` writes one."
                )
            manifest = _manifest(text, path)
            _check_protocol(manifest, protocol, path)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError, TypeError) as error:  # the last: bfloat16 and the like
        raise GraftbenchError(f"The statistics file '{path}' cannot be read ({error}).") from error
    return _checked(manifest, tensors, path)


class _Format(msgspec.Struct):
    format: int = FORMAT


def _manifest(text: str, path: Path) -> Manifest:
    try:
        version = msgspec.json.decode(text, type=_Format).format  # first: a newer manifest may have other fields
        if version > FORMAT:
            raise GraftbenchError(f"'{path}' has format {version}; this version of graftbench reads {FORMAT}.")
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.MsgspecError as error:
        raise GraftbenchError(f"The manifest of '{path}' cannot be read ({error}).") from error


def _check_protocol(manifest: Manifest, protocol: Protocol | None, path: Path) -> None:
    if protocol is not None and (mismatches := differences(Extraction.of(protocol), manifest.extraction)):
        raise GraftbenchError(
            f"The statistics '{path.name}' were made under another protocol ({'; '.join(mismatches)}); numbers of two "
            "protocols do not compare. Make them again with `graftbench stats`, or ask for that protocol."
        )


def _checked(manifest: Manifest, tensors: dict[str, np.ndarray], path: Path) -> Statistics:
    """Return the content, if it is what the manifest says: matrices of finite floats of the right shapes."""
    wrong = [name for name, tensor in tensors.items() if tensor.dtype.kind != "f" or not np.isfinite(tensor).all()]
    if wrong:
        raise GraftbenchError(
            f"The statistics file '{path}' is damaged: {', '.join(sorted(wrong))} has no finite floats."
        )
    n = manifest.n_images
    if {"pooled", "logits"} <= tensors.keys():
        pooled, logits = tensors["pooled"], tensors["logits"]
        powers = tensors.get("powers")  # not in files of earlier versions
        whole = powers is None or powers.shape == (n, 3)
        if pooled.ndim == logits.ndim == 2 and len(pooled) == len(logits) == n and pooled.shape[1] and whole:
            return Statistics(manifest, Features.of(pooled, logits, powers), None)
    elif {"mean", "root"} <= tensors.keys():
        mean, root = (tensors[name].astype(np.float64) for name in ("mean", "root"))
        if mean.ndim == 1 and root.ndim == 2 and root.shape[1] == mean.size and mean.size and n > 1:
            return Statistics(manifest, None, Moments(mean, root, n))
    shapes = ", ".join(f"{name} {tensor.shape}" for name, tensor in sorted(tensors.items())) or "no tensors"
    raise GraftbenchError(f"The statistics file '{path}' does not fit its manifest of {n} images: {shapes}.")
