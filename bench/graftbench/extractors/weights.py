"""The weights files of extractors, and their hashes. Torch is imported only to download."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from graftbench.errors import GraftbenchError
from graftbench.extractors.catalogue import DOWNLOADS

FOLDER_VARIABLE = "GRAFTBENCH_WEIGHTS"
"""Environment variable: a folder of weights files named after their extractors."""

ENDINGS = (".pth", ".pt", ".safetensors")
"""Endings of the files in that folder, tried in this order."""


def sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_stem(name: str) -> str:
    """Return the name of an extractor's file in the folder of weights, less its ending: `timm:x/y` is `timm_x_y`."""
    return name.replace(":", "_").replace("/", "_")


def given_file(name: str, weights: str = "", kind: str = "extractor") -> Path | None:
    """Return the file that the user chose: the protocol's, else the one in `GRAFTBENCH_WEIGHTS`, else None.

    Raises:
        GraftbenchError: The protocol's file or the folder is missing.
    """
    if weights:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise GraftbenchError(f"The weights file '{path}' for the {kind} '{name}' is missing; give a file's path.")
        return path
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return None
    parent = Path(folder).expanduser()
    if not parent.is_dir():
        raise GraftbenchError(f"{FOLDER_VARIABLE} must name a folder of weights files; '{parent}' is none.")
    return next((path for path in (parent / (file_stem(name) + end) for end in ENDINGS) if path.is_file()), None)


def advice(name: str) -> str:
    """Return what to do about missing weights, as the end of a sentence."""
    return (
        f"put it into a folder as {file_stem(name)}{{{','.join(ENDINGS)}}} and name the folder in {FOLDER_VARIABLE}, "
        "or give its path as the protocol's `weights`"
    )


def downloaded_file(name: str) -> Path:
    """Return the released file of an extractor in torch.hub's folder of checkpoints, downloaded if missing.

    Args:
        name: One of `DOWNLOADS`.

    Raises:
        GraftbenchError: It is missing and cannot be downloaded, or its content is not what was released.
    """
    download = DOWNLOADS[name]
    path = torch_hub() / "checkpoints" / download.file
    if not path.is_file():
        fetch(name, download.url, path, download.sha256)
    elif (digest := sha256(path)) != download.sha256:
        raise GraftbenchError(
            f"The weights file '{path}' is damaged ({path.stat().st_size} bytes, SHA-256 {digest[:16]}…; expected "
            f"{download.sha256[:16]}…); delete it to download it again."
        )
    return path


def checkpoint(name: str, url: str, digest: str = "") -> Path:
    """Return the file of that address in torch.hub's folder of checkpoints, downloaded if missing, as `fetch` does."""
    path = torch_hub() / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        fetch(name, url, path, digest)
    return path


def fetch(name: str, url: str, path: Path, digest: str = "") -> None:
    """Download a weights file to `path`; a partial or altered file is not left there.

    Args:
        name: The extractor, for the message.
        url: Address of the file.
        path: The file to write.
        digest: Hexadecimal digits with which the SHA-256 of its content must begin; empty where none is known.

    Raises:
        GraftbenchError: There is no way to the file, or its content is another.
    """
    import torch  # noqa: PLC0415 - names and hashes must not cost the import of torch

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest or None, progress=False)
    except (OSError, RuntimeError) as error:  # no network, no disk; another hash
        raise GraftbenchError(
            f"The weights of '{name}' are not at '{path}' and could not be downloaded ({error}). "
            f"Get the file from {url} and put it there; or {advice(name)}."
        ) from error


def torch_hub() -> Path:
    """Return the folder of downloaded weights, by the same rule as torch.hub (TORCH_HOME, then XDG_CACHE_HOME)."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{cache}/torch").expanduser() / "hub"
