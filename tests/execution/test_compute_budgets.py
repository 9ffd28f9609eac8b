"""Compute budgets in images, seconds and arithmetic: each ends a real fit, and a record holds all three."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tiny_suites import suite_toml

from graftbench.errors import GraftbenchError
from graftbench.execution.driver import run
from graftbench.records import store
from graftbench.records.cell_spec import ComputeBudget
from graftbench.suites.matrix import places
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("shared_cache", "warm_executor")

TOML = suite_toml(
    "dcgan",
    tasks=["twemoji->openmoji@8"],
    images=10,
    budget="[{ kimg = 0.064 }, { seconds = 0.5 }, { gflops = 2.0 }]",
    n_generated=8,
    more='[parameters.dcgan]\nprecision = "float32"',
)


@pytest.mark.long
def test_each_kind_ends_a_fit_and_all_three_are_recorded(tmp_path: Path) -> None:
    """One suite of three budgets: the one that binds is met, and images, seconds and arithmetic are in every record."""
    assert run(parse_suite(TOML, "budgets.toml"), tmp_path).statuses == {"ok": 3}
    records, _ = store.read(tmp_path / "records.jsonl")
    found = {str(record.cell.compute_budget): record.resources for record in records}
    assert len(found) == 3
    for cost in found.values():
        assert cost is not None
        assert cost.images_seen > 0
        assert cost.fit_seconds
        assert cost.flops_per_image is not None
        assert cost.flops == pytest.approx(cost.flops_per_image * cost.images_seen)
    images, seconds, gflops = (found[name] for name in ("0.064 kimg", "0.5 seconds", "2 gflops"))
    assert images is not None
    assert seconds is not None
    assert gflops is not None
    assert images.images_seen == 64
    assert (seconds.fit_seconds or 0) >= 0.5
    # In whole images: at most half an image's arithmetic from the budget.
    assert gflops.flops is not None
    assert gflops.flops_per_image is not None
    assert abs(gflops.flops - 2e9) <= gflops.flops_per_image / 2 + 1
    again = parse_suite((tmp_path / "suite.toml").read_text("utf-8"), "suite.toml")
    assert again.compute_budgets == [ComputeBudget(kimg=0.064), ComputeBudget(seconds=0.5), ComputeBudget(gflops=2)]
    assert again.cells == 3


def test_one_budget_or_several_are_read() -> None:
    """A table is one budget; a list of tables is several, each cell once under each."""
    several = parse_suite(TOML, "budgets.toml")
    assert len(places(several)) == 3
    one = parse_suite(TOML.replace("[{ kimg = 0.064 }, { seconds = 0.5 }, { gflops = 2.0 }]", "{ kimg = 1 }"), "one")
    assert one.compute_budgets == [ComputeBudget(kimg=1)]
    assert len(places(one)) == 1


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        ("[]", "found none"),
        ("[{ kimg = 1 }, { kimg = 1.0 }]", "found 1 kimg, 1 kimg"),
        ("[{ kmig = 1 }]", "Did you mean 'kimg'?"),
        ("[{ kimg = 1, seconds = 2 }]", "exactly one of kimg, seconds, gflops"),
        ("{ gflops = -1 }", "positive and finite"),
    ],
)
def test_wrong_compute_budgets_are_refused(budget: str, sentence: str) -> None:
    """None, one twice, an unknown unit, two units in one, a negative one."""
    text = TOML.replace("[{ kimg = 0.064 }, { seconds = 0.5 }, { gflops = 2.0 }]", budget)
    with pytest.raises(GraftbenchError, match=sentence.replace("?", r"\?")):
        parse_suite(text, "budgets.toml")


def test_a_task_may_have_data_budgets_of_its_own() -> None:
    """`task_budgets` stands in place of `data_budgets` for that task alone."""
    suite = parse_suite(
        TOML.replace('"twemoji->openmoji@8"', '"twemoji->openmoji@8", "openmoji->twemoji@8"')
        + '\n[task_budgets]\n"openmoji->twemoji@8" = [5, 20]\n',
        "own.toml",
    )
    found = {(task, budget) for _, task, budget, _, _ in places(suite)}
    assert found == {("twemoji->openmoji@8", 10), ("openmoji->twemoji@8", 5), ("openmoji->twemoji@8", 20)}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('"twemoji->openmoij@8" = [5]', "Did you mean 'twemoji->openmoji@8'"),
        ('"twemoji->openmoji@8" = []', "lists no budget for a task"),
        ('"twemoji->openmoji@8" = [5, 5]', "lists a value twice"),
        ('"twemoji->openmoji@8" = [0]', "at least 1; found 0"),
    ],
)
def test_wrong_budgets_of_a_task_are_refused(line: str, sentence: str) -> None:
    """A task that the suite does not have, no budget, one twice, none at all."""
    with pytest.raises(GraftbenchError, match=sentence):
        parse_suite(f"{TOML}\n[task_budgets]\n{line}\n", "own.toml")


@pytest.mark.slow
def test_a_budget_beyond_the_pool_names_its_size(tmp_path: Path) -> None:
    """Said before anything is trained, with the task and the number of images that there are."""
    suite = msgspec.structs.replace(
        parse_suite(TOML, "budgets.toml"), task_budgets={"twemoji->openmoji@8": [10, 100_000]}
    )
    with pytest.raises(GraftbenchError, match=r"100000 images .* the training split of openmoji@8 has \d+"):
        run(suite, tmp_path)
    assert not (tmp_path / "records.jsonl").exists()
