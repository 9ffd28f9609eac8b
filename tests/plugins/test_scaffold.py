"""`graftbench new`: templates that work at once, and names that are refused with a reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, get_args

import pytest

from graftbench.checks.method_text import metadata
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry, scaffold
from graftbench.plugins.registry import FOLDERS
from graftbench.plugins.scaffold import Kind, MethodStart, rendered, write

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
KINDS = get_args(Kind)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
NAMES = ("x", "my-own", "of-the-greatest-length-that-names-may-be")


def run(*command: str | Path, where: Path, code: int = 0) -> str:
    """What a process in a folder says; it ends with this exit code."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=where, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def graftbench(*arguments: str | Path, where: Path, code: int = 0) -> str:
    """What the command says."""
    return run(sys.executable, "-m", "graftbench", *arguments, where=where, code=code)


def checkout(folder: Path) -> Path:
    """A folder that looks like a checkout of the suite."""
    for name in (*FOLDERS.values(), *(f"tests/{place}" for place in FOLDERS.values()), "bench/graftbench"):
        (folder / name).mkdir(parents=True)
    (folder / "bench" / "graftbench" / "contracts.py").touch()
    return folder


def signed(plugin: Path) -> Path:
    """Fill in whose method it is, as its author must."""
    text = plugin.read_text("utf-8")
    plugin.write_text(text.replace('authors="…", title="…"', 'authors="Ann", title="Of her own"'), "utf-8")
    return plugin


# ------------------------------------------------------------------------------------------------------- templates


@EVERY_KIND
def test_a_plugin_and_its_test_are_written(kind: Kind, tmp_path: Path) -> None:
    """Under the name that was asked for: file, class and registered name; registered, it works like any other."""
    plugin, test = write(kind, "my-own", tmp_path / "deeper")
    assert (plugin, test) == (tmp_path / "deeper" / "my_own.py", tmp_path / "deeper" / "test_my_own.py")
    search = {"method": registry.methods, "domain": registry.domains, "report": registry.reports}[kind]
    found = search([plugin])
    assert not found.broken
    assert found["my-own"].__name__ == "MyOwn"
    assert found["my-own"].title.startswith("My own")


@EVERY_KIND
def test_in_a_checkout_the_test_goes_to_the_tests(kind: Kind, tmp_path: Path) -> None:
    """`--out methods` makes a method of the suite's own: tests/methods has its test, which imports it from there."""
    root = checkout(tmp_path)
    plugin, test = write(kind, "my-own", root / FOLDERS[kind])
    assert plugin == root / FOLDERS[kind] / "my_own.py"
    assert test == root / "tests" / FOLDERS[kind] / "test_my_own.py"
    assert f'import_module("graftbench.{FOLDERS[kind]}.my_own")' in test.read_text("utf-8")


def test_a_folder_that_is_only_called_methods_is_no_checkout(tmp_path: Path) -> None:
    """The test lies beside the plugin."""
    assert write("method", "my-own", tmp_path / "methods")[1] == tmp_path / "methods" / "test_my_own.py"


def linted(folder: Path, files: Sequence[Path]) -> None:
    """Ruff's rules and format, with the project's settings, have nothing to say; a folder is no package (INP001)."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    ruff = Path(sys.executable).with_name("ruff")
    run(ruff, "check", "--no-cache", "--ignore", "INP001", *files, where=folder)
    run(ruff, "format", "--no-cache", "--diff", *files, where=folder)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_clean(name: str, tmp_path: Path) -> None:
    """Whatever the length of the name, in a folder of the user's and in a checkout."""
    plain = tmp_path / "plain" / "bench"
    plain.mkdir(parents=True)
    (plain / "graftbench").symlink_to(ROOT / "bench" / "graftbench")
    for kind in KINDS:
        short = name[: -len(kind)] if name == NAMES[-1] else f"{name}-"
        write(kind, f"{short}{kind}", plain)
    linted(plain.parent, sorted(plain.glob("*.py")))
    house = checkout(tmp_path / "house")
    shutil.rmtree(house / "bench" / "graftbench")
    (house / "bench" / "graftbench").symlink_to(ROOT / "bench" / "graftbench")
    written = [file for kind in KINDS for file in write(kind, name, house / FOLDERS[kind])]
    linted(house, written)


