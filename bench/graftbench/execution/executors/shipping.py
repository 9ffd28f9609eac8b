"""Files on their way to a machine that has none of them, and back.

A parcel is a set of files under relative names, known by the hash of names and contents. It travels as bundles of at
most `BUNDLE_BYTES`: lists of (name, bytes), where the bytes of a name that comes again are appended. Whoever receives a
parcel keeps it in a folder named by its hash: it is sent once, however many jobs need it.

This module imports the standard library alone, for `on_node` is sent to nodes before graftbench is there.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import stat
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

BUNDLE_BYTES = 32 << 20
"""Bytes that are in memory and on the wire at once."""

UNUSED_DAYS = 14.0
"""Parcels that no job has used for so many days are removed from a node."""

HIDDEN = ("__pycache__",)


# ----------------------------------------------------------------------------------------------------------- packing


def files_under(folder: Path, *, without: Callable[[str], bool] = lambda _: False) -> dict[str, Path]:
    """Return relative POSIX name -> regular file in a folder and its folders, sorted by name.

    Links, byte code and hidden files and folders are left out.

    Args:
        folder: The folder.
        without: Names for which it is true are left out too.
    """
    files = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in HIDDEN and not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            if not name.startswith(".") and stat.S_ISREG(path.lstat().st_mode) and not without(relative):
                files[relative] = path
    return dict(sorted(files.items()))


def digest_of(files: Mapping[str, Path]) -> str:
    """Return the SHA-256 (hex) over the names and contents of a parcel's files."""
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        with path.open("rb") as file:
            contents = hashlib.file_digest(file, "sha256").digest()
        digest.update(hashlib.sha256(os.fsencode(name)).digest() + contents)
    return digest.hexdigest()


def bundles(files: Mapping[str, Path], limit_bytes: int = BUNDLE_BYTES) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the files' contents in bundles of at most `limit_bytes`; a larger file goes on in the next bundle."""
    bundle: list[tuple[str, bytes]] = []
    held = 0
    for name, path in files.items():
        with path.open("rb") as file:
            data = file.read(limit_bytes - held)
            while True:
                bundle.append((name, data))
                held += len(data)
                if held < limit_bytes:
                    break  # the file has ended: the read was short
                yield bundle
                bundle, held = [], 0
                data = file.read(limit_bytes)
                if not data:
                    break
    if bundle:
        yield bundle


# --------------------------------------------------------------------------------------------------------- unpacking


def unpack(bundle: Iterable[tuple[str, bytes]], folder: Path) -> None:
    """Append the contents of a bundle to the files of a folder.

    Raises:
        ValueError: A name leads out of the folder.
    """
    for name, data in bundle:
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"The file name {name!r} leads out of its folder.")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)


