"""Write the tables of docs/court.md and its figures from docs/court/results.json, which `graftbench court` computes.

graftbench court docs/quick --out runs/court && cp runs/court/results.json docs/court/
python docs/court.py
"""

from __future__ import annotations

import re
from pathlib import Path

from graftbench.scoring.court.page import draw, tables
from graftbench.scoring.court.trial import RESULTS, load_results

PAGE = Path(__file__).with_suffix(".md")
FOLDER = PAGE.with_suffix("")


def main() -> None:
    """Write the tables between their markers, and the figures."""
    results = load_results(FOLDER / RESULTS)
    draw(results, FOLDER)
    text, made = PAGE.read_text("utf-8"), f"\n{tables(results)}\n"
    text = re.sub(
        r"(<!-- court -->\n).*?(<!-- end -->)", lambda found: f"{found[1]}{made}\n{found[2]}", text, flags=re.DOTALL
    )
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
