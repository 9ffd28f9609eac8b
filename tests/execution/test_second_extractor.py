"""A suite with a second extractor, from its file to the records and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch
from tiny_suites import suite_toml

from graftbench.errors import GraftbenchError
from graftbench.execution.driver import run
from graftbench.plugins import registry
from graftbench.plugins.code_hash import code_of
from graftbench.records.run import read_run
from graftbench.report import write_reports
from graftbench.scoring.score import score_sampler
from graftbench.suites.plan import make_plan
from graftbench.suites.suite import parse_suite
from graftbench.training.samplers import load_sampler

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.suites.suite import Suite

SMALL, LARGE = ({"extractor": name, "size": side} for name, side in (("lite0", 32), ("lite2", 40)))


def suite_of(first: dict[str, Any], second: dict[str, Any] | None = None) -> Suite:
    """A suite of one cell whose images two networks look at."""
    more = "" if second is None else "\n".join(["[protocol.second]", *(f"{k} = {v!r}" for k, v in second.items())])
    toml = suite_toml("gaussian", tasks=["none->openmoji@32"], metrics=["kid", "fid"], more=more, **first)
    return parse_suite(toml, "two")


@pytest.mark.slow
def test_two_extractors_score_the_same_images(shared_cache: Path, tmp_path: Path) -> None:
    """From a suite to its report; the second's scores are to the digit what it gives as the first of a protocol."""
    suite = suite_of(SMALL, LARGE)
    assert run(suite, tmp_path / "run").statuses == {"ok": 1}
    (record,) = read_run(tmp_path / "run").records
    assert [score.name for score in record.scores] == [
        "fid",
        "kid",
        "fid.lite2@40+blur0.7+dither8",
        "kid.lite2@40+blur0.7+dither8",
    ]

    # The same sampler, scored by the second extractor alone.
    alone = record.cell.protocol.under_second
    assert alone is not None
    sampler = load_sampler(tmp_path / "run" / record.artifacts["sampler"])
    target = make_plan(suite, shared_cache).images["openmoji", 32]
    scored = score_sampler(sampler, target, alone, torch.Generator().manual_seed(0), cache=shared_cache)
    for second, expected in zip(record.scores[2:], scored.scores, strict=True):
        assert second == msgspec.structs.replace(expected, name=second.name)
        assert second.full_name == expected.full_name
        assert second.interval is not None
        assert second.floor is not None

    write_reports(read_run(tmp_path / "run"), tmp_path / "report", registry.reports())
    assert "KID×10³ (lite2@40+blur0.7+dither8)" in (tmp_path / "report" / "table.md").read_text("utf-8")
    with pytest.raises(GraftbenchError, match="under another protocol"):
        run(suite_of(SMALL), tmp_path / "run")


def test_a_second_extractor_is_part_of_a_cell_only_where_it_is_given(shared_cache: Path) -> None:
    """Without one ids are as ever; with one they differ, by the protocol and by the code that scores with it."""
    plain, two = (make_plan(suite_of(SMALL, second), shared_cache).cells for second in (None, LARGE))
    assert not {cell.id for cell in plain} & {cell.id for cell in two}
    gaussian = registry.methods()["gaussian"]
    assert plain[0].code == code_of(gaussian)
    assert two[0].code == code_of(gaussian, second=True) != plain[0].code
    assert two[0].protocol.second
    assert two[0].protocol.second.label == "lite2@40+blur0.7+dither8"


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (
            {"extractor": "vgg61"},
            r"^The protocol's second extractor: Unknown extractor 'vgg61'. Did you mean 'vgg16'\?",
        ),
        ({"extractor": "lite0", "size": 8}, r"second extractor: The extractor 'lite0' needs a size of 32 or more"),
        (SMALL, r"second extractor lite0@32\+blur0\.7\+dither8 is the network of its first, .* Name another"),
        (
            SMALL | {"size": 64},
            r"second extractor lite0@64\+blur0\.7\+dither8 is the network of its first, lite0@32\+.*no second opinion",
        ),
    ],
)
def test_mistakes_are_named(second: dict[str, Any], sentence: str, shared_cache: Path) -> None:
    """An unknown name with the nearest, a size that does not fit, and the first's network once more."""
    with pytest.raises(GraftbenchError, match=sentence):
        make_plan(suite_of(SMALL, second), shared_cache)


def test_a_misspelt_key_is_named() -> None:
    """The table of the second extractor has the keys of the first."""
    with pytest.raises(GraftbenchError, match="sise"):
        suite_of(SMALL, {"extractor": "vgg16", "sise": 64})