def settle(store: Path, digest: str, contents: Callable[[], Iterable[list[tuple[str, bytes]]]]) -> Path:
    """Return the folder of a parcel in a store; unpack it there if it is new.

    Any number of processes may do so at once: each unpacks under a name of its own, the first to finish gives the
    folder its name, the others throw theirs away.

    Args:
        store: Folder of parcels.
        digest: The parcel's digest.
        contents: Called for the bundles if they are needed.
    """
    home = store / digest
    try:
        os.utime(home)  # it is in use: see `_tidy`
    except FileNotFoundError:
        _tidy(store)
    else:
        return home
    partial = store / f"{digest}.{uuid.uuid4().hex}.partial"
    try:
        partial.mkdir(parents=True)
        for bundle in contents():
            unpack(bundle, partial)
        with suppress(OSError):  # another was faster
            partial.rename(home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if not home.is_dir():
        raise FileNotFoundError(f"{home} could not be made.")
    return home


def _tidy(store: Path) -> None:
    """Remove parcels that have not been used for long, and what killed processes left."""
    with suppress(FileNotFoundError):
        for entry in store.iterdir():
            with suppress(OSError):
                if time.time() - entry.stat().st_mtime > UNUSED_DAYS * 86400:
                    shutil.rmtree(entry, ignore_errors=True)


class Arrival:
    """Collects the files that a job left, and puts them into the job's folder when all have arrived.

    Args:
        folder: The job's folder.
        last: Name of the file that comes into the folder after all others: whoever finds it finds them too.
    """

    def __init__(self, folder: Path, last: str) -> None:
        self._folder = folder
        self._last = last
        self._box = folder / ".arriving"
        self.drop()  # of an earlier driver

    def add(self, bundle: Iterable[tuple[str, bytes]]) -> None:
        """Unpack a bundle."""
        unpack(bundle, self._box)

    def finish(self) -> None:
        """Move the files into the job's folder."""
        if self._box.is_dir():
            files = files_under(self._box)
            for name in sorted(files, key=lambda name: name == self._last):
                target = self._folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                files[name].replace(target)
        self.drop()

    def drop(self) -> None:
        """Remove the files that have arrived."""
        shutil.rmtree(self._box, ignore_errors=True)


# --------------------------------------------------------------------------------------------------------- on a node


def node_home() -> Path:
    """Return the user's folder on this machine: `graftbench-UID` in the folder of temporary files ($TMPDIR, else /tmp).

    Raises:
        PermissionError: Another user has made it.
    """
    home = Path(tempfile.gettempdir()) / f"graftbench-{os.getuid()}"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = home.lstat()
    # Code is run from there: a folder that another user made first, in a /tmp that is everyone's, is not taken.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(f"{home} is not this user's own; set TMPDIR on the nodes to a folder that is.")
    return home


def on_node(order: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Run the Ray task: make the driver's graftbench importable on this machine, then have it carry out an order.

    It travels by value, with what it calls.

    Args:
        order: See `graftbench.execution.executors.ray_node.Order`. Its `code` is a parcel with the folder `graftbench`.

    Yields:
        What `graftbench.execution.executors.ray_node.carry_out` yields.
    """
    fetch = importlib.import_module("ray").get
    home = node_home()
    digest, references = order["code"]
    code = settle(home / "parcels", digest, lambda: map(fetch, references))
    prefer(code)
    carry_out = importlib.import_module("graftbench.execution.executors.ray_node").carry_out
    yield from carry_out(order, home, fetch)


def prefer(code: Path) -> None:
    """Let this process and those that it starts import graftbench from a folder, whatever else is installed."""
    path = str(code)
    loaded = sys.modules.get("graftbench")
    if loaded is not None and not str(loaded.__file__).startswith(path):
        for name in [name for name in sys.modules if name.split(".")[0] == "graftbench"]:
            del sys.modules[name]
    sys.path[:] = [path, *(entry for entry in sys.path if entry != path)]
    inherited = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != path]
    os.environ["PYTHONPATH"] = os.pathsep.join([path, *inherited])
    os.environ["PYTHONSAFEPATH"] = "1"  # `python -m` would look into the working directory first


# ------------------------------------------------------------------------------------------ what a job consists of


def package_files(package: Path, plugin_folders: Mapping[str, Collection[str]]) -> dict[str, Path]:
    """Return the files of an imported package as an installation would lay them out.

    In a checkout the plugin folders lie beside the package; in an installation inside. Weights of source models are
    left out: a job names the one that it needs.

    Args:
        package: Folder of the package.
        plugin_folders: Name of a subpackage -> the folders that it is imported from.
    """
    package_only = files_under(
        package, without=lambda name: name.startswith("training/source_models/") and name.endswith(".safetensors")
    )
    files = {f"{package.name}/{name}": path for name, path in package_only.items()}
    for name, folders in plugin_folders.items():
        for folder in folders:
            files |= {f"{package.name}/{name}/{file}": path for file, path in files_under(Path(folder)).items()}
    return dict(sorted(files.items()))
