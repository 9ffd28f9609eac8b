"""Methods, domains and reports that exist in Python alone: a notebook's cell, a script, an interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tiny_suites import suite_toml

import graftbench
from graftbench.errors import GraftbenchError
from graftbench.plugins.code_hash import code_of, hash_of
from graftbench.plugins.pickled import load_shipped, ship, source_digests
from graftbench.plugins.registry import reports
from graftbench.suites.suite import Suite, parse_suite
from graftbench.training.samplers import ImageBankSampler

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("shared_cache", "warm_executor")

TOML = suite_toml("memorizer")


def suite(**changes: str) -> Suite:
    """A suite whose cells take a second each."""
    text = TOML
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse_suite(text, "python.toml")


class Mirror(graftbench.Method):
    """Replays the training images, mirrored."""

    name = "mirror"
    family = "scratch"
    title = "Training images, mirrored"
    reference = graftbench.Reference(authors="A", title="T", venue="V", year=2026)
    trains = "nothing"

    def fit(self, task: graftbench.Task, budget: graftbench.Meter) -> graftbench.Sampler:
        """Mirror them."""
        budget.spend(len(task.images))
        return ImageBankSampler(task.images.flip(3))


class Rings(graftbench.Domain):
    """Coloured rings, drawn."""

    name = "rings"
    title = "Rings"
    description = "rings of random size and colour"
    license = "CC0"
    attribution = "nobody"
    source = "drawn by a program"

    def fingerprint(self) -> str:
        """Version of the drawing."""
        return "rings 1"

    def images(self, resolution: int) -> graftbench.DomainImages:
        """120 of them."""
        rng = np.random.default_rng(0)
        pixels = [self.ring(rng, resolution) for _ in range(120)]
        names = [f"ring-{i}" for i in range(120)]
        return graftbench.DomainImages(ids=names, groups=names, pixels=np.stack(pixels))

    @staticmethod
    def ring(rng: np.random.Generator, side: int) -> np.ndarray:
        """One of them: uint8 3×side×side."""
        picture = Image.new("RGB", (side, side), "white")
        x, y, r = (int(v) for v in rng.integers(side // 4, side // 2, 3))
        colour = tuple(int(v) for v in rng.integers(0, 200, 3))
        ImageDraw.Draw(picture).ellipse((x - r // 2, y - r // 2, x + r, y + r), outline=colour, width=3)
        return np.asarray(picture).transpose(2, 0, 1)


class Count(graftbench.Report):
    """How many cells there are."""

    name = "count"
    title = "A count"
    formats: ClassVar[tuple[str, ...]] = (".md",)

    def write(self, run: graftbench.Run, out: Path) -> Sequence[Path]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One number."""
        file = out / "count.md"
        file.write_text(f"{len(run.records)}\n")
        return [file]


@pytest.mark.slow
def test_a_class_is_a_method_a_domain_a_report(tmp_path: Path) -> None:
    """Classes passed to `graftbench.run` stand beside built-in methods, and their report is written with the others."""
    there = suite(**{"twemoji->openmoji": "none->rings", "[25]": "[12]", "= 40": "= 16"})
    summary = graftbench.run(there, tmp_path / "run", methods=["memorizer", Mirror], plugins=[Rings])
    assert summary.statuses == {"ok": 2}
    table = graftbench.load(tmp_path / "run")
    assert sorted(table["method"]) == ["memorizer", "mirror"]
    lines = (tmp_path / "run" / "records.jsonl").read_text().splitlines()
    assert all(json.loads(line)["environment"]["domains"]["rings"]["license"] == "CC0" for line in lines)
    again = graftbench.run(there, tmp_path / "run", methods=["memorizer", Mirror], plugins=[Rings])
    assert again.ran == 0
    found = reports([Count])
    assert found["count"] is Count
    written = graftbench.write_report(
        tmp_path / "run", tmp_path / "out", plugins=[Count], select="method=mirror", formats=["md"]
    )
    assert {"count.md", "table.md"} <= {file.name for file in written}
    assert (tmp_path / "out" / "count.md").read_text() == "1\n"


