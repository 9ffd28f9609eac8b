"""What image domains share: how a picture becomes a square of uint8 RGB, and the files that packages bring.

The rule is `graftbench.images.resizing.DEFAULT`: Lanczos with antialiasing, for the reasons that are given there.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from graftbench.errors import GraftbenchError
from graftbench.images.decoding import RULE
from graftbench.images.resizing import square

__all__ = ["RECIPE", "package_files", "square"]

RECIPE = RULE
"""What the pixels depend on beside the pictures; when `square` changes, a number for it is put behind the rule."""


def rules(*modules: str) -> str:
    """Return 12 digits of a hash of neighbours' source (`_lookalikes`): what makes groups, and so splits, of images.

    Part of the fingerprint of a domain whose groups follow from tables: images prepared under other tables are prepared
    again.
    """
    contents = [Path(__file__).with_name(f"{module}.py").read_bytes() for module in modules]
    return hashlib.sha256(b"\0".join(contents)).hexdigest()[:12]


def package_files(package: str, folder: str, pattern: str, *, extra: str = "") -> list[Path]:
    """Return the files that an installed package brings, by name; the package is not imported.

    Args:
        package: The package's name in Python.
        folder: Folder in the package.
        pattern: Names in the folder.
        extra: Name of graftbench's extra that brings the package; empty for what every install brings.

    Raises:
        GraftbenchError: The package, or its files, are not there.
    """
    spec = find_spec(package)
    paths = list(spec.submodule_search_locations or ()) if spec else []
    files = sorted(file for path in paths for file in (Path(path) / folder).glob(pattern))
    if not files:
        state = f"is installed without {folder}/{pattern}" if paths else "is not installed"
        install = f"pip install 'graftbench[{extra}]'" if extra else "graftbench's own install"
        raise GraftbenchError(f"The package {package} {state}; expected the images that {install} brings.")
    return files
