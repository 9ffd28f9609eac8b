"""Variants: a method under a name of its own, with its own parameters.

    [variants.slow-finetune]
    method = "finetune"
    parameters = { lr_generator = 0.0002 }

They stand in a suite, or in a TOML file that is given like a plugin. Adapters (`command`, `checkpoint`, `diffusers`)
are used only so.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from graftbench.contracts import Family, Method
from graftbench.errors import GraftbenchError, unknown
from graftbench.plugins.config import read_table, read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = re.compile(r"[a-z0-9][a-z0-9._+-]*")
"""The form of a plugin's name."""


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A method under a name of its own.

    Attributes:
        method: The registered method.
        title: What tables and pages call it in words; by default the method's title.
        family: scratch, fine-tune, frozen, vae, style or submitted; by default the method's.
        parameters: Those that differ from the method's defaults.
        folder: Where relative paths among the parameters begin; the TOML file's folder, filled in when it is read.
    """

    method: str
    title: str = ""
    family: str = ""
    parameters: dict[str, Any] = {}
    folder: str = ""


def read_variants(path: Path) -> dict[str, Variant]:
    """Read the `[variants.NAME]` of a TOML file; a suite file may serve as one.

    Raises:
        GraftbenchError: It cannot be read, has no variants, or one of them is wrong.
    """
    raw = read_toml(path, "TOML file of variants")
    tables = raw.get("variants")
    if not isinstance(tables, dict) or not tables:
        keys = ", ".join(raw) or "nothing"
        suite = f" A suite is tried with `graftbench plan {path}`." if {"tasks", "methods"} <= raw.keys() else ""
        raise GraftbenchError(
            f"'{path}' declares no variants; a table is written [variants.NAME] with method = \"…\"; found {keys}."
            + suite
        )
    variants = {name: read_table(table, Variant, f"{path}, [variants.{name}]") for name, table in tables.items()}
    check_variants(variants, str(path))
    return placed(variants, path)


def placed(variants: Mapping[str, Variant], file: Path) -> dict[str, Variant]:
    """Return the variants of a file with its folder filled in."""
    folder = str(file.resolve().parent)
    return {
        name: variant if variant.folder else msgspec.structs.replace(variant, folder=folder)
        for name, variant in variants.items()
    }


def check_variants(variants: Mapping[str, Variant], where: str) -> None:
    """Refuse names and families that are none.

    Raises:
        GraftbenchError: It names what was found.
    """
    for name, variant in variants.items():
        if not NAME.fullmatch(name):
            raise GraftbenchError(
                f"{where}: a variant's name has lower-case letters, digits and . _ + -; found '{name}'."
            )
        families = [family for family in get_args(Family) if family != "reference"]
        if variant.family and variant.family not in families:
            raise unknown("family", variant.family, families, where=f"in [variants.{name}] of {where}")


def class_of(name: str, variant: Variant, base: type[Method]) -> type[Method]:
    """Make the variant as a class derived from its method.

    It counts as defined where its method is: `registry.file_of` finds the method's file.

    Raises:
        GraftbenchError: The method's rows are references (their meaning is fixed).
    """
    if base.family == "reference":
        raise GraftbenchError(f"'{base.name}' is a reference row; it has no variants: found [variants.{name}].")
    parameters = {key: seen_from(variant.folder, key, value, base) for key, value in variant.parameters.items()}
    attributes = {
        "__module__": base.__module__,
        "__doc__": base.__doc__,
        "name": name,
        "title": variant.title or base.title,
        "family": variant.family or base.family,
        "defaults": {**base.defaults, **parameters},
        "variant_of": base.variant_of or base.name,
        "adapter": False,
    }
    make: Any = type(base)  # ABCMeta, of which the type checker knows no instances
    return make(f"Variant_{re.sub(r'[^0-9a-z]', '_', name)}", (base,), attributes)


def seen_from(folder: str, name: str, value: Any, method: type[Method]) -> Any:  # noqa: ANN401 - as TOML has it
    """Return a parameter of a method; one that is a path or a place is seen from a folder."""
    if name in method.places:
        return placed_at(value, folder)
    return absolute(value, folder) if name in method.paths else value


def absolute(value: Any, folder: str = "") -> Any:  # noqa: ANN401 - a parameter as TOML has it
    """Return a path, or a list of paths, as absolute where something lies there; else as it is."""
    if isinstance(value, list):
        return [absolute(part, folder) for part in value]
    if not isinstance(value, str) or not value:
        return value
    path = Path(folder, value).expanduser()
    return str(path.resolve()) if path.exists() else value


def placed_at(value: Any, folder: str = "") -> Any:  # noqa: ANN401 - a parameter as TOML has it
    """Return a place as absolute where something lies there, else as it is.

    Links stay: a virtual environment's interpreter is one, and is another program when called by what it links to.
    """
    if not isinstance(value, str) or not value:
        return value
    path = Path(folder, value).expanduser()
    return os.path.abspath(path) if path.exists() else value  # noqa: PTH100 - `resolve` follows links
