"""Protocols of records: numbers of two protocols do not compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import content_hash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graftbench.records.cell_spec import Protocol
    from graftbench.records.record import Record


def scoring_fields(protocol: Protocol) -> dict[str, Any]:
    """Return the protocol without what changes no number of the first extractor.

    That is: metrics, a second extractor, the place of the weights, and softening by 0.
    """
    fields = msgspec.to_builtins(protocol)
    nothing = {name for name in ("blur", "dither") if not fields.get(name)}
    return {name: value for name, value in fields.items() if name not in {"metrics", "weights", "second"} | nothing}


def check_one_protocol(records: Iterable[Record]) -> None:
    """Refuse records of several protocols, and say in what these differ.

    Raises:
        GraftbenchError: There is more than one.
    """
    protocols: dict[str, list[Protocol]] = {}
    for record in records:
        protocols.setdefault(content_hash(scoring_fields(record.cell.protocol)), []).append(record.cell.protocol)
    if len(protocols) < 2:
        return
    fields = [scoring_fields(cells[-1]) for cells in protocols.values()]
    names = dict.fromkeys(name for protocol in fields for name in protocol)
    differing = [name for name in names if len({str(protocol.get(name)) for protocol in fields}) > 1]
    shown = [{name: _short(protocol.get(name, "not set")) for name in differing} for protocol in fields]
    named = [
        f"{cells[-1].label} ({', '.join(f'{name} {value}' for name, value in values.items())}; {len(cells)} cells)"
        for cells, values in zip(protocols.values(), shown, strict=True)
    ]
    raise GraftbenchError(
        f"The records are of {len(protocols)} protocols, whose numbers do not compare: {', '.join(named)}. "
        "Give runs of one protocol."
    )


def _short(value: object) -> str:
    """Return a value as text, a SHA-256 cut to 12 digits."""
    return str(value)[:12] if isinstance(value, str) and len(value) == 64 else str(value)