SCRIPT = """
import sys
import graftbench
from graftbench.training.samplers import ImageBankSampler

TURNS = 1

def turned(images):
    return images.rot90(TURNS, (2, 3))

class Turned(graftbench.Method):
    name, family, title, trains = "turned", "scratch", "Turned", "nothing"
    reference = graftbench.Reference(authors="A", title="T", venue="V", year=2026)

    def fit(self, task, budget):
        budget.spend(len(task.images))
        return ImageBankSampler(turned(task.images))

if __name__ == "__main__":
    summary = graftbench.run("suite.toml", sys.argv[1], methods=[Turned])
    print(summary.ran, summary.statuses)
"""


@pytest.mark.long
def test_a_script_and_an_interpreter(tmp_path: Path) -> None:
    """A class of a program's main module runs, with the helpers it names; edited helpers are other cells."""
    (tmp_path / "suite.toml").write_text(TOML)
    (tmp_path / "script.py").write_text(SCRIPT)

    def told(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120
        )
        return done.stdout.strip()

    assert told("script.py", "runs/a") == "1 {'ok': 1}"
    assert told("script.py", "runs/a") == "0 {'ok': 1}"
    assert told("-c", SCRIPT, "runs/b") == "1 {'ok': 1}"
    assert told("-c", SCRIPT, "runs/b") == "0 {'ok': 1}"
    assert told("-c", SCRIPT.replace("TURNS = 1", "TURNS = 2"), "runs/b") == "1 {'ok': 1}"


def test_code_without_a_file_counts_by_its_text() -> None:
    """A helper's value or text that changes is another code; a name that nothing uses is not."""

    def digest(text: str) -> str:
        namespace: dict = {"__name__": "nowhere"}
        exec(compile(text, "<cell 1>", "exec"), namespace)  # noqa: S102 - as a notebook does
        return json.dumps(source_digests(namespace["Turned"]))

    assert digest(SCRIPT) == digest(SCRIPT)
    assert digest(SCRIPT) == digest(SCRIPT.replace("import sys", "import sys\nUNUSED = 3"))
    assert digest(SCRIPT) != digest(SCRIPT.replace("TURNS = 1", "TURNS = 2"))
    assert digest(SCRIPT) != digest(SCRIPT.replace("(2, 3)", "(3, 2)"))
    assert digest(SCRIPT) != digest(SCRIPT.replace("budget.spend(len(task.images))", "budget.spend(1)"))


def test_a_shipped_class_is_what_was_written(tmp_path: Path) -> None:
    """It comes back with the code that it was shipped with; a file that was changed is refused."""
    file = ship(Mirror, {"mirror.py": "ab" * 32}, tmp_path)
    again = load_shipped(file)
    assert (again.name, again.title) == ("mirror", Mirror.title)
    assert code_of(again) == hash_of({"mirror.py": "ab" * 32}) != code_of(Mirror)
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(GraftbenchError, match="changed after graftbench wrote it"):
        load_shipped(file)


def test_what_cannot_travel_is_told(tmp_path: Path) -> None:
    """A class that holds an open file says so, and what to do."""
    with (tmp_path / "log").open("w") as log:
        held = type("Held", (Mirror,), {"log": log, "__module__": __name__, "name": "held"})
        with pytest.raises(GraftbenchError, match=r"class Held cannot be sent.*Put it into a file"):
            ship(held, {}, tmp_path)


ON_STDIN = """
from graftbench import Method, Reference
from graftbench.plugins.code_hash import files_of


class Mine(Method):
    name = "mine"
    family = "scratch"
    title = "Mine"
    reference = Reference(authors="Ann", title="Mine", venue="unpublished", year=2026)
    trains = "nothing"
    moves = ()

    def fit(self, task, budget):
        return NUMBER


NUMBER = 3
print(*(name for name in files_of(Mine) if name.startswith("<")))
"""


def test_a_script_on_standard_input_may_hold_a_method(tmp_path: Path) -> None:
    """A job script's `python - <<END`: the module's file is called `<stdin>` and there is none; the code counts."""
    done = subprocess.run(
        [sys.executable, "-"], input=ON_STDIN, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["<__main__>/Mine", "<__main__>/NUMBER"]
