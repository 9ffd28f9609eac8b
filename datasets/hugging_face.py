"""Data sets of the Hugging Face hub, read from a copy in the data folder."""

from __future__ import annotations

import json
import re
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from graftbench.cache import atomic_folder, cache_folder, locked
from graftbench.contracts import Domain, DomainImages, Item
from graftbench.errors import GraftbenchError, unknown
from graftbench.images.decoding import reason, upright
from graftbench.images.preparation import gathered

from ._decode import RECIPE
from ._options import options
from ._places import DOWNLOAD_VARIABLE, absent, contents, data_folder, may_download

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

_OPTIONS = ("split", "column", "config", "revision")
_RECEIPT = "graftbench.json"
"""Beside a fetched copy: which revision it is of."""


class HuggingFace(Domain):
    """The images of a data set of the hub: `hf:NAME`, `hf:OWNER/NAME?split=train&column=image`.

    It is read from `$GRAFTBENCH_DATA/hf/NAME` alone, so that a run never waits for the hub and never changes with it.
    That folder holds what `Dataset.save_to_disk` wrote, or Parquet files, or images in folders (an "imagefolder"). It
    is fetched once where $GRAFTBENCH_DOWNLOAD is 1, in the revision asked for or else the newest, which is recorded.
    Options: `split` (all, one after the other, where it is left out), `column` (the only one of images where it is
    left out), `config` and `revision` (of what is fetched). Needs the extra `hf`.
    """

    name = "hf"
    title = "A data set of the Hugging Face hub"
    description = "A data set with a column of images, from its copy in the data folder."
    license = "that of the data set: its card says which"
    attribution = "that of the data set: its card says which"
    source = "the Hugging Face hub, or the user's disk"
    takes_argument = "NAME[?split=SPLIT&column=COLUMN]"
    curated_groups = False

    def fingerprint(self) -> str:
        """Return the revision fetched, SHA-256 over names and contents of the copy's files, options, and decoder.

        Raises:
            GraftbenchError: There is no copy, or the name or an option is no valid one.
        """
        copy = self._copy()
        files = [file for file in copy.rglob("*") if file.is_file()]
        return f"{self.argument}, revision {_revision(copy) or 'not known'}, {contents(self, copy, files)}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return all readable images, upright, on white, cropped and resized; ids are split and position.

        Raises:
            GraftbenchError: There is no copy, no such split or column, or no usable image; the extra is missing.
        """
        return gathered(self.items(resolution), resolution, f"images of 'hf:{self.argument}'")

    def items(self, resolution: int) -> list[Item]:
        """Return all images, split by split, in the order of the rows.

        Raises:
            GraftbenchError: There is no copy, no such split or column; the extra is missing.
        """
        del resolution
        _, chosen = self._parsed()
        splits = _splits(self._copy())
        if "split" in chosen and chosen["split"] not in splits:
            raise unknown("split", chosen["split"], splits, where=f"of hf:{self.argument}")
        items: list[Item] = []
        for split in [chosen["split"]] if "split" in chosen else splits:
            rows = _undecoded(splits[split], chosen.get("column", ""), self.argument)
            names = [f"{split}/{position:06d}" for position in range(len(rows))]
            items += [Item(name, name, partial(_picture, rows, position)) for position, name in enumerate(names)]
        return items

    def fetch(self) -> None:
        """Fetch the data set into the data folder, where it is not there yet.

        Raises:
            GraftbenchError: The extra is missing, or the hub cannot be reached or has no such data set.
        """
        name, chosen = self._parsed()
        copy = data_folder() / "hf" / name
        library = _library()
        with locked(copy.with_name(f"{copy.name}.lock")):
            if copy.is_dir():
                return
            try:
                revision = import_module("huggingface_hub").dataset_info(name, revision=chosen.get("revision")).sha
                fetched = library.load_dataset(name, chosen.get("config"), revision=revision, cache_dir=_cache())
            except Exception as error:  # the hub's client raises errors of several packages
                raise self._absent(f"The hub gave none ({reason(error)}). ") from error
            with atomic_folder(copy) as folder:
                fetched.save_to_disk(str(folder))
                (folder / _RECEIPT).write_text(json.dumps({"name": name, "revision": revision}), "ascii")

    def _parsed(self) -> tuple[str, dict[str, str]]:
        name, chosen = options(self.argument, _OPTIONS)
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
            raise GraftbenchError(f"'{name}' is no name of a data set; expected hf:NAME or hf:OWNER/NAME.")
        return name, chosen

    def _copy(self) -> Path:
        """Find the copy, in the revision asked for."""
        name, chosen = self._parsed()
        copy = data_folder() / "hf" / name
        if not copy.is_dir() and may_download():
            self.fetch()
        if not copy.is_dir():
            raise self._absent("")
        asked, revision = chosen.get("revision"), _revision(copy)
        if asked and not revision.startswith(asked):
            raise GraftbenchError(
                f"The copy of '{name}' in {copy} is of revision {revision or 'unknown'}; '{self.argument}' asks for "
                f"{asked}. Remove the copy to fetch it anew."
            )
        return copy

    def _absent(self, why: str) -> GraftbenchError:
        name, _ = self._parsed()
        how = (
            f"{why}To fetch it from the hub, set {DOWNLOAD_VARIABLE}=1 and run the same command again; or put a copy "
            "there: what Dataset.save_to_disk wrote, Parquet files, or images in folders."
        )
        return absent(f"hf:{self.argument}", data_folder() / "hf", f"the folder '{name}'", how)


def _library() -> Any:  # noqa: ANN401 - an optional package
    """Import Hugging Face's package `datasets`; by its name as text, which is also the name of this file's folder.

    Raises:
        GraftbenchError: It is not installed.
    """
    try:
        return import_module("datasets")
    except ImportError as error:
        raise GraftbenchError("hf: needs the package datasets: pip install 'graftbench[hf]'.") from error


def _cache() -> str:
    """Return the folder in which the package keeps the Arrow files that it makes from Parquet and folders."""
    return str(cache_folder() / "hf")


def _revision(copy: Path) -> str:
    """Return the revision that a copy was fetched in; empty where the user put the copy there."""
    try:
        return str(json.loads((copy / _RECEIPT).read_text("utf-8"))["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _splits(copy: Path) -> dict[str, Any]:
    """Return split -> data set, in the order of the copy; `train` is the name of the one split of a plain data set.

    Raises:
        GraftbenchError: The package cannot read the copy.
    """
    library = _library()
    saved = any((copy / name).is_file() for name in ("dataset_dict.json", "state.json"))
    try:
        loaded = library.load_from_disk(str(copy)) if saved else library.load_dataset(str(copy), cache_dir=_cache())
    except Exception as error:  # the package passes on what Arrow and its own builders raise
        why = reason(error).replace(str(copy), copy.name)
        raise GraftbenchError(f"The copy '{copy.name}' cannot be read by the package datasets ({why}).") from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def _undecoded(rows: Any, column: str, argument: str) -> Any:  # noqa: ANN401 - an optional package's types
    """Return the column of images alone, as files not yet decoded.

    Raises:
        GraftbenchError: There is no such column of images, or more than one and none was chosen.
    """
    image = _library().Image
    columns = [name for name, feature in rows.features.items() if isinstance(feature, image)]
    if column and column not in columns:
        raise unknown("column of images", column, columns, where=f"of hf:{argument}")
    if not column and len(columns) != 1:
        number = f"{len(columns)} columns of images ({', '.join(columns)})" if columns else "no column of images"
        raise GraftbenchError(f"hf:{argument} has {number}; choose one with ?column=NAME.")
    chosen = column or columns[0]
    return rows.select_columns([chosen]).cast_column(chosen, image(decode=False)).rename_column(chosen, "file")


def _picture(rows: Any, position: int) -> Image.Image:  # noqa: ANN401 - as above
    """Decode a row's picture, from its bytes or the file that it names.

    Raises one of `graftbench.images.decoding.DAMAGE`.
    """
    file = rows[position]["file"]
    if file is None:
        raise ValueError("the row has no image")
    if file["bytes"] is not None:
        return upright(file["bytes"])
    with open(file["path"], "rb") as stream:  # noqa: PTH123 - a path as text, as the package gives it
        return upright(stream.read())
