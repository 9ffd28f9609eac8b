"""What of the parameters of `command` stands in records: names, and the values that the user lists in `record`.

A cell's id covers a command as a whole by its SHA-256. What is read back from a record or a run's suite.toml has that
hash beside what was cut, and so belongs to the same cells; run again it cannot be.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from .template import parsed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .template import Words

COMMANDS = ("train", "sample")
CUT = "…"
"""Stands where a value was left out."""

_MARK = re.compile(r"#sha256:([0-9a-f]{64})")
_PLACEHOLDER = r"\{\w+\}(?:/[\w.-]+)*"
_PLAIN = re.compile(rf"{_PLACEHOLDER}|--[A-Za-z][\w-]*|-[A-Za-z]|(?:[\w-]+/)*[\w-]+\.(?:py|sh)")
"""Words that are kept: a placeholder with a path below it, the name of an option, a script at a relative path."""


def recorded(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are given, without values that are not listed in `record`."""
    listed = set(parameters.get("record", ()))
    public = dict(parameters)
    if "env" in public:
        public["env"] = {name: value if name in listed else CUT for name, value in public["env"].items()}
    for what in COMMANDS:
        if public.get(what) and what not in listed and not sha256_in(public[what]):
            public[what] = _cut(public[what])
    return public


def digests(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return command -> SHA-256 of the whole of it, for those whose text is not recorded."""
    listed = set(parameters.get("record", ()))
    commands = {what: parameters[what] for what in COMMANDS if parameters.get(what) and what not in listed}
    return {what: sha256_in(command) or _sha256(command) for what, command in commands.items()}


def sha256_in(command: Words) -> str:
    """Return the hash in a command that was cut; empty for one that is whole."""
    last = command[-1] if command else ""
    mark = _MARK.fullmatch(last) if isinstance(last, str) else None
    return mark[1] if mark and not isinstance(command, str) else ""


def _sha256(command: Words) -> str:
    return hashlib.sha256(msgspec.json.encode(command)).hexdigest()


def _cut(command: Words) -> list[str | list[str]]:
    words: list[str | list[str]] = []
    for part in parsed(command):
        kept = [_word(word) for word in part.words]
        if not words and kept[:1] == [CUT]:  # the program, without where it lies
            kept[0] = part.words[0].rpartition("/")[2] or CUT
        words += [kept] if part.optional else kept
    return [*words, f"#sha256:{_sha256(command)}"]


def _word(word: str) -> str:
    name, equals, value = word.partition("=")
    if equals and _PLAIN.fullmatch(name):
        return f"{name}={value if re.fullmatch(_PLACEHOLDER, value) else CUT}"
    return word if _PLAIN.fullmatch(word) else CUT
