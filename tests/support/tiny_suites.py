"""Suites of a few quick cells as TOML, a run's listener, and waiting."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from graftbench.execution.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graftbench.records.record import Record


def suite_toml(
    *methods: str,
    name: str = "tiny",
    tasks: Sequence[str] = ("twemoji->openmoji@32",),
    images: int = 25,
    budget: str = "{ kimg = 0.064 }",
    seeds: Sequence[int] = (0,),
    top: str = "",
    more: str = "",
    **protocol: Any,
) -> str:
    """Write a suite in TOML that draws 40 samples and scores them by KID; `top` goes before its tables, `more` after.

    Images are resized to 32 px for the network of the scores, which takes a ninth of the usual time.

    Values are strings, whole numbers and lists of them: TOML spells these as JSON does. One that is None is left out.
    """
    fields = {"name": name, "tasks": tasks, "methods": methods, "data_budgets": [images], "seeds": seeds}
    settings = {"n_generated": 40, "metrics": ["kid"], "size": 32} | protocol
    return "\n".join((*_lines(fields), f"compute_budget = {budget}", top, "[protocol]", *_lines(settings), more, ""))


def _lines(fields: dict[str, Any]) -> list[str]:
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items() if value is not None]


class Heard(Silent):
    """Keeps what a run says, and the ids of the cells that ended."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.ends: list[str] = []

    def say(self, sentence: str) -> None:
        """Keep it."""
        self.sentences.append(sentence)

    def ended(self, record: Record, seconds: float) -> None:
        """Keep its id."""
        del seconds
        self.ends.append(record.id)


def until(done: Callable[[], object], what: str, seconds: float = 40) -> None:
    """Wait until a function says yes; fail where it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        time.sleep(0.05)