@pytest.mark.parametrize("family", get_args(MethodStart))
def test_a_method_cites_nobody_else(family: MethodStart, tmp_path: Path) -> None:
    """Its reference is left to fill in, which `graftbench check` and `graftbench cite` ask for; it has its family."""
    plugin, _ = write("method", "my-own", tmp_path, family)
    cls = registry.methods([plugin])["my-own"]
    assert (cls.family, cls.source_model) == (family, "gan" if family == "fine-tune" else "")
    faults = [fault.found for fault in metadata(SimpleNamespace(cls=cls))]  # type: ignore[arg-type]
    assert faults == ["reference.authors is empty", "reference.title is empty"]
    signed(plugin)
    (tmp_path / "signed").mkdir()
    again = registry.methods([plugin.rename(tmp_path / "signed" / plugin.name)])["my-own"]
    assert not list(metadata(SimpleNamespace(cls=again)))  # type: ignore[arg-type]


@pytest.mark.long
def test_what_is_written_is_typed(tmp_path: Path) -> None:
    """Basedpyright with the project's settings finds nothing."""
    bench = tmp_path / "bench"
    bench.mkdir()
    files = [file for kind in KINDS for file in write(kind, f"my-{kind}", bench)]
    (bench / "graftbench").symlink_to(ROOT / "bench" / "graftbench")
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    (tmp_path / "pyproject.toml").write_text(settings.replace('include = ["bench", ', 'include = ["bench/*.py", '))
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    assert "0 errors" in run(Path(sys.executable).with_name("basedpyright"), *files, where=tmp_path)


