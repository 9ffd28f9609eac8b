"""Programs of other people as methods: what they are given, when they are ended, what is made of what they leave."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from made_cells import make_cell
from PIL import Image
from random_inputs import rng
from tiny_suites import suite_toml

import graftbench
from graftbench.budget import Meter
from graftbench.cache import cache_folder
from graftbench.contracts import FitLog, OverBudget, SourceModel, Task
from graftbench.errors import GraftbenchError
from graftbench.execution import cell
from graftbench.execution.clean import clean_run
from graftbench.execution.job import CellJob
from graftbench.plugins import registry
from graftbench.plugins.code_hash import code_of
from graftbench.plugins.config import config_of
from graftbench.records.cell_spec import CellSpec, ComputeBudget
from graftbench.records.record import Status
from graftbench.records.run import read_run
from graftbench.resources import programs
from graftbench.resources.device import HeldOnDevice
from graftbench.suites.plan import file_digests, make_plan
from graftbench.suites.suite import load_suite
from graftbench.training.samplers import load_sampler, save_sampler

if TYPE_CHECKING:
    from collections.abc import Callable

    from graftbench.contracts import Sampler

Command = registry.methods()["command"]
ending, places, words = (
    importlib.import_module(f"graftbench.methods._command.{name}") for name in ("ending", "workspace", "template")
)

SIDE = 16

COPIES = """
import pathlib, shutil, sys
data, to, n = sys.argv[1:]
files = sorted(pathlib.Path(data).iterdir())
for i in range(int(n)):
    shutil.copy(files[i % len(files)], pathlib.Path(to, f"{i:03d}.png"))
