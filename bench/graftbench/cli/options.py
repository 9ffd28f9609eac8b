"""The types of options that several commands have."""

from __future__ import annotations

import math
import pkgutil
from dataclasses import dataclass, field
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter, validators

from graftbench.bounds import LARGEST, MOST, MOST_BLUR, MOST_DITHER


def packaged_methods() -> tuple[str, ...]:
    """Return the names of the package's methods, from those of their files: to import them takes seconds."""
    modules = pkgutil.iter_modules(import_module("graftbench.methods").__path__)
    return tuple(sorted(module.name.replace("_", "-") for module in modules if not module.name.startswith("_")))


def packaged_suite_names() -> tuple[str, ...]:
    """Return the names of the package's suites."""
    names = [file.name for file in files("graftbench.suites").iterdir()]
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


if TYPE_CHECKING:
    from collections.abc import Callable

    SuiteName: TypeAlias = str
    MethodNames: TypeAlias = str
else:  # any text is taken, and shells offer these
    SuiteName = Annotated[Literal[packaged_suite_names()] | str, Parameter(show_choices=False)]
    MethodNames = Annotated[Literal[packaged_methods()] | str, Parameter(show_choices=False)]


def between(low: float, high: float, *, closed: bool = False) -> list[Callable[[Any, Any], None]]:
    """Return the validators of a number above `low` (`closed`: or equal) and at most `high`, which nan is not."""
    return [validators.Number(gte=low, lte=high) if closed else validators.Number(gt=low, lte=high), _refuse_nan]


def _refuse_nan(_: object, value: float | None, /) -> None:
    if value is not None and math.isnan(value):
        raise ValueError("Must be a number; found nan.")


LONGEST_SECONDS = 10**7
"""Four months: what a system's timers take."""

Flag = Annotated[bool, Parameter(negative=())]
Texts = Annotated[list[str], Parameter(negative=())]
Plugins = Annotated[list[Path], Parameter(name="--plugin", negative=())]
Count = Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=MOST))]
Seed = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=LARGEST))]


@Parameter(name="*")
@dataclass(frozen=True)
class ExtractionOptions:
    """The options of commands that extract features.

    Attributes:
        extractor: Feature extractor (graftbench ls extractors).
        size: Side in pixels to which images are resized for it; its own by default.
        resize: Resize rule; the extractor's first by default.
        weights: Local weights file of the extractor.
        blur: Blur that images on both sides get first, in pixels; the extractor's own by default.
        dither: Noise that they get then, in levels of 255; the extractor's own by default.
        device: auto, cpu, cuda or cuda:N.
        batch_size: Images per forward pass.
        plugins: File or folder with more metrics and domains.
    """

    extractor: str = "lite0"
    size: Count = None
    resize: str = ""
    weights: str = ""
    blur: Annotated[float | None, Parameter(validator=validators.Number(gte=0, lte=MOST_BLUR))] = None
    dither: Annotated[float | None, Parameter(validator=validators.Number(gte=0, lte=MOST_DITHER))] = None
    device: str = "auto"
    batch_size: Count = None
    plugins: Plugins = field(default_factory=list)


DEFAULT_EXTRACTION = ExtractionOptions()


def comma_separated(text: str) -> list[str]:
    """Split `kid, fid` into its names."""
    return [name.strip() for name in text.split(",") if name.strip()]
