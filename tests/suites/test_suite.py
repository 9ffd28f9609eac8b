"""Suite files: what is accepted, and what a mistake is answered with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

from graftbench.errors import GraftbenchError
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import ComputeBudget, TaskSpec
from graftbench.records.store import read
from graftbench.suites.matrix import places
from graftbench.suites.plan import resolve_suite
from graftbench.suites.suite import (
    check_resolution,
    load_suite,
    override,
    packaged_suites,
    parse_suite,
    parse_task,
    paths_beside,
)

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
name = "mine"
tasks = ["twemoji->openmoji@32"]
methods = ["dcgan", "oracle"]
data_budgets = [25]
compute_budget = { kimg = 1 }
seeds = [0]
"""


def test_a_small_suite_takes_the_defaults() -> None:
    """What is not written has the documented default."""
    suite = parse_suite(GOOD, "mine.toml")
    assert suite.compute_budget == ComputeBudget(kimg=1.0)
    assert (suite.protocol.extractor, suite.protocol.size, suite.protocol.reference) == ("lite0", None, "reference")


def test_the_example_of_the_pages_is_the_suite_of_its_records() -> None:
    """What docs/examples/emoji.toml plans is what the run that tests and pages read has, cell by cell."""
    records, _ = read(EMOJI_RECORDS)
    cells = [r.cell for r in records]
    planned = places(load_suite(EMOJI_SUITE))
    assert len(cells) == len(planned) == 36
    assert {(c.method, str(c.task), c.data_budget, c.seed, c.compute_budget) for c in cells} == set(planned)


def test_every_packaged_suite_parses() -> None:
    """No packaged suite has a mistake in it, and each is called by its file's name."""
    for name, text in packaged_suites().items():
        assert parse_suite(text, name).name == name


@pytest.mark.parametrize(
    ("wrong", "right", "sentence"),
    [
        ("seeds =", "sedes =", "Unknown key 'sedes' in mine.toml. Did you mean 'seeds'?"),
        ("{ kimg = 1 }", "{ king = 1 }", r"Unknown key 'king' in mine.toml \[compute_budget\]. Did you mean 'kimg'?"),
        ("{ kimg = 1 }", "{ kimg = 1, seconds = 2 }", "exactly one of kimg, seconds, gflops"),
        ("{ kimg = 1 }", "{ kimg = 0 }", "must be positive"),
        ("{ kimg = 1 }", "{ kimg = 'much' }", "compute_budget.kimg must be a number; found the text 'much'"),
        ("[25]", "[]", "the matrix is empty, for `data_budgets` lists nothing"),
        ("[0]", "[]", "the matrix is empty, for `seeds` lists nothing"),
        ("[25]", "[0]", "must be at least 1; found 0"),
        ("[25]", "[25, 25]", "`data_budgets` lists a value twice"),
        ("[0]\n", "[0]\n[protocol]\nmetrics = ['kid', 'kid']\n", "`protocol.metrics` lists a value twice"),
        ("@32", "@33", "A resolution is 8, 16, 32"),
        ("->openmoji", "->none", "A task needs a target domain"),
        ("[0]\n", "[0]\n[source_models.gna]\nkimg = 1\n", "Unknown kind of source model 'gna'"),
        ("[0]\n", "[0]\n[source_models.gan]\nkimgs = 1\n", "Did you mean 'kimg'?"),
        ("[0]\n", "[0]\n[source_model]\nkimg = 1\n", "Did you mean 'source_models'?"),
        ("->openmoji", " to openmoji", "A task is written source->target@resolution"),
        ("[0]\n", "[0]\n[protocol]\nreference = 'train'\n", "Unknown split 'train'"),
        ("[0]\n", "[0]\n[protocol]\nextracter = 'lite0'\n", "Did you mean 'extractor'?"),
        ("[0]\n", "[0]\n[parameters.dcgna]\nlr = 1\n", "Unknown listed method 'dcgna' .* Did you mean 'dcgan'?"),
        ("name =", "name ", "no valid TOML"),
        ("{ kimg = 1 }", "{ kimg = 1e-9 }", "a budget of images is 0.001 kimg .* to 1,000,000 kimg; found 1e-09"),
        ("{ kimg = 1 }", "{ kimg = 1e300 }", "a budget of images is 0.001 kimg .* to 1,000,000 kimg; found 1e.300"),
        ("@32", "@1073741824", "A resolution is 8, 16, 32, .*; found 1073741824"),
    ],
)
def test_a_mistake_is_named(wrong: str, right: str, sentence: str) -> None:
    """Each mistake gets one sentence that says what was found and what was expected or nearest."""
    with pytest.raises(GraftbenchError, match=sentence.replace("?", r"\?")):
        parse_suite(GOOD.replace(wrong, right), "mine.toml")


