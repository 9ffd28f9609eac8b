"""Zip files of images, as `dataset_tool.py` of StyleGAN2-ADA, StyleGAN3 and EDM writes them, and any others."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING

from graftbench.contracts import DomainImages, Item
from graftbench.errors import GraftbenchError, unknown
from graftbench.images.archives import BAD_ZIP, LABELS, is_hidden, member_of, open_zip, the_file
from graftbench.images.decoding import other_kind, reason, unreadable, upright
from graftbench.images.preparation import gathered

from ._decode import RECIPE
from ._options import options
from ._user_files import UserFiles

if TYPE_CHECKING:
    import zipfile
    from pathlib import Path

    from PIL import Image


class ZipArchive(UserFiles):
    """The images in a zip file, by name: `zip:PATH`, or those of one label of its dataset.json: `zip:PATH?label=3`.

    The layout is that of NVIDIA's `dataset_tool.py` (arXiv 2006.06676, 2206.00364): images in folders, and beside them
    a dataset.json with `{"labels": [["00000/img00000000.png", 6], …]}` or `{"labels": null}`, which may be left out.
    Nothing is unpacked to the disk.
    """

    name = "zip"
    title = "A zip file of images"
    description = "Any zip file of image files, such as dataset_tool.py of StyleGAN and EDM writes."
    takes_argument = "PATH[?label=LABEL]"

    def fingerprint(self) -> str:
        """Return the SHA-256 over names, sizes and CRC-32 of all members, and the label asked for; no image is read.

        Raises:
            GraftbenchError: The file is not there, is damaged or is refused.
        """
        with open_zip(self._path()) as archive:
            listed = [(m.filename, m.file_size, m.CRC) for m in archive.infolist()]
        _, chosen = options(self.argument, ("label",))
        return f"{hashlib.sha256(json.dumps([sorted(listed), chosen]).encode('ascii')).hexdigest()}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return all readable images, or those of the label, upright, on white, cropped and resized; sorted by name.

        Raises:
            GraftbenchError: The file is not there, is damaged or is refused, has no such label or no usable image.
        """
        return gathered(self.items(resolution), resolution, f"images in '{self._path().name}'")

    def items(self, resolution: int) -> list[Item]:
        """Return the images, or those of the label, sorted by name; the archive stays open as long as they are kept.

        Members of other kinds are among them, so that they are excluded by name; hidden ones and dataset.json are not.

        Raises:
            GraftbenchError: The file is not there, is damaged or is refused, or has no such label.
        """
        del resolution
        archive = open_zip(self._path())
        names = sorted(name for name in self._chosen(archive) if not is_hidden(name) and name != LABELS)
        return [Item(name, name, partial(_picture, archive, name)) for name in names]

    def _path(self) -> Path:
        base, _ = options(self.argument, ("label",))
        return the_file(base, "a zip file of images")

    def _chosen(self, archive: zipfile.ZipFile) -> list[str]:
        """Return the names of the members of the label asked for, or of all."""
        base, chosen = options(self.argument, ("label",))
        if "label" not in chosen:
            return archive.namelist()
        labels = _labels(archive, base)
        names = [name for name in archive.namelist() if labels.get(name) == chosen["label"]]
        if not names:
            raise unknown("label", chosen["label"], set(labels.values()), where=f"in {LABELS} of '{self._path().name}'")
        return names


def _labels(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    """Return member -> label as text; several numbers are joined by commas.

    Raises:
        GraftbenchError: There is no dataset.json with labels.
    """
    try:
        listed = json.loads(archive.read(LABELS))["labels"]
        return {
            member: ",".join(map(str, label)) if isinstance(label, list) else str(label) for member, label in listed
        }
    except (KeyError, TypeError, *BAD_ZIP) as error:
        raise GraftbenchError(
            f"'{name.rpartition('/')[2]}' has no {LABELS} with labels ({reason(error)}); leave ?label= out."
        ) from error


def _picture(archive: zipfile.ZipFile, name: str) -> Image.Image:
    """Read a member and decode it. Raises one of `graftbench.images.decoding.DAMAGE`."""
    if why := other_kind(name):
        return unreadable(why)
    return upright(member_of(archive, name))