"""
"""A program that copies its training images: `{python} copies.py {data} {samples} {n}`."""


@dataclass
class PluginSource(Task):
    """A task of random images in a folder of its own."""

    folder: Path
    resolution: int = SIDE
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(5))
    log: FitLog = field(default_factory=FitLog)
    n_generated: int = 4

    @property
    def images(self) -> torch.Tensor:
        """Six images of noise."""
        chances = torch.Generator().manual_seed(1)
        return torch.randint(0, 256, (6, 3, SIDE, SIDE), generator=chances, dtype=torch.uint8)

    @property
    def source_images(self) -> torch.Tensor:
        """Two others."""
        return self.images[:2].flip(3)

    @property
    def source_model(self) -> SourceModel:
        """None."""
        raise AssertionError


@pytest.fixture
def task(tmp_path: Path) -> PluginSource:
    """A task whose folder has a name that a shell would stumble over."""
    folder = tmp_path / "a cell's földer"
    folder.mkdir()
    return PluginSource(folder)


def seconds(limit: float = 60) -> Meter:
    """A budget of time."""
    return Meter(ComputeBudget(seconds=limit))


def made(tmp_path: Path, script: str = "", **parameters: Any) -> Any:
    """The method with a script `it.py` among its code."""
    code = tmp_path / "it.py"
    code.write_text(script)
    given = {"train": "{python} it.py {data} {samples} {n}", "code": [str(code)]} | parameters
    return Command(config_of(Command.Config, given, "test"))


def fitted(task: PluginSource, tmp_path: Path, script: str, *, limit: float = 60, **parameters: Any) -> Sampler:
    """Fit a script."""
    return made(tmp_path, script, **parameters).fit(task, seconds(limit))


# --------------------------------------------------------------------------------------------------------------- words


def test_a_command_is_split_before_it_is_filled_in() -> None:
    """A value with spaces stays one word; quotes group; braces are doubled."""
    parts = words.parsed("""{python} -c 'print("{{}}")' --data={data}""")
    assert words.filled(parts, {"python": "/a b/python", "data": "x y"}) == [
        "/a b/python",
        "-c",
        'print("{}")',
        "--data=x y",
    ]


def test_brackets_with_a_budget_are_left_out_under_another() -> None:
    """`[--seconds {seconds}]` stands under a budget of seconds alone; other brackets are what they are."""
    for command in (
        "run sizes=[32,{n}] [--seconds {seconds}] [--kimg {kimg}]",
        ["run", "sizes=[32,{n}]", ["--seconds", "{seconds}"], ["--kimg", "{kimg}"]],
    ):
        parts = words.parsed(command)
        assert words.filled(parts, {"n": "4", "seconds": "60", "kimg": None}) == [
            "run",
            "sizes=[32,4]",
            "--seconds",
            "60",
        ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"train": "x {secnds}"}, "Unknown placeholder 'secnds'.*Did you mean 'seconds'"),
        ({"train": "x {"}, "written {{ and }}"),
        ({"train": "x {n:d}"}, "Unknown placeholder 'n:d'"),
        ({"train": "x 'open"}, "cannot be split"),
        ({"train": ""}, "train is empty"),
        ({"train": "x {source}"}, "source = true"),
        ({"train": "x", "env": {"A": "{sed}"}}, "Did you mean 'seed'"),
        ({"train": "x", "env": {"A=B": ""}}, "no name of a variable"),
        ({"train": "x", "data": "tar"}, "data must be 'png' or 'zip'; found the text 'tar'"),
    ],
)
def test_a_slip_is_found_before_anything_runs(parameters: dict[str, Any], message: str) -> None:
    """A wrong parameter is refused where it is read, with the nearest name."""
    with pytest.raises(GraftbenchError, match=message):
        config_of(Command.Config, parameters, "[variants.x]")


def test_programs_and_scripts_must_be_there(tmp_path: Path) -> None:
    """When a run is planned: the interpreter, the program, the script among `code`."""
    made(tmp_path).check(SIDE)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"python": "/no/python"}, "'/no/python', which does not exist"),
        ({"train": "no-such-program {data}"}, "not on the PATH"),
        ({"train": "{python} train.py"}, "'train.py', which is not among `code`.*lie it.py"),
        ({"sample": "./draw.sh {n}"}, "`sample` runs './draw.sh'"),
        ({"code": ["/no/such/file"]}, "nothing at '/no/such/file'"),
    ]
    for parameters, message in cases:
        with pytest.raises(GraftbenchError, match=message):
            made(tmp_path, **parameters).check(SIDE)


def test_a_budget_that_the_command_cannot_be_told(tmp_path: Path) -> None:
    """FLOPs are refused, and so is a command that asks for seconds under a budget of images."""
    method = made(tmp_path, train="{python} it.py {seconds}")
    method.check_budget(ComputeBudget(seconds=3))
    with pytest.raises(GraftbenchError, match=r"asks for \{seconds\}, but the compute budget is 8 kimg"):
        method.check_budget(ComputeBudget(kimg=8))
    with pytest.raises(GraftbenchError, match="nobody counts"):
        method.check_budget(ComputeBudget(gflops=1))
    made(tmp_path, train="{python} it.py [{seconds}] [{kimg}]").check_budget(ComputeBudget(kimg=8))


# ------------------------------------------------------------------------------------------------------- its identity


def cell_of(variant: Any) -> CellSpec:
    """A cell of a variant, as a plan makes it."""
    parameters = msgspec.to_builtins(variant().config)
    return make_cell(
        variant.name,
        family=variant.family,
        parameters=parameters,
        code=code_of(variant),
        variant_of=variant.variant_of,
        files=file_digests(variant, parameters),
    )


def variant_in(folder: Path, python: str, code: str = "pass") -> Any:
    """The variant of a TOML file, with `it.py` and an environment's interpreter (a link) beside it."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    (folder / "it.py").write_text(code)
    (folder / python).unlink(missing_ok=True)
    (folder / python).symlink_to(sys.executable)
    text = (
        f'[variants.x]\nmethod = "command"\n[variants.x.parameters]\ntrain = "{{python}} it.py"\npython = "{python}"\n'
    )
    (folder / "v.toml").write_text(text + 'code = ["it.py"]\n')
    return registry.methods([folder / "v.toml"])["x"]


def test_places_are_no_part_of_a_cell_and_contents_are(tmp_path: Path) -> None:
    """Another folder or another interpreter is the same cell, another script is not; links stay what they are."""
    one, other = variant_in(tmp_path / "one", "bin/python"), variant_in(tmp_path / "other", "bin/python3.11")
    assert one.defaults["python"] == str(tmp_path / "one" / "bin" / "python")
    assert cell_of(one).id == cell_of(other).id
    assert set(cell_of(one).shown_parameters) == {"train", "sample", "code", "data", "source", "env", "record"}
    assert cell_of(variant_in(tmp_path / "other", "bin/python", "1")).id != cell_of(one).id


