"""Quality against data budget for two methods, with 95 % intervals over seeds, one column of a paper wide.

`python docs/examples/paper_figure.py docs/results/records.jsonl quality.pdf`
"""

import math
import sys

from matplotlib.figure import Figure

import graftbench
from graftbench.plotting import looks, style
from graftbench.stats import Interval, mean, student_interval

run, out = sys.argv[1:]
cells = graftbench.load(run).query("task == 'twemoji->openmoji@32' and family != 'reference' and kid == kid")
look = looks(cells["method"])  # of all methods: the colours are then those of the report
with style(size=7):
    figure = Figure(figsize=(3.4, 2.3), layout="constrained")
    axes = figure.subplots()
    for method in ("dcgan", "freezed"):
        rows = cells[cells["method"] == method]
        budgets = sorted(set(rows["data_budget"]))
        seeds = [(1000 * rows.loc[rows["data_budget"] == budget, "kid"]).tolist() for budget in budgets]
        means = [mean(kid) for kid in seeds]
        bands = [student_interval(kid) or Interval(math.nan, math.nan, 0.95, 1) for kid in seeds]
        color, marker, dashes = look[method].color, look[method].marker, look[method].dashes
        axes.plot(budgets, means, dashes, color=color, marker=marker, ms=4, label=method)
        axes.fill_between(budgets, [b.low for b in bands], [b.high for b in bands], color=color, alpha=0.2, lw=0)
    axes.set(xscale="log", xlabel="target training images", ylabel="KID×10³ (lower is better)")
    axes.set_xticks(budgets, [str(budget) for budget in budgets])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(out)
