"""LSUN: photographs of ten kinds of scenes, as LMDB databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.contracts import Domain, DomainImages, Item, Reference
from graftbench.errors import unknown
from graftbench.images.preparation import gathered

from ._decode import RECIPE
from ._lmdb import database_file, database_items
from ._places import FOLDER_VARIABLE, absent, data_folder

if TYPE_CHECKING:
    from pathlib import Path

_SCENES = (
    *("bedroom", "bridge", "church_outdoor", "classroom", "conference_room"),
    *("dining_room", "kitchen", "living_room", "restaurant", "tower"),
)


class Lsun(Domain):
    """Photographs of one kind of scene, the shorter side 256 pixels: `lsun:church_outdoor`, or `…_val` (300 images).

    From 126,227 (church_outdoor) to 3,033,042 (bedroom) images; all of them are prepared, which takes hours for the
    large ones. Needs the extra `lmdb`. There is no download code, here or in torchvision: the authors' script fetches
    the databases.
    """

    name = "lsun"
    title = "LSUN scenes"
    description = f"Photographs of one kind of scene ({', '.join(_SCENES)}), the shorter side 256 pixels."
    license = "not stated by its authors (not checked); the pictures were collected from the web"
    attribution = "LSUN by Fisher Yu, Ari Seff, Yinda Zhang, Shuran Song, Thomas Funkhouser and Jianxiong Xiao."
    source = "https://www.yf.io/p/lsun"
    takes_argument = "SCENE"
    curated_groups = False
    paper = Reference(
        authors="Yu, Seff, Zhang, Song, Funkhouser, Xiao",
        title="LSUN: Construction of a Large-scale Image Dataset using Deep Learning with Humans in the Loop",
        venue="arXiv",
        year=2015,
        arxiv="1506.03365",
    )

    def fingerprint(self) -> str:
        """Return the scene, SHA-256 over the database's file, and what decodes the images.

        Raises:
            GraftbenchError: There is no such scene, or its database is not there.
        """
        return f"{self.argument}, {self.file_digest(database_file(self._database())).hex()}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return all images, cropped to the centre square and Lanczos-resized, in order of key, which is their id.

        Raises:
            GraftbenchError: There is no such scene, its database or the package lmdb is not there.
        """
        return gathered(self.items(resolution), resolution, f"images of 'lsun:{self.argument}'")

    def items(self, resolution: int) -> list[Item]:
        """Return all images, in order of key.

        Raises:
            GraftbenchError: There is no such scene, its database or the package lmdb is not there.
        """
        del resolution
        return database_items(self._database())

    def _database(self) -> Path:
        scene = self.argument.removesuffix("_val")
        if scene not in _SCENES:
            raise unknown("scene of lsun", self.argument, (*_SCENES, *(f"{scene}_val" for scene in _SCENES)))
        part = self.argument if self.argument.endswith("_val") else f"{self.argument}_train"
        database = data_folder() / "lsun" / f"{part}_lmdb"
        if not (database / "data.mdb").is_file():
            how = (
                f"Fetch {part}_lmdb.zip with the script download.py of https://github.com/fyu/lsun and unpack it "
                f"there, or set {FOLDER_VARIABLE} to the folder that holds 'lsun'."
            )
            raise absent(f"lsun:{self.argument}", database.parent, f"the folder '{database.name}' with data.mdb", how)
        return database
