"""The text of comparisons.md and the rows of comparisons.csv: short tables, each with its question and its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graftbench.comparison.methods import LEVEL
from graftbench.comparison.multiplicity import enough

from . import comparisons as c
from .groups import completeness, groups, mixed_protocols, titles
from .numbers import DASH, FID, KID, decimals, finite, number
from .origins import made_elsewhere
from .tasks import looking, some, task_sets
from .text import listing, markdown, one_line, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.comparison.bootstrap import Estimated
    from graftbench.comparison.budgets import Efficiency, ImageCount
    from graftbench.comparison.methods import Compared
    from graftbench.comparison.stats import Interval
    from graftbench.metrics.catalogue import Metric
    from graftbench.records.run import Run

    from .comparisons import BaselineMethod, Block, Curves, RankingTable, Scores
    from .groups import Group

COLUMNS = (
    *("question", "task", "compute_budget", "protocol", "set", "metric", "data_budget", "method", "baseline"),
    *("value", "interval_low", "interval_high", "n", "wins", "p", "p_holm", "answer"),
)
"""Columns of comparisons.csv; `n` is the number of seeds, runs or tasks that a value stands on, `set` tells apart what
has one task and protocol but other data."""
METRICS = (KID, FID)


Rows = list[dict[str, Any]]


def make(run: Run) -> tuple[str, Rows]:
    """Make the whole of comparisons.md, and the rows of comparisons.csv."""
    found = groups(run)
    blocks, rows = [f"# {markdown(run.name)}: comparisons", markdown(completeness(run))], Rows()
    if mixed := mixed_protocols(found):
        blocks.append(f"**{markdown(mixed)}**")
    blocks.append(HOW_TO_READ)
    names = titles(found)
    for together in task_sets(found).values():
        baseline = c.baseline_of(together)
        for group in together:
            blocks.append(f"## {markdown(names[group.key])}")
            if not baseline.label:
                blocks.append("No method that may compete has a KID here, so there is nothing to compare.")
                continue
            blocks += _task(group, baseline, rows)
        if baseline.label:
            blocks += _over_tasks(together, baseline, rows)
    return "\n\n".join(blocks) + "\n", rows


HOW_TO_READ = (
    "A difference is method − baseline over the seeds that both have; with ↓ a negative one is better. Its 95 % "
    "interval is Student's and about this comparison alone. p is that of the two-sided sign-flip test, exact up to 14 "
    "seeds; “Holm” is p adjusted for all methods of the same number of images, and the verdict goes by it at level "
    "0.05. Too few seeds are called that: so few could not reach the level even if they all agreed."
)


def _task(group: Group, baseline: BaselineMethod, rows: Rows) -> list[str]:
    """One task: by each metric against the baseline; then by KID runs, areas, images."""
    told = f"Baseline: {baseline.label} ({baseline.reason})."
    blocks = [markdown(told), *map(markdown, made_elsewhere(c.contenders(group)))]
    by_metric = {metric: c.scores_of(group, metric) for metric in METRICS}
    for metric, scores in by_metric.items():
        blocks += _differences(group, metric, c.blocks(scores, baseline.label, metric), baseline.label, rows)
    scores = by_metric[KID]
    shown = c.leading(scores, KID, baseline.label)
    blocks += _improvement([group], [scores], shown, baseline.label, rows)
    blocks += _areas(group, by_metric, rows)
    blocks += _images(group, scores, shown, baseline.label, rows)
    return blocks + _left_out(group)


# ------------------------------------------------------------------------------------------------------- differences


def _differences(group: Group, metric: Metric, found: Sequence[Block], baseline: str, rows: Rows) -> list[str]:
    """Which methods differ from the baseline, and by how much."""
    blocks = [f"### {markdown(metric.label)} against {markdown(baseline)}"]
    lines: list[list[str]] = []
    sizes = [abs(each.difference) for block in found for each in block.compared if each.difference is not None]
    places = decimals(sizes)
    exact = any(each.shift is not None for block in found for each in block.compared)
    for block in found:
        for each in block.compared:
            lines.append(_difference_line(block.data_budget, each, places, exact=exact))
            rows += _difference_rows(
                _shared(group, metric, block.data_budget, each.method, baseline), each, metric.scale
            )
    question = f"Which methods are better or worse than {baseline} on the same seeds?"
    answers = _collapsed([(block.data_budget, _answer(block, baseline)) for block in found])
    blocks.append(f"{markdown(question)}\n\n{answers}")
    header = ["Images", "Method", f"Difference in {metric.heading}", *(["Shift (Hodges-Lehmann)"] if exact else [])]
    if lines:
        blocks.append(_grid([*header, "Wins", "p", "Holm", "Verdict"], lines, words=(1, len(header) + 3)))
    return blocks


def _collapsed(answers: Sequence[tuple[int, str]]) -> str:
    """One line an answer, with all numbers of images of which it holds."""
    by: dict[str, list[str]] = {}
    for budget, answer in answers:
        by.setdefault(answer, []).append(f"{budget:,}")
    return "\n".join(f"- {listing(images)} images: {markdown(answer)}." for answer, images in by.items())


def _answer(block: Block, baseline: str) -> str:
    """`freezed is better; vae is worse; 2 are not settled`."""
    if not block.compared:
        return (
            "no other method has a score here"
            if block.has_baseline
            else f"nothing to compare with: {baseline} has no score here"
        )
    by: dict[str, list[Compared]] = {}
    for each in block.compared:
        by.setdefault(each.verdict, []).append(each)
    parts = []
    for verdict in ("better", "worse", "not settled"):
        names = [each.method for each in by.get(verdict, [])]
        if names:
            parts.append(f"{some(names)} {'is' if len(names) == 1 else 'are'} {verdict}")
    few = by.get("too few seeds")
    return "; ".join([*parts, *([_too_few(block, few)] if few else [])])


def _too_few(block: Block, few: Sequence[Compared]) -> str:
    """How many seeds it takes; then what intervals say one at a time, for want of a test."""
    most, tests = max(each.pairs for each in few), sum(each.pairs > 0 for each in block.compared)
    needed = enough(most, sides=2, tests=max(1, tests)).needed
    more = "no number of seeds could" if needed is None else f"it takes {needed}"
    subject = "" if len(few) == len(block.compared) else f" with {some([each.method for each in few])}"
    told = f"{plural(most, 'seed')} cannot settle any of {plural(max(1, tests), 'comparison')}{subject}, {more}"
    apart = [each.method for each in few if each.interval is not None and not each.interval.contains(0.0)]
    return f"{told}; one at a time, the interval leaves out 0 for {some(apart)}" if apart else told


def _difference_line(budget: int, each: Compared, places: int, *, exact: bool) -> list[str]:
    shift = [DASH if each.shift is None else _with_interval(each.shift.value, each.shift.interval, places)]
    return [
        f"{budget:,}",
        markdown(each.method),
        DASH if each.difference is None else _with_interval(each.difference, each.interval, places),
        *(shift if exact else []),
        _wins(each),
        _p(each.p),
        _p(each.p_holm),
        markdown(each.words),
    ]


def _wins(each: Compared) -> str:
    """`4 of 5`, `4 of 5, 1 tie`."""
    ties = f", {plural(each.ties, 'tie')}" if each.ties else ""
    return f"{each.wins} of {each.pairs}{ties}" if each.pairs else DASH


def _difference_rows(shared: dict[str, Any], each: Compared, scale: float) -> Rows:
    counts = {"n": each.pairs, "wins": each.wins, "p": each.p, "p_holm": each.p_holm, "answer": each.words}
    rows = [shared | {"question": "difference"} | _scaled(each.difference, each.interval, scale) | counts]
    if each.shift is not None:
        moved = _scaled(each.shift.value, each.shift.interval, scale)
        rows.append(shared | {"question": "shift (Hodges-Lehmann)", "n": each.pairs} | moved)
    return rows


# ------------------------------------------------------------------------------------ improvement, areas, images needed


def _improvement(
    found: Sequence[Group], tasks: Sequence[Scores], methods: Sequence[str], baseline: str, rows: Rows
) -> list[str]:
    """How often a run beats one of the baseline."""
    chances = c.improvement(tasks, methods, baseline, KID)
    if not chances:
        return []
    budgets = sorted({budget for _, budget in chances})
    for (label, budget), each in chances.items():
        shared = _shared(found[0] if len(found) == 1 else None, KID, budget, label, baseline)
        values = {"value": each.value, "interval_low": each.interval.low, "interval_high": each.interval.high}
        rows.append(
            _of_set(shared, found[0]) | {"question": "probability of improvement", "n": each.interval.n} | values
        )
    last = budgets[-1]
    above = [label for label in methods if (each := chances.get((label, last))) and each.interval.low > 0.5]
    below = [label for label in methods if (each := chances.get((label, last))) and each.interval.high < 0.5]
    answer = "; ".join(
        f"{'more' if names is above else 'less'} often than not: {some(names)}" for names in (above, below) if names
    )
    over = "" if len(found) == 1 else ", averaged over tasks"
    question = (
        f"How often does a run beat a run of {baseline} by KID{over}, whatever their seeds? With "
        f"{plural(last, 'image')} {answer or 'no interval leaves out 50 %'}.{_shown(methods, tasks, baseline)}"
    )
    lines = [
        [markdown(label), *(_percent(chances.get((label, budget))) for budget in budgets)]
        for label in methods
        if label != baseline
    ]
    header = ["Method", *(plural(budget, "image") for budget in budgets)]
    return [f"### Runs that beat one of {markdown(baseline)}", markdown(question), _grid(header, lines)]


def _shown(methods: Sequence[str], tasks: Sequence[Scores], baseline: str) -> str:
    """Say where not all methods are shown."""
    scored = {label for scores in tasks for label, by in scores.items() if by}
    others = len(scored - {baseline})
    count = len(set(methods) - {baseline})
    return "" if count == others else f" Of {others:,} methods the {count} leading ones by KID are shown."


def _percent(found: Estimated | None) -> str:
    if found is None:
        return DASH
    value, low, high = (f"{100 * part:.0f}" for part in (found.value, found.interval.low, found.interval.high))
    return f"{value} % ({low} to {high})"


def _areas(group: Group, by_metric: dict[Metric, Scores], rows: Rows) -> list[str]:
    """How good over all data budgets."""
    areas = {
        metric: {label: (curve, c.area(curve)) for label, curve in c.curves(scores).items()}
        for metric, scores in by_metric.items()
    }
    order = sorted(areas[KID], key=lambda label: (areas[KID][label][1].value, label))
    if not order:
        return []
    for metric, found in areas.items():
        for label, (curve, each) in found.items():
            shared = _shared(group, metric, None, label, "") | {"question": "area under the curve over log2(images)"}
            rows.append(shared | _scaled(each.value, each.interval, metric.scale) | {"n": len(curve.seeds)})
    places = {metric: decimals([each.value for _, each in found.values()]) for metric, found in areas.items()}
    budgets = areas[KID][order[0]][0].budgets
    lines = []
    for label in order:
        both = [areas[metric].get(label) for metric in areas]
        values = [
            DASH if each is None else _with_interval(each[1].value, each[1].interval, places[metric])
            for metric, each in zip(areas, both, strict=True)
        ]
        lines.append([markdown(label), *values, str(len(areas[KID][label][0].seeds))])
    missing = sorted(set(by_metric[KID]) - set(order))
    question = (
        f"How good is a method over all numbers of images ({listing([f'{budget:,}' for budget in budgets])}), every "
        f"doubling weighing the same? {order[0]} has the lowest mean height of the curve of KID."
    )
    if missing:
        question += f" Left out, with fewer than two seeds that have a score everywhere: {some(missing)}."
    header = ["Method", *(metric.heading for metric in areas), "Seeds"]
    return ["### Over all numbers of images", markdown(question), _grid(header, lines)]


def _images(group: Group, scores: Scores, methods: Sequence[str], baseline: str, rows: Rows) -> list[str]:
    """How many images a method takes for what the baseline reaches."""
    whole: dict[str, Curves] = c.curves(scores)
    if baseline not in whole:
        return []
    found = {
        label: c.images_needed(whole[label], whole[baseline], KID)
        for label in methods
        if label in whole and label != baseline
    }
    found = {label: by for label, by in found.items() if by}
    if not found:
        return []
    budgets = whole[baseline].budgets
    for label, by in found.items():
        for budget, each in by.items():
            shared = _shared(group, KID, budget, label, baseline) | {"question": "images for what the baseline reaches"}
            rows.append(shared | _images_row(each))
    last = budgets[-1]
    fewer = [label for label, by in found.items() if _surely_fewer(by[last], last)]
    answer = (
        f"{some(fewer)} {'takes' if len(fewer) == 1 else 'take'} fewer" if fewer else "no method surely takes fewer"
    )
    question = (
        f"How many images does a method take for the mean KID that {baseline} reaches with so many? With the interval "
        f"(95 %, seeds drawn again), {answer} than {last:,}. “Under” and “over” are outside what was measured; "
        "between two numbers of images the curve is taken to be straight over the logarithm."
    )
    lines = [[markdown(label), *(_needed(by[budget]) for budget in budgets)] for label, by in found.items()]
    header = ["Method", *(f"{baseline} with {budget:,}" for budget in budgets)]
    return [f"### Images for what {markdown(baseline)} reaches", markdown(question), _grid(header, lines)]


def _surely_fewer(found: Efficiency, budget: int) -> bool:
    return found.high.relation == "<" or (found.high.relation == "=" and found.high.images < budget * (1 - 1e-9))


def _needed(found: Efficiency) -> str:
    value, low, high = map(_number_of_images, (found.images, found.low, found.high))
    return markdown(value if value == low == high else f"{value} ({low} to {high})")


def _number_of_images(images: ImageCount) -> str:
    relation = {"=": "", "<": "under ", ">": "over "}[images.relation]
    whole = abs(images.images - round(images.images)) < 1e-6  # two to the power of a logarithm is seldom exact
    return relation + number(images.images, 0 if whole or images.images > 10 else 1)


def _images_row(found: Efficiency) -> dict[str, Any]:
    """Numbers where they are measured; an answer in words always."""
    ends = {"value": found.images, "interval_low": found.low, "interval_high": found.high}
    known = {name: end.images if end.relation == "=" else None for name, end in ends.items()}
    value, low, high = map(_number_of_images, ends.values())
    return known | {"n": found.seeds, "answer": f"{value} ({low} to {high})"}


# --------------------------------------------------------------------------------------------------------- left out


def _left_out(group: Group) -> list[str]:
    """Rows with cells that are missing or did not end well, and rows that do not compete."""
    competing, out = c.contenders(group), sorted(looking([group]))
    parts = [
        f"{row.label} with {plural(row.data_budget, 'image')} ({row.outcome})"
        for row in competing
        if row.missing or len(row.ok) < len(row.records)
    ]
    undefined = [
        f"{row.label} with {plural(row.data_budget, 'image')} (KID in {len(row.by_seed(KID))} of {len(row.ok)} cells)"
        for row in competing
        if len(row.by_seed(KID)) < len(row.ok)
    ]
    sentences = []
    if parts:
        sentences.append(f"Not whole, so on fewer seeds or not at all: {some(parts)}.")
    if undefined:
        sentences.append(f"Undefined scores: {some(undefined)}.")
    if out:
        sentences.append(f"Out of competition, as they look at the scoring network: {some(out)}.")
    return [markdown(" ".join(sentences))] if sentences else []


# -------------------------------------------------------------------------------------------------------- over tasks


def _over_tasks(found: Sequence[Group], baseline: BaselineMethod, rows: Rows) -> list[str]:
    """Ranks and chances over tasks; nothing for one task."""
    if len(found) < 2:
        return []
    conditions = f"{found[0].compute_budget}, {found[0].protocol.label}"
    blocks = [f"## {len(found)} tasks, {markdown(conditions)}"]
    for metric in METRICS:
        blocks += _ranks(found, metric, c.rankings(found, metric), rows)
    tasks = [c.scores_of(group, KID) for group in found]
    pooled: Scores = {}
    for place, scores in enumerate(tasks):
        for label, by in scores.items():
            pooled.setdefault(label, {}).update({len(tasks) * n + place: values for n, values in by.items()})
    return blocks + _improvement(found, tasks, c.leading(pooled, KID, baseline.label), baseline.label, rows)


def _ranks(found: Sequence[Group], metric: Metric, rankings: Sequence[RankingTable], rows: Rows) -> list[str]:
    """Who ranks where over tasks, and whether the tasks tell."""
    if not rankings:
        return []
    answers = _collapsed([(each.data_budget, _rank_answer(each)) for each in rankings])
    for ranking in rankings:
        for label, rank in ranking.ranks.items():
            shared = _of_set(_shared(None, metric, ranking.data_budget, label, ""), found[0])
            rows.append(shared | {"question": "average rank", "value": rank, "n": len(ranking.tasks)})
        if ranking.friedman is not None:
            shared = _of_set(_shared(None, metric, ranking.data_budget, "", ""), found[0])
            f = finite(ranking.friedman.f)  # none where all tasks agree
            tests = {"Friedman (permutation)": ranking.p, "Friedman (F of Iman and Davenport)": ranking.friedman.p_f}
            rows += [shared | {"question": q, "value": f, "p": p, "n": len(ranking.tasks)} for q, p in tests.items()]
            if ranking.difference is not None:
                rows.append(
                    shared | {"question": "Nemenyi difference", "value": ranking.difference, "n": len(ranking.tasks)}
                )
    question = (
        "Do methods rank differently over tasks, each task's seeds averaged? Only methods with a score in every task "
        "are ranked, 1 the best. Ranks further apart than Nemenyi's difference differ at level 0.05."
    )
    labels = sorted(
        {label for ranking in rankings for label in ranking.ranks},
        key=lambda label: (-sum(label in each.ranks for each in rankings), _mean_rank(rankings, label), label),
    )
    lines = [
        [markdown(label), *(number(each.ranks[label], 2) if label in each.ranks else DASH for each in rankings)]
        for label in labels
    ]
    header = ["Method", *(plural(each.data_budget, "image") for each in rankings)]
    return [
        f"### Average ranks by {markdown(metric.label)}",
        f"{markdown(question)}\n\n{answers}",
        *([_grid(header, lines)] if lines else []),
    ]


def _mean_rank(rankings: Sequence[RankingTable], label: str) -> float:
    there = [each.ranks[label] for each in rankings if label in each.ranks]
    return sum(there) / len(there)


def _rank_answer(found: RankingTable) -> str:
    tasks = f"{len(found.tasks)} tasks"
    left = f"; left out, without a score in every task: {some(found.left_out)}" if found.left_out else ""
    if found.friedman is None or found.p is None:
        return f"{plural(len(found.ranks), 'method')} with a score in all {tasks}; a test takes three{left}"
    told = "methods differ" if found.p <= LEVEL else "no difference is settled"
    answer = f"{told} (Friedman's test over {tasks}, p = {_p(found.p)} by permutation)"
    if found.difference is None:
        return f"{answer}; too many methods for Nemenyi's difference{left}"
    first = next((names for names in found.together if next(iter(found.ranks)) in names), ())
    level = f"{some(first)} lie within it of the best" if len(first) > 1 else "nothing lies within it of the best"
    return f"{answer}; Nemenyi's difference is {number(found.difference, 2)}, and {level}{left}"


# ---------------------------------------------------------------------------------------------------------- printing


def _shared(group: Group | None, metric: Metric, budget: int | None, method: str, baseline: str) -> dict[str, Any]:
    """Return the first columns of a row."""
    where = {} if group is None else {"task": str(group.task)}
    shared = {"metric": metric.name, "data_budget": budget, "method": one_line(method), "baseline": one_line(baseline)}
    return _of_set(where | shared, group) if group is not None else shared


def _of_set(row: dict[str, Any], group: Group) -> dict[str, Any]:
    return {"set": group.key, **row, "compute_budget": str(group.compute_budget), "protocol": group.protocol.label}


def _scaled(value: float | None, interval: Interval | None, scale: float) -> dict[str, Any]:
    ends = (None, None) if interval is None else (interval.low / scale, interval.high / scale)
    return {
        "value": None if value is None else value / scale,
        "interval_low": ends[0],
        "interval_high": ends[1],
    }


def _with_interval(value: float, interval: Interval | None, places: int) -> str:
    """`−12.3 (−20.1 to −4.5)`."""
    if interval is None:
        return number(value, places)
    return f"{number(value, places)} ({number(interval.low, places)} to {number(interval.high, places)})"


def _p(p: float | None) -> str:
    if p is None:
        return DASH
    return "0.0000" if p < 0.00005 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def _grid(header: Sequence[str], lines: Iterable[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """Write a Markdown table: columns of words to the left, numbers right; heads are escaped, cells are as given."""
    rule = ["---" if i in words else "---:" for i in range(len(header))]
    cells = [[markdown(head) for head in header], rule, *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
