"""`graftbench completion` in real shells, and `python -m graftbench`."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import imports_of

from graftbench.cli.completion import completion
from graftbench.cli.options import packaged_methods, packaged_suite_names
from graftbench.plugins import registry
from graftbench.suites.suite import packaged_suites

GRAFTBENCH = Path(sys.executable).with_name("graftbench")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The script of each shell, as the command prints it."""
    folder = tmp_path_factory.mktemp("completion")
    found = {}
    for shell in ("bash", "zsh", "fish"):
        found[shell] = folder / f"_graftbench_{shell}"
        with found[shell].open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            completion(shell)
    return found


def run(*words: str, cwd: Path | None = None) -> str:
    """What a command prints; it must succeed and say nothing else."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def in_bash(script: Path, *lines: str) -> list[list[str]]:
    """What bash offers for the last word of each line; a line that ends with a space asks for a new word."""
    code = [f"source {script}"]
    for line in lines:
        words = line.split(" ")
        code.append(
            f"COMP_WORDS=({' '.join(map(repr, words))}); COMP_CWORD={len(words) - 1}; COMPREPLY=(); _graftbench"
        )
        code.append('echo "${COMPREPLY[@]}"')
    return [offered.split() for offered in run("/bin/bash", "-c", "\n".join(code)).splitlines()]


def test_bash_completes_commands_groups_options_and_choices(scripts: dict[str, Path]) -> None:
    """A command by its first letters, the second word of a group, an option, and the choices of an argument."""
    lines = ("graftbench re", "graftbench data ", "graftbench run --see", "graftbench run --sha", "graftbench ls me")
    offered = in_bash(scripts["bash"], *lines)
    assert offered == [["report"], ["show", "prepare"], [], ["--shard"], ["methods", "metrics"]]


def test_bash_offers_suites_and_methods(scripts: dict[str, Path]) -> None:
    """The first letters of a suite where one is expected, and those of a method behind `--methods`."""
    lines = ("graftbench run qu", "graftbench data prepare st", "graftbench run --methods freez")
    assert in_bash(scripts["bash"], *lines) == [["quick"], ["standard"], ["freeze-g", "freezed"]]


def test_what_is_offered_is_what_there_is() -> None:
    """Names are taken from files, without importing the methods; they are those of the classes."""
    assert packaged_methods() == tuple(registry.methods().classes)
    assert packaged_suite_names() == tuple(packaged_suites())


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_commands_and_options(scripts: dict[str, Path], tmp_path: Path) -> None:
    """The shell's own `complete -C` offers what begins with the word (files too, so the folder is empty)."""
    empty = tmp_path / "empty"
    empty.mkdir()

    def offered(line: str) -> list[str]:
        code = f"source {scripts['fish']}; complete -C '{line}'"
        return [line.split("\t")[0] for line in run("fish", "--no-config", "-c", code, cwd=empty).splitlines()]

    assert offered("graftbench rep") == ["report"]
    assert offered("graftbench run --sha") == ["--shard"]
    assert sorted(offered("graftbench run --methods freez")) == ["freeze-g", "freezed"]
    assert "quick" in offered("graftbench run qu")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_takes_the_script_as_the_completion_of_graftbench(scripts: dict[str, Path], tmp_path: Path) -> None:
    """Found on `fpath` as `_graftbench`, it is what zsh calls for the command, and is valid."""
    folder = tmp_path / "functions"
    folder.mkdir()
    shutil.copy(scripts["zsh"], folder / "_graftbench")
    start = f"fpath=({folder} $fpath); autoload -U compinit; compinit -D -u"
    code = f"{start}; echo $_comps[graftbench]; zsh -n {folder}/_graftbench"
    assert run("zsh", "-f", "-c", code).split() == ["_graftbench"]
    text = (folder / "_graftbench").read_text("utf-8")
    assert "freeze-g" in text
    assert "paper-dinov2" in text


def test_the_package_is_the_command(tmp_path: Path) -> None:
    """`python -m graftbench` does what `graftbench` does, in any folder."""
    words = [sys.executable, "-m", "graftbench", "--version"]
    module = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert module == run(str(GRAFTBENCH), "--version")


def test_the_script_is_made_without_torch(scripts: dict[str, Path]) -> None:
    """Making it loads neither torch nor pandas nor matplotlib: a shell may make it at its start."""
    imported, printed = imports_of(
        "import sys\nfrom graftbench.cli import main\nsys.argv[1:] = ['completion', 'bash']\n"
        "try: main()\nexcept SystemExit: pass",
        ("torch", "pandas", "matplotlib"),
    )
    assert imported == set()
    assert printed.split() == scripts["bash"].read_text("utf-8").split()
