"""Images to be scored: a folder, a zip, .npz or .npy file, a domain's split, or a tensor in memory; read in batches.

>>> import numpy as np
>>> images = open_images(np.zeros((5, 3, 8, 8), np.uint8))
>>> images.count, [batch.shape for batch in images.batches(4)]
(5, [(4, 3, 8, 8), (1, 3, 8, 8)])

Files are decoded by the rule of the domains (`decoding`), but neither cropped nor resized.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from graftbench.errors import GraftbenchError, unknown
from graftbench.images.arrays import ARRAY_SUFFIXES, ArrayImages, layout_of, open_array_file, sliced
from graftbench.images.base import Images
from graftbench.images.decoding import SUFFIXES, is_special, printable
from graftbench.images.domains import PREFIX, SPEC_FORM, open_domain, other_splits
from graftbench.images.folders import open_folder, open_zip_file
from graftbench.metrics.arrays import to_numpy
from graftbench.plugins.registry import domains

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from graftbench.plugins.registry import PluginSource

__all__ = ["Images", "OnDamage", "Source", "held_out_of", "open_images"]

OnDamage = Literal["error", "skip"]
_EXPECTED = "a folder of images, or a .zip, .npz or .npy file"

Source: TypeAlias = "str | Path | NDArray[Any] | torch.Tensor"


def open_images(
    source: Source, *, cache: Path | None = None, plugins: Sequence[PluginSource] = (), on_damage: OnDamage = "error"
) -> Images:
    """Open the images of a source.

    Args:
        source: One of

            - a folder: all PNG, JPEG, WebP, AVIF, BMP, GIF, TIFF and PPM files in it and in its folders, by relative
              path. As in the domain `folder`, links are followed and hidden files and folders are not looked at;
            - a .zip file of such files in any layout, that of StyleGAN's and EDM's dataset_tool among them, read where
              it lies; what `graftbench.images.archives` calls dangerous is refused;
            - an .npz file with uint8 images N×H×W×3 or N×3×H×W under the name `arr_0` or `images` or as its only
              array, or an .npy file with such an array. Nothing is unpickled, and no file is held in memory (but an
              .npz array in Fortran order, of which no image lies in one piece);
            - `domain:NAME@RESOLUTION/SPLIT`, where SPLIT is train, validation, reference or several of them joined
              by `+`; all of them if it is left out. As it is printed, without `domain:`, it is taken too, where no
              file has that name;
            - a uint8 array or tensor of such a shape. It is not copied: change it only when all is read.
        cache: Cache folder of the domains; None for the user's.
        plugins: Files or folders with more domains.
        on_damage: What a damaged file in a folder is: an error when its turn comes, or `skip` to list it in `skipped`.
            To know count and manifest beforehand, `skip` decodes every file once more at once.

    Raises:
        GraftbenchError: There is nothing there, or something else.
    """
    if on_damage not in get_args(OnDamage):
        raise unknown("on_damage", str(on_damage), get_args(OnDamage))
    if (spec := _domain_spec(source, plugins)) is not None:
        return open_domain(spec, cache, plugins)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(os.fspath(source), on_damage)
    return _open_memory(source)


def held_out_of(source: Source, *, cache: Path | None = None, plugins: Sequence[PluginSource] = ()) -> Images | None:
    """Open the images of all other splits of a domain, for `domain:NAME@RESOLUTION/SPLIT`: real images to compare with.

    None if the source is no domain, if no split is named, and if the other splits have no images.

    Args:
        source: As for `open_images`.
        cache: Cache folder of the domains; None for the user's.
        plugins: Files or folders with more domains.

    Raises:
        GraftbenchError: It is a domain that does not exist or is written wrongly.
    """
    spec = _domain_spec(source, plugins)
    return None if spec is None else other_splits(spec, cache, plugins)


def _domain_spec(source: Source, plugins: Sequence[PluginSource]) -> str | None:
    """Return a source that is a domain as `domain:NAME@RESOLUTION/SPLIT`; None for every other source.

    Outputs name a domain's images without the prefix: `folder:photos@32/reference` is one, if no such file exists.
    """
    if not isinstance(source, str) or source.startswith(PREFIX):
        return source if isinstance(source, str) else None
    named = re.match(r"([^:@/]+)(?::[^@]*)?@[0-9]+(?:/|$)", source)
    if named is None or os.path.exists(source) or named[1] not in domains(plugins).classes:  # noqa: PTH110 - Path raises where a name is too long
        return None
    return f"{PREFIX}{source}"


def _open_memory(source: object) -> Images:
    """Open images that are in memory already."""
    what = "An array of images"
    try:
        array = to_numpy(cast("Any", source))
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors without pixels or of exotic types
        raise GraftbenchError(f"{what} cannot be made of {type(source).__name__} ({error}).") from error
    if array.dtype == object:
        raise GraftbenchError(
            f"Images are {_EXPECTED}, {SPEC_FORM}, or a uint8 array N×3×H×W; found {type(source).__name__}."
        )
    return ArrayImages("memory", layout_of(array.shape, array.dtype, what, lambda: array), sliced(array))


def _open_path(text: str | bytes, on_damage: OnDamage) -> Images:
    """Open a folder, a zip file or an array file."""
    text = os.fsdecode(text)
    try:
        path = Path(text).expanduser()
        path.stat()
    except (OSError, ValueError, RuntimeError) as error:  # a zero byte; no such user's home
        raise _missing(text, error) from error
    if not text:  # else the working folder, which nobody means by an empty variable
        raise _missing(text, FileNotFoundError())
    name = printable(path.resolve().name) or "root"
    if path.is_dir():
        return open_folder(path, name, skip_damaged=on_damage == "skip")
    kind = path.suffix.lower()
    if kind not in (".zip", *ARRAY_SUFFIXES) or is_special(path):
        what = "one image" if kind in SUFFIXES else "a file of another kind"
        raise GraftbenchError(f"'{printable(text)}' is {what}; expected {_EXPECTED}.")
    if kind == ".zip":
        return open_zip_file(path, name, skip_damaged=on_damage == "skip")
    return open_array_file(path, name)


def _missing(text: str, error: Exception) -> GraftbenchError:
    """Make the error for a path at which there is nothing: it gives the nearest name in its folder."""
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
        return GraftbenchError(f"'{printable(text)}' cannot be opened ({error.strerror}).")
    hint = ""
    try:
        path = Path(text).expanduser()
        near = get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.5) if text else []  # noqa: PTH208 - names
        hint = f" Did you mean '{printable(str(path.with_name(near[0])))}'?" if near else ""
    except (OSError, ValueError, RuntimeError):
        pass  # no such folder either
    return GraftbenchError(f"The images '{printable(text)}' do not exist.{hint} Expected {_EXPECTED}, or {SPEC_FORM}.")
