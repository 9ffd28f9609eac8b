"""The README says what the suite says."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import readme
import short_results
from made_cells import make_cell, make_scores
from page_parts import fill, filled

from graftbench.cli.commands import COMMANDS
from graftbench.plugins import registry
from graftbench.records.cell_spec import TaskSpec
from graftbench.records.record import Record, Status
from graftbench.records.run import Run, read_run
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
            assert filled(page, make(), name) == page, name
        for path in beside:
            assert path.suffix == ".svg" or path.read_bytes() == before[path]
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def test_parts_are_put_between_their_marks(tmp_path: Path) -> None:
    """Each between its own, whatever backslashes it has; nothing else moves, and a second time nothing does."""
    page = tmp_path / "page.md"
    page.write_text("head\n<!-- one -->\nold\n<!-- end -->\n<!-- two -->\n<!-- end -->\n", "utf-8")
    for _ in range(2):
        fill(page, {"one": "C\\_T\n\\1", "two": "b"})
        assert page.read_text("utf-8") == (
            "head\n<!-- one -->\n\nC\\_T\n\\1\n\n<!-- end -->\n<!-- two -->\n\nb\n\n<!-- end -->\n"
        )
    with pytest.raises(SystemExit, match=r"page\.md has 0 parts 'three'; expected 1\."):
        fill(page, {"three": ""})


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

4 results; all ended well.

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


def test_the_readme_is_short_and_in_order() -> None:
    """At most 9,000 bytes; samples before the demo, the demo before results, and what is behind them after that."""
    assert len(README.encode()) <= 9000
    landmarks = ["docs/quick/samples.png", "make demo", "| KID×10³ ↓ |", "graftbench new method", "honest", "LICENSE"]
    positions = [README.index(landmark) for landmark in landmarks]
    assert positions == sorted(positions)


def test_the_example_of_a_suite_is_valid() -> None:
    """The suite file in docs/tasks.md parses, also with the variant that follows it."""
    section = (ROOT / "docs" / "tasks.md").read_text("utf-8").partition("## A suite of your own")[2]
    suite, variants, *_ = re.findall(r"```toml\n(.*?)```", section, re.DOTALL)
    assert parse_suite(suite, "tasks").data_budgets == [10, 100]
    assert parse_suite(suite + variants, "tasks").variants["narrow-gan"].method == "dcgan"


def records_of(method: str, family: str, kids: tuple[float, float], **fields: Any) -> list[Record]:
    """Two seeds of a method with these KIDs (×10³)."""
    cells = [make_cell(method, seed, family=family, **fields) for seed in (0, 1)]
    return [
        Record(
            id=cell.id,
            cell=cell,
            status=Status.OK,
            scores=make_scores({"kid": kid / 1000}),
            environment={"cpu": {"model": "A CPU", "cores_usable": 2}},
            finished_at=f"2026-01-02T03:{int(kid) % 60:02d}:00+00:00",
            leaks=method == "gatys",
        )
        for cell, kid in zip(cells, kids, strict=True)
    ]


FAR = TaskSpec("twemoji", "photos", 32)
MADE = [
    *records_of("finetune", "fine-tune", (110, 130)),
    *records_of("freezed", "frozen", (150, 170)),
    *records_of("gatys", "style", (50, 52)),
    *records_of("vae-finetune", "vae", (102, 104), source_model="vae-twemoji"),
    *records_of("vae", "vae", (300, 320)),
    *records_of("dcgan", "scratch", (500, 540)),
    *records_of("oracle", "reference", (4, 6)),
    *records_of("source", "reference", (200, 200)),
    *records_of("finetune", "fine-tune", (1000, 1200), task=FAR),
    *records_of("oracle", "reference", (-1, 0), task=FAR),
]


def test_five_lines_have_the_best_of_each_kind() -> None:
    """By hand: means and standard deviations, a dash where a run has no such row.

    Who starts from a source model is a transfer, whatever its family. Who was trained with the scoring network is the
    best of no line. Tasks stand in the order of the records; by the alphabet `none` would come first.
    """
    task = TaskSpec("none", "openmoji", 32)
    run = Run(name="made", records=[*MADE, *records_of("dcgan", "scratch", (700, 700), task=task)], folder=Path())
    all_groups = short_results.groups_in_order(run)
    head, _, *lines = short_results.five_lines(all_groups).splitlines()
    assert head == (
        "| KID×10³ ↓ | twemoji → openmoji, 25 images | twemoji → photos, 25 images | none → openmoji, 25 images |"
    )
    assert [line.strip("| ").split(" | ")[1:] for line in lines] == [
        ["5.0 ± 1.4", "−0.5 ± 0.7", "—"],
        ["vae-finetune 103 ± 1", "finetune 1,100 ± 141", "—"],
        ["200 ± 0", "—", "—"],
        ["vae 310 ± 14", "—", "dcgan 700 ± 0"],
        ["—", "—", "—"],
    ]
    sentence = short_results.conditions(all_groups)
    assert "over 2 seeds; lower is better. 8 kimg per fit, protocol lite0@96" in sentence
    assert "gatys was trained with the scoring network and does not compete." in sentence


def test_the_run_took_from_its_first_end_to_its_last() -> None:
    """Cells that ended between 03:00 and 03:59 took 59 minutes."""
    records = records_of("finetune", "fine-tune", (60, 119))
    assert short_results.duration(Run(name="made", records=records, folder=Path())) == (
        "The 2 cells behind the table below took 59 minutes on 2 cores (A CPU)."
    )


def test_the_commands_in_the_readme_exist() -> None:
    """Each `$ graftbench …` line names a command."""
    lines = re.findall(r"^\$ graftbench (.*)$", README, re.MULTILINE)
    assert len(lines) >= 6
    assert all(any(line.startswith(name) for name in COMMANDS) for line in lines)
