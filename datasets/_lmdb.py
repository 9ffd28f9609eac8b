"""Image files in an LMDB database: opened read-only, in order of key, nothing unpickled.

torchvision's own LSUN class is not used: it keeps its list of keys as a pickle in the current folder and loads
whatever file of that name lies there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from graftbench.contracts import Item
from graftbench.errors import GraftbenchError
from graftbench.images.decoding import upright

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image


def database_file(path: Path) -> Path:
    """Return the file with the pages of a database, which is a folder with data.mdb or the file itself.

    Raises:
        GraftbenchError: There is none.
    """
    file = path / "data.mdb" if path.is_dir() else path
    if not file.is_file():
        state = "holds no data.mdb" if path.is_dir() else "does not exist"
        raise GraftbenchError(f"'{path}' {state}; expected an LMDB database of image files.")
    return file


def database_items(path: Path) -> list[Item]:
    r"""Return all values, in order of key, as image files; the database stays open as long as they are kept.

    Ids are the keys; bytes in them that are no printable ASCII are written as `\x1f`.

    Raises:
        GraftbenchError: The package lmdb or the database is not there, or the database is damaged.
    """
    environment = _opened(path)
    with environment.begin() as values:
        keys = list(values.cursor().iternext(keys=True, values=False))
    return [Item(_printable(key), _printable(key), partial(_picture, environment, key)) for key in keys]


_open: WeakValueDictionary[Path, Any] = WeakValueDictionary()
"""The databases that items are kept of: LMDB does not let one process open a database twice."""


def _opened(path: Path) -> Any:  # noqa: ANN401 - lmdb has no types
    """Open the database for reading."""
    try:
        import lmdb  # noqa: PLC0415 - optional
    except ImportError as error:
        raise GraftbenchError("LMDB databases need the package lmdb: pip install 'graftbench[lmdb]'.") from error
    file = database_file(path)
    environment = _open.get(file.resolve())
    if environment is not None:
        return environment
    try:
        # Readers' locks would write a file beside the database, which may lie on a read-only disk.
        environment = lmdb.open(str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False)
    except lmdb.Error as error:
        why = str(error).rpartition(": ")[2]
        raise GraftbenchError(f"'{path.name}' cannot be read as an LMDB database ({why}).") from error
    _check_whole(environment, file)
    _open[file.resolve()] = environment
    return environment


def _check_whole(environment: Any, file: Path) -> None:  # noqa: ANN401 - lmdb has no types
    """Refuse a database that is shorter than it says: reading the pages that lack would kill the process (SIGBUS)."""
    pages, size = environment.info()["last_pgno"] + 1, file.stat().st_size
    if pages * environment.stat()["psize"] > size:
        environment.close()
        raise GraftbenchError(
            f"'{file.name}' is truncated: it should have {pages:,} pages and has {size:,} bytes; fetch it again."
        )


def _picture(environment: Any, key: bytes) -> Image.Image:  # noqa: ANN401 - as above
    """Read a value and decode it. Raises one of `graftbench.images.decoding.DAMAGE`."""
    with environment.begin() as values:  # each thread reads in a transaction of its own
        return upright(bytes(values.get(key)))


def _printable(key: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in key)
