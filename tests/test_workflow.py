"""The composite action and the workflow: their shape, and their steps run as GitHub runs them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made_cells import EMOJI_RECORDS
from tiny_suites import suite_toml

from graftbench.records.run import read_run
from graftbench.regression import baselines

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
WORKFLOWS = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")}
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
JOBS = [job for workflow in WORKFLOWS.values() for job in workflow["jobs"].values()]

MAJORS = {
    "actions/checkout": "v7",
    "actions/setup-python": "v7",
    "actions/cache": "v6",
    "actions/cache/restore": "v6",
    "actions/cache/save": "v6",
    "actions/upload-artifact": "v7",
}

TOML = suite_toml("oracle", "memorizer", seeds=[0, 1, 2], n_generated=64)

STEP_SECONDS = 240

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


# ------------------------------------------------------------------------------------------------------------- shape


def every_step() -> list[dict[str, Any]]:
    """Those of the action and of all jobs."""
    return [*STEPS, *(step for job in JOBS for step in job["steps"])]


def test_steps_are_of_the_form_that_github_reads() -> None:
    """Each step runs or uses; what runs in the action names its shell; ids are unique."""
    for step in every_step():
        assert ("run" in step) != ("uses" in step), step
        assert step.keys() <= {"name", "id", "if", "uses", "with", "run", "shell", "env"}, step
        assert step.get("shell", "bash") == "bash"
    assert all("shell" in step for step in STEPS if "run" in step)  # a composite action has no default
    ids = [step["id"] for step in STEPS if "id" in step]
    assert len(ids) == len(set(ids))
    for job in JOBS:
        assert {"runs-on", "steps", "timeout-minutes"} <= job.keys()


def test_actions_of_others_are_pinned_to_a_known_major() -> None:
    """Each is GitHub's own, at the major version that was looked up."""
    used = {step["uses"] for step in every_step() if "uses" in step} - {"./"}
    assert used
    assert all(MAJORS.get(name) == version for name, _, version in (use.partition("@") for use in used)), used


def test_the_workflow_works_from_forks() -> None:
    """No secret, no right to write, no trigger that runs a fork's code with the base's rights."""
    assert WORKFLOWS
    for name, workflow in WORKFLOWS.items():
        text = (ROOT / ".github" / "workflows" / name).read_text("utf-8")
        assert "secrets." not in text
        assert "github.token" not in text
        assert workflow["permissions"] == {"contents": "read"}
        triggers = workflow[True]  # YAML 1.1 reads `on` as a boolean
        assert triggers.keys() == {"pull_request", "push"}
        assert triggers["push"] == {"branches": ["main"]}
        for job in workflow["jobs"].values():
            assert "permissions" not in job
            checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
            assert checkouts
            assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_no_expression_stands_in_a_script() -> None:
    """A name of a branch or an input that holds shell code stays a value: scripts read variables."""
    assert not [step["name"] for step in every_step() if "${{" in step.get("run", "")]


def test_expressions_name_inputs_and_steps_that_are_there() -> None:
    """Inputs, outputs of earlier steps; and every input is read."""
    read = set()
    before: set[str] = set()
    for step in STEPS:
        for text in (str(step.get("if", "")), *map(str, {**step.get("env", {}), **step.get("with", {})}.values())):
            read |= set(re.findall(r"inputs\.([\w-]+)", text))
            assert set(re.findall(r"steps\.(\w+)\.", text)) <= before, step["name"]
        before |= {step.get("id", "")}
    assert read == ACTION["inputs"].keys()
    for output in ACTION["outputs"].values():
        assert set(re.findall(r"steps\.(\w+)\.", output["value"])) <= before
    for job in JOBS:
        for step in job["steps"]:
            if step.get("uses") == "./":
                assert step.get("with", {}).keys() <= ACTION["inputs"].keys()


def test_inputs_are_described_and_options_of_the_command() -> None:
    """Each has a description and a default, so none is required."""
    assert all({"description", "default"} == given.keys() for given in ACTION["inputs"].values())
    assert all(isinstance(given["default"], str) for given in ACTION["inputs"].values())


def test_the_docs_have_every_input_with_its_default() -> None:
    """The table in docs/ci.md is the action's list."""
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \|(?: `(.*?)`)? \|", page, re.MULTILINE)
    assert dict(rows) == {name: given["default"] for name, given in ACTION["inputs"].items()}
    assert f"actions/checkout@{MAJORS['actions/checkout']}" in page


def test_no_registry_is_named() -> None:
    """Where packages come from is the machine's own setting."""
    for path in (ROOT / "action.yml", *(ROOT / ".github" / "workflows").glob("*.yml")):
        assert not re.search(r"https?://|index-url|find-links", path.read_text("utf-8"))


