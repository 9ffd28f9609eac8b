"""What a record says was measured, what was declared, and who made the generator; in data frames, selections, views."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from made_cells import make_cell

from graftbench.citations import bibliography
from graftbench.comparison.table import load
from graftbench.contracts import Domain, Method, Reference
from graftbench.records.cell_view import view_cell
from graftbench.records.provenance import costs_of, declared_by, is_declared, known_cost, origin_of
from graftbench.records.record import Record, Resources, Score, Status
from graftbench.records.run import Run
from graftbench.records.selection import select
from graftbench.records.store import append
from graftbench.resources.monitor import declared_resources
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from pathlib import Path

DECLARED = {"device": "A100", "fit_seconds": 5400.0, "parameters_total": 30_000_000}


def make(method: str = "our-gan", seed: int = 0, *, cell: dict[str, Any] | None = None, **changes: Any) -> Record:
    """A cell that ended well, by default one whose images were handed in with `DECLARED`."""
    fields = {"variant_of": "samples", "files": {"samples": f"{seed:064x}"}, "family": "submitted", "parameters": {}}
    spec = make_cell(method, seed, **(fields | (cell or {})))
    score = Score(name="kid", value=0.01, n_generated=600, n_reference=608, protocol="lite0@96")
    told: dict[str, Any] = {"status": Status.OK, "origin": "submitted", "scores": [score]}
    told["resources"] = declared_resources(DECLARED)
    return Record(id=spec.id, cell=spec, **(told | changes))


COMMAND = {
    "variant_of": "command",
    "family": "scratch",
    "parameters": {"train": "python train.py", "code": ["/home/me/train.py"]},
    "files": {"code": "cd" * 32},
}
MEASURED = Resources(
    device="cpu", fit_seconds=12.5, images_seen=8000, parameters_total=0, timing_shared=True, declared=["images_seen"]
)


def by_a_program(seed: int = 0, **changes: Any) -> Record:
    """A cell that a foreign program trained: it declares its images, the suite's clock its seconds."""
    return make("our-cli", seed, cell=COMMAND, **({"origin": "command", "resources": MEASURED} | changes))


def folder_of(path: Path, *records: Record) -> Path:
    """A run folder."""
    path.mkdir()
    for record in records:
        append(path / "records.jsonl", record)
    return path


# ------------------------------------------------------------------------------------------------------- one record


def test_what_was_declared_is_known_and_what_was_not_said_is_none() -> None:
    """A count of 0 in what others made says that nobody told it; in the suite's own cells 0 is a number."""
    record = make()
    assert {name: known_cost(record, name) for name in ("fit_seconds", "parameters_total", "images_seen")} == {
        "fit_seconds": 5400.0,
        "parameters_total": 30_000_000,
        "images_seen": None,
    }
    assert (is_declared(record, "fit_seconds"), is_declared(record, "images_seen")) == (True, False)
    own = make(origin="", resources=MEASURED, cell=COMMAND | {"variant_of": ""})
    assert known_cost(own, "parameters_total") == 0


def test_a_declared_zero_is_a_number() -> None:
    """Whoever says that nothing was trained has said it."""
    record = make(resources=declared_resources({"parameters_trained": 0, "images_seen": 5}))
    assert known_cost(record, "images_seen") == 5
    silent = Resources(device="", fit_seconds=None, images_seen=0, declared=["parameters_trained"])
    assert known_cost(make(resources=silent), "parameters_trained") == 0


def test_failed_samples_were_submitted_all_the_same() -> None:
    """The record of a cell that failed has no origin; that its images were handed in stands in the cell."""
    assert origin_of(make(origin="", status=Status.ERROR, resources=None, scores=[])) == "submitted"
    assert known_cost(make(resources=None), "fit_seconds") is None


def test_costs_are_told_line_by_line() -> None:
    """In the record's order, each with whether it was declared; empty texts and silent zeros are left out."""
    assert costs_of(make()) == [
        ("device", "A100", True),
        ("fit_seconds", 5400.0, True),
        ("parameters_total", 30_000_000, True),
    ]
    told = {name: declared for name, _, declared in costs_of(by_a_program())}
    assert told == {"device": False, "fit_seconds": False, "images_seen": True, "timing_shared": False}
    assert costs_of(make(resources=None)) == []


def test_who_declared_is_named() -> None:
    """Whoever handed images in, a program, or both."""
    assert declared_by([make()]) == "declared by whoever handed the images in; not measured here"
    assert declared_by([by_a_program()]) == "declared by the program that trained; not measured here"
    both = "declared by whoever handed the images in or by the program that trained; not measured here"
    assert declared_by([make(), by_a_program()]) == both


# ------------------------------------------------------------------------------------------- data frames, selections


def test_the_data_frame_says_who_made_what_and_what_was_declared(tmp_path: Path) -> None:
    """Columns `variant_of`, `origin`, `declared`; what nobody said is missing, never zero."""
    table = load(folder_of(tmp_path / "run", make(), by_a_program(), make(seed=1, resources=None)))
    assert list(table["origin"]) == ["submitted", "command", "submitted"]
    assert list(table["variant_of"]) == ["samples", "command", "samples"]
    assert list(table["declared"]) == ["device fit_seconds parameters_total", "images_seen", ""]
    assert list(table["fit_seconds"][:2]) == [5400.0, 12.5]
    assert list(table["images_seen"].isna()) == [True, False, True]
    assert list(table["timing_shared"].isna()) == [True, False, True]


