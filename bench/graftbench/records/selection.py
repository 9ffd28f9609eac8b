"""Which cells of a run: `task=twemoji->openmoji@32 budget<=100 method=dcgan,finetune`."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError, unknown
from graftbench.records.provenance import HERE, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from graftbench.records.record import Record

FIELDS: dict[str, Callable[[Record], Any]] = {
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
"""What can be asked for; `budget` is the number of target training images, `origin` is suite, command or submitted."""

NUMBERS = ("resolution", "budget", "seed")

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}

# A task holds `->`, so an operator is the first that follows a word.
_CONDITION = re.compile(r"(?P<field>\w+)\s*(?P<operator><=|>=|!=|=|<|>)\s*(?P<value>\S+)")


@dataclass(frozen=True)
class Condition:
    """One of them; all of a selection must hold.

    Attributes:
        field: A key of FIELDS.
        operator: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        values: What is compared with; several for `=` (one of them) and `!=` (none of them).
    """

    field: str
    operator: str
    values: tuple[Any, ...]

    def __call__(self, record: Record) -> bool:
        """Whether a record fulfils it."""
        found = FIELDS[self.field](record)
        if self.operator in _ORDERS:
            return _ORDERS[self.operator](found, self.values[0])
        return (found in self.values) == (self.operator == "=")


def parse(text: str) -> list[Condition]:
    """Conditions with spaces (or the word `and`) between them, each FIELD OPERATOR VALUE; `=` and `!=` take a,b,c.

    Raises:
        GraftbenchError: Another form, an unknown field (naming the nearest), a value that is no number where one is
            needed.
    """
    conditions = []
    rest = text.strip()
    while rest:
        match = _CONDITION.match(rest)
        if match is None:
            raise GraftbenchError(
                f"A selection is written FIELD=VALUE, with =, !=, <, <=, > or >= "
                f"(task=twemoji->openmoji@32 budget<=100); found '{rest}'."
            )
        conditions.append(_condition(**match.groupdict()))
        rest = re.sub(r"^\s*(and\s+)?", "", rest[match.end() :])
    return conditions


def _condition(field: str, operator: str, value: str) -> Condition:
    if field not in FIELDS:
        raise unknown("field", field, FIELDS, where="in --select")
    if operator in _ORDERS and field not in NUMBERS:
        raise GraftbenchError(f"'{field}' has no order; use = or != in --select {field}{operator}{value}.")
    values = value.split(",") if operator in ("=", "!=") else [value]
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
            there = sorted({FIELDS[condition.field](record) for record in before})
            raise GraftbenchError(
                f"No cell fulfils '{condition.field}{condition.operator}{','.join(map(str, condition.values))}' of "
                f"--select '{text}'; there are {', '.join(map(str, there))}."
            )
    return chosen