# ------------------------------------------------------------------------------------------------------------- steps


@dataclass
class Job:
    """A job that uses the action in a folder: runs its `run:` steps one after the other.

    Attributes:
        folder: The workspace.
        action: Folder of the action.
        inputs: What is given; the others have their defaults.
        outputs: Step -> name -> value.
        codes: Exit codes by step.
        log: What the steps printed.
    """

    folder: Path
    action: Path
    inputs: dict[str, str]
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    log: str = ""

    @property
    def summary(self) -> str:
        """What stands on the job's page."""
        path = self.folder / "summary.md"
        return path.read_text("utf-8") if path.exists() else ""

    def value(self, text: str) -> str:
        """A text with its expressions filled in: inputs and outputs of steps, as the action uses them."""

        def look_up(match: re.Match[str]) -> str:
            where, _, name = str(match[1]).partition(".")
            if where == "inputs":
                return self.inputs[name] if name in self.inputs else str(ACTION["inputs"][name]["default"])
            step, _, output = name.partition(".outputs.")
            assert where == "steps"
            return self.outputs.get(step, {}).get(output, "")

        return EXPRESSION.sub(look_up, text)

    def holds(self, condition: str) -> bool:
        """The only condition on a `run` step: that an input is not empty."""
        if not condition:
            return True
        (name,) = re.fullmatch(r"inputs\.([\w-]+) != ''", condition).groups()  # type: ignore[union-attr]
        return self.value("${{ inputs." + name + " }}") != ""

    def run(self, *names: str) -> Job:
        """Run steps by name, all but the installation by default, until one fails."""
        (self.folder / "summary.md").unlink(missing_ok=True)
        for step in STEPS:
            chosen = "run" in step and step["name"] != "Install" and (not names or step["name"] in names)
            if chosen and self.holds(step.get("if", "")) and self._step(step):
                break
        return self

    def _step(self, step: dict[str, Any]) -> int:
        script, output = self.folder / "step.sh", self.folder / "output.txt"
        script.write_text(step["run"])
        output.write_text("")
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.action / "bench"),
            "GITHUB_ACTION_PATH": str(self.action),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            **{name: self.value(text) for name, text in step.get("env", {}).items()},
        }
        process = subprocess.Popen(  # as `shell: bash` is run
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],  # noqa: S607 - the machine's bash
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            self.log += process.communicate(timeout=STEP_SECONDS)[0]
        finally:
            if process.poll() is None:  # what the step started ends with it
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        pairs = (line.partition("=") for line in output.read_text().splitlines())
        self.outputs[step.get("id", step["name"])] = {name: value for name, _, value in pairs}
        self.codes[step["name"]] = process.returncode
        return process.returncode


def test_every_script_is_bash() -> None:
    """`bash -n` reads each without a complaint."""
    for step in every_step():
        if "run" in step:
            subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)  # noqa: S607 - the machine's


def plant(folder: Path, factor: float) -> None:
    """Multiply the KIDs of all cells of `memorizer` in a baseline."""
    file = folder / "records.jsonl"
    lines = []
    for record in read_run(file).records:
        scores = [
            msgspec.structs.replace(score, value=score.value * factor)
            if score.name == "kid" and score.value is not None and record.cell.method == "memorizer"
            else score
            for score in record.scores
        ]
        lines.append(msgspec.json.encode(msgspec.structs.replace(record, scores=scores)))
    file.write_bytes(b"\n".join(lines) + b"\n")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A workspace whose run folder holds a real run's records of four methods, saved as baseline `main`, too."""
    (tmp_path / "runs" / "graftbench").mkdir(parents=True)
    records = tmp_path / "runs" / "graftbench" / "records.jsonl"
    kept = ("oracle", "memorizer", "finetune", "dcgan")
    lines = EMOJI_RECORDS.read_bytes().splitlines(keepends=True)
    records.write_bytes(b"".join(line for line in lines if msgspec.json.decode(line)["cell"]["method"] in kept))
    baselines.save("main", records, tmp_path / "baselines")
    return tmp_path


COMPARING = ("Find the baseline", "Compare")


def test_equal_runs_pass(finished: Path) -> None:
    """The comparison is on the job's page, and as files beside the report."""
    job = Job(finished, ROOT, {}).run(*COMPARING)
    assert job.codes == {"Find the baseline": 0, "Compare": 0}, job.log
    assert "✅" in job.summary
    assert job.outputs["compare"] == {"code": "0", "summary": "runs/graftbench/report/compare.md"}
    assert {path.name for path in (finished / "runs/graftbench/report").iterdir()} >= {
        "compare.md",
        "compare.json",
        "compare.xml",
    }