def test_code_that_was_edited_while_a_run_lasts_is_not_run(tmp_path: Path) -> None:
    """The cell is skipped: what would be recorded under its id is another program's."""
    variant = variant_in(tmp_path, "bin/python")
    spec = cell_of(variant)
    job = CellJob(cell=spec, folder=str(tmp_path), cache=str(tmp_path), plugins=[str(tmp_path / "v.toml")])
    cell._check_code(job)
    (tmp_path / "it.py").write_text("print(1)")
    record = cell.run_cell(job)
    assert record.status == Status.SKIPPED
    assert "what lies at the parameter `code` of 'x' was changed" in record.reason


# ------------------------------------------------------------------------------------------------- what it is given


TELLS = """
import json, os, sys, pathlib, shutil
out = pathlib.Path(sys.argv[1])
told = {"words": sys.argv[2:], "cwd": os.getcwd(), "files": sorted(os.listdir(".")), "input": sys.stdin.read()}
told["environment"] = dict(os.environ)
(out / "told.json").write_text(json.dumps(told))
data = pathlib.Path(sys.argv[2])
shutil.copytree(data, out / "saw") if data.is_dir() else shutil.copy(data, out / "saw.zip")
for i, file in enumerate(sorted((out / "saw").iterdir()) if data.is_dir() else []):
    shutil.copy(file, pathlib.Path(sys.argv[3], f"{i}.png"))
"""


