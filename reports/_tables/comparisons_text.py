"""The text of comparisons.md and the rows of comparisons.csv: short tables, each with its question and its answer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from graftbench.comparison.multiplicity import after_holm
from graftbench.comparison.paired import change, printed_p

from . import comparisons as values
from . import second
from .groups import grouped, groups, mixed_protocols, outcome, titles
from .numbers import DASH, FID, KID, decimals, number
from .origins import made_elsewhere
from .tasks import looking, some, task_sets
from .text import listing, markdown, markdown_table, one_line, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.comparison.agreement import OrderAgreement
    from graftbench.comparison.bootstrap import Estimated
    from graftbench.comparison.budgets import Efficiency, ImageCount
    from graftbench.comparison.methods import Compared
    from graftbench.comparison.stats import Interval
    from graftbench.metrics.catalogue import Metric
    from graftbench.records.run import Run

    from .comparisons import BaselineMethod, Block, RankingTable, Scores
    from .groups import Group

COLUMNS = (
    *("question", "task", "compute_budget", "protocol", "set", "metric", "data_budget", "method", "baseline"),
    *("value", "interval_low", "interval_high", "n", "wins", "p", "p_holm", "p_sign_flips", "answer"),
)
"""Columns of comparisons.csv; `n` is the number of seeds, runs or tasks that a value stands on, `set` tells apart what
has one task and protocol but other data."""
METRICS = (KID, FID)


Rows = list[dict[str, Any]]


def write_comparisons(run: Run) -> tuple[str, Rows]:
    """Return the whole of comparisons.md, and the rows of comparisons.csv."""
    all_groups = groups(run)
    values.check_baseline(all_groups, run.baseline)
    blocks, rows = [f"# {markdown(run.name)}: comparisons", markdown(outcome(run))], Rows()
    if mixed := mixed_protocols(all_groups):
        blocks.append(f"**{markdown(mixed)}**")
    blocks.append(HOW_TO_READ)
    names = titles(all_groups)
    for group in all_groups:
        if group.too_few:
            blocks += [f"## {markdown(names[group.key])}", markdown(group.too_few)]
    for task_groups in task_sets(all_groups).values():
        baseline = values.baseline_of(task_groups, run.baseline)
        for group in task_groups:
            blocks.append(f"## {markdown(names[group.key])}")
            if not baseline.label:
                blocks.append("No method that may compete has a KID here, so there is nothing to compare.")
                continue
            blocks += _task(group, baseline, rows)
        if baseline.label:
            blocks += _over_tasks(task_groups, baseline, rows)
    return "\n\n".join(blocks) + "\n", rows


HOW_TO_READ = (
    "A change is that of the method's score relative to the baseline's, over the seeds that both have, with its 95 % "
    "interval; with ↓ a negative one is better. p is that of the two-sided paired t test of the logarithms, of this "
    "comparison alone; “Holm” is p adjusted for all methods of the same number of images, and the verdict goes by it "
    "at level 0.05. What only p bears out is called “taken alone”. “Sign flips” is the p of the exact test that "
    "assumes no normality, whose least is 2 over 2 to the power of the seeds. Seeds that are said to be needed would "
    "find the change that was seen in 80 % of cases."
)


def _task(group: Group, baseline: BaselineMethod, rows: Rows) -> list[str]:
    """Write one task: by each metric against the baseline; then by KID runs, areas, images."""
    intro = f"Baseline: {baseline.label} ({baseline.reason})."
    blocks = [markdown(intro), *map(markdown, made_elsewhere(values.contenders(group)))]
    by_metric = {metric: values.scores_of(group, metric, baseline.label) for metric in METRICS}
    for metric, scores in by_metric.items():
        blocks += _differences(group, metric, values.blocks(scores, baseline.label, metric), baseline.label, rows)
    scores = by_metric[KID]
    methods = values.leading(scores, KID, baseline.label)
    blocks += _improvement([group], [scores], methods, baseline.label, rows)
    blocks += _areas(group, by_metric, rows)
    blocks += _images(group, scores, methods, baseline.label, rows)
    blocks += _second(group, rows)
    return blocks + _left_out(group)


# ------------------------------------------------------------------------------------------------------- differences


def _differences(group: Group, metric: Metric, blocks: Sequence[Block], baseline: str, rows: Rows) -> list[str]:
    """Say which methods differ from the baseline, and by how much."""
    compared = [(block.data_budget, each) for block in blocks for each in block.compared]
    for budget, each in compared:
        rows += _difference_rows(_row_keys([group], metric, budget, each.method, baseline), each, metric.scale)
    question = f"Which methods are better or worse than {baseline} on the same seeds?"
    answers = _collapsed([(block.data_budget, _answer(block, baseline)) for block in blocks])
    parts = [f"### {markdown(metric.label)} against {markdown(baseline)}", f"{markdown(question)}\n\n{answers}"]
    if compared:
        header = ["Images", "Method", f"Change in {metric.heading}", "Wins", "p", "Holm", "Sign flips", "Verdict"]
        lines = [_difference_line(budget, each) for budget, each in compared]
        parts.append(markdown_table(header, lines, words=(1, 7)))
    return parts


def _collapsed(answers: Sequence[tuple[int, str]]) -> str:
    """Write one line an answer, with all numbers of images of which it holds."""
    by_answer = grouped(answers, lambda pair: pair[1])
    return "\n".join(
        f"- {listing([f'{budget:,}' for budget, _ in pairs])} images: {markdown(answer)}."
        for answer, pairs in by_answer.items()
    )


def _answer(block: Block, baseline: str) -> str:
    """Answer in words: `freezed is better; vae is not settled, after Holm's correction over 2 comparisons`."""
    if not block.compared:
        return (
            "no other method has a score here"
            if block.has_baseline
            else f"nothing to compare with: {baseline} has no score here"
        )
    by_verdict = grouped(block.compared, lambda each: each.verdict)
    parts = []
    for verdict in ("better", "worse", "not settled"):
        names = [each.method for each in by_verdict.get(verdict, [])]
        if names:
            parts.append(f"{some(names)} {'is' if len(names) == 1 else 'are'} {verdict}")
    if few := by_verdict.get("too few seeds"):
        parts.append(f"{some([each.method for each in few])} {'has' if len(few) == 1 else 'have'} too few seeds")
    tests = sum(each.p_holm is not None for each in block.compared)
    return "; ".join(parts) + (f", {after_holm(tests)}" if tests else "")


def _difference_line(budget: int, each: Compared) -> list[str]:
    ties = f", {plural(each.ties, 'tie')}" if each.ties else ""  # `4 of 5`, `4 of 5, 1 tie`
    return [
        f"{budget:,}",
        markdown(each.method),
        DASH if each.differences is None else change(each.differences),
        f"{each.wins} of {each.pairs}{ties}" if each.pairs else DASH,
        printed_p(each.p),
        printed_p(each.p_holm),
        DASH if each.differences is None else printed_p(each.differences.p_sign_flips),
        markdown(each.words),
    ]


def _difference_rows(keys: dict[str, Any], each: Compared, scale: float) -> Rows:
    counts = {"n": each.pairs, "wins": each.wins}
    row = {"question": "difference", "value": None if each.difference is None else each.difference / scale}
    if each.differences is None:
        return [keys | row | counts | {"answer": each.words}]
    tested = {"p": each.p, "p_holm": each.p_holm, "p_sign_flips": each.differences.p_sign_flips, "answer": each.words}
    ratio: dict[str, Any] = {"question": "ratio to the baseline", "value": math.exp(each.differences.log_ratio)}
    if ends := each.differences.interval():
        ratio |= {"interval_low": math.exp(ends.low), "interval_high": math.exp(ends.high)}
    return [keys | row | counts | tested, keys | ratio | counts | tested]


# ------------------------------------------------------------------------------------ improvement, areas, images needed


def _improvement(
    groups: Sequence[Group], tasks: Sequence[Scores], methods: Sequence[str], baseline: str, rows: Rows
) -> list[str]:
    """Say how often a run beats one of the baseline."""
    chances = values.improvement(tasks, methods, baseline, KID)
    if not chances:
        return []
    # Rows of comparisons.csv.
    for (label, budget), chance in chances.items():
        keys = _row_keys(groups, KID, budget, label, baseline)
        counts = {"question": "probability of improvement", "n": chance.interval.n}
        rows.append(keys | counts | _scaled(chance.value, chance.interval, 1.0))
    # Question and answer at the largest data budget.
    budgets = sorted({budget for _, budget in chances})
    last = {label: chance for label in methods if (chance := chances.get((label, budgets[-1])))}
    above = [label for label, chance in last.items() if chance.interval.low > 0.5]
    below = [label for label, chance in last.items() if chance.interval.high < 0.5]
    answer = "; ".join(
        f"{word} often than not: {some(labels)}" for word, labels in (("more", above), ("less", below)) if labels
    )
    over = "" if len(groups) == 1 else ", averaged over tasks"
    scored = {label for scores in tasks for label, by_budget in scores.items() if by_budget} - {baseline}
    count = len(set(methods) - {baseline})
    shown = "" if count == len(scored) else f" Of {len(scored):,} methods the {count} leading ones by KID are shown."
    question = (
        f"How often does a run beat a run of {baseline} by KID{over}, whatever their seeds? With "
        f"{plural(budgets[-1], 'image')} {answer or 'no interval leaves out 50 %'}."
        f"{shown}"
    )
    # Table: a row a method, a column a data budget.
    lines = [
        [markdown(label), *(_percent(chances.get((label, budget))) for budget in budgets)]
        for label in methods
        if label != baseline
    ]
    table = markdown_table(["Method", *(plural(budget, "image") for budget in budgets)], lines)
    return [f"### Runs that beat one of {markdown(baseline)}", markdown(question), table]


def _percent(chance: Estimated | None) -> str:
    if chance is None:
        return DASH
    value, low, high = (f"{100 * part:.0f}" for part in (chance.value, chance.interval.low, chance.interval.high))
    return f"{value} % ({low} to {high})"


def _areas(group: Group, by_metric: dict[Metric, Scores], rows: Rows) -> list[str]:
    """Say how good the methods are over all data budgets."""
    curves = {metric: values.curves(scores) for metric, scores in by_metric.items()}
    areas = {
        metric: {label: values.area(curve) for label, curve in by_label.items()} for metric, by_label in curves.items()
    }
    order = sorted(areas[KID], key=lambda label: (areas[KID][label].value, label))
    if not order:
        return []
    for metric, by_label in areas.items():
        for label, area in by_label.items():
            keys = _row_keys([group], metric, None, label) | {"question": "area under the curve over log2(images)"}
            seeds = len(curves[metric][label].seeds)
            rows.append(keys | _scaled(area.value, area.interval, metric.scale) | {"n": seeds})
    budgets = listing([f"{budget:,}" for budget in curves[KID][order[0]].budgets])
    question = (
        f"How good is a method over all numbers of images ({budgets}), every "
        f"doubling weighing the same? {order[0]} has the lowest mean height of the curve of KID."
    )
    if missing := sorted(set(by_metric[KID]) - set(order)):
        question += f" Left out, with fewer than two seeds that have a score everywhere: {some(missing)}."
    columns = [_area_column(by_label, order) for by_label in areas.values()]
    seeds = [str(len(curves[KID][label].seeds)) for label in order]
    lines = zip(map(markdown, order), *columns, seeds, strict=True)
    table = markdown_table(["Method", *(metric.heading for metric in areas), "Seeds"], lines)
    return ["### Over all numbers of images", markdown(question), table]


def _area_column(areas: dict[str, Estimated], labels: Sequence[str]) -> list[str]:
    places = decimals([area.value for area in areas.values()])
    column = [areas.get(label) for label in labels]
    return [DASH if area is None else _with_interval(area.value, area.interval, places) for area in column]


def _images(group: Group, scores: Scores, methods: Sequence[str], baseline: str, rows: Rows) -> list[str]:
    """Say how many images a method takes for what the baseline reaches."""
    curves = values.curves(scores)
    if baseline not in curves:
        return []
    needed = {
        label: by_budget
        for label in methods
        if label in curves and label != baseline
        if (by_budget := values.images_needed(curves[label], curves[baseline], KID))
    }
    if not needed:
        return []
    for label, by_budget in needed.items():
        for budget, images in by_budget.items():
            keys = _row_keys([group], KID, budget, label, baseline)
            rows.append(keys | {"question": "images for what the baseline reaches"} | _images_row(images))
    budgets = curves[baseline].budgets
    last = budgets[-1]
    fewer = []
    for label, by_budget in needed.items():
        high = by_budget[last].high
        if high.relation == "<" or (high.relation == "=" and high.images < last * (1 - 1e-9)):
            fewer.append(label)
    answer = (
        f"{some(fewer)} {'takes' if len(fewer) == 1 else 'take'} fewer" if fewer else "no method surely takes fewer"
    )
    question = (
        f"How many images does a method take for the mean KID that {baseline} reaches with so many? With the interval "
        f"(95 %, seeds drawn again), {answer} than {last:,}. “Under” and “over” are outside what was measured; "
        "between two numbers of images the curve is taken to be straight over the logarithm."
    )
    lines = [[markdown(label), *map(_needed, by_budget.values())] for label, by_budget in needed.items()]
    table = markdown_table(["Method", *(f"{baseline} with {budget:,}" for budget in budgets)], lines)
    return [f"### Images for what {markdown(baseline)} reaches", markdown(question), table]


def _needed(images: Efficiency) -> str:
    value, low, high = map(_number_of_images, (images.images, images.low, images.high))
    return markdown(value if value == low == high else f"{value} ({low} to {high})")


def _number_of_images(images: ImageCount) -> str:
    relation = {"=": "", "<": "under ", ">": "over "}[images.relation]
    whole = abs(images.images - round(images.images)) < 1e-6  # two to the power of a logarithm is seldom exact
    return relation + number(images.images, 0 if whole or images.images > 10 else 1)


def _images_row(images: Efficiency) -> dict[str, Any]:
    """Return numbers where they are measured, and an answer in words always."""
    ends = {"value": images.images, "interval_low": images.low, "interval_high": images.high}
    measured = {name: end.images if end.relation == "=" else None for name, end in ends.items()}
    value, low, high = map(_number_of_images, ends.values())
    return measured | {"n": images.seeds, "answer": f"{value} ({low} to {high})"}


# ------------------------------------------------------------------------------------------------- a second extractor


def _second(group: Group, rows: Rows) -> list[str]:
    """Say how alike both extractors order the methods, and which conclusions the second reverses."""
    found = second.agreements(group)
    if not found:
        return []
    for (metric, budget), each in found.items():
        rows += _second_rows(_row_keys([group], metric, budget, ""), each)
    names = f"{group.protocol.label} and {second.label_of(group)}"
    alone = second.out_of_one(group)
    question = (
        "Do both networks order the methods alike? τ is Kendall's, of the means over seeds: 1 for the same order, 0 "
        "for no relation, −1 for the reverse. Its 95 % interval is over the seeds, drawn again; with fewer than four "
        "seeds it is over other methods like these, and wide. Reversed is what both tell apart, in opposite directions."
        + (f" {alone}" if alone else "")
    )
    by_budget = grouped(found.items(), lambda item: item[0][1])
    answers = _collapsed(
        [
            (budget, "; ".join(_reversed(metric, each) for (metric, _), each in items))
            for budget, items in by_budget.items()
        ]
    )
    header = ["Images", "Score", "Methods", "Seeds", "τ", "Interval over", "Reversed"]
    lines = [
        [
            f"{budget:,}",
            markdown(metric.label),
            str(len(each.methods)),
            str(len(each.seeds)),
            second.shown_tau(each),
            each.over if each.interval else DASH,
            markdown(second.reversals(each)),
        ]
        for (metric, budget), each in found.items()
    ]
    table = markdown_table(header, lines, words=(1, 5, 6))
    return [f"### {markdown(names)}", f"{markdown(question)}\n\n{answers}", table]


def _reversed(metric: Metric, found: OrderAgreement) -> str:
    label = metric.label.removesuffix("×10³")
    if not found.reversed_pairs:
        return f"by {label} nothing is reversed"
    return f"by {label} {plural(len(found.reversed_pairs), 'conclusion')} reversed: {second.reversals(found)}"


def _second_rows(keys: dict[str, Any], found: OrderAgreement) -> Rows:
    count = {"n": len(found.seeds)}
    answer = {"answer": f"interval over {found.over}" if found.interval else "no interval"}
    tau = {"question": "Kendall's tau with the second extractor"} | _scaled(found.tau, found.interval, 1.0)
    pairs = [
        {"question": "reversed by the second extractor", "method": one_line(a), "baseline": one_line(b)}
        for a, b in found.reversed_pairs
    ]
    return [keys | tau | count | answer, *(keys | pair | count for pair in pairs)]


# --------------------------------------------------------------------------------------------------------- left out


def _left_out(group: Group) -> list[str]:
    """Name rows with cells that are missing or did not end well, and rows that do not compete."""
    competing, leaking = values.contenders(group), sorted(looking([group]))
    names = {id(row): f"{row.label} with {plural(row.data_budget, 'image')}" for row in competing}
    incomplete = [
        f"{names[id(row)]} ({row.outcome})" for row in competing if row.missing or len(row.ok) < len(row.records)
    ]
    undefined = [
        f"{names[id(row)]} (KID in {len(row.by_seed(KID))} of {len(row.ok)} cells)"
        for row in competing
        if len(row.by_seed(KID)) < len(row.ok)
    ]
    parts = {
        "Not whole, so on fewer seeds or not at all": incomplete,
        "Undefined scores": undefined,
        "Not ranked, as they were trained with the scoring network": leaking,
    }
    sentences = [f"{start}: {some(labels)}." for start, labels in parts.items() if labels]
    return [markdown(" ".join(sentences))] if sentences else []


# -------------------------------------------------------------------------------------------------------- over tasks


def _over_tasks(groups: Sequence[Group], baseline: BaselineMethod, rows: Rows) -> list[str]:
    """Write ranks and chances over tasks; nothing for one task."""
    if len(groups) < 2:
        return []
    conditions = f"{groups[0].compute_budget}, {groups[0].protocol.label}"
    blocks = [f"## {len(groups)} tasks, {markdown(conditions)}"]
    for metric in METRICS:
        blocks += _ranks(groups, metric, values.rankings(groups, metric), rows)
    tasks = [values.scores_of(group, KID, baseline.label) for group in groups]
    pooled: Scores = {}  # seeds of all tasks under numbers of their own
    for i, scores in enumerate(tasks):
        for label, by_budget in scores.items():
            pooled.setdefault(label, {}).update({len(tasks) * n + i: by_seed for n, by_seed in by_budget.items()})
    methods = values.leading(pooled, KID, baseline.label)
    return blocks + _improvement(groups, tasks, methods, baseline.label, rows)


def _ranks(groups: Sequence[Group], metric: Metric, rankings: Sequence[RankingTable], rows: Rows) -> list[str]:
    """Say who ranks where over tasks, and whether the tasks tell."""
    if not rankings:
        return []
    for ranking in rankings:
        rows += _rank_rows(groups, metric, ranking)
    answers = _collapsed([(each.data_budget, _rank_answer(each)) for each in rankings])
    question = (
        "Do methods rank differently over tasks, each task's seeds averaged? Only methods with a score in every task "
        "are ranked, 1 the best. Who differs is told by the paired t test over the seeds of all tasks, with Holm's "
        "correction over all pairs of methods, at level 0.05."
    )
    blocks = [f"### Average ranks by {markdown(metric.label)}", f"{markdown(question)}\n\n{answers}"]
    # Table: first the methods that are ranked at most data budgets, then by their mean rank.
    ranks = {
        label: [each.ranks.get(label) for each in rankings]
        for label in sorted({label for ranking in rankings for label in ranking.ranks})
    }
    ranked = {label: [rank for rank in row if rank is not None] for label, row in ranks.items()}
    order = sorted(ranks, key=lambda label: (-len(ranked[label]), sum(ranked[label]) / len(ranked[label]), label))
    if order:
        header = ["Method", *(plural(each.data_budget, "image") for each in rankings)]
        lines = [[markdown(label), *(number(rank, 2) for rank in ranks[label])] for label in order]
        blocks.append(markdown_table(header, lines))
    return blocks


def _rank_rows(groups: Sequence[Group], metric: Metric, ranking: RankingTable) -> Rows:
    count = {"n": len(ranking.tasks)}
    return [
        _row_keys(groups, metric, ranking.data_budget, label) | {"question": "average rank", "value": rank} | count
        for label, rank in ranking.ranks.items()
    ]


def _rank_answer(ranking: RankingTable) -> str:
    tasks = f"{len(ranking.tasks)} tasks"
    left_out = f"; left out, without a score in every task: {some(ranking.left_out)}" if ranking.left_out else ""
    if len(ranking.ranks) < 2:
        return f"{plural(len(ranking.ranks), 'method')} with a score in all {tasks}{left_out}"
    if not ranking.together:
        return f"too many methods to test every pair of them{left_out}"
    first, *others = ranking.together
    if not others:
        return f"no two methods are told apart over {tasks}{left_out}"
    rest = (
        f"{some(first)} are not told apart, and lead"
        if len(first) > 1
        else f"{some(first)} leads, told apart from the next"
    )
    return f"methods differ over {tasks}: {rest}{left_out}"


# ---------------------------------------------------------------------------------------------------------- printing


def _row_keys(
    groups: Sequence[Group], metric: Metric, budget: int | None, method: str, baseline: str = ""
) -> dict[str, Any]:
    """Return the columns that say what a row is about; it has a task if it is about one group."""
    first = groups[0]
    return {
        "task": str(first.task) if len(groups) == 1 else None,
        "compute_budget": str(first.compute_budget),
        "protocol": first.protocol.label,
        "set": first.key,
        "metric": metric.name,
        "data_budget": budget,
        "method": one_line(method),
        "baseline": one_line(baseline),
    }


def _scaled(value: float | None, interval: Interval | None, scale: float) -> dict[str, Any]:
    ends = (None, None) if interval is None else (interval.low / scale, interval.high / scale)
    return {
        "value": None if value is None else value / scale,
        "interval_low": ends[0],
        "interval_high": ends[1],
    }


def _with_interval(value: float, interval: Interval | None, places: int) -> str:
    """Return `−12.3 (−20.1 to −4.5)`."""
    if interval is None:
        return number(value, places)
    return f"{number(value, places)} ({number(interval.low, places)} to {number(interval.high, places)})"
