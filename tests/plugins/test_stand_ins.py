"""Commands that only list, plan, cite or look do without torch; what needs it gets it, never a stand-in's word."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import graftbench
from made_cells import EMOJI_RECORDS, EMOJI_SUITE

from graftbench.cli import run_command

if TYPE_CHECKING:
    from pathlib import Path

LARGE = ("torch", "torchvision", "timm", "scipy", "pandas", "matplotlib", "pybtex")
OF_IMAGES = ("numpy", "PIL")

_PLANS = [["plan", str(EMOJI_SUITE)]]
_WORDS = [
    ["ls", "methods"],
    ["ls", "domains"],
    ["ls", "metrics"],
    ["cite", str(EMOJI_RECORDS)],
    ["doctor"],
]

_WATCHED = """
import sys
from graftbench.cli import main
for words in {commands!r}:
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as ended:
        real = [name for name in {packages!r} if getattr(sys.modules.get(name), "__file__", None)]
        print("ENDED", ended.code or 0, *words, *real, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("commands", "packages"), [(_PLANS, LARGE), (_WORDS, (*LARGE, *OF_IMAGES))])
def test_metadata_comes_without_large_packages(commands: list[list[str]], packages: tuple[str, ...]) -> None:
    """None of torch, torchvision, timm, scipy, pandas, matplotlib and pybtex is imported; each command ends well.

    Where no image is looked at, neither NumPy nor Pillow is.
    """
    code = _WATCHED.format(commands=commands, packages=packages)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ends = [line for line in done.stderr.splitlines() if line.startswith("ENDED")]
    assert ends == [" ".join(["ENDED 0", *words]) for words in commands]


@pytest.mark.slow
def test_a_plan_imports_the_methods_of_its_suite_alone() -> None:
    """Of sixty files those are imported that the suite names, and what they derive from."""
    code = f"import sys\nsys.argv[1:] = ['plan', {str(EMOJI_SUITE)!r}]\nfrom graftbench.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "print(*(name for name in sys.modules if name.startswith('graftbench.methods.')), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    names = {name.rpartition(".")[2] for name in done.stderr.split()}
    assert {"dcgan", "finetune", "freezed", "vae", "oracle", "memorizer"} <= names, done.stderr
    assert not {"ada", "command", "stylegan2", "ddpm", "lecam"} & names


@pytest.mark.slow
def test_a_plan_is_the_same_with_and_without_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ids, states and parameters do not depend on how the command got its methods."""

    def with_torch(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["graftbench", *words])
        with pytest.raises(SystemExit):
            run_command()  # what `main` does where there are no stand-ins
        return capsys.readouterr().out

    plan, methods = ("plan", str(EMOJI_SUITE), "--json"), ("ls", "methods", "--json")
    assert json.loads(with_torch(*plan))["cells"] == json.loads(graftbench(*plan).out)["cells"]
    assert with_torch(*methods) == graftbench(*methods).out


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "title"),
    [
        ("TITLE = str(torch.ones(2).sum().item())", "2.0"),
        ("TITLE = 'torch ' + torch.__version__.partition('.')[0]", "torch 2"),
    ],
)
def test_a_plugin_that_computes_when_imported_gets_torch(tmp_path: Path, statement: str, title: str) -> None:
    """The command starts anew with the package itself, and prints once."""
    file = tmp_path / "mine.py"
    file.write_text(_METHOD.format(statement=statement))
    done = graftbench("ls", "methods", "--json", "--plugin", file)
    assert done.code == 0, done.err
    assert [row["title"] for row in json.loads(done.out) if row["name"] == "mine"] == [title]


@pytest.mark.slow
def test_a_default_that_was_computed_is_not_a_stand_in_s(tmp_path: Path) -> None:
    """A number of NumPy in a class: what cannot be written down is no fault but a reason to start with NumPy itself."""
    file = tmp_path / "mine.py"
    fields = "scale: float = float(np.sqrt(4.0))\n    root: Any = np.sqrt(9.0).item()"
    config = f"class Config(msgspec.Struct, frozen=True):\n    {fields}"
    text = _METHOD.format(statement=f"import msgspec, numpy as np\nfrom typing import Any\nTITLE = 'x'\n{config}")
    file.write_text(text.replace('    name = "mine"', '    name = "mine"\n    Config = Config'))
    done = graftbench("ls", "methods", "--json", "--plugin", file)
    assert done.code == 0, done.err
    assert [row["parameters"] for row in json.loads(done.out) if row["name"] == "mine"] == [{"scale": 2.0, "root": 3.0}]


@pytest.mark.slow
def test_a_broken_plugin_is_judged_with_torch(tmp_path: Path) -> None:
    """An import that fails under a stand-in is tried again, and what is said of it is Python's own sentence."""
    file = tmp_path / "broken.py"
    file.write_text("from torch import no_such_name_in_it\n[].pop()\n")
    done = graftbench("ls", "methods", "--plugin", file)
    assert "cannot import name 'no_such_name_in_it' from 'torch'" in done.err


_PROBE = """
from graftbench.plugins import stand_ins
stand_ins.stand_in()
import numpy
import torch
from torch import nn
import torch.nn.functional as F

class Network(nn.Module):
    @torch.no_grad()
    def forward(self, x, kind=torch.float32):
        return F.relu(x)

def printed(code):
    try:
        exec(code, globals())
    except stand_ins.NeedsPackage as needed:
        return f"needs {needed}"
    return "fine"
"""

_IN_A_FUNCTION = {
    "Network(); torch.Generator()": "fine",
    "torch.manual_seed(0)": "needs torch.manual_seed",
    "Network().forward(1)": "needs torch.nn.functional.relu",
    "bool(torch.Generator())": "needs torch.Generator()",
    "f'{torch.float32}'": "needs torch.float32",
    "torch.float32 == 1": "needs torch.float32",
    "[*torch.Tensor]": "needs torch.Tensor",
    "float(torch.pi)": "needs torch.pi",
    "isinstance(1, torch.Tensor)": "needs torch.Tensor",
    "torch.Tensor[int]": "needs torch.Tensor",
}
_IN_A_MODULE = {
    "torch.ones(1) > 2": "needs torch.ones()",
    "str(numpy.asarray(torch.ones(2)).sum())": "needs torch.ones()",
    "isinstance(3, torch.Tensor)": "needs torch.Tensor",
    "Kind = torch.Tensor[int, torch.float32]": "fine",
    "torch.ones(2)[0]": "needs torch.ones()",
    "torch.ones(2)[:1, 0]": "needs torch.ones()",
}
"""Statement -> what comes of it: a module calls functions of torch as decorators, and looks at nothing they return."""


def test_a_stand_in_defines_and_does_nothing_else() -> None:
    """A class may derive from it, be decorated, and be made; a function of torch is refused, as is every answer."""
    statements = {f"def run():\n    {statement}\nrun()": answer for statement, answer in _IN_A_FUNCTION.items()}
    statements |= _IN_A_MODULE
    code = f"{_PROBE}\nfor code in {list(statements)!r}: print(printed(code))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [*statements.values()], done.stderr


@pytest.mark.slow
def test_stand_ins_stay_out_where_torch_is_imported() -> None:
    """In a process that has torch, a notebook's say, nothing is replaced."""
    code = "import torch\nfrom graftbench.plugins import stand_ins\nstand_ins.stand_in()\nprint(stand_ins.active())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr
