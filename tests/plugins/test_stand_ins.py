"""Commands that only list, plan, cite or look do without torch; what needs it gets it, never a stand-in's word."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import graftbench
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

if TYPE_CHECKING:
    from pathlib import Path

LARGE = ("torch", "torchvision", "timm", "scipy", "pandas", "matplotlib")

_WATCHED = f"""
import sys
from graftbench.cli import main
try:
    main()
finally:
    real = [name for name in {LARGE!r} if getattr(sys.modules.get(name), "__file__", None)]
    print("IMPORTED", *real, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls", "methods"),
        ("ls", "methods", "--json"),
        ("ls", "domains"),
        ("ls", "metrics"),
        ("plan", str(EMOJI_SUITE)),
        ("cite", str(EMOJI_RECORDS)),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_metadata_comes_without_large_packages(arguments: tuple[str, ...]) -> None:
    """None of torch, torchvision, timm, scipy, pandas and matplotlib is imported, and the command ends well."""
    done = subprocess.run([sys.executable, "-c", _WATCHED, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].split() == ["IMPORTED"]


def test_a_plan_is_the_same_with_and_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, states and parameters do not depend on how the command got its methods."""
    without = graftbench("plan", EMOJI_SUITE, "--json")
    methods_without = graftbench("ls", "methods", "--json")
    monkeypatch.setenv("GRAFTBENCH_NO_STAND_INS", "1")
    assert json.loads(graftbench("plan", EMOJI_SUITE, "--json").out)["cells"] == json.loads(without.out)["cells"]
    assert graftbench("ls", "methods", "--json").out == methods_without.out


_METHOD = """
import torch
from graftbench.contracts import Method, Reference

{statement}

class Mine(Method):
    name = "mine"
    family = "scratch"
    title = TITLE
    reference = Reference(authors="Me", title="T", venue="V", year=2026)
    trains = "nothing"

    def fit(self, task, budget): ...
"""


@pytest.mark.parametrize(
    ("statement", "title"),
    [
        ("TITLE = str(torch.ones(2).sum().item())", "2.0"),
        ("TITLE = 'a' if torch.ones(1) > 2 else 'b'", "b"),
        ("TITLE = 'torch ' + torch.__version__.partition('.')[0]", "torch 2"),
        ("import numpy\nTITLE = str(numpy.asarray(torch.ones(2)).sum())", "2.0"),
        ("TITLE = str(isinstance(3, torch.Tensor))", "False"),
    ],
)
def test_a_plugin_that_computes_when_imported_gets_torch(tmp_path: Path, statement: str, title: str) -> None:
    """The command starts anew with the package itself, and prints once."""
    file = tmp_path / "mine.py"
    file.write_text(_METHOD.format(statement=statement))
    done = graftbench("ls", "methods", "--json", "--plugin", file)
    assert done.code == 0, done.err
    assert [row["title"] for row in json.loads(done.out) if row["name"] == "mine"] == [title]


def test_a_broken_plugin_is_judged_with_torch(tmp_path: Path) -> None:
    """An import that fails under a stand-in is tried again, and what is said of it is Python's own sentence."""
    file = tmp_path / "broken.py"
    file.write_text("from torch import no_such_name_in_it\n[].pop()\n")
    done = graftbench("ls", "methods", "--plugin", file)
    assert "cannot import name 'no_such_name_in_it' from 'torch'" in done.err


_PROBE = """
from graftbench.plugins import stand_ins
stand_ins.stand_in()
import torch
from torch import nn
import torch.nn.functional as F

class Network(nn.Module):
    @torch.no_grad()
    def forward(self, x, kind=torch.float32):
        return F.relu(x)

def run():
    {statement}

try:
    run()
except stand_ins.NeedsPackage as needed:
    print("needs", needed)
else:
    print("fine")
"""


@pytest.mark.parametrize(
    ("statement", "printed"),
    [
        ("Network(); torch.Generator()", "fine"),
        ("torch.manual_seed(0)", "needs torch.manual_seed"),
        ("Network().forward(1)", "needs torch.nn.functional.relu"),
        ("bool(torch.Generator())", "needs torch.Generator()"),
        ("f'{torch.float32}'", "needs torch.float32"),
        ("torch.float32 == 1", "needs torch.float32"),
        ("[*torch.Tensor]", "needs torch.Tensor"),
        ("float(torch.pi)", "needs torch.pi"),
        ("isinstance(1, torch.Tensor)", "needs torch.Tensor"),
    ],
)
def test_a_stand_in_defines_and_does_nothing_else(statement: str, printed: str) -> None:
    """A class may derive from it, be decorated, and be made; a function of torch is refused, as is every answer."""
    code = _PROBE.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == printed, done.stderr


def test_stand_ins_stay_out_where_torch_is_imported() -> None:
    """In a process that has torch, a notebook's say, nothing is replaced."""
    code = "import torch\nfrom graftbench.plugins import stand_ins\nstand_ins.stand_in()\nprint(stand_ins.active())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr
