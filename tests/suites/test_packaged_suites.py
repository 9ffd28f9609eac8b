"""The suites that come with the package: what each promises, and that `standard` runs from start to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec
import pytest

from graftbench.contracts import Family
from graftbench.execution.driver import run
from graftbench.plugins import registry
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import NO_SOURCE, ComputeBudget
from graftbench.suites.matrix import places
from graftbench.suites.suite import load_suite, packaged_suites, parse_task
from graftbench.training.source import SourceModelSpec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", packaged_suites())
def test_methods_domains_and_parameters_exist(name: str) -> None:
    """Nothing is prepared or downloaded to see that names and parameters are right."""
    suite = load_suite(name)
    assert suite.name == name
    methods, domains = registry.methods(), registry.domains()
    for method in suite.methods:
        config_of(methods[method].Config, suite.parameters.get(method, {}), method)
    for task in map(parse_task, suite.tasks):
        assert {domains[side.partition(":")[0]].name for side in {task.source, task.target} - {NO_SOURCE}}


def test_standard_covers_what_it_says() -> None:
    """Five tasks, four data budgets, three seeds, every family."""
    standard = load_suite("standard")
    assert (len(standard.tasks), len(standard.data_budgets), len(standard.seeds)) == (5, 4, 3)
    methods = registry.methods()
    families = set(get_args(Family)) - {"submitted"}  # those are made elsewhere
    assert {methods[name].family for name in standard.methods} == families


def test_quick_is_small_and_compares_what_transfers_with_what_does_not() -> None:
    """A hundred cells at most, at least two seeds, nothing to download; both families, and rows that mark the scale."""
    quick = load_suite("quick")
    methods, domains = registry.methods(), registry.domains()
    assert 1 <= len(places(quick)) <= 100
    assert len(quick.seeds) >= 2
    families = {methods[name].family for name in quick.methods}
    assert "scratch" in families
    assert families & {"fine-tune", "frozen"}
    assert {"oracle", "memorizer", "source"} <= set(quick.methods)
    for task in map(parse_task, quick.tasks):
        for side in (task.source, task.target):
            assert domains[side.partition(":")[0]].source.startswith("Python package"), side


def test_the_two_suites_for_papers_differ_in_the_protocol_alone() -> None:
    """Numbers of two protocols do not compare, so each has a suite, a run folder and tables of its own."""
    inception, dino = load_suite("paper"), load_suite("paper-dinov2")
    same = {"name": "", "title": "", "protocol": inception.protocol}
    assert msgspec.structs.replace(inception, **same) == msgspec.structs.replace(dino, **same)
    assert (inception.protocol.extractor, dino.protocol.extractor) == ("inception-v3-compat", "dinov2-vit-l-14")
    assert inception.protocol.n_generated == dino.protocol.n_generated == 5000
    assert {10, 100, 1000, 5000} <= {n for task in inception.tasks for n in inception.budgets_of(task)}


@pytest.mark.long
@pytest.mark.usefixtures("shared_cache", "warm_executor")
def test_standard_runs_from_start_to_end_at_a_small_budget(tmp_path: Path) -> None:
    """Every task and method, one data budget and seed, 1,000 images a fit and a source model: every cell is ok."""
    standard = load_suite("standard")
    small = msgspec.structs.replace(
        standard,
        data_budgets=[10],
        seeds=[0],
        compute_budget=ComputeBudget(kimg=1),
        protocol=msgspec.structs.replace(standard.protocol, n_generated=64),
        source_models={
            kind: SourceModelSpec(kimg=1, seed=spec.seed, parameters=spec.parameters)
            for kind, spec in standard.source_models.items()
        },
    )
    assert run(small, tmp_path, keep="nothing").statuses == {"ok": 70}
