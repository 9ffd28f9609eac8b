"""Write the table and the figure of docs/protocols.md: what each protocol makes of changes that a person orders.

    python docs/ladder.py

Half of a domain's images is the reference; those of the other half are changed, from what nobody sees to what is no
picture of the domain any more. Takes a quarter of an hour on one core.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from page_parts import fill
from PIL import Image, ImageFilter
from scipy.ndimage import shift

from graftbench.extractors.load import make_extractor
from graftbench.images.prepared import load
from graftbench.metrics import kid
from graftbench.plotting import NO_METADATA, style
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from graftbench.extractors.base import Extractor
    from graftbench.metrics.estimate import Estimate

    Pixels = NDArray[np.uint8]

PAGE = Path(__file__).with_name("protocols.md")
FIGURE = Path(__file__).with_name("ladder.svg")
RESOLUTION, N_REFERENCE, N = 32, 600, 300


PROTOCOLS = {  # name -> blur in pixels, dither in levels
    "plain": (0, 0),
    "blur 0.7 px": (0.7, 0),
    "dither 8": (0, 8),
    "default": (0.7, 8),
}
WORLDS = {  # domain -> the domain whose images stand for another style
    "avatars:micah": "avatars:toon-head",
    "twemoji": "openmoji",
    "photos": "textures",
    "textures": "photos",
}
ANOTHER = "another style"


def main() -> None:
    """Write the table between its markers, and the figure."""
    scores = {domain: _ladder(domain, other) for domain, other in WORLDS.items()}
    _draw(scores)
    fill(PAGE, {"ladder": "\n".join(_table(scores))})


def _ladder(domain: str, other: str) -> dict[str, dict[str, Estimate]]:
    """Return protocol -> change -> KID of the changed images against the reference."""
    images, strangers = (load(make_domain(name), name, RESOLUTION) for name in (domain, other))
    order = np.random.default_rng(0).permutation(len(images.ids))
    reference, rest = images.pixels[np.sort(order[:N_REFERENCE])], np.sort(order[N_REFERENCE:])
    changed = changes(images.pixels[rest[np.linspace(0, len(rest) - 1, N).astype(int)]])
    if images.factors:
        hair = np.array(images.factors["hair"])[rest]
        names, counts = np.unique(hair, return_counts=True)
        changed["commonest hair left out"] = images.pixels[rest[hair != names[counts.argmax()]][:N]]
    changed[ANOTHER] = strangers.pixels[np.linspace(0, len(strangers.ids) - 1, N).astype(int)]
    extractors = {
        protocol: make_extractor("lite0", size=96, resize="bicubic-antialias", blur=blur, dither=dither)
        for protocol, (blur, dither) in PROTOCOLS.items()
    }
    return {protocol: _scores(extractor, reference, changed) for protocol, extractor in extractors.items()}


def _scores(extractor: Extractor, reference: Pixels, changed: dict[str, Pixels]) -> dict[str, Estimate]:
    real = extractor.features(torch.from_numpy(reference))[0]
    return {name: kid(extractor.features(torch.from_numpy(images))[0], real) for name, images in changed.items()}


def changes(images: Pixels) -> dict[str, Pixels]:
    """Return change -> the changed images, in the order in which a person notices them.

    Args:
        images: uint8 N×3×H×W.
    """
    noisy = {f"noise {levels}": _noisy(images, levels) for levels in (1, 2, 4, 8)}
    return {
        "none": images,
        "noise 1": noisy["noise 1"],
        "noise 2": noisy["noise 2"],
        "JPEG 95": _each(images, _jpeg),
        "noise 4": noisy["noise 4"],
        "half a pixel shifted": _each(images, _shifted),
        "noise 8": noisy["noise 8"],
        "blur 0.5 px": _each(images, lambda image: image.filter(ImageFilter.GaussianBlur(0.5))),
        "colour cast of 12": np.clip(images + np.array([12, 0, -12]).reshape(3, 1, 1), 0, 255).astype(np.uint8),
        "blur 1 px": _each(images, lambda image: image.filter(ImageFilter.GaussianBlur(1))),
        "opposite hues": _each(images, _opposite),
        "grey": _each(images, lambda image: image.convert("L").convert("RGB")),
        "blank": np.full_like(images, 255),
    }


def _each(images: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    return np.stack([np.asarray(change(Image.fromarray(x.transpose(1, 2, 0)))).transpose(2, 0, 1) for x in images])


def _noisy(images: Pixels, levels: float) -> Pixels:
    noise = np.random.default_rng(1).normal(scale=levels, size=images.shape)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


def _jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, subsampling=0)
    return Image.open(file).convert("RGB")


def _shifted(image: Image.Image) -> Image.Image:
    moved = shift(np.asarray(image, np.float64), (0.5, 0.5, 0), order=3, mode="nearest")
    return Image.fromarray(np.clip(np.rint(moved), 0, 255).astype(np.uint8))


def _opposite(image: Image.Image) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    return Image.merge("HSV", (hue.point([(level + 128) % 256 for level in range(256)]), saturation, value)).convert(
        "RGB"
    )


def _table(scores: dict[str, dict[str, dict[str, Estimate]]]) -> list[str]:
    """Return the Markdown table: KID×10³ of every change under the plain protocol and the default, by domain."""
    shown = ("plain", "default")
    heads = [f"{domain}, {protocol}" for domain in scores for protocol in shown]
    lines = [f"| change | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    names = dict.fromkeys(name for protocols in scores.values() for name in protocols[shown[0]])
    for name in names:
        cells = [protocols[protocol].get(name) for protocols in scores.values() for protocol in shown]
        lines.append(f"| {name} | {' | '.join(_thousandths(cell) for cell in cells)} |")
    return lines


def _thousandths(score: Estimate | None) -> str:
    if score is None or score.value is None:
        return "–"
    return f"{round(1000 * score.value):,}".replace("-", "−")


def _draw(scores: dict[str, dict[str, dict[str, Estimate]]]) -> None:
    """Draw the KID of every change as a share of that of another style, a panel per domain."""
    with style():
        from matplotlib import pyplot as plt  # noqa: PLC0415 - after the style is set

        figure, panels = plt.subplots(1, len(scores), figsize=(11, 4.2), sharey=True, layout="constrained")
        names = list(dict.fromkeys(name for ladder in scores[next(iter(scores))].values() for name in ladder))
        for axes, (domain, protocols) in zip(panels, scores.items(), strict=True):
            for marker, (protocol, ladder) in zip("xsdo", protocols.items(), strict=True):
                unit = ladder[ANOTHER].value or 1
                shares = {name: max((score.value or 0) / unit, 1e-3) for name, score in ladder.items()}
                rows = [names.index(name) for name in shares]
                axes.plot(list(shares.values()), rows, marker, label=protocol, markersize=5, alpha=0.8)
            axes.axvline(0.1, color="grey", linewidth=0.8, linestyle=":")
            axes.set(xscale="log", title=domain, xlim=(8e-4, 12))
            axes.set_xticks([0.001, 0.01, 0.1, 1, 10], ["≤ 0.001", "0.01", "0.1", "1", "10"])
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()
        figure.supxlabel("KID as a share of that of another style", fontsize=9)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(PROTOCOLS))
        figure.savefig(FIGURE, metadata=NO_METADATA["svg"])
        plt.close(figure)


if __name__ == "__main__":
    main()