def test_the_program_gets_what_its_placeholders_say(
    task: PluginSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values, the same in its environment, its code alone in the working directory, nothing of our interpreter."""
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("VIRTUAL_ENV", "/ours")
    command = "{python} it.py {out} {data} {samples} {resolution} {n} {images} {seconds} {seed} {device} {threads}"
    fitted(task, tmp_path, TELLS, limit=61.5, train=command, env={"MINE": "{resolution}px", "LEFT": "{kimg}"})
    told = json.loads((task.folder / "output" / "told.json").read_text())
    assert told["words"][2:] == ["16", "4", "6", "61.5", "5", "cpu", str(torch.get_num_threads())]
    assert told["files"] == ["it.py"]
    assert told["input"] == ""
    there = told["environment"]
    assert (there["GRAFTBENCH_SEED"], there["GRAFTBENCH_SECONDS"], there["MINE"]) == ("5", "61.5", "16px")
    assert there["GRAFTBENCH_CODE"] == told["cwd"]
    assert there["CUDA_VISIBLE_DEVICES"] == ""
    assert there["OMP_NUM_THREADS"] == str(torch.get_num_threads())
    assert {"PYTHONPATH", "VIRTUAL_ENV", "GRAFTBENCH_KIMG", "LEFT"}.isdisjoint(there)
    assert Path(there["TMPDIR"]).is_relative_to(task.folder)


def test_the_images_are_those_of_the_cell(task: PluginSource, tmp_path: Path) -> None:
    """As PNG files or in EDM's zip, pixel by pixel and in their order; changing them changes nothing here."""
    fitted(task, tmp_path, TELLS, train="{python} it.py {out} {data} {samples}")
    files = sorted((task.folder / "output" / "saw").iterdir())
    assert [file.name for file in files[:2]] == ["00000.png", "00001.png"]
    seen = np.stack([np.asarray(Image.open(file)).transpose(2, 0, 1) for file in files])
    assert np.array_equal(seen, task.images.numpy())
    with pytest.raises(GraftbenchError, match="wrote nothing into"):
        fitted(task, tmp_path, TELLS, train="{python} it.py {out} {data} {samples}", data="zip")
    with zipfile.ZipFile(task.folder / "output" / "saw.zip") as archive:
        first = np.asarray(Image.open(archive.open("00000/img00000000.png"))).transpose(2, 0, 1)
    assert np.array_equal(first, task.images[0].numpy())


def test_the_source_domains_images_are_written_when_asked_for(task: PluginSource, tmp_path: Path) -> None:
    """`source = true`."""
    with pytest.raises(GraftbenchError, match="wrote 2 images"):
        fitted(task, tmp_path, COPIES, source=True, train="{python} it.py {source} {samples} 2")


def test_code_is_a_folder_or_a_list(tmp_path: Path) -> None:
    """A folder alone is the working directory; of a list each lies there under its last name, hidden files nowhere."""
    repo, work = tmp_path / "repo", tmp_path / "work"
    (repo / "lib" / ".git").mkdir(parents=True)
    for name in ("train.py", "lib/net.py", "lib/.git/config"):
        (repo / name).write_text("")
    assert set(places.code_files(str(repo))) == {"train.py", "lib/net.py"}
    assert set(places.code_files([str(repo / "train.py"), str(repo / "lib")])) == {"train.py", "lib/net.py"}
    places.copy_code(str(repo), work)
    assert (work / "lib" / "net.py").is_file()
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.py").write_text("")
    with pytest.raises(GraftbenchError, match=r"of one name, 'train\.py'"):
        places.code_files([str(repo / "train.py"), str(other / "train.py")])


def test_one_gpu_is_visible_or_none() -> None:
    """`cuda:1` of a process that sees the GPUs 4 and 6 is 6."""
    assert places.visible_devices("cpu", "4,6") == ""
    assert places.visible_devices("cuda:1", "4,6") == "6"
    assert places.visible_devices("cuda:1", None) == "1"
    assert places.visible_devices("cuda", "GPU-abc") == "GPU-abc"


# ------------------------------------------------------------------------------------------------- what it leaves


def test_images_of_the_training_are_replayed(task: PluginSource, tmp_path: Path) -> None:
    """Without a sampling command; how fast they were drawn is then not known."""
    sampler = fitted(task, tmp_path, COPIES)
    drawn = sampler.sample(4, rng())
    assert sorted(map(hash_of, drawn)) == sorted(map(hash_of, task.images[:4]))
    assert task.log.measured["sampling_images_per_second"] is None
    assert any("drew its images itself" in note for note in task.log.notes)


def hash_of(image: torch.Tensor) -> int:
    """Of the pixels."""
    return hash(image.numpy().tobytes())


DRAWS = """
import pathlib, random, shutil, sys
data, to, n, seed = sys.argv[1:]
files, rng = sorted(pathlib.Path(data).iterdir()), random.Random(int(seed))
for i in range(int(n)):
    shutil.copy(rng.choice(files), pathlib.Path(to, f"{i:03d}.png"))
"""


def test_a_sampling_command_runs_when_images_are_asked_for(task: PluginSource, tmp_path: Path) -> None:
    """Its seed follows from the generator; one generator one draw, and the saved sampler draws the same."""
    sampler = fitted(
        task, tmp_path, DRAWS, train="{python} -c pass", sample="{python} it.py {data} {samples} {n} {seed}"
    )
    with pytest.raises(GraftbenchError, match="none to save"):
        sampler.state()
    drawn = sampler.sample(9, rng())
    assert drawn.shape == (9, 3, SIDE, SIDE)
    assert drawn.dtype == torch.uint8
    assert torch.equal(drawn, sampler.sample(9, rng()))
    assert not torch.equal(drawn, sampler.sample(9, rng(1)))
    save_sampler(sampler, tmp_path / "s.safetensors")
    assert torch.equal(load_sampler(tmp_path / "s.safetensors").sample(9, rng()), drawn)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("pass", r"wrote nothing into \{samples\}. It wrote nothing into \{out\} either"),
        ("open(out + '/model', 'w')", r"wrote nothing into \{samples\}. What it wrote is kept.*\(model\)"),
        ("image(16).save(to + '/0.png')", "wrote 1 images into {samples}; 4 were asked for"),
        ("[image(8).save(f'{to}/{i}.png') for i in range(4)]", "image 1 that it wrote .* is 8×8; the task's are 16×16"),
        ("[open(f'{to}/{i}.png', 'wb').write(b'x') for i in range(4)]", "'0.png' in '{samples}' cannot be used"),
        ("[open(f'{to}/{i}.pt', 'wb').write(b'x') for i in range(4)]", "none is an image"),
        ("import shutil; shutil.rmtree(to)", r"the folder \{samples\} is gone"),
    ],
)
def test_output_is_read_strictly(task: PluginSource, tmp_path: Path, script: str, message: str) -> None:
    """It is said what was found and where; what was written is kept with the cell."""
    head = "import sys; from PIL import Image; to, out = sys.argv[1:]; image = lambda n: Image.new('RGB', (n, n))\n"
    with pytest.raises(GraftbenchError, match=message):
        fitted(task, tmp_path, head + script, train="{python} it.py {samples} {out}")
    kept = {path.name for path in (task.folder / "output").rglob("*")}
    assert ("refused-samples" in kept) == ("f'{to}" in script or "0.png" in script)


