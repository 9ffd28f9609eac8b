"""The finding in at most two sentences: who comes first, whether that beats doing nothing, and how sure it is.

Every verdict is the one paired test (`graftbench.comparison.paired`) with Holm's correction, as in the tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graftbench.comparison.methods import compare
from graftbench.comparison.nothing_learnt import BLANK, SOURCE, SOURCE_IMAGES
from graftbench.records.record import Status

from .near_copies import note_on_copies, share_of_copies
from .numbers import FID, KID, decimals, number
from .scores import column, ranked_rows
from .second import by_second, in_words, name_of
from .text import listing, plural
from .unbeaten import unbeaten

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from graftbench.comparison.methods import Compared
    from graftbench.comparison.stats import SeedSummary
    from graftbench.metrics.catalogue import Metric

    from .groups import Group, Row

MEMORIZER, ORACLE = "memorizer", "oracle"
"""Reference rows: the generator before the transfer, copies of the training images, other real images."""
NAMED = 4
"""Most methods that one clause names."""

FEWEST = 2
"""So many seeds tell next to nothing apart: who is level with whom is not listed then."""

_LEARNT_NOTHING = {BLANK: "white images", SOURCE_IMAGES: "untouched images of the source"}
"""Method of a reference row -> what its images are."""
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

Pieces = tuple[tuple[str, bool], ...]
"""(text, whether it is a method's name)."""
_Clause = list[tuple[str, bool]]
_Ranked = list[tuple["Row", "SeedSummary"]]


def finding(group: Group) -> Pieces:
    """Say what the group's records show at each data budget, after the task."""
    pieces: _Clause = [(f"{group.task_title}. ", False)]
    if group.too_few:
        return (*pieces, (group.too_few, False))
    for i, budget in enumerate(group.method_budgets):
        pieces.append((f"{' ' if i else ''}With {plural(budget, 'training image')}: ", False))
        for j, sentence in enumerate(verdict(group, budget)):
            pieces += [(" ", False)] if j else []
            pieces += sentence
    return tuple(pieces)


def words(group: Group) -> str:
    """Return the finding as one text."""
    return "".join(text for text, _ in finding(group))


def verdict(group: Group, budget: int) -> tuple[Pieces, ...]:
    """Say in one or two sentences what the records show at one data budget.

    The first says who comes first and who beats the generator before the transfer; the second how sure that is, what
    real images and copies score, who copies, and whether FID and a second extractor agree.
    """
    if group.too_few:
        return (((group.too_few, False),),)
    rows = group.methods_at(budget)
    ranked = ranked_rows(rows)
    if not ranked:
        return (((_no_score(rows), False),),)
    references = {row.method: row for row in group.references if row.data_budget == budget}
    source = references.get(SOURCE)
    in_order = {id(row) for row, _ in ranked}
    lost = [row.label for row in rows if row.competes_by(KID) and row.summary(KID) and id(row) not in in_order]
    elsewhere = [each for each in ranked if each[0].is_transfer and group.own_source(each[0]) is not source]
    nothing_learnt = [row.label for row, _ in ranked if _LEARNT_NOTHING.keys() & set(unbeaten(group, row))]
    against = _against(ranked, source, nothing_learnt)
    lead, lead_is_open = _lead(rows, ranked)
    first = [
        lead,
        _over_source(ranked, against, source, all_compared=not (lost or elsewhere)),
        *_elsewhere(group, elsewhere),
    ]
    second = [
        _certainty(
            budget,
            ranked[0][1].n,
            {
                "who comes first": lead_is_open,
                "who beats the generator before the transfer": None if against is None else against.is_open,
            },
        ),
        _scale(ranked, references.get(ORACLE), references.get(MEMORIZER)),
        _copies(ranked),
        _fid(ranked),
        _second(group, budget, source, against),
        _without_score(rows),
        _lost(lost),
    ]
    sentences = [_joined(first, "; ", _unbeaten(group, ranked, against)), _joined(second, "; ", [])]
    return tuple(tuple(sentence) for sentence in sentences if sentence)


def _joined(clauses: Sequence[_Clause], between: str, last: _Clause) -> _Clause:
    """Join the clauses that are there to a sentence; `last` follows with no mark of its own before it."""
    pieces: _Clause = []
    for clause in filter(None, clauses):
        pieces += [(between, False)] if pieces else []
        pieces += clause
    if not pieces:
        return []
    text, is_name = pieces[0]
    begun = (text, True) if is_name else (text[:1].upper() + text[1:], False)
    return [begun, *pieces[1:], *last, (".", False)]


def _no_score(rows: Sequence[Row]) -> str:
    """Say that no method has a score, and how many trainings failed."""
    records = [record for row in rows for record in row.records]
    failed = sum(record.status != Status.OK for record in records)
    if failed:
        return f"No method has a score: {failed:,} of {plural(len(records), 'training')} failed."
    return "No method has a score that can be ranked."


# ------------------------------------------------------------------------------------------------- the first sentence


def _lead(rows: Sequence[Row], ranked: _Ranked) -> tuple[_Clause, bool | None]:
    """Say who comes first and who second; return also whether that is left open, None of one method alone."""
    (first, best), *others = ranked
    score = f"a distance to real images (KID×10³, lower is better) of {_score(best)}"
    if not others:
        return [(first.label, True), (f" is the only method with a score, {score}", False)], None
    standings = column(rows, KID)
    tied = [row.label for row, summary in others if summary.mean == best.mean]
    tested = standings.budgets[first.data_budget].tested
    level = [row.label for row, _ in others if standings.standing(row).level]
    is_open = bool(level) or bool(tied) or not tested
    verb = " comes first with " if is_open else " leads with "
    pieces: _Clause = [(first.label, True), (f"{verb}{score}", False)]
    if tied:
        return [*pieces, (", level with ", False), *_names(tied)], is_open
    if level and best.n > FEWEST:
        return [*pieces, (", not told apart from ", False), *_names(level)], is_open
    second, runner_up = others[0]
    return [*pieces, (", ahead of ", False), (second.label, True), (f" ({_score(runner_up)})", False)], is_open


@dataclass(frozen=True)
class _Against:
    """Comparison of the ranked methods with the generator before the transfer.

    Attributes:
        ahead: Those whose mean is lower, as far as that is settled or open.
        failed: Those that are not ahead, where several others are; `it alone` says it by itself.
        is_open: Whether any difference that is told is not settled.
    """

    ahead: tuple[str, ...]
    failed: tuple[str, ...]
    is_open: bool


def _against(
    ranked: _Ranked, source: Row | None, nothing_learnt: Collection[str] = (), kid: Metric = KID
) -> _Against | None:
    """Compare the ranked methods with the generator before the transfer; None where it has no score.

    Those that started from another source model are left out: it says nothing on them. Of `nothing_learnt`, who do not
    beat white images, a clause of their own says so.
    """
    ranked = [each for each in ranked if source is None or not each[0].started_elsewhere(source)]
    compared, summary = _compared(ranked, source, kid), None if source is None else source.summary(kid)
    if not compared or summary is None:
        return None
    means = {row.label: score.mean for row, score in ranked}
    ahead = [each for each in compared if each.verdict != "worse" and means[each.method] < summary.mean]
    failed = (
        [each for each in compared if each not in ahead and each.method not in nothing_learnt] if len(ahead) > 1 else []
    )
    named = [*ahead, *failed] or compared
    return _Against(
        tuple(each.method for each in ahead),
        tuple(each.method for each in failed),
        any(each.verdict not in ("better", "worse") for each in named),
    )


def _over_source(ranked: _Ranked, against: _Against | None, source: Row | None, *, all_compared: bool) -> _Clause:
    """Say who scores better than the generator before the transfer, and who does not.

    Where not all methods are compared with it, neither "nothing" nor "it alone" is said.
    """
    summary = None if source is None else source.summary(KID)
    if against is None or summary is None:
        return []
    before = f"the generator before the transfer ({_score(summary)})"
    ahead, everyone = against.ahead, tuple(row.label for row, _ in ranked)
    alone = len(ahead) < FEWEST
    verb = ("scores" if alone else "score") + " better than" if against.is_open else "beats" if alone else "beat"
    if not ahead:
        who: _Clause = [("nothing" if all_compared else "none of those compared", False)]
    elif alone and not all_compared:
        who = _names(ahead)
    elif alone:
        first = ("it" if len(everyone) == 1 else "it alone", False)
        who = [first] if ahead == everyone[:1] else [("only ", False), *_names(ahead)]
    elif ahead == everyone[:FEWEST]:
        who = [("both", False)]
    elif ahead == everyone:
        who = [(f"all {_count(len(ahead))} methods", False)]
    else:
        who = _names(ahead)
    failed: _Clause = []
    if against.failed:
        failed = [(", but ", False), *_names(against.failed), (f" {_do(against.failed)} not", False)]
    return [*who, (f" {verb} {before}", False), *failed]


def _elsewhere(group: Group, elsewhere: _Ranked) -> list[_Clause]:
    """Say whether those that started from another source model than `source` beat theirs, as far as it has a row."""
    without: list[str] = []
    starts_by_verbs: dict[tuple[str, str], dict[str, str]] = {}
    for row, summary in elsewhere:
        own = group.own_source(row)
        start = None if own is None else own.summary(KID)
        if own is None or start is None:
            without.append(row.label)
            continue
        settled = [each.verdict for each in _compared([(row, summary)], own)] == ["better"]
        verbs = ("beats", "beat") if settled else ("scores better than", "score better than")
        verbs = verbs if summary.mean < start.mean else ("does not beat", "do not beat")
        starts_by_verbs.setdefault(verbs, {})[row.label] = f"{own.label} ({_score(start)})"
    clauses: list[_Clause] = []
    for (verb, verb_of_several), starts in starts_by_verbs.items():
        alone = len(starts) == 1
        their = f" {verb} its own start, " if alone else f" {verb_of_several} their own start, "
        clauses.append([*_names(list(starts)), (their + listing(list(dict.fromkeys(starts.values()))), False)])
    if without:
        verb = "starts" if len(without) == 1 else "start"
        clauses.append([*_names(without), (f" {verb} from another source model, which has no row", False)])
    return clauses


def _unbeaten(group: Group, ranked: _Ranked, against: _Against | None) -> _Clause:
    """Say who does not beat white images, or images of the source."""
    beaten_by = {
        row.label: names
        for row, _ in ranked
        if (names := [name for name in unbeaten(group, row) if name in _LEARNT_NOTHING])
    }
    if not beaten_by:
        return []
    unbeaten_rows = dict.fromkeys(name for names in beaten_by.values() for name in names)
    rows = listing([_LEARNT_NOTHING[name] for name in unbeaten_rows])
    start = ", and " if against is not None and against.failed else ", but "
    return [(start, False), *_names(list(beaten_by)), (f" {_do(beaten_by)} not beat {rows}", False)]


# ------------------------------------------------------------------------------------------------ the second sentence


def _certainty(budget: int, seeds: int, told: Mapping[str, bool | None]) -> _Clause:
    """Say whether the trainings of each method settle what the first sentence says.

    What they leave open those of all numbers of images together may settle (`overall`): it says of which it speaks.

    Args:
        budget: Number of training images.
        seeds: Of each method.
        told: What is said -> whether it is open; None where nothing is said of it.
    """
    open_ones = [what for what, is_open in told.items() if is_open]
    if all(is_open is None for is_open in told.values()):
        return []
    times = f"{_count(seeds)} training{'' if seeds == 1 else 's'}"
    settle, do = ("settles", "does") if seeds == 1 else ("settle", "do")
    if not open_ones:
        return [(f"{times} of each method {settle} this", False)]
    here = f"with {plural(budget, 'image')} alone, {times} of each method"
    if len(open_ones) == 1:
        return [(f"{here} {do} not settle {open_ones[0]}", False)]
    return [(f"{here} {settle} neither {' nor '.join(open_ones)}", False)]


def _scale(ranked: _Ranked, oracle: Row | None, memorizer: Row | None) -> _Clause:
    """Say what copies of the training images and real images score, and who is level with the latter."""
    copies, real = (None if row is None else row.summary(KID) for row in (memorizer, oracle))
    pieces: _Clause = []
    if copies is not None:
        wins = ", better than every method" if copies.mean < ranked[0][1].mean else ""
        pieces.append((f"copies of the training images score {_score(copies)}{wins}", False))
    if real is not None:
        level = _of(_compared(ranked, oracle), "not settled") if real.n > FEWEST else []
        pieces.append((f"{', ' if pieces else ''}other real images {'' if pieces else 'score '}{_score(real)}", False))
        if level:
            verb = "is" if len(level) == 1 else "are"
            pieces += [(", which ", False), *_names(level), (f" {verb} not told from", False)]
    return pieces


def _copies(ranked: _Ranked) -> _Clause:
    """Say which share of whose images are near copies of the training images, which no score of quality minds."""
    rows = [row for row, _ in ranked if note_on_copies(row)]
    unknown = [row.label for row in rows if share_of_copies(row) is None]
    whose: list[_Clause] = [[("the images of ", False), *_names(unknown)]] if unknown else []
    for row in rows:
        if (share := share_of_copies(row)) is not None:
            start = "up to " if len(row.ok) > 1 else ""
            whose.append([(f"{start}{100 * share:.0f} % of the images of ", False), (row.label, True)])
    pieces: _Clause = []
    for i, clause in enumerate(whose):
        pieces += [(" and " if i == len(whose) - 1 else ", ", False)] if i else []
        pieces += clause
    return [*pieces, (" are near copies of training images", False)] if pieces else []


def _fid(ranked: _Ranked) -> _Clause:
    """Say whether FID orders the methods as KID does."""
    means = {row.label: summary.mean for row, _ in ranked if (summary := row.summary(FID)) is not None}
    by_kid = [row.label for row, _ in ranked if row.label in means]
    by_fid = sorted(by_kid, key=lambda label: means[label])
    if len(by_kid) < 2:
        return []
    if by_fid == by_kid:
        return [("FID, another distance, gives the same order", False)]
    if by_fid[0] == by_kid[0]:
        return [("FID, another distance, agrees on the first alone", False)]
    return [("FID, another distance, puts ", False), (by_fid[0], True), (" first", False)]


def _second(group: Group, budget: int, source: Row | None, against: _Against | None) -> _Clause:
    """Say whether a second extractor orders the methods as the first does, and who does not beat the source by it."""
    words_of_it = in_words(group, budget)
    order: _Clause = [(words_of_it, False)] if words_of_it else []
    kid = by_second(group, KID)
    if kid is None or against is None:
        return order
    ranked = ranked_rows(group.methods_at(budget), kid)
    by_it, summary = _against(ranked, source, kid=kid), None if source is None else source.summary(kid)
    if by_it is None or summary is None:
        return order
    labels = {row.label for row, _ in ranked} - {*by_it.ahead}
    behind = [label for label in against.ahead if label in labels]
    if not behind:
        return order
    start = f"{words_of_it}, but by it " if words_of_it else f"by {name_of(group)}, "
    before = f"the generator before the transfer ({_score(summary)})"
    return [(start, False), *_names(behind), (f" {_do(behind)} not score better than {before}", False)]


def _without_score(rows: Sequence[Row]) -> _Clause:
    """Name the methods that have no score, and say how many of their trainings failed."""
    absent = [row for row in rows if row.summary(KID) is None]
    if not absent:
        return []
    records = [record for row in absent for record in row.records]
    failed = sum(record.status != Status.OK for record in records)
    of_them = f" ({failed:,} of {plural(len(records), 'training')} failed)" if failed else ""
    verb = "has" if len(absent) == 1 else "have"
    return [*_names([row.label for row in absent]), (f" {verb} no score{of_them}", False)]


def _lost(names: Sequence[str]) -> _Clause:
    """Name the methods that have a score of too few seeds to stand beside the others."""
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [*_names(names), (f" {verb} not compared, for want of seeds", False)]


# ---------------------------------------------------------------------------------------------------------- the parts


def _score(summary: SeedSummary) -> str:
    """Print a KID×10³ in about three digits, at most two decimals."""
    return number(summary.mean, min(2, decimals([summary.mean])))


def _count(number_of_things: int) -> str:
    """Write a count as a word up to ten."""
    return _COUNTS[number_of_things] if number_of_things < len(_COUNTS) else f"{number_of_things:,}"


def _do(names: Collection[str]) -> str:
    """Return the verb of so many names."""
    return "does" if len(names) == 1 else "do"


def _compared(ranked: _Ranked, reference: Row | None, kid: Metric = KID) -> list[Compared]:
    """Compare the ranked rows with a reference row; none where it has no KID."""
    base = {} if reference is None else reference.by_seed(kid)
    if not base:
        return []
    scores = {f"m{i}": row.by_seed(kid) for i, (row, _) in enumerate(ranked)}  # labels may be equal to the reference's
    labels = {f"m{i}": row.label for i, (row, _) in enumerate(ranked)}
    compared = compare(scores | {"": base}, "")
    return [replace(each, method=labels[each.method]) for each in compared]


def _of(compared: Iterable[Compared], verdict_of_each: str) -> list[str]:
    return [each.method for each in compared if each.verdict == verdict_of_each]


def _names(names: Sequence[str]) -> _Clause:
    """Return `a`, `a and b`, `a, b and c`, or the first few `and 3 others`."""
    shown = list(names[:NAMED])
    more = f"{len(names) - len(shown):,} other{'' if len(names) - len(shown) == 1 else 's'}"
    items = [(name, True) for name in shown] + ([(more, False)] if len(names) > len(shown) else [])
    pieces: _Clause = []
    for i, item in enumerate(items):
        pieces += [(" and " if i == len(items) - 1 else ", ", False)] if i else []
        pieces.append(item)
    return pieces
