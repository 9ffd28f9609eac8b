"""CITATION.cff and Containerfile, as far as they can be tested without a registry: fields, files and words."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import graftbench

ROOT = Path(__file__).parents[2]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
CONTAINERFILE = (ROOT / "Containerfile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's instructions, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", CONTAINERFILE)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_classifiers_name_every_python_that_serves() -> None:
    """From the least that is required, each minor version that the package was installed and tested with."""
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if each.startswith("Programming Language")]
    assert [version for version in named if "." in version] == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == ">=3.11"


def test_the_citation_has_what_its_format_asks_for() -> None:
    """The fields that version 1.2.0 of the Citation File Format requires, each of its type, and no unknown one."""
    assert CITATION["cff-version"] == "1.2.0"
    assert isinstance(CITATION["message"], str)
    assert isinstance(CITATION["title"], str)
    assert all(
        set(author) <= {"name", "given-names", "family-names", "orcid", "email"} for author in CITATION["authors"]
    )
    assert CITATION["authors"]
    assert CITATION["type"] in ("software", "dataset")
    known = {"cff-version", "message", "title", "authors", "type", "version", "date-released", "license", "keywords"}
    assert set(CITATION) <= known
    assert dt.date.fromisoformat(CITATION["date-released"]).year >= 2026
    assert len(set(CITATION["keywords"])) == len(CITATION["keywords"])


def test_the_citation_is_of_this_version() -> None:
    """Version and licence are those of the package."""
    assert CITATION["version"] == graftbench.__version__
    assert PROJECT["dynamic"] == ["version"]
    assert CITATION["license"] == PROJECT["license"]


@pytest.mark.long
def test_the_container_copies_what_the_installation_needs(tmp_path: Path) -> None:
    """A wheel is built from what is copied alone, and it holds the plugins."""
    for word, rest in instructions():
        if word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                there = tmp_path / (target if target != "./" else source)
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, there)
    build = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    words = [sys.executable, "-W", "ignore", "-c", build, str(tmp_path / "wheel")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    for name in ("graftbench/cli/run.py", "graftbench/methods/freezed.py", "graftbench/suites/quick.toml"):
        assert name in names


def test_the_container_installs_pinned_versions_and_extras_that_there_are() -> None:
    """Nothing unpinned; only extras that pyproject.toml has; the entry point is the command."""
    (install,) = (rest for word, rest in instructions() if word == "RUN" and "pip install" in rest)
    assert "-c constraints.txt" in install
    found = re.search(r"\.\[([\w,]+)\]", install)
    assert found is not None
    assert set(found[1].split(",")) <= set(PROJECT["optional-dependencies"])
    assert ("ENTRYPOINT", '["graftbench"]') in instructions()


def test_the_container_names_an_image_and_no_host() -> None:
    """One plain image of the Python that the pins are for; who builds it chooses where it comes from."""
    (image,) = (rest for word, rest in instructions() if word == "FROM")
    assert re.fullmatch(r"python:3\.\d+-slim", image)
    assert "://" not in CONTAINERFILE


@pytest.mark.parametrize("command", ["useradd", "apt-get", "chown", "mkdir"])
def test_the_containers_commands_exist_on_debian(command: str) -> None:
    """What the image's system runs is there where the tests run on Debian."""
    if not Path("/etc/debian_version").is_file():
        pytest.skip("the image is a Debian; this machine is none")
    assert shutil.which(command, path="/usr/bin:/usr/sbin:/bin:/sbin")
