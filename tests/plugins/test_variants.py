"""Variants: methods under names of their own, in a suite or in a file."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from graftbench.cache import cache_folder
from graftbench.digests import digest_of_path
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.variants import Variant, read_variants
from graftbench.suites.plan import make_plan
from graftbench.suites.suite import Suite, load_suite, parse_suite

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("shared_cache")

SUITE = """
name = "variants"
tasks = ["twemoji->openmoji@32"]
methods = ["dcgan", "narrow"]
data_budgets = [25]
compute_budget = { kimg = 0.064 }
seeds = [0]
[variants.narrow]
method = "dcgan"
title = "DCGAN, narrow"
parameters = { channels_generator = 8 }
"""


def suite(text: str = SUITE) -> Suite:
    """From TOML."""
    return parse_suite(text, "suite.toml")


def test_a_variant_is_its_method_with_other_parameters() -> None:
    """Its cells carry its name, its method's code and all parameters; the plain method beside it is as it was."""
    plan = make_plan(suite(), cache_folder())
    plain, narrow = sorted(plan.cells, key=lambda cell: cell.method)
    assert (plain.method, plain.variant_of, narrow.method, narrow.variant_of) == ("dcgan", "", "narrow", "dcgan")
    assert plain.code == narrow.code
    assert narrow.parameters == plain.parameters | {"channels_generator": 8}
    alone = make_plan(suite(SUITE.replace('"narrow"]', "]")), cache_folder())
    assert alone.ids == [plain.id]


def test_a_toml_file_is_a_plugin(tmp_path: Path) -> None:
    """A file of variants adds them to every suite; a suite may name them without declaring them again."""
    file = tmp_path / "mine.toml"
    file.write_text(SUITE)
    found = registry.methods([file])
    assert found["narrow"].title == "DCGAN, narrow"
    assert found["narrow"].defaults == {"channels_generator": 8}
    assert registry.file_of(found["narrow"]) == registry.file_of(found["dcgan"])
    assert not found.broken
    declared = suite()
    named = msgspec.structs.replace(declared, variants={})
    assert make_plan(named, cache_folder(), plugins=[file]).ids == make_plan(declared, cache_folder()).ids


def test_parameters_of_the_suite_go_over_those_of_the_variant() -> None:
    """`[parameters.NAME]` of a suite has the last word, as for any method."""
    text = SUITE.replace("[variants.narrow]", "[parameters.narrow]\nbatch_size = 4\n[variants.narrow]")
    (cell,) = (cell for cell in make_plan(suite(text), cache_folder()).cells if cell.method == "narrow")
    assert (cell.parameters["channels_generator"], cell.parameters["batch_size"]) == (8, 4)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('method = "dcgan"', 'method = "dcgam"', "Unknown method 'dcgam'. Did you mean 'dcgan'"),
        ("channels_generator = 8", "channel_generator = 8", "Unknown key 'channel_generator' in .variants.narrow."),
        ("[variants.narrow]", "[variants.Narrow]", "lower-case letters"),
        ('title = "DCGAN, narrow"', 'family = "style "', "Unknown family 'style '.*Did you mean 'style'"),
        ('title = "DCGAN, narrow"', 'titel = "x"', "Unknown key 'titel' in suite.toml .variants.narrow.. Did you mean"),
        ('method = "dcgan"', 'method = "oracle"', "'oracle' is a reference row; it has no variants"),
        ('"dcgan", "narrow"', '"dcgan", "narow"', "Unknown method 'narow'. Did you mean 'narrow'"),
    ],
)
def test_a_wrong_variant_is_told(old: str, new: str, sentence: str) -> None:
    """Before anything runs, with the nearest name."""
    with pytest.raises(GraftbenchError, match=sentence):
        make_plan(suite(SUITE.replace(old, new)), cache_folder())


def test_a_taken_name_is_told() -> None:
    """A variant neither takes a method's place silently nor is ignored: a run of that name is refused."""
    text = SUITE.replace("narrow", "finetune")
    found = registry.methods(variants=suite(text).variants)
    assert found.classes["finetune"].variant_of == ""
    with pytest.raises(GraftbenchError, match=r"'finetune' is taken twice.*\[variants\.finetune\]"):
        _ = found["finetune"]
    assert list(found.broken.values()) == ["the method 'finetune' exists already"]


def test_an_adapter_needs_a_name_of_its_own() -> None:
    """`command` by itself has no commands to run."""
    adapters = [name for name, cls in registry.methods().classes.items() if cls.adapter]
    for name in adapters:
        with pytest.raises(GraftbenchError, match=f"'{name}' is an adapter and needs parameters"):
            make_plan(suite(SUITE.replace('"dcgan", "narrow"', f'"{name}"')), cache_folder())


def test_a_file_without_variants_is_no_plugin(tmp_path: Path) -> None:
    """It is listed as broken, with what it holds instead."""
    file = tmp_path / "other.toml"
    file.write_text("[tool.ruff]\n")
    (sentence,) = registry.methods([file]).broken.values()
    assert "declares no variants" in sentence
    assert "found tool" in sentence


def test_a_suite_given_as_a_plugin_is_told_from_other_files(tmp_path: Path) -> None:
    """A suite without variants is no plugin either; the sentence names the command that takes suites."""
    file = tmp_path / "ours.toml"
    file.write_text('tasks = ["micah->lorelei@32"]\nmethods = ["dcgan"]\n')
    with pytest.raises(
        GraftbenchError, match=r"found tasks, methods\. A suite is tried with `graftbench plan .*ours.toml`\.$"
    ):
        read_variants(file)


def test_a_file_knows_its_folder(tmp_path: Path) -> None:
    """Relative paths in a variant are seen from its file, wherever the command is given."""
    file = tmp_path / "mine.toml"
    file.write_text(SUITE)
    assert read_variants(file)["narrow"].folder == str(tmp_path)
    assert load_suite(file).variants["narrow"].folder == str(tmp_path)


def test_variants_survive_the_run_folder() -> None:
    """What a run keeps of a suite reads back as the same variants."""
    kept = msgspec.to_builtins(suite().variants)
    assert msgspec.convert(kept, dict[str, Variant]) == suite().variants


def test_what_lies_at_a_path(tmp_path: Path) -> None:
    """A file counts by its contents, a folder by names and contents; hidden files and byte code do not count."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "a.py").write_text("1")
    assert digest_of_path(str(one)) == digest_of_path(str(other)) != ""
    (other / ".git").mkdir()
    (other / "__pycache__").mkdir()
    (other / "__pycache__" / "a.pyc").write_text("x")
    assert digest_of_path(str(one)) == digest_of_path(str(other))
    (other / "sub" / "a.py").rename(other / "sub" / "b.py")
    assert digest_of_path(str(one)) != digest_of_path(str(other))
    assert digest_of_path([str(one), str(other)]) != digest_of_path([str(other), str(one)])
    assert digest_of_path("hub/name") == digest_of_path("") == digest_of_path([]) == ""


def test_a_wrong_parameter_in_a_file_of_variants_is_a_sentence(tmp_path: Path) -> None:
    """`ls methods` lists the others, and says what is wrong with this one, as a plan does."""
    file = tmp_path / "v.toml"
    file.write_text('[variants.mine]\nmethod = "dcgan"\nparameters = { lr = 0.1 }\n')
    command = [sys.executable, "-m", "graftbench", "ls", "methods", "--json", "--plugin", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "dcgan" in done.stdout
    assert "Unknown key 'lr' in [variants.mine]. Did you mean 'lr_discriminator' or 'lr_generator'?" in done.stderr
