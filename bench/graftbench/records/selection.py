"""Which cells of a run a text names: `a9e314f3`, or `task=twemoji->openmoji@32 budget<=100 method=dcgan,finetune`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError, unknown
from graftbench.records.provenance import HERE, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graftbench.records.record import Record

FIELDS: dict[str, Callable[[Record], Any]] = {
    "cell": lambda record: record.id,
    "method": lambda record: record.cell.method,
    "family": lambda record: record.cell.family,
    "task": lambda record: str(record.cell.task),
    "source": lambda record: record.cell.task.source,
    "target": lambda record: record.cell.task.target,
    "resolution": lambda record: record.cell.task.resolution,
    "budget": lambda record: record.cell.data_budget,
    "seed": lambda record: record.cell.seed,
    "status": lambda record: str(record.status),
    "protocol": lambda record: record.cell.protocol.label,
    "compute": lambda record: str(record.cell.compute_budget),
    "origin": lambda record: origin_of(record) or HERE,
}
"""Field -> its value. `cell` is the id, of which the first digits will do; `budget` is the number of target training
images; `origin` is suite, command or submitted."""

NUMBERS = ("resolution", "budget", "seed")

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}

# A task holds `->`, so an operator is the first that follows a word.
_CONDITION = re.compile(r"(?P<field>\w+)\s*(?P<operator><=|>=|!=|=|<|>)\s*(?P<value>\S+)")
_FIRST_DIGITS = re.compile(r"(?P<value>[0-9a-fA-F]+)(?=\s|$)")

SHOWN_MATCHES = 10


@dataclass(frozen=True)
class Condition:
    """A condition; all of a selection must hold.

    Attributes:
        field: A key of FIELDS.
        operator: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        values: What is compared with; several for `=` (one of them) and `!=` (none of them).
    """

    field: str
    operator: str
    values: tuple[Any, ...]

    def __call__(self, record: Record) -> bool:
        """Return whether a record fulfils it."""
        value = FIELDS[self.field](record)
        if self.operator in _ORDERS:
            return _ORDERS[self.operator](value, self.values[0])
        matches = value.startswith(self.values) if self.field == "cell" else value in self.values
        return matches == (self.operator == "=")


def parse(text: str) -> list[Condition]:
    """Parse conditions, with spaces (or the word `and`) between them.

    Each is FIELD OPERATOR VALUE, where `=` and `!=` take a,b,c, or the first digits of a cell's id.

    Raises:
        GraftbenchError: Another form, an unknown field (naming the nearest), a value that is no number where one is
            needed.
    """
    conditions = []
    rest = text.strip()
    while rest:
        match = _CONDITION.match(rest) or _FIRST_DIGITS.match(rest)
        if match is None:
            hint = f" A method is written method={rest}." if re.fullmatch(r"[a-z][\w-]*", rest) else ""
            raise GraftbenchError(
                f"A selection is written FIELD=VALUE, with =, !=, <, <=, > or >= "
                f"(task=twemoji->openmoji@32 budget<=100), or as the first digits of a cell's id; found '{rest}'.{hint}"
            )
        conditions.append(_condition(**{"field": "cell", "operator": "="} | match.groupdict()))
        rest = re.sub(r"^\s*(and\s+)?", "", rest[match.end() :])
    return conditions


def _condition(field: str, operator: str, value: str) -> Condition:
    if field not in FIELDS:
        raise unknown("field", field, FIELDS, where="in --select")
    if operator in _ORDERS and field not in NUMBERS:
        raise GraftbenchError(f"'{field}' has no order; use = or != in --select {field}{operator}{value}.")
    values = value.split(",") if operator in ("=", "!=") else [value]
    if field == "cell":
        values = [digits.lower() for digits in values if digits]
    if field in NUMBERS and not all(part.lstrip("-").isdecimal() for part in values):
        raise GraftbenchError(f"'{field}' is a whole number; found '{value}' in --select {field}{operator}{value}.")
    return Condition(field, operator, tuple(int(part) if field in NUMBERS else part for part in values))


def select(records: Iterable[Record], text: str) -> list[Record]:
    """Return the records that fulfil every condition, in their order.

    Raises:
        GraftbenchError: See `parse`; or none does, naming what there is of the first field that nothing fulfils.
    """
    chosen, conditions = list(records), parse(text)
    for condition in conditions:
        before = chosen
        chosen = [record for record in before if condition(record)]
        if before and not chosen:
            raise _unfulfilled(condition, before, text)
    return chosen


def find_cell(records: Sequence[Record], text: str) -> Record:
    """Return the only record that a selection names: by the first digits of its id, or by conditions.

    Raises:
        GraftbenchError: The selection names none, or several; the error lists them, or names the nearest id.
    """
    chosen = select(records, text) if text.strip() else []
    if not chosen:
        raise _unknown_id(text, records)
    if len(chosen) == 1:
        return chosen[0]
    listed = ", ".join(f"{record.id} ({record.cell})" for record in chosen[:SHOWN_MATCHES])
    more = f" and {len(chosen) - SHOWN_MATCHES:,} more" if len(chosen) > SHOWN_MATCHES else ""
    raise GraftbenchError(
        f"'{text}' names {len(chosen):,} cells: {listed}{more}. Give more digits of the id, or more conditions."
    )


def _unfulfilled(condition: Condition, records: Sequence[Record], text: str) -> GraftbenchError:
    """Return the error that says which values records have of a field that fulfils no condition."""
    values = ",".join(map(str, condition.values))
    if condition.field == "cell":
        return _unknown_id(values, records)
    present = sorted({FIELDS[condition.field](record) for record in records})
    return GraftbenchError(
        f"No cell fulfils '{condition.field}{condition.operator}{values}' of --select '{text}'; there are "
        f"{', '.join(map(str, present))}."
    )


def _unknown_id(text: str, records: Sequence[Record]) -> GraftbenchError:
    """Return the error that names the cell whose id is nearest to some digits."""
    by_id = {record.id: record for record in records}
    prefix = text.strip().lower()
    near = max(by_id, key=lambda cell_id: SequenceMatcher(None, prefix, cell_id[: len(prefix)]).ratio(), default="")
    hint = f" The nearest is {near} ({by_id[near].cell})." if near else ""
    return GraftbenchError(f"No cell's id begins with '{text}', of {len(by_id):,} cells with a record.{hint}")
