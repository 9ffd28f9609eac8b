"""The finding of a group in words: who beats the untransferred source, who leads, what is level, whether FID agrees.

Every verdict is the one paired test (`graftbench.comparison.paired`) with Holm's correction, as in the tables.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from graftbench.comparison.methods import compare

from .numbers import FID, KID, decimals, number
from .scores import column, ranked_rows
from .text import listing, plural
from .unbeaten import unbeaten

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.comparison.methods import Compared
    from graftbench.comparison.stats import SeedSummary

    from .groups import Group, Row

SOURCE, MEMORIZER, ORACLE = "source", "memorizer", "oracle"
"""Reference rows: the generator before the transfer, copies of the training images, other real images."""
NAMED = 4
"""Most methods that one clause names."""

FEWEST = 2
"""So many seeds tell next to nothing apart: who is level with whom is not listed then."""

Pieces = tuple[tuple[str, bool], ...]
"""(text, whether it is a method's name)."""


def finding(group: Group) -> Pieces:
    """Say what the group's records show at each data budget, after its conditions."""
    seeds = plural(len(group.seeds), "seed")
    conditions = f"{group.compute_budget} per fit, {seeds}, protocol {group.protocol.label}"
    pieces: list[tuple[str, bool]] = [(f"{group.task_title} ({conditions}): ", False)]
    if group.too_few:
        return (*pieces, (f"{group.too_few[0].lower()}{group.too_few[1:]}", False))
    found = [each for budget in group.method_budgets if (each := _at(group, budget))]
    if not found:
        return (*pieces, ("no method has a KID, so nothing is found.", False))
    for i, clauses in enumerate(found):
        pieces += [("; " if i else "", False), *clauses]
    return tuple(piece for piece in (*pieces, (".", False)) if piece[0])


def words(group: Group) -> str:
    """Return the finding as one text."""
    return "".join(text for text, _ in finding(group))


def _at(group: Group, budget: int) -> list[tuple[str, bool]]:
    """Return the clauses of one data budget; none where no method has a KID there."""
    rows = group.methods_at(budget)
    ranked = ranked_rows(rows)
    if not ranked:
        return []
    references = {row.method: row for row in group.references if row.data_budget == budget}
    clauses = [
        _against_source(ranked, references.get(SOURCE)),
        _lead(rows, ranked),
        _copies(ranked, references.get(MEMORIZER)),
        _unbeaten(group, ranked),
        _real(ranked, references.get(ORACLE)),
        _fid(ranked),
    ]
    pieces: list[tuple[str, bool]] = [(f"with {plural(budget, 'training image')} ", False)]
    for i, clause in enumerate(filter(None, clauses)):
        pieces += [(", " if i else "", False), *clause]
    return pieces


def _against_source(ranked: Sequence[tuple[Row, SeedSummary]], source: Row | None) -> list[tuple[str, bool]]:
    """Say who beats the generator before the transfer, and who scores better than it without that being settled."""
    compared, summary = _compared(ranked, source), None if source is None else source.summary(KID)
    if not compared or summary is None:
        return []
    if all(each.verdict not in ("better", "worse", "not settled") for each in compared):
        return [("nothing can be said against", False), _untransferred(), (" of one seed", False)]
    better, open_names = (_of(compared, verdict) for verdict in ("better", "not settled"))
    means = {row.label: score.mean for row, score in ranked}
    leaning = [name for name in open_names if means[name] < summary.mean]
    pieces: list[tuple[str, bool]] = []
    if better:
        pieces += [*_names(better), (" beat" + ("s" if len(better) == 1 else ""), False), _untransferred()]
    if leaning:
        score = f" (KID×10³ {number(summary.mean, decimals([summary.mean]))}; not settled)"
        verb = " scores better than" if len(leaning) == 1 else " score better than"
        pieces += [("; " if better else "", False), *_names(leaning), (verb, False), _untransferred(), (score, False)]
    return pieces or [("nothing beat", False), _untransferred()]


def _untransferred() -> tuple[str, bool]:
    return " the untransferred source", False


def _lead(rows: Sequence[Row], ranked: Sequence[tuple[Row, SeedSummary]]) -> list[tuple[str, bool]]:
    """Say who leads, who is level with that, or that one seed settles no order."""
    (first, best), *others = ranked
    kid = f"KID×10³ {number(best.mean, decimals([best.mean]))}"
    if not others:
        return [(first.label, True), (f" is the only method with a KID (×10³: {kid.removeprefix('KID×10³ ')})", False)]
    standings = column(rows, KID)
    tested = standings.budgets[first.data_budget].tested
    if not tested and all(summary.mean != best.mean for _, summary in others):
        return [(first.label, True), (f" comes first ({kid}), which one seed cannot settle", False)]
    level = [row.label for row, _ in ranked if row is not first and standings.standing(row).level]
    if not level:
        return [(first.label, True), (f" leads ({kid})", False)]
    if best.n == FEWEST:
        return [(first.label, True), (f" comes first ({kid}; not settled)", False)]
    return [(first.label, True), (f" comes first ({kid}), not told apart from ", False), *_names(level)]


def _copies(ranked: Sequence[tuple[Row, SeedSummary]], memorizer: Row | None) -> list[tuple[str, bool]]:
    """Say so where to replay the training images scores better than every method."""
    compared = _compared(ranked, memorizer)
    if compared and all(each.verdict == "worse" for each in compared):
        return [("copies of the training images (", False), (MEMORIZER, True), (") beat every method", False)]
    return []


def _unbeaten(group: Group, ranked: Sequence[tuple[Row, SeedSummary]]) -> list[tuple[str, bool]]:
    """Say who does not beat white images, or images of the source."""
    beaten_by = {row.label: names for row, _ in ranked if (names := unbeaten(group, row))}
    if not beaten_by:
        return []
    rows = listing(list(dict.fromkeys(name for names in beaten_by.values() for name in names)))
    return [*_names(list(beaten_by)), (f" do{'es' if len(beaten_by) == 1 else ''} not beat {rows}", False)]


def _real(ranked: Sequence[tuple[Row, SeedSummary]], oracle: Row | None) -> list[tuple[str, bool]]:
    """Say what real images score, and who is level with them."""
    summary = None if oracle is None else oracle.summary(KID)
    if summary is None:
        return []
    level = _of(_compared(ranked, oracle), "not settled") if summary.n > FEWEST else []
    score = f"real images (oracle) score {number(summary.mean, decimals([summary.mean]))}"
    return [(score, False), *([(", which ", False), *_names(level), _is_level(level)] if level else [])]


def _is_level(names: Sequence[str]) -> tuple[str, bool]:
    return f" {'is' if len(names) == 1 else 'are'} not told from", False


def _fid(ranked: Sequence[tuple[Row, SeedSummary]]) -> list[tuple[str, bool]]:
    """Say whether FID orders the methods as KID does."""
    means = {row.label: summary.mean for row, _ in ranked if (summary := row.summary(FID)) is not None}
    by_kid = [row.label for row, _ in ranked if row.label in means]
    by_fid = sorted(by_kid, key=lambda label: means[label])
    if len(by_kid) < 2:
        return []
    if by_fid == by_kid:
        return [("FID agrees on the order", False)]
    if by_fid[0] == by_kid[0]:
        return [("FID agrees on the first alone", False)]
    return [("FID disagrees: by it ", False), (by_fid[0], True), (" comes first", False)]


def _compared(ranked: Sequence[tuple[Row, SeedSummary]], reference: Row | None) -> list[Compared]:
    """Compare the ranked rows with a reference row; none where it has no KID."""
    base = {} if reference is None else reference.by_seed(KID)
    if not base:
        return []
    scores = {f"m{i}": row.by_seed(KID) for i, (row, _) in enumerate(ranked)}  # labels may be equal to the reference's
    labels = {f"m{i}": row.label for i, (row, _) in enumerate(ranked)}
    compared = compare(scores | {"": base}, "")
    return [replace(each, method=labels[each.method]) for each in compared]


def _of(compared: Iterable[Compared], verdict: str) -> list[str]:
    return [each.method for each in compared if each.verdict == verdict]


def _names(names: Sequence[str]) -> list[tuple[str, bool]]:
    """Return `a`, `a and b`, `a, b and c`, or the first few `and 3 others`."""
    shown = list(names[:NAMED])
    more = f"{len(names) - len(shown):,} other{'' if len(names) - len(shown) == 1 else 's'}"
    items = [(name, True) for name in shown] + ([(more, False)] if len(names) > len(shown) else [])
    pieces: list[tuple[str, bool]] = []
    for i, item in enumerate(items):
        pieces += [(" and " if i == len(items) - 1 else ", ", False)] if i else []
        pieces.append(item)
    return pieces