@pytest.mark.parametrize(
    ("text", "methods"),
    [
        ("origin=submitted", ["our-gan"]),
        ("origin!=submitted", ["our-cli", "dcgan"]),
        ("origin=suite,command", ["our-cli", "dcgan"]),
        ("origin=suite", ["dcgan"]),
    ],
)
def test_cells_are_selected_by_who_made_them(text: str, methods: list[str]) -> None:
    """`suite` stands for what the suite fitted itself."""
    own = make("dcgan", cell=COMMAND | {"variant_of": "", "files": {}}, origin="", resources=MEASURED)
    assert [record.cell.method for record in select([make(), by_a_program(), own], text)] == methods


# ------------------------------------------------------------------------------------------------------------- views


def show(folder: Path, record: Record, *options: str) -> str:
    """What `graftbench show` prints."""
    command = [sys.executable, "-m", "graftbench", "show", str(folder), record.id, *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_show_says_of_every_cost_whether_it_was_measured(tmp_path: Path) -> None:
    """With who declared it, what the row is a variant of, and digits in place of a path."""
    record = by_a_program()
    text = " ".join(show(folder_of(tmp_path / "run", record), record).split())
    assert "variant of command made by others trained by a foreign program under the suite's clock" in text
    assert "code=sha256:cdcdcdcdcdcd" in text
    assert "fit_seconds 12.5 (measured) images_seen 8,000 (declared)" in text
    assert "Declared by the program that trained; not measured here." in text
    assert "parameters_total" not in text.partition("Environment")[0].partition("Cost")[2]


def test_show_says_that_nothing_was_declared(tmp_path: Path) -> None:
    """Images without a word about their cost."""
    record = make(resources=None)
    text = show(folder_of(tmp_path / "run", record), record)
    assert "submitted (made elsewhere, only scored here)" in text
    assert "None was declared, and none could be measured here." in text
    assert '"origin": "submitted"' in show(tmp_path / "run", record, "--json")


def test_the_suite_of_a_variant_declares_it(tmp_path: Path) -> None:
    """Method, family and parameters, the paths among them as they were."""
    record = by_a_program()
    view = view_cell(Run(name="r", records=[record], folder=tmp_path), record.id)
    suite = parse_suite(view.suite, "the suite")
    assert (suite.methods, suite.parameters) == (["our-cli"], {})
    variant = suite.variants["our-cli"]
    assert (variant.method, variant.family, variant.parameters) == ("command", "scratch", COMMAND["parameters"])
    assert any("at the same paths: code" in sentence for sentence in view.caveats)


def test_the_suite_of_samples_names_their_place_in_the_run_s_suite(tmp_path: Path) -> None:
    """The entry of this very cell; a run whose suite has none says so."""
    record = make(seed=1)
    entries = "".join(
        f'[[samples]]\nmethod = "{method}"\npath = "in/{method}-{seed}"\ntask = "twemoji->openmoji@32"\n'
        f"data_budget = 25\nseed = {seed}\n{more}"
        for method, seed, more in (
            ("our-gan", 0, ""),
            ("our-gan", 1, "compute_budget = { kimg = 8.0 }\n"),
            ("our-gan", 1, "compute_budget = { kimg = 16.0 }\n"),
            ("other", 1, ""),
        )
    )
    run = Run(name="r", records=[record], folder=tmp_path)
    assert any("does not name" in sentence for sentence in view_cell(run, record.id).caveats)
    (tmp_path / "suite.toml").write_text(entries)
    view = view_cell(run, record.id)
    suite = parse_suite(view.suite, "the suite")
    assert (suite.methods, [entry.path for entry in suite.samples]) == ([], ["in/our-gan-1"])
    assert any(sentence.startswith("Scored here, made elsewhere") for sentence in view.caveats)


# ------------------------------------------------------------------------------------------------------------ citing


class Base:
    """A method as the bibliography looks at it."""

    reference = Reference(authors="Wang, Wu", title="Transferring GANs", venue="ECCV", year=2018, arxiv="1805.01677")


def cited(*records: Record) -> tuple[str, list[str]]:
    """Uses of the entries as one text, and what nothing is known to cite for."""
    known: Any = {"finetune": Base}
    domains: dict[str, type[Domain]] = {}
    methods: dict[str, type[Method]] = known
    entries, missing = bibliography(records, methods, domains)
    return " | ".join(use for entry in entries for use in entry.uses), missing


def test_a_variant_cites_its_method() -> None:
    """The paper once, and as what it was used."""
    variant = {"variant_of": "finetune", "family": "fine-tune", "files": {}}
    plain = make("finetune", cell=variant | {"variant_of": ""}, origin="", resources=None)
    uses, missing = cited(plain, make("slow", cell=variant, origin="", resources=None))
    assert "method finetune | method slow (a variant of finetune)" in uses
    assert not [sentence for sentence in missing if "method" in sentence]


def test_what_others_made_is_theirs_to_cite() -> None:
    """A sentence for each name; that no such method is registered is no news."""
    _, missing = cited(make(), make(seed=1), by_a_program())
    assert missing[0] == "'our-gan' is submitted (made elsewhere, only scored here): cite its makers."
    assert "'our-cli' is trained by a foreign program under the suite's clock: cite its makers." in missing
    assert sum("our-gan" in sentence for sentence in missing) == 1
    again = msgspec.structs.replace(make(), cell=msgspec.structs.replace(make().cell, variant_of="nowhere"))
    assert any("'nowhere' is not known here" in sentence for sentence in cited(again)[1])