def test_an_unknown_suite_names_the_nearest() -> None:
    """`graftbench run quik` says what was probably meant."""
    with pytest.raises(GraftbenchError, match=r"Unknown suite 'quik'.*Did you mean 'quick'\?"):
        load_suite("quik")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that ends in .toml is a file, and a missing one is called missing."""
    with pytest.raises(GraftbenchError, match="There is no suite file"):
        load_suite(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["folder:a/b@2->openmoji@64", "folder:a->folder:b->c@8"])
def test_a_task_may_hold_paths(text: str) -> None:
    """The resolution follows the last `@`, the target the first `->`."""
    task = parse_task(text)
    assert str(task) == text
    assert parse_task("twemoji->openmoji@32") == TaskSpec("twemoji", "openmoji", 32)


class _Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    steps: int = 3

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError("steps must be positive")


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"step": 1}, r"Unknown key 'step' in \[parameters.x\]. Did you mean 'steps'\?"),
        ({"steps": "many"}, r"\[parameters.x\]: steps must be a whole number; found the text 'many'"),
        ({"steps": 0}, r"\[parameters.x\]: steps must be positive"),
    ],
)
def test_a_wrong_parameter_is_named(parameters: dict[str, object], sentence: str) -> None:
    """Unknown, of the wrong type, or out of range: the place and the reason."""
    with pytest.raises(GraftbenchError, match=sentence):
        config_of(_Config, parameters, "[parameters.x]")


def test_override_drops_parameters_of_methods_that_are_left_out() -> None:
    """Parameters go with their method, so that the suite stays valid."""
    suite = override(load_suite(EMOJI_SUITE), methods=["oracle", "dcgan"])
    assert suite.methods == ["oracle", "dcgan"]
    assert set(suite.parameters) == {"dcgan"}


@pytest.mark.parametrize(
    ("extractor", "size", "resize"),
    [("lite0", 96, "bicubic-antialias"), ("inception-v3-compat", None, "extractor")],
)
def test_an_extractor_brings_its_own_input_rule(extractor: str, size: int | None, resize: str) -> None:
    """A suite that names an extractor alone gets its default size and resize rule, and the hash of its weights."""
    from graftbench.records.cell_spec import Protocol
    from graftbench.scoring.protocol import resolve_protocol

    resolved = resolve_protocol(Protocol(extractor=extractor))
    assert (resolved.size, resolved.resize) == (size, resize)
    assert len(resolved.weights_sha256) == 64
    with pytest.raises(GraftbenchError, match="extractor 'inception-v3-compat' takes no size"):
        resolve_protocol(Protocol(extractor="inception-v3-compat", size=96))


@pytest.mark.parametrize("other", ["twemoji->openmoji@032", " twemoji -> openmoji @ 32", "twemoji->openmoji@32 "])
def test_a_task_in_another_spelling_is_the_same_task(other: str) -> None:
    """It would be planned twice under one id."""
    assert parse_task(other) == parse_task("twemoji->openmoji@32")
    text = GOOD.replace('"twemoji->openmoji@32"', f'"twemoji->openmoji@32", "{other}"')
    with pytest.raises(GraftbenchError, match="lists one task twice"):
        parse_suite(text, "mine.toml")


@pytest.mark.parametrize(
    ("text", "way_forward"),
    [
        ("avatars:micah->avatars:micah@32", "'none->avatars:micah@32' trains on them without a source"),
        (" openmoji -> openmoji?train=100 @ 64", "'none->openmoji?train=100@64' trains on them"),
        ("superres4:openmoji->openmoji@32", "'superres4:openmoji@32' trains on them"),
        ("stylize:openmoji->openmoji@32", "whatever the data budget."),
    ],
)
def test_a_task_to_its_own_source_is_refused(text: str, way_forward: str) -> None:
    """Options on the splits make no other domain of it; the sentence says how to train on it alone."""
    with pytest.raises(GraftbenchError, match=f"leads from one domain to another.*{re.escape(way_forward)}"):
        parse_task(text)


def test_the_sides_of_commands_are_those_of_tasks() -> None:
    """The same sentence for an option as for a task; the ends of the range are in it."""
    for side in (8, 16, 4096):
        check_resolution(side, "x")
    for side in (-32, 0, 4, 33, 8192):
        with pytest.raises(GraftbenchError, match=rf"is 8, 16, 32.*; found {side} in '--resolution {side}'"):
            check_resolution(side, f"--resolution {side}")


@pytest.mark.parametrize("side", ["²", "1048576", "99999999999", "9" * 30, "-32", ""])
def test_a_side_that_is_none_is_named(side: str) -> None:
    """Other digits than 0 to 9, and sides that no memory holds."""
    with pytest.raises(GraftbenchError, match="found"):
        parse_task(f"twemoji->openmoji@{side}")


def test_plugins_of_a_suite_are_seen_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the current folder is."""
    file = tmp_path / "mine.toml"
    file.write_text(f'plugins = ["deeper/my_method.py"]\n{GOOD}', "utf-8")
    monkeypatch.chdir("/")
    assert load_suite(file).with_plugins([]) == [tmp_path.resolve() / "deeper" / "my_method.py"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("domains = 3", "local.toml': domains must be a table; found the number 3. Remove it;"),
        ("[domains.cats]\npath = 3", "domains.cats.path must be a text in quotes; found the number 3. Remove it;"),
        ("[domains.cats]\npaht = 'x'", "Unknown key 'paht' in .*Did you mean 'path'.*Remove it;"),
        ("[", "is no valid TOML: .*Remove it; the next run writes it again"),
    ],
)
def test_a_damaged_file_of_paths_is_named(text: str, sentence: str, tmp_path: Path) -> None:
    """What is wrong with it, and that it may go; without it there are no paths."""
    assert paths_beside(tmp_path / "suite.toml") == {}
    (tmp_path / "local.toml").write_text(text, "utf-8")
    with pytest.raises(GraftbenchError, match=sentence):
        paths_beside(tmp_path / "suite.toml")


