"""The types of options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from graftbench.bounds import LARGEST, MOST

Flag = Annotated[bool, Parameter(negative=())]
Texts = Annotated[list[str], Parameter(negative=())]
Plugins = Annotated[list[Path], Parameter(name="--plugin", negative=())]
Count = Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=MOST))]
Seed = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=LARGEST))]


def comma_separated(text: str) -> list[str]:
    """Split `kid, fid` into its names."""
    return [name.strip() for name in text.split(",") if name.strip()]
