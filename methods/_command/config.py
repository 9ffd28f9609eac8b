"""The parameters of the adapter `command`."""

from __future__ import annotations

from typing import Literal

import msgspec

from graftbench.errors import unknown

from .recorded import COMMANDS
from .template import Words, names_in, parsed


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to run.

    Attributes:
        train: The training command (`_command_words` says how commands are written).
        sample: The command that generates images; empty if the training does so itself.
        python: The interpreter behind `{python}`: that of another environment, or empty for this one. Its place is no
            part of a cell's identity.
        code: Files and folders that the commands need: their contents are part of a cell's identity, and they, and
            nothing else, are in the working directory. A folder alone is the working directory itself; of a list, each
            lies there under its last name.
        data: Whether the training images are PNG files in a folder, or a zip file in the layout of StyleGAN and EDM.
        source: Whether the source domain's training images are written too.
        env: Variables for the commands' environment; placeholders are filled in. Their names are recorded and part of
            a cell's identity, their values are neither, unless `record` lists them.
        record: Names of variables in `env` whose values stand in records, suite.toml and pages; and `train` or
            `sample`, where the command is to stand there as it is. Of one that is not listed the names of options and
            the placeholders stand there; its hash is part of a cell's identity all the same.
    """

    train: Words
    sample: Words = ""
    python: str = ""
    code: str | list[str] = []
    data: Literal["png", "zip"] = "png"
    source: bool = False
    env: dict[str, str] = {}
    record: list[str] = []

    def __post_init__(self) -> None:
        train, sample = parsed(self.train), parsed(self.sample)
        if not any(part.words and not part.optional for part in train):
            raise ValueError("train is empty; give the training command")
        placeholders = {name for part in (*train, *sample) for word in part.words for name in names_in(word)}
        placeholders |= {name for text in self.env.values() for name in names_in(text)}
        if "source" in placeholders and not self.source:
            raise ValueError("{source} is asked for; write source = true, so that the source domain's images are there")
        for name in self.env:
            if not name or "=" in name or "\0" in name:
                raise ValueError(f"env: '{name}' is no name of a variable")
        for name in self.record:
            if name not in self.env and name not in COMMANDS:
                raise ValueError(str(unknown("name", name, (*COMMANDS, *self.env), where="in record")))
