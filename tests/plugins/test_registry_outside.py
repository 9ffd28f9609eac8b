"""Plugins of every kind that live outside the repository: in a file, and in a package that is built and installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tiny_suites import suite_toml

import graftbench
from graftbench.plugins import registry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

METHOD = '''
"""Replays the training images upside down."""

import graftbench
from graftbench.training.samplers import ImageBankSampler


class UpsideDown(graftbench.Method):
    """Turned by 180 degrees."""

    name = "upside-down"
    family = "scratch"
    title = "Training images, upside down"
    reference = graftbench.Reference(authors="A. Author", title="On Turning", venue="V", year=2026)
    trains = "nothing"

    def fit(self, task, budget):
        budget.spend(len(task.images))
        return ImageBankSampler(task.images.flip(2, 3))
'''

DOMAIN = '''
"""Squares of one colour."""

import numpy as np

import graftbench


class Squares(graftbench.Domain):
    """A domain of plain squares."""

    name, title, description = "squares", "Squares", "one colour each"
    license, attribution, source = "CC0", "nobody", "drawn by a program"

    def fingerprint(self):
        return "squares 1"

    def images(self, resolution):
        colours = np.random.default_rng(0).integers(0, 256, (120, 3, 1, 1), dtype=np.uint8)
        pixels = np.broadcast_to(colours, (120, 3, resolution, resolution)).copy()
        names = [f"square-{i}" for i in range(120)]
        return graftbench.DomainImages(ids=names, groups=names, pixels=pixels)
'''

REPORT = '''
"""The methods of a run, one a line."""

import graftbench


class Names(graftbench.Report):
    """A list."""

    name, title, formats = "names", "Names", (".md",)

    def write(self, run, out):
        file = out / "names.md"
        file.write_text("".join(f"- {name}\\n" for name in sorted({record.cell.method for record in run.records})))
        return [file]
'''

SUITE = suite_toml(
    "memorizer", "upside-down", tasks=["none->squares@8"], images=12, budget="{ kimg = 0.02 }", n_generated=16
)

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "graftbench-outside"
version = "1.0"

[project.entry-points."graftbench.methods"]
upside-down = "outside.method"

[project.entry-points."graftbench.datasets"]
squares = "outside.domain:Squares"

[project.entry-points."graftbench.reports"]
names = "outside.report"

[tool.setuptools]
packages = ["outside"]
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a plugin of each kind."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name, text in (("method", METHOD), ("domain", DOMAIN), ("report", REPORT)):
        (folder / f"{name}.py").write_text(text)
    return folder


def test_files(files: Path) -> None:
    """A folder of files adds one plugin of each kind; each says where it comes from."""
    assert registry.methods([files])["upside-down"].title == "Training images, upside down"
    assert registry.domains([files])["squares"].license == "CC0"
    assert registry.reports([files])["names"].formats == (".md",)
    assert registry.file_of(registry.methods([files])["upside-down"]) == files / "method.py"
    assert not registry.methods([files]).broken


@pytest.mark.slow
@pytest.mark.usefixtures("shared_cache", "warm_executor")
def test_files_run(files: Path, tmp_path: Path) -> None:
    """PluginSource to the commands, they run and report beside what is built in."""
    suite = tmp_path / "outside.toml"
    suite.write_text(SUITE)
    assert graftbench.run(suite, tmp_path / "run", plugins=[files]).statuses == {"ok": 2}
    graftbench.write_report(tmp_path / "run", tmp_path / "out", plugins=[files / "report.py"], formats=["md"])
    assert (tmp_path / "out" / "names.md").read_text() == "- memorizer\n- upside-down\n"
    assert "upside-down" in (tmp_path / "out" / "table.md").read_text()


@pytest.fixture
def installed(files: Path, tmp_path: Path) -> Path:
    """The same three as a package: built into a wheel and installed into a folder of its own."""
    project = tmp_path / "project"
    project.mkdir()
    files.rename(project / "outside")
    (project / "outside" / "__init__.py").touch()
    (project / "pyproject.toml").write_text(PYPROJECT)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", "dist", "."], cwd=project, check=True
    )
    (wheel,) = (project / "dist").glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True)
    return site


def told(site: Path, folder: Path, arguments: Sequence[str]) -> str:
    """What graftbench prints where the package is installed."""
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    line = [sys.executable, "-m", "graftbench", *arguments]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_an_installed_package(installed: Path, tmp_path: Path, shared_cache: Path) -> None:
    """Entry points add a method, a domain and a report to every command, without a word on the command line."""
    del shared_cache
    methods = json.loads(told(installed, tmp_path, ["ls", "methods", "--json"]))
    assert "upside-down" in [method["name"] for method in methods]
    (tmp_path / "outside.toml").write_text(SUITE)
    assert "2 ok" in told(installed, tmp_path, ["run", "outside.toml", "--out", "run", "--jobs", "1"])
    told(installed, tmp_path, ["report", "run", "--format", "md"])
    assert (tmp_path / "run" / "report" / "names.md").read_text() == "- memorizer\n- upside-down\n"
    assert "On Turning" in told(installed, tmp_path, ["cite", "run"])
