"""The two worked examples of docs/wrap-a-command.md, from the page's own files, in environments of their own.

Both need the package index.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from page_blocks import blocks
from PIL import Image

from graftbench.images import prepared
from graftbench.images.subsets import shots
from graftbench.plugins import registry
from graftbench.records.record import Status
from graftbench.records.run import read_run
from graftbench.training.samplers import load_sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.records.record import Record

pytestmark = pytest.mark.long

PAGE = Path(__file__).parents[2] / "docs" / "wrap-a-command.md"

TASK = "twemoji->openmoji@32"

PACKAGE = "denoising-diffusion-pytorch==2.3.4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the page, as a reader has them who copies them."""
    for block in blocks(PAGE.read_text("utf-8")):
        if block.title:
            (tmp_path / block.title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.title).write_text(block.text, "utf-8")
    return tmp_path


@pytest.fixture
def call(folder: Path, shared_cache: Path) -> Callable[..., str]:
    """Runs a command in that folder; what it printed."""
    environment = os.environ | {"GRAFTBENCH_CACHE": str(shared_cache), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"

    def run(*words: str, check: bool = True) -> str:
        done = subprocess.run(
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0 or not check, done.stdout
        return done.stdout

    return run


def of_method(run: Path, name: str) -> Record:
    """The one record of a method."""
    (found,) = (record for record in read_run(run / "records.jsonl").records if record.cell.method == name)
    return found


def test_a_script_with_clashing_versions_takes_both_doors(folder: Path, call: Callable[..., str]) -> None:
    """By command and by hand it is trained on the same images, and stands in one report beside a built-in method."""
    call("python", "-m", "venv", "venv")
    call("venv/bin/pip", "install", "--quiet", "numpy==1.26.4", "pillow==10.4.0")
    train = ("their-repo/train.py", "--data", "handed-out/images", "--model", "e.npz", "--shown", "500", "--seed", "0")
    call("graftbench", "run", "mine.toml", "--out", "run")
    call("graftbench", "export-task", TASK, "handed-out", "--budget", "25", "--seed", "0", "--run", "run")
    assert int(np.__version__.partition(".")[0]) >= 2
    assert "np.float_" in call("python", *train, check=False), "with our NumPy the script does not run"
    assert "NumPy 1.26.4" in call("venv/bin/python", *train)
    (folder / "drawn").mkdir()
    draw = ("their-repo/draw.py", "--model", "e.npz", "--n", "100", "--seed", "1", "--to", "drawn")
    call("venv/bin/python", *draw)
    call(
        *("graftbench", "add", "samples", "drawn", "--run", "run", "--method", "by-hand", "--task", TASK),
        *("--budget", "25", "--seed", "0", "--cost", "fit_seconds=2"),
    )
    ours, theirs = of_method(folder / "run", "their-pca"), of_method(folder / "run", "by-hand")
    assert (ours.status, theirs.status, of_method(folder / "run", "dcgan").status) == (Status.OK,) * 3
    assert (ours.origin, theirs.origin, of_method(folder / "run", "dcgan").origin) == ("command", "submitted", "")
    assert ours.resources is not None
    assert theirs.resources is not None
    assert (ours.resources.declared, theirs.resources.declared) == ([], ["fit_seconds"])
    assert ours.resources.fit_seconds is not None
    account = json.loads((folder / "run" / "cells" / ours.id / "output" / "graftbench.json").read_text("utf-8"))
    assert (account["packages"]["numpy"], account["packages"]["pillow"]) == ("1.26.4", "10.4.0")
    assert account["train"][1] == "train.py"
    assert account["sample"][1] == "draw.py"
    model = np.load(folder / "run" / "cells" / ours.id / "output" / "model.npz")
    by_hand = np.load(folder / "e.npz")
    assert np.array_equal(model["mean"], by_hand["mean"]), "trained on the same images"
    assert np.allclose(np.abs(model["basis"]), np.abs(by_hand["basis"]))
    call("graftbench", "report", "run", "--format", "md")
    table = (folder / "run" / "report" / "table.md").read_text("utf-8")
    assert all(name in table for name in ("their-pca", "by-hand", "dcgan"))
    assert "trained by a foreign program" in table
    assert "submitted" in table


def test_the_images_that_it_was_trained_on(folder: Path, call: Callable[..., str], shared_cache: Path) -> None:
    """The mean of the exported images is that of the cell's: no other image was in it."""
    call("graftbench", "export-task", TASK, "handed-out", "--budget", "25", "--seed", "0", "--suite", "mine.toml")
    domain = prepared.load(registry.make_domain("openmoji"), "openmoji", 32, shared_cache)
    cell = np.asarray(domain.pixels[np.asarray(shots(domain, 25, 0))])
    files = sorted((folder / "handed-out" / "images").glob("*.png"))
    assert np.array_equal(np.stack([np.asarray(Image.open(file)).transpose(2, 0, 1) for file in files]), cell)


def test_a_published_package(folder: Path, call: Callable[..., str]) -> None:
    """It trains on the cell's images and draws its own, in an environment that borrows torch from this one."""
    call("python", "-m", "venv", "venv")
    borrowed = folder / "venv" / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix) / "borrowed.pth"
    borrowed.write_text(sysconfig.get_path("purelib"))
    call("venv/bin/pip", "install", "--quiet", PACKAGE)
    table = "[variants.lucidrains-ddpm.parameters]\n"
    variant = (folder / "diffusion.toml").read_text()
    (folder / "diffusion.toml").write_text(variant.replace(table, table + 'python = "venv/bin/python"\n'))
    suite = (folder / "mine.toml").read_text().partition("[variants")[0]
    (folder / "small.toml").write_text(
        suite.replace('"their-pca", "dcgan"', '"lucidrains-ddpm"').replace("n_generated = 100", "n_generated = 30")
    )
    call("graftbench", "run", "small.toml", "--plugin", "diffusion.toml", "--out", "run")
    record = of_method(folder / "run", "lucidrains-ddpm")
    assert record.status == Status.OK, record.reason
    assert record.resources is not None
    assert record.resources.images_seen == 500
    assert record.resources.parameters_total > 10_000
    assert record.resources.declared == ["images_seen", "parameters_total"]
    assert (record.resources.peak_memory_mib or 0) > 150, "torch was in it"
    images = load_sampler(folder / "run" / "cells" / record.id / "sampler.safetensors").state()[0]["images"]
    assert images.shape == (30, 3, 32, 32)
    assert images.float().std() > 10
