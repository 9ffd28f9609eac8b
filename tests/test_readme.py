"""The README says what the suite says."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import fmean

import readme

from graftbench.cli.commands import COMMANDS
from graftbench.plugins import registry
from graftbench.records.run import read_run
from graftbench.suites.matrix import places
from graftbench.suites.suite import load_suite, parse_suite, parse_task

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_generated_parts_are_up_to_date() -> None:
    """What `python docs/site/readme.py` writes from committed records and the registry is what the pages say."""
    beside = [folder / name for folder in (readme.QUICK, readme.RESULTS) for name in ("quality.svg", "table.md")]
    before = {path: path.read_bytes() for path in beside}
    try:
        for name, make in readme.PAGES.items():
            page = (ROOT / name).read_text("utf-8")
            assert readme.fill(page, make(), name) == page, name
        for path in beside:
            assert path.suffix == ".svg" or path.read_bytes() == before[path]
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def test_the_committed_records_are_the_quick_suite() -> None:
    """The records behind the table are whole, of the packaged suite, and show what it is there to show.

    Real images score best. On the first task, with the fewest images, the best transfer is ahead of the best training
    from scratch.
    """
    suite = load_suite("quick")
    records = read_run(ROOT / "docs" / "quick" / "records.jsonl").records
    kid = {
        (str(r.cell.task), r.cell.data_budget, r.cell.seed, r.cell.method): score.value
        for r in records
        if (score := r.score("kid")) is not None and score.value is not None
    }
    assert len(kid) == len(records)
    assert set(kid) == {(task, images, seed, method) for method, task, images, seed, _ in places(suite)}
    methods = registry.methods()
    for (task, images, seed, method), value in kid.items():
        if methods[method].family != "reference":
            assert kid[task, images, seed, "oracle"] < value, (task, images, seed, method)

    def best(*families: str) -> float:
        task = str(parse_task(suite.tasks[0]))
        here = (task, min(suite.budgets_of(task)))
        names = [name for name in suite.methods if methods[name].family in families]
        return min(fmean(kid[(*here, seed, name)] for seed in suite.seeds) for name in names)

    assert best("fine-tune", "frozen") < best("scratch")


TABLE = """# quick

4 cells have a record: 4 ok.

## a → far at 32×32, 8 kimg, lite0@96

a → far at 32×32; 8 kimg per fit.

| dcgan<sup>2</sup> | 25 |

### Memorisation

| dcgan<sup>1</sup> | 25 |

1. Of the second panel.
2. Of the first.

## a → near at 32×32, 8 kimg, lite0@96

a → near at 32×32; 8 kimg per fit.

| dcgan | 25 |

## Over tasks

### KID×10³ over 2 tasks
"""


def test_tasks_stand_in_the_order_of_the_records_with_their_own_footnotes() -> None:
    """Not in the table's alphabetical one; of each section the first panel, with the footnotes that it uses."""
    near, far = readme.task_sections(TABLE, ["a → near ", "a → near ", "a → far "])
    assert near == ("a → near at 32×32, 8 kimg, lite0@96", "a → near at 32×32; 8 kimg per fit.", "| dcgan | 25 |")
    assert far[1] == "a → far at 32×32; 8 kimg per fit."
    assert readme.headline(far[2]) == "| dcgan<sup>2</sup> | 25 |\n\n2. Of the first."


def test_the_suite_in_the_readme_is_valid() -> None:
    """The example of a suite file parses."""
    suite, variants = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert parse_suite(suite, "README").data_budgets == [10, 100]
    assert parse_suite(suite + variants, "README").variants["narrow-gan"].method == "dcgan"


def test_the_commands_in_the_readme_exist() -> None:
    """Each `$ graftbench …` line names a command."""
    lines = re.findall(r"^\$ graftbench (.*)$", README, re.MULTILINE)
    assert len(lines) >= 6
    assert all(any(line.startswith(name) for name in COMMANDS) for line in lines)
