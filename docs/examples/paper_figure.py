"""Quality against data budget for two methods, with 95 % intervals over seeds, one column of a paper wide.

`python docs/examples/paper_figure.py docs/results/records.jsonl quality.pdf`
"""

import sys

from matplotlib.figure import Figure

import graftbench
from graftbench.plotting import budget_curves, style

run, out = sys.argv[1:]
cells = graftbench.load(run).query("task == 'twemoji->openmoji@32'")
with style(size=7):
    figure = Figure(figsize=(3.4, 2.3), layout="constrained")
    axes = figure.subplots()
    budget_curves(axes, cells, ["dcgan", "freezed"], metric="kid")
    axes.legend(frameon=False)
    figure.savefig(out)