def pytest_output(plugin: Path, test: Path) -> str:
    """What pytest says of a written test, once the plugin says whose it is."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", test]
    return run(*command, where=signed(plugin).parent)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["domain", "report"])
def test_the_written_test_passes(kind: Kind, tmp_path: Path, shared_cache: Path) -> None:
    """Under pytest, in a folder that knows nothing of the suite but that it is installed; warnings are errors."""
    assert shared_cache.is_dir()
    assert "passed" in pytest_output(*write(kind, f"my-{kind}", tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("family", get_args(MethodStart))
def test_the_written_test_of_a_method_passes(family: MethodStart, tmp_path: Path, shared_cache: Path) -> None:
    """Likewise; with fits on real images, from fresh weights and from a source model."""
    assert shared_cache.is_dir()
    assert "passed" in pytest_output(*write("method", "my-method", tmp_path, family))


BREAKS = {
    "method": [
        (".argmin(dim=1)", ".argmax(dim=1)", "test_the_nearest_candidate_is_found"),
        ("descend(optimizer, distance)", "optimizer.zero_grad()", "test_contract[what moves]"),
        ("generator=task.generator).to", "generator=None).to", "test_contract[one seed, one fit]"),
    ],
    "domain": [
        ("fill=COLOURS[colour]", 'fill="red"', "test_a_shape_has_its_colour_in_the_middle_and_white_around"),
        ("for turn in TURNS", "for turn in (*TURNS, 0)", "test_contract[ids]"),
    ],
    "report": [
        ("fmean(scores):.2f", "max(scores):.2f", "test_a_row_is_the_mean_over_seeds"),
        ("sorted(rows.items(), key=_place)", "rows.items()", "test_contract[order]"),
        ("html.escape(line, quote=False)", "line", "test_contract[strange names]"),
    ],
}


@pytest.mark.long
@EVERY_KIND
def test_the_written_test_can_fail(kind: Kind, tmp_path: Path, shared_cache: Path) -> None:
    """Each of these slips is caught by the test that it breaks."""
    assert shared_cache.is_dir()
    plugin, test = write(kind, f"my-{kind}", tmp_path)
    whole = signed(plugin).read_text("utf-8")
    for good, bad, failing in BREAKS[kind]:
        assert good in whole
        plugin.write_text(whole.replace(good, bad), "utf-8")
        said = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test, where=tmp_path, code=1)
        assert f"FAILED {test.name}::{failing}" in said


@pytest.mark.long
def test_the_written_plugins_run_in_a_suite(tmp_path: Path, shared_cache: Path) -> None:
    """Method, domain and report, all new, in one run: a record that is fine, and a table with a row of it."""
    assert shared_cache.is_dir()
    for kind in KINDS:
        graftbench("new", kind, f"my-{kind}", where=tmp_path)
    suite = ['name = "own"', 'tasks = ["none->my-domain@32"]', 'methods = ["my-method"]', "data_budgets = [20]"]
    suite += [
        'plugins = ["my_method.py", "my_domain.py"]',
        "seeds = [0]",
        "compute_budget = { kimg = 0.1 }",
        "[protocol]",
        "n_generated = 20",
        'metrics = ["kid"]',
    ]
    (tmp_path / "own.toml").write_text("\n".join(suite), "utf-8")
    (tmp_path / "elsewhere").mkdir()
    graftbench("run", "../own.toml", "--out", "../own", where=tmp_path / "elsewhere")
    assert "plugins" not in (tmp_path / "own" / "suite.toml").read_text("utf-8")
    graftbench("report", "own", "--format", "md", "--plugin", "my_report.py", where=tmp_path)
    table = (tmp_path / "own" / "report" / "my_report.md").read_text("utf-8")
    assert "| my-method | 20 |" in table
    assert "1 ok" in table


# ----------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("My-Method", "lower-case letters.*For example: my-method"),
        ("2gan", "begins with a letter. For example: gan"),
        ("my method", "For example: my-method"),
        ("my-", "cannot be a method's name"),
        ("../evil", "cannot be a method's name"),
        ("é", "cannot be a method's name"),
        ("", "cannot be a method's name"),
        ("class", "a word of Python's own"),
        ("match", "a word of Python's own"),
        ("test-me", "pytest would take test_me.py for a file of tests. For example: me"),
        ("dcgan", "the name is taken by methods/dcgan.py"),
        ("freeze-g", "taken by methods/freeze_g.py"),
        ("torch", "would hide the installed package 'torch'"),
        ("random", "would hide Python's own module 'random'"),
        ("graftbench", "would hide"),
        ("a" * 41, "41 characters; a name has at most 40"),
    ],
)
def test_names_that_cannot_be_are_refused(name: str, sentence: str, tmp_path: Path) -> None:
    """In a sentence that says why and what to take instead; nothing is written."""
    with pytest.raises(GraftbenchError, match=sentence):
        write("method", name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "name"), [("domain", "textures"), ("report", "table")])
def test_names_are_taken_within_a_kind(kind: Kind, name: str, tmp_path: Path) -> None:
    """A method may be called as a domain is."""
    with pytest.raises(GraftbenchError, match=f"The {kind} '{name}' exists already: the name is taken by"):
        write(kind, name, tmp_path)
    assert write("method", name, tmp_path)


@pytest.mark.parametrize("there", ["my_own.py", "test_my_own.py"])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    """Where the plugin or its test is there, neither is written."""
    (tmp_path / there).write_text("mine", "utf-8")
    with pytest.raises(GraftbenchError, match=rf"{there}' is there already; nothing was written"):
        write("domain", "my-own", tmp_path)
    assert [(file.name, file.read_text("utf-8")) for file in tmp_path.iterdir()] == [(there, "mine")]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """And of the two files none is left behind."""
    (tmp_path / "file").touch()
    with pytest.raises(GraftbenchError, match="cannot be written"):
        write("report", "my-own", tmp_path / "file")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_the_second_file_fails_and_the_first_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a template would be taken for a whole one."""
    whole = Path.open

    def opened(self: Path, *arguments: str, **options: str) -> object:
        if self.parent == tmp_path and self.name.startswith("test_"):
            raise OSError(28, "No space left on device", str(self))
        return whole(self, *arguments, **options)  # pyright: ignore[reportArgumentType, reportCallIssue]

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(GraftbenchError, match="No space left"):
        write("report", "my-own", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_says_what_to_do_next(tmp_path: Path) -> None:
    """Two files and commands to paste; a taken name ends with 2 and a sentence."""
    said = graftbench("new", "domain", "my-own", where=tmp_path)
    assert said.startswith("my_own.py\ntest_my_own.py\n")
    assert "graftbench check my_own.py" in said
    assert "data show my-own --plugin my_own.py" in said
    assert "taken by datasets/digits.py" in graftbench("new", "domain", "digits", where=tmp_path, code=2)


def test_templates_know_all_their_words() -> None:
    """Nothing is left to fill in, and the wheel takes along what the code reads."""
    for kind in KINDS:
        for template in (kind, f"test_{kind}"):
            for house in (False, True):
                assert "{" + "%" not in rendered(template, "my-own", house=house)
    folder = Path(scaffold.__file__).parent / "templates"
    assert {file.name for file in folder.glob("*.jinja")} == {
        f"{name}.py.jinja" for kind in KINDS for name in (kind, f"test_{kind}")
    }