@pytest.mark.parametrize("kind", ["npz", "npy", "zip"])
def test_an_archive_of_images_will_do(task: PluginSource, tmp_path: Path, kind: str) -> None:
    """One .npz, .npy or .zip file in {samples}; of more images than were asked for the first are taken, and noted."""
    script = """
import io, sys, zipfile, numpy as np
from PIL import Image
kind, to = sys.argv[1:]
images = np.arange(5 * 16 * 16 * 3, dtype=np.int64).astype(np.uint8).reshape(5, 16, 16, 3)
if kind == "zip":
    with zipfile.ZipFile(f"{to}/x.zip", "w") as archive:
        for i, image in enumerate(images):
            held = io.BytesIO()
            Image.fromarray(image).save(held, "PNG")
            archive.writestr(f"{i}.png", held.getvalue())
else:
    (np.save if kind == "npy" else np.savez)(f"{to}/x.{kind}", images)
"""
    sampler: Any = fitted(task, tmp_path, script, train=f"{{python}} it.py {kind} {{samples}}")
    expected = torch.arange(4 * SIDE * SIDE * 3).to(torch.uint8).reshape(4, SIDE, SIDE, 3).permute(0, 3, 1, 2)
    assert torch.equal(sampler.images, expected)
    assert any("drew 5 images; the first 4" in note for note in task.log.notes)


@pytest.mark.parametrize(
    ("text", "declared", "note"),
    [
        ('{"images_seen": 900, "parameters_total": 7}', {"images_seen": 900, "parameters_total": 7}, ""),
        ('{"images_sen": 900, "device": "T4"}', {"device": "T4"}, "Did you mean 'images_seen'"),
        ('{"fit_seconds": -1}', {}, "at least 0; found '-1'"),
        ("[1]", {}, "expected names and values, found list"),
        ("{", {}, "cannot be read"),
    ],
)
def test_what_it_declares_is_declared(
    task: PluginSource, tmp_path: Path, text: str, declared: dict[str, object], note: str
) -> None:
    """`costs.json` in {out}; what is wrong with it is noted, and no reason to lose a fit."""
    script = COPIES + f"\npathlib.Path(to, '../../output/costs.json').write_text({text!r})"
    made(tmp_path, script).fit(task, Meter(ComputeBudget(kimg=1)))
    assert task.log.declared == declared
    assert note in "\n".join(task.log.notes)
    assert any("Nobody counted" in one for one in task.log.notes) == ("images_seen" not in declared)


def test_more_images_than_the_budget_are_over_it(task: PluginSource, tmp_path: Path) -> None:
    """A program that says so itself."""
    script = COPIES + "\npathlib.Path(to, '../../output/costs.toml').write_text('images_seen = 1001')"
    with pytest.raises(OverBudget, match="showed 1,001 images; its budget was 1 kimg"):
        made(tmp_path, script).fit(task, Meter(ComputeBudget(kimg=1)))


# --------------------------------------------------------------------------------------- how it behaves, and ends


