"""What the selftest finds, and what its looks are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.selftest.device import CheckedDevice

Outcome = Literal["passed", "failed", "skipped", "measured"]
"""`measured`: a number that is stated, and of which nothing is expected."""


class SelftestFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        look: The look that it belongs to (`timing`).
        name: What was looked at.
        outcome: How it ended.
        found: What was found; of something skipped the reason.
        expected: What was expected; empty where nothing was.
        values: Numbers behind it, units in their names.
    """

    look: str
    name: str
    outcome: Outcome
    found: str
    expected: str = ""
    values: dict[str, float] = {}


@dataclass(frozen=True)
class Bench:
    """What a look is given.

    Attributes:
        device: The device.
        quick: Whether to take the short way.
        folder: For its files.
        cache: The suite's cache folder.
    """

    device: CheckedDevice
    quick: bool
    folder: Path
    cache: Path


def judged(look: str, name: str, *, ok: bool, found: str, expected: str, **values: float) -> SelftestFinding:
    """Return a finding that passed or failed."""
    outcome: Outcome = "passed" if ok else "failed"
    return SelftestFinding(look=look, name=name, outcome=outcome, found=found, expected=expected, values=values)


def skipped(look: str, name: str, reason: str) -> SelftestFinding:
    """Return a finding of what cannot be checked here."""
    return SelftestFinding(look=look, name=name, outcome="skipped", found=reason)


def measured(look: str, name: str, found: str, **values: float) -> SelftestFinding:
    """Return a finding that states numbers."""
    return SelftestFinding(look=look, name=name, outcome="measured", found=found, values=values)
