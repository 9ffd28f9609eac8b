"""The types of options that several commands have."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

Flag = Annotated[bool, Parameter(negative=())]
Texts = Annotated[list[str], Parameter(negative=())]
Plugins = Annotated[list[Path], Parameter(name="--plugin", negative=())]
Count = Annotated[int | None, Parameter(validator=validators.Number(gte=1))]


@Parameter(name="*")
@dataclass(frozen=True)
class ExtractionOptions:
    """The options of commands that extract features.

    Attributes:
        extractor: Feature extractor (graftbench ls extractors).
        size: Side in pixels to which images are resized for it; its own by default.
        resize: Resize rule; the extractor's first by default.
        weights: Local weights file of the extractor.
        device: auto, cpu, cuda or cuda:N.
        batch_size: Images per forward pass.
        plugins: File or folder with more domains.
    """

    extractor: str = "lite0"
    size: Count = None
    resize: str = ""
    weights: str = ""
    device: str = "auto"
    batch_size: Count = None
    plugins: Plugins = field(default_factory=list)


DEFAULT_EXTRACTION = ExtractionOptions()


def comma_separated(text: str) -> list[str]:
    """Split `kid, fid` into its names."""
    return [name.strip() for name in text.split(",") if name.strip()]