def test_a_failure_says_how_and_with_which_words(
    task: PluginSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code and last line are the reason, the end of the output goes along, and all of it into the log."""
    script = "import sys; print('beginning'); sys.stdout.buffer.write(b'\\xff\\x00'); sys.exit('it went \\x1b[1mwrong')"
    with pytest.raises(GraftbenchError, match=r"ended with exit code 1: .*it went �.1mwrong") as raised:
        fitted(task, tmp_path, script)
    assert "beginning" in raised.value.__notes__[0]
    assert "beginning" in capsys.readouterr().err


def test_a_program_that_asks_for_input_fails_at_once(task: PluginSource, tmp_path: Path) -> None:
    """There is none, and the reason says so."""
    with pytest.raises(GraftbenchError, match=r"EOFError: .*It asked for input, and there is none here"):
        fitted(task, tmp_path, "input('Continue? ')")


def test_a_program_without_memory_is_told_apart(task: PluginSource, tmp_path: Path) -> None:
    """What torch and Python say of it makes the cell's status `oom`."""
    with pytest.raises(MemoryError, match="the training program had not enough memory: MemoryError"):
        fitted(task, tmp_path, "raise MemoryError")


def test_a_program_that_ignores_its_seconds_is_ended(
    task: PluginSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_over: Callable[[], list[str]]
) -> None:
    """With all that it started; what it wrote until then does not count, but is kept."""
    monkeypatch.setattr(ending, "LEAST_TOLERANCE_SECONDS", 0.3)
    script = (
        COPIES
        + "\nimport subprocess, time\nsubprocess.Popen(['sleep', '7501'], start_new_session=True)\ntime.sleep(7500)"
    )
    started = time.monotonic()
    with pytest.raises(OverBudget, match=r"was ended after 0\.[5-9] s: it ignored its budget of 0.2 seconds"):
        fitted(task, tmp_path, script, limit=0.2)
    assert time.monotonic() - started < 5
    assert left_over() == []
    assert len(list((task.folder / "output" / "refused-samples").iterdir())) == 4


def test_what_it_leaves_behind_is_ended_and_counted(
    task: PluginSource, tmp_path: Path, left_over: Callable[[], list[str]]
) -> None:
    """A child, one in another session, and a daemon that nobody is the parent of; none of them writes any more."""
    script = (
        COPIES
        + """
import subprocess
late = f"import time; time.sleep(1.2); open({to!r} + '/late.png', 'w')"
subprocess.Popen([sys.executable, "-c", late])
subprocess.Popen(["sleep", "7502"], start_new_session=True)
subprocess.run(["setsid", "--fork", "sleep", "7503"])
"""
    )
    fitted(task, tmp_path, script)
    assert left_over() == []
    assert any("3 processes ran on" in note for note in task.log.notes)
    time.sleep(1)
    assert not list((task.folder / "scratch" / "samples").glob("late.png"))


def test_a_program_that_spoils_its_data_spoils_nothing_else(task: PluginSource, tmp_path: Path) -> None:
    """It may change and remove its copies."""
    script = COPIES + "\nshutil.rmtree(data); pathlib.Path('it.py').unlink()"
    before = task.images.clone()
    assert len(fitted(task, tmp_path, script).sample(4, rng())) == 4
    assert torch.equal(task.images, before)


def test_of_endless_output_the_end_is_kept(
    task: PluginSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log takes so much and no more."""
    monkeypatch.setattr(programs, "LOG_CHARACTERS", 100_000)
    with pytest.raises(GraftbenchError, match="exit code 3: the last line"):
        fitted(
            task, tmp_path, "import sys\nfor _ in range(200): print('x' * 9999)\nprint('the last line')\nsys.exit(3)"
        )
    said = capsys.readouterr().err
    assert "prints more than is kept" in said
    assert len(said) < 300_000


def test_memory_is_that_of_all_its_processes(task: PluginSource, tmp_path: Path) -> None:
    """Two processes that hold 60 MiB each at one time are seen to hold at least 120, as large as ours is."""
    script = (
        "import os, time\npid, held = os.fork(), b'x' * (60 << 20)\ntime.sleep(0.5)\n"
        "if not pid: os._exit(0)\nos.wait()" + COPIES
    )
    fitted(task, tmp_path, script)
    found = task.log.measured["peak_memory_mib"]
    assert isinstance(found, float)
    assert 120 < found < 200


def test_a_program_that_cannot_be_started() -> None:
    """It says why."""
    program = programs.Program(["/etc/passwd"], Path("/tmp"), {})  # noqa: S108 - any folder that there is
    with pytest.raises(GraftbenchError, match="'/etc/passwd' cannot be started: Permission denied"):
        programs.run(program)


def test_an_interrupt_ends_it(tmp_path: Path, left_over: Callable[[], list[str]]) -> None:
    """Ctrl-C in the process that waits for a program."""
    code = (
        "import os; from pathlib import Path; from graftbench.resources.programs import *\n"
        f"run(Program(['sh', '-c', 'touch started; sleep 7504'], Path({str(tmp_path)!r}), os.environ))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "started").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) != 0
    finally:
        process.kill()
    assert left_over() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its pipe goes with the interrupt
def test_an_interrupt_at_the_start_ends_it(
    tmp_path: Path, left_over: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C that comes when the program runs and nobody watches it yet."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(programs, "_Watch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        programs.run(programs.Program(["sh", "-c", "sleep 7506"], tmp_path, os.environ))
    assert left_over() == []


def test_orphans_of_others_are_left_alone(tmp_path: Path) -> None:
    """A process that this one had started before is not the program's."""
    other = subprocess.Popen(["/bin/sleep", "7505"])
    try:
        programs.run(programs.Program(["true"], tmp_path, dict(os.environ)))
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


# ------------------------------------------------------------------------------------------------------ in a real run


PLANTED = """
import os, subprocess, sys, time
what, data, samples, n = sys.argv[1:]
if what == "waits":
    subprocess.Popen(["sleep", "7601"], start_new_session=True)
    subprocess.run(["setsid", "--fork", "sleep", "7602"])
    time.sleep(7600)
if what == "hoards":
    subprocess.run([sys.executable, "-c", "held = []\\nwhile True: held.append(b'x' * (16 << 20))"])
if what == "edits":
    open("/proc/self/cwd/extra", "w").write("")
"""

SUITE = suite_toml(
    *("copies", "waits", "hoards", "asks", "copies-again"),
    images=10,
    budget="{ seconds = 900 }",
    n_generated=20,
    more="[limits]\ncell_seconds = 25\nmemory_mib = 1500\n",
)

VARIANT = """
[variants.NAME]
method = "command"
parameters = { train = "{python} it.py NAME {data} {samples} {n}", code = ["code/it.py"] }
"""


@pytest.mark.long
def test_a_run_of_commands(tmp_path: Path, shared_cache: Path, left_over: Callable[[], list[str]]) -> None:
    """Limits of the suite hold for programs, failures are rows, nothing is left over; what counts is in the identity.

    A variant's name is no part of what its commands are, so that two of them leave the same images.
    """
    del shared_cache
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "it.py").write_text(f"{PLANTED}if what == 'asks': input()\nsys.argv[1:2] = []\n{COPIES}")
    names = ("copies", "waits", "hoards", "asks", "copies-again")
    (tmp_path / "suite.toml").write_text(SUITE + "".join(VARIANT.replace("NAME", name) for name in names))
    graftbench.run(tmp_path / "suite.toml", tmp_path / "run", jobs=2)
    records = {record.cell.method: record for record in read_run(tmp_path / "run" / "records.jsonl").records}
    assert {name: str(record.status) for name, record in records.items()} == {
        "copies": "ok",
        "waits": "timeout",
        "hoards": "oom",
        "asks": "error",
        "copies-again": "ok",
    }
    assert left_over() == []
    good, asks = records["copies"], records["asks"]
    assert (good.origin, good.cell.family, good.cell.variant_of) == ("command", "submitted", "command")
    assert "It asked for input" in asks.reason
    assert "input()" in asks.log_tail
    assert good.resources is not None
    assert good.resources.sampling_images_per_second is None
    assert 5 < (good.resources.peak_memory_mib or 0) < 100
    folder = tmp_path / "run" / "cells" / good.id
    assert (folder / "output").is_dir()
    assert not (folder / "scratch").exists()
    cleaned = clean_run(tmp_path / "run", keep="samples")
    assert "output of foreign programs" in cleaned.kinds()
    assert not (folder / "output").exists()
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("code", "suite.toml"):
        (tmp_path / name).rename(moved / name)
    plan = make_plan(load_suite(moved / "suite.toml"), cache_folder())
    assert set(plan.ids) == {record.id for record in records.values()}
    (moved / "code" / "it.py").write_text(COPIES)
    assert good.id not in make_plan(load_suite(moved / "suite.toml"), cache_folder()).ids


# ----------------------------------------------------------------------------------------------------- a GPU's memory


class Nvml:
    """The driver's library, of a GPU on which three processes hold memory."""

    class NVMLError(Exception):
        """As the library's."""

    def __init__(self) -> None:
        self.inside = 0

    def nvmlInit(self) -> None:  # noqa: N802 - the library's name
        """Enter."""
        self.inside += 1

    def nvmlShutdown(self) -> None:  # noqa: N802 - likewise
        """Leave."""
        self.inside -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 - likewise
        """One GPU."""
        if uuid != "GPU-1":
            raise self.NVMLError
        return uuid

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:  # noqa: N802 - likewise
        """The third one's memory is not told."""
        assert handle == "GPU-1"
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in ((7, 3 << 20), (8, 5 << 20), (9, None))]


def test_device_memory_is_that_of_its_processes() -> None:
    """Summed over those of the program; unknown where the driver lists none of them or does not tell."""
    nvml = Nvml()
    held = HeldOnDevice.opened_uuid("1", nvml)[0]
    assert held is not None
    assert held.mib([7, 8, 100]) == 8
    assert held.mib([9]) is None
    assert held.mib([100]) is None
    held.close()
    assert HeldOnDevice.opened_uuid("2", nvml)[0] is None
    assert nvml.inside == 0
