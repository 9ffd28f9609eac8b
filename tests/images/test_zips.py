"""Zip files of images to be scored: any layout, read where they lie, never unpacked."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from graftbench.errors import GraftbenchError
from graftbench.images.sources import open_images
from graftbench.images.writers import png_of, write_edm_zip, write_png_folder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)


def pixels_of(path: Path) -> NDArray[np.uint8]:
    """All images of a source."""
    return np.concatenate(list(open_images(path).batches(5)))


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip file of these members."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_any_layout(tmp_path: Path, compression: int) -> None:
    """Flat, in folders, in the layout of EDM, with other members and hidden ones: the images by name, in RGB."""
    flat = {f"{n:02d}.png": png_of(image) for n, image in enumerate(IMAGES)}
    hidden = {"notes.txt": b"x", "__MACOSX/._00.png": b"x", ".thumbs/a.png": b"x", "empty/": b""}
    nested = {f"a/b/{name}": content for name, content in flat.items()}
    assert np.array_equal(pixels_of(zipped(tmp_path / "a.zip", flat | hidden, compression)), IMAGES)
    assert np.array_equal(pixels_of(zipped(tmp_path / "B.ZIP", nested, compression)), IMAGES)
    write_edm_zip(IMAGES, tmp_path / "c.zip")
    assert np.array_equal(pixels_of(tmp_path / "c.zip"), IMAGES)


def test_a_zip_file_is_as_the_folder_in_it(tmp_path: Path) -> None:
    """Equal files have one manifest, so that features are cached once."""
    write_png_folder(IMAGES, tmp_path / "a")
    members = {file.name: file.read_bytes() for file in (tmp_path / "a").iterdir()}
    archive, folder = open_images(zipped(tmp_path / "a.zip", members)), open_images(tmp_path / "a")
    assert (archive.count, archive.name, archive.manifest) == (12, "a.zip", folder.manifest)
    assert archive.sizes == ()
    list(archive.batches(5))
    assert archive.sizes == ((16, 16),)


def test_modes_are_those_of_folders(tmp_path: Path) -> None:
    """Transparency on white, grey as RGB, 16 bits scaled; JPEG too."""
    members = {}
    pictures = {
        "alpha.png": Image.new("RGBA", (16, 16), (0, 0, 0, 0)),
        "deep.png": Image.fromarray(np.full((16, 16), 65535, np.uint16)),
        "grey.png": Image.new("L", (16, 16), 255),
        "x.jpg": Image.new("RGB", (16, 16), "white"),
    }
    for name, picture in pictures.items():
        stream = io.BytesIO()
        picture.save(stream, "JPEG" if name.endswith("jpg") else "PNG")
        members[name] = stream.getvalue()
    assert (pixels_of(zipped(tmp_path / "a.zip", members)) == 255).all()


def test_damaged_members(tmp_path: Path) -> None:
    """A wrong checksum and half a picture are named when their turn comes, or skipped where that was asked for."""
    half = png_of(IMAGES[1])[:100]
    path = zipped(tmp_path / "a.zip", {"0.png": png_of(IMAGES[0]), "1.png": half, "2.png": png_of(IMAGES[2])})
    content = path.read_bytes()
    path.write_bytes(content.replace(png_of(IMAGES[2])[-30:], bytes(30), 1))
    with pytest.raises(GraftbenchError, match=r"'1.png' in 'a.zip' cannot be used"):
        pixels_of(path)
    sound = open_images(path, on_damage="skip")
    assert sound.count == 1
    assert "damaged in the archive: Bad CRC-32" in sound.skipped["2.png"]
    assert np.array_equal(next(sound.batches(5)), IMAGES[:1])


def test_a_name_twice(tmp_path: Path) -> None:
    """Which of the two is meant nobody knows."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", png_of(IMAGES[0]))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", png_of(IMAGES[1]))
    with pytest.raises(GraftbenchError, match="holds 2 images of 1 names: one twice"):
        open_images(tmp_path / "a.zip")


def test_what_is_refused_as_a_whole(tmp_path: Path) -> None:
    """Paths that lead out, absolute ones, bombs; nothing appears on the disk."""
    bomb = zipped(tmp_path / "bomb.zip", {"a.png": bytes(40_000_000)}, zipfile.ZIP_DEFLATED)
    for path, words in (
        (zipped(tmp_path / "up.zip", {"../../a.png": b"x"}), r"leads out of the archive"),
        (zipped(tmp_path / "root.zip", {"/etc/a.png": b"x"}), "has an absolute path"),
        (bomb, "unpacks from .* as a bomb does"),
        (zipped(tmp_path / "none.zip", {"dataset.json": b"{}"}), r"holds no images, and 1 members of other kinds"),
    ):
        with pytest.raises(GraftbenchError, match=words):
            open_images(path)
    assert len(list(tmp_path.rglob("*"))) == 4