def test_a_suite_needs_a_name() -> None:
    """An empty one, or one of blanks, would name no folder and head no page."""
    for name in ("", "  "):
        with pytest.raises(GraftbenchError, match="a suite needs a name"):
            parse_suite(re.sub('name = ".*"', f'name = "{name}"', GOOD), "mine.toml")


def test_the_name_of_a_suite_is_no_path() -> None:
    """Words are fine, a folder is not."""
    for name in ("../x", "a/b", "..", "a\\b"):
        with pytest.raises(GraftbenchError, match="a suite's name is no path"):
            parse_suite(re.sub('name = ".*"', lambda _, name=name: f"name = '{name}'", GOOD), "mine.toml")
    assert parse_suite(GOOD.replace('"mine"', '"My suite, no. 2"'), "mine.toml").name == "My suite, no. 2"


def test_a_variant_that_nothing_runs_is_checked_too() -> None:
    """Its method is looked up although `methods` does not list it; the sentence is about that alone, and said once."""
    suite = parse_suite(GOOD + '[variants.mine]\nmethod = "dcgn"\n', "mine.toml")
    with pytest.raises(GraftbenchError) as caught:
        resolve_suite(suite, ())
    said = str(caught.value)
    assert said.startswith("[variants.mine] of the suite: Unknown method 'dcgn'. Did you mean 'dcgan'? Available: ")
    assert said.count("Available") == 1
    assert not said.endswith("..")
