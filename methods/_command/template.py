"""Commands with placeholders: `{python} train.py --data {data} [--seconds {seconds}]`.

A command is split into words as a POSIX shell does before anything is filled in, so that a path with spaces stays
one word; no shell runs. `{{` and `}}` are braces. A part in square brackets that holds a placeholder of a budget is
left out where the suite's budget is another one; other brackets are what they are.
"""

from __future__ import annotations

import re
import shlex
from string import Formatter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from graftbench.errors import GraftbenchError, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Words: TypeAlias = str | list[str | list[str]]
"""A command as TOML has it: a text, or a list of words, in which a list is what stands in brackets in a text."""

BUDGET = ("kimg", "images_shown", "seconds")
"""Placeholders that have a value under one kind of compute budget alone."""

PLACEHOLDERS = {
    "data": "the training images: a folder of PNG files, or a zip file",
    "source": "the source domain's training images, likewise; with `source = true`",
    "out": "folder for the model and whatever else is to be kept",
    "samples": "folder for the generated images",
    "n": "number of images to generate",
    "resolution": "side of the images in pixels",
    "images": "number of training images (the data budget)",
    "kimg": "the compute budget in thousands of images shown",
    "images_shown": "the same in images",
    "seconds": "the compute budget in seconds",
    "seed": "a whole number below 2³¹",
    "device": "`cpu` or `cuda`",
    "threads": "how many threads to use",
    "python": "the interpreter",
    "code": "the folder with the files of `code`, which is the working directory",
}
"""Name -> what it stands for."""

_OPTIONAL = re.compile(rf"(\[[^\[\]]*(?<!\{{)\{{(?:{'|'.join(BUDGET)})\}}(?!\}})[^\[\]]*\])")


class Part(NamedTuple):
    """Words that stand or are left out together."""

    words: list[str]
    optional: bool


def parsed(command: Words) -> list[Part]:
    """Split a command into its parts.

    Raises:
        ValueError: A quote that is not closed, a brace that is none, an unknown placeholder.
    """
    parts = list(_parts(command))
    for part in parts:
        for word in part.words:
            names_in(word)
    return parts


def _parts(command: Words) -> Iterator[Part]:
    if isinstance(command, str):
        for text in _OPTIONAL.split(command):
            optional = bool(_OPTIONAL.fullmatch(text))
            yield Part(_split(text[1:-1] if optional else text), optional)
    else:
        for word in command:
            yield Part(word, optional=True) if isinstance(word, list) else Part([word], optional=False)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ValueError(f"'{text.strip()}' cannot be split into words ({error})") from error


def names_in(text: str) -> list[str]:
    """Return the names of the placeholders in a text.

    Raises:
        ValueError: A brace that is none, or an unknown placeholder.
    """
    return [name for _, name in _pieces(text) if name]


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield pairs of a literal text and the placeholder behind it (empty for none)."""
    braces = "braces that are no placeholder are written {{ and }}"
    try:
        pieces = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"'{text}': {error}; {braces}") from error
    for literal, name, form, conversion in pieces:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            whole = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise ValueError(f"{unknown('placeholder', whole, PLACEHOLDERS, where=f'in {text!r}')} ({braces})")
        yield literal, name or ""


def filled(parts: list[Part], values: Mapping[str, str | None]) -> list[str]:
    """Return the words of a command with all placeholders filled in.

    Args:
        parts: The command.
        values: Placeholder -> its text; None where it has none here.

    Raises:
        GraftbenchError: A placeholder without a value, outside brackets.
    """
    shown = [part for part in parts if not (part.optional and any(missing(word, values) for word in part.words))]
    return [fill(word, values) for part in shown for word in part.words]


def lacks(part: Part, values: Mapping[str, str | None]) -> list[str]:
    """Return the placeholders without a value that a part needs; an optional part needs none, for it is left out."""
    return [] if part.optional else [name for word in part.words for name in missing(word, values)]


def missing(text: str, values: Mapping[str, str | None]) -> list[str]:
    """Return the placeholders of a text that have no value."""
    return [name for name in names_in(text) if values.get(name) is None]


def fill(text: str, values: Mapping[str, str | None]) -> str:
    """Fill the values of its placeholders into a text.

    Raises:
        GraftbenchError: One has none.
    """
    found = []
    for literal, name in _pieces(text):
        value = values.get(name) if name else ""
        if value is None:
            raise GraftbenchError(f"The placeholder {{{name}}} in '{text}' has no value here.")
        found.append(literal + value)
    return "".join(found)