def test_a_planted_regression_fails(finished: Path) -> None:
    """The baseline's KID is lowered by a third: exit code 1, and the page says which."""
    plant(finished / "baselines" / "main", 2 / 3)
    job = Job(finished, ROOT, {"metrics": "kid=15%", "level": "0.01"}).run(*COMPARING)
    assert job.codes["Compare"] == 1, job.log
    assert "❌" in job.summary
    assert "memorizer" in job.summary
    assert job.outputs["compare"]["code"] == "1"


def test_the_first_folder_that_has_the_baseline_counts(finished: Path) -> None:
    """As of the base branch's committed baseline and the one that its last push left."""
    shutil.copytree(finished / "baselines", finished / "kept")
    plant(finished / "kept" / "main", 2 / 3)
    job = Job(finished, ROOT, {"baselines": "absent\nbaselines\nkept\n"}).run(*COMPARING)
    assert job.codes["Compare"] == 0, job.log
    assert job.outputs["base"]["folder"] == "baselines"
    job = Job(finished, ROOT, {"baselines": "absent\nkept\nbaselines\n"}).run(*COMPARING)
    assert job.codes["Compare"] == 1, job.log


def test_a_run_as_baseline(finished: Path) -> None:
    """A path is compared with as it is."""
    job = Job(finished, ROOT, {"baseline": "baselines/main/records.jsonl"}).run(*COMPARING)
    assert job.codes["Compare"] == 0, job.log


def test_a_missing_baseline_is_no_success(finished: Path) -> None:
    """Exit code 2; the page has the reason and the way out."""
    job = Job(finished, ROOT, {"baseline": "mian"}).run(*COMPARING)
    assert job.codes["Compare"] == 2, job.log
    assert "Did you mean 'main'?" in job.summary
    assert "graftbench baseline save mian RUN" in job.summary
    assert job.outputs["compare"]["code"] == "2"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a checkout of the present files would hold: tracked and new ones, none that git ignores."""
    folder = tmp_path_factory.mktemp("clone")
    listing = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"],  # noqa: S607 - the machine's git
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.mark.long
@pytest.mark.usefixtures("shared_cache")
def test_the_whole_action_in_a_clean_clone(clone: Path, tmp_path: Path) -> None:
    """A push leaves a baseline; a pull request passes with it, fails with a planted one, and without one runs the base.

    The suite has two methods that train nothing, and the second run finds the first one's records.
    """
    (tmp_path / "tiny.toml").write_text(TOML)
    (save,) = (step for job in JOBS for step in job["steps"] if step.get("name") == "Save the baseline")
    push = Job(tmp_path, clone, {"suite": "tiny.toml", "baseline": "", "jobs": "1"}).run()
    assert set(push.codes.values()) == {0}, push.log
    assert "was run and not compared" in push.summary
    assert len(push.outputs["pip"]["pins"]) == 16
    assert (tmp_path / "runs/graftbench/report/index.html").is_file()
    push._step(save)
    assert push.codes[save["name"]] == 0, push.log

    given = {"suite": "tiny.toml", "baselines": ".base/baselines\nkept-baselines\n", "jobs": "1"}
    pull = Job(tmp_path, clone, given).run()
    assert set(pull.codes.values()) == {0}, pull.log
    assert "✅" in pull.summary

    plant(tmp_path / "kept-baselines" / "main", 2 / 3)
    worse = Job(tmp_path, clone, given | {"few-seeds": "gate", "metrics": "kid=15%"}).run()
    assert worse.codes["Compare"] == 1, worse.log
    assert "❌" in worse.summary

    shutil.copytree(clone, tmp_path / "base")
    shutil.copy(tmp_path / "tiny.toml", tmp_path / "base")
    base = Job(tmp_path, clone, given | {"baselines": "absent", "base": "base"}).run()
    assert set(base.codes.values()) == {0}, base.log
    assert "::notice::There is no baseline 'main'" in base.log
    assert len(read_run(tmp_path / "runs" / "graftbench-base").records) == 6
    assert "✅" in base.summary


@pytest.mark.long
def test_an_unusable_suite_ends_the_action(clone: Path, tmp_path: Path) -> None:
    """Exit code 2 of `graftbench run` is the step's; nothing after it runs."""
    job = Job(tmp_path, clone, {"suite": "quikc"}).run()
    assert job.codes["Run"] == 2, job.log
    assert "Compare" not in job.codes
    assert "Did you mean 'quick'?" in job.log
