"""Whether two runs were made on machines whose costs compare, and the unit that travels between machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graftbench.records.record import Record

HARDWARE = {
    "cpu.model": "processor",
    "cpu.cores_usable": "usable cores",
    "threads.intra_op": "threads of a cell",
    "device": "device",
    "gpu.name": "GPU",
}
"""Keys of a record's environment on which its costs depend, and what they are."""
SOFTWARE = (
    "python",
    "packages.torch",
    "packages.torchvision",
    "packages.numpy",
    "packages.timm",
    "graftbench",
    "commit",
)
"""Keys that a maintainer may have changed on purpose: told, not refused."""


def differences(base: Iterable[Record], new: Iterable[Record], keys: Iterable[str]) -> list[str]:
    """`processor: AMD EPYC → Intel Xeon` for each key whose values are not the same set on both sides."""
    old, late = list(base), list(new)
    told = []
    for key in keys:
        before, after = (sorted({_text(record.environment, key) for record in side}) for side in (old, late))
        if before != after:
            told.append(f"{HARDWARE.get(key, key)}: {', '.join(before)} → {', '.join(after)}")
    return told


def _text(environment: dict[str, Any], key: str) -> str:
    value: Any = environment
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    text = "not recorded" if value is None else str(value)
    return text[:8] if key == "commit" else text


def shared(records: Iterable[Record]) -> bool:
    """Whether a timing among them is an upper bound, as other processes used the machine."""
    return any(record.resources is not None and record.resources.timing_shared for record in records)


def calibration(record: Record) -> float | None:
    """Seconds of the calibration kernel beside the cell; None where it was not timed."""
    return None if record.resources is None else record.resources.calibration_seconds
