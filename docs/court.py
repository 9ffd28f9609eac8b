"""Write the tables of docs/court.md and its figures from docs/court/results.json, which `graftbench court` computes.

graftbench court docs/quick --out runs/court && cp runs/court/results.json docs/court/
python docs/court.py
"""

from __future__ import annotations

from pathlib import Path

from page_parts import fill

from graftbench.scoring.court.page import draw, tables
from graftbench.scoring.court.trial import RESULTS, load_results

PAGE = Path(__file__).with_suffix(".md")
FOLDER = PAGE.with_suffix("")


def main() -> None:
    """Write the tables between their markers, and the figures."""
    results = load_results(FOLDER / RESULTS)
    draw(results, FOLDER)
    fill(PAGE, {"court": tables(results)})


if __name__ == "__main__":
    main()
