"""Decide whether the costs of two runs' machines compare, and find the unit in which times of different machines do."""

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
ABSENT = "not recorded"
SOFTWARE = (
    "python",
    "packages.torch",
    "packages.torchvision",
    "packages.numpy",
    "packages.timm",
    "graftbench",
    "commit",
)
"""Keys that a maintainer may have changed on purpose: they are reported, not refused."""

ARITHMETIC = {
    "cpu.model": "processor",
    "cpu.capability": "instruction set",
    "variables.ATEN_CPU_CAPABILITY": "ATEN_CPU_CAPABILITY",
    "variables.MKL_CBWR": "MKL_CBWR",
    "variables.ONEDNN_MAX_CPU_ISA": "ONEDNN_MAX_CPU_ISA",
    "threads.intra_op": "threads of a cell",
}
"""Keys of a record's environment on which the last digits of sums depend, and with them what a training comes to."""


def arithmetic_note(base: Iterable[Record], new: Iterable[Record]) -> str:
    """Say that scores of trained cells may differ by the machines alone; empty where these are alike as recorded.

    A key that only one side has recorded (an older version's) is no difference, but a variable that is not set is.
    """
    sides = list(base), list(new)
    keys = [
        key
        for key in ARITHMETIC
        if key.startswith("variables.")
        or all(any(_text(record.environment, key) != ABSENT for record in side) for side in sides)
    ]
    changes = differences(*sides, keys)
    if not changes:
        return ""
    trained = f"Arithmetic differs ({'; '.join(changes)}): equal samples score the same"
    if all(record.cell.protocol.portable for side in sides for record in side):
        return f'{trained}, and cells under determinism = "portable" are made not to depend on it.'
    return (
        f"{trained}, but a training of one seed comes to other samples (KID 4 to 14 % was seen). "
        'determinism = "portable" in the suite\'s [protocol] avoids that (docs/protocols.md).'
    )


def differences(base: Iterable[Record], new: Iterable[Record], keys: Iterable[str]) -> list[str]:
    """Return `processor: AMD EPYC → Intel Xeon` for each key whose values are not the same set on both sides."""
    old, late = list(base), list(new)
    changes = []
    for key in keys:
        before, after = (sorted({_text(record.environment, key) for record in side}) for side in (old, late))
        if before != after:
            changes.append(f"{(HARDWARE | ARITHMETIC).get(key, key)}: {', '.join(before)} → {', '.join(after)}")
    return changes


def recorded(environment: dict[str, Any], key: str) -> Any:  # noqa: ANN401 - as JSON has it
    """Return the value of a dotted key of an environment, `gpu.name`; None where it was not recorded."""
    value: Any = environment
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _text(environment: dict[str, Any], key: str) -> str:
    value = recorded(environment, key)
    if key.startswith("variables.") and value is None:
        return "not set"
    text = ABSENT if value is None else str(value)
    return text[:8] if key == "commit" else text


def shared(records: Iterable[Record]) -> bool:
    """Return whether a timing among them is an upper bound, as other processes used the machine."""
    return any(record.resources is not None and record.resources.timing_shared for record in records)


def calibration(record: Record) -> float | None:
    """Return the seconds of the calibration kernel beside the cell; None where it was not timed."""
    return None if record.resources is None else record.resources.calibration_seconds
