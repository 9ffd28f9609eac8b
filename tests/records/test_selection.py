"""Selections of cells: every operator, and what is said of wrong ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from made_cells import EMOJI_RECORDS

from graftbench.errors import GraftbenchError
from graftbench.records import store
from graftbench.records.selection import parse, select

if TYPE_CHECKING:
    from graftbench.records.record import Record


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """A run of nine methods, 25 and 400 images, seeds 0 and 1."""
    return store.read(EMOJI_RECORDS)[0]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 36),
        ("method=dcgan", 4),
        ("method=dcgan,finetune", 8),
        ("method!=dcgan,finetune", 28),
        ("budget<=25", 18),
        ("budget<25", 0),
        ("budget>=25 and seed=1", 18),
        ("budget>25 seed!=1", 9),
        ("task=twemoji->openmoji@32 family=reference status=ok", 16),
        ("source = twemoji  target = openmoji  resolution = 32", 36),
        ("protocol=lite0@96", 36),
    ],
)
def test_what_is_selected(records: list[Record], text: str, count: int) -> None:
    """All conditions must hold; nothing asked for is everything; nothing left is an error."""
    if count:
        assert len(select(records, text)) == count
    else:
        with pytest.raises(GraftbenchError, match=r"No cell fulfils 'budget<25'.*there are 25, 400"):
            select(records, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("methud=dcgan", "Unknown field 'methud' in --select. Did you mean 'method'"),
        ("dcgan", "A selection is written FIELD=VALUE.*found 'dcgan'"),
        ("method=dcgan finetune", "found 'finetune'"),
        ("method<dcgan", "'method' has no order"),
        ("budget=many", "'budget' is a whole number; found 'many'"),
    ],
)
def test_wrong_selections_are_named(text: str, sentence: str) -> None:
    """What was found, what was expected, the nearest name."""
    with pytest.raises(GraftbenchError, match=sentence):
        parse(text)


def test_a_method_that_is_not_there_names_those_that_are(records: list[Record]) -> None:
    """Nothing is reported silently about nothing."""
    with pytest.raises(GraftbenchError, match=r"No cell fulfils 'method=dcgna'.*there are dcgan, finetune"):
        select(records, "method=dcgna")


@pytest.mark.parametrize(
    ("text", "count"), [("{}", 1), ("cell={}", 1), ("method=finetune and {}", 1), ("cell!={}", 35)]
)
def test_a_cell_is_selected_by_the_first_digits_of_its_id(records: list[Record], text: str, count: int) -> None:
    """Alone or beside conditions; case does not matter."""
    record = next(record for record in records if record.cell.method == "finetune")
    selected = select(records, text.format(record.id[:8].upper()))
    assert len(selected) == count
    assert (record in selected) is (count == 1)


def test_an_unknown_id_names_the_nearest(records: list[Record]) -> None:
    """As `graftbench show` does."""
    with pytest.raises(GraftbenchError, match=r"No cell's id begins with 'ffffffffffffffff'.*nearest is"):
        select(records, "f" * 16)
