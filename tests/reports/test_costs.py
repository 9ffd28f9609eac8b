"""costs.md: each memory by its name, ratios in their units, and why what is missing is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.plugins.registry import reports
from graftbench.records.record import Record, Resources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.records.run import Run


def with_costs(made: Record, **costs: Any) -> Record:
    """The record with other costs."""
    fixed: dict[str, Any] = {"device": "A Board", "fit_seconds": 20.0, "images_seen": 4000}
    return msgspec.structs.replace(made, resources=Resources(**fixed | costs))


def test_the_tables(record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path) -> None:
    """Memory by four counts of which one is missing, a step of 12.5 ms, 8 % of the peak, 0.25 MB to be stored."""
    costs = {
        "peak_memory_mib": 300.0,
        "memory_kind": "device",
        "reserved_memory_mib": 400.0,
        "host_memory_mib": 900.0,
        "step_seconds_p50": 0.0125,
        "mfu": 0.08,
        "peak_flops_per_second": 5e12,
        "peak_flops_dtype": "bfloat16",
        "sampler_bytes": 4_000_000,
        "stored_bytes": 250_000,
        "unmeasured": {"device_memory_mib": "the driver does not list this process", "joules_per_image": "no counter"},
    }
    (path,) = reports()["costs"]().write(a_run([with_costs(record("lora", 25, 0), **costs)]), tmp_path)
    text = path.read_text("utf-8")
    assert "### Memory, MiB (device)" in text
    assert "| Method | n | fit: allocated or resident | fit: reserved | fit: host |" in text
    assert "| lora | 25 | 300 | 400 | 900 |" in text
    assert "12.5" in text
    assert "| 4 | 0.25" in text.replace("0.250", "0.25").replace("4.00", "4")
    assert "Missing (the driver does not list this process): Memory, MiB, fit: by the driver." in text
    assert "no counter" in text
    assert "Peak in bfloat16: lora." in text


def test_old_records_have_their_columns(
    record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path
) -> None:
    """Records from before these costs were kept show what they have, and say that the rest is not in them."""
    (path,) = reports()["costs"]().write(a_run([record("dcgan", 25, 0)]), tmp_path)
    text = path.read_text("utf-8")
    assert "fit: allocated or resident" in text
    assert "not in these records" in text


def test_without_costs_it_says_so(record: Callable[..., Record], a_run: Callable[..., Run], tmp_path: Path) -> None:
    """Without costs the file says that there are none."""
    made = msgspec.structs.replace(record("dcgan", 25, 0), resources=None)
    (path,) = reports()["costs"]().write(a_run([made]), tmp_path)
    assert "No cell of a method that ended well has costs." in path.read_text("utf-8")
