"""Everything that a method can do wrong: the right row each, every other cell finishes, no process stays behind."""

from __future__ import annotations

import functools
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import pytest
from planted_cells import PLANTED
from tiny_suites import Heard, suite_toml, until

from graftbench.errors import GraftbenchError
from graftbench.execution.driver import run
from graftbench.execution.executors.local import LocalExecutor
from graftbench.records import store
from graftbench.records.record import Record, Status
from graftbench.suites.suite import CellLimits, parse_suite
from graftbench.training.source import SourceModelSpec

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("shared_cache")

PLUGIN = (
    PLANTED
    + '''
import torch
from graftbench.training import TrainingConfig, train
from torch import nn

class Raises(Planted):
    name = "raises"
    def fit(self, task, budget):
        raise ValueError("planted")

class Exits(Planted):
    name = "exits"
    def fit(self, task, budget):
        print("about to leave", flush=True)
        os._exit(7)

class Crashes(Planted):
    name = "crashes"
    def fit(self, task, budget):
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)

class Loops(Planted):
    name = "loops"
    def fit(self, task, budget):
        while True:
            pass

class Hangs(Planted):
    """Waits for an endless subprocess, one of several in sessions of their own."""
    name = "hangs"
    def fit(self, task, budget):
        subprocess.Popen(["setsid", "--fork", "sleep", "7401"])
        subprocess.Popen(["sleep", "7402"], start_new_session=True)
        os.system("sleep 7403 & sleep 7404")

class Refused(Planted):
    """Asks for more than any machine has: the allocator refuses."""
    name = "refused"
    def fit(self, task, budget):
        return torch.ones(1 << 50)

class Nan(Planted):
    """Its third step has a loss that is no number."""
    name = "nan"
    def fit(self, task, budget):
        network = nn.Linear(1, 1)
        losses = iter([1.0, 1.0, float("nan")] + [1.0] * 9)
        def step(size, log):
            log.add(total=torch.tensor(next(losses)))
            return True
        return train(task, budget, TrainingConfig(batch_size=8), step, network, sampler=ImageBankSampler)

class Peeks(Planted):
    name = "peeks"
    def fit(self, task, budget):
        return ImageBankSampler(task.held_out)

class Bomb(Planted):
    name = "bomb"
    def fit(self, task, budget):
        for _ in range(100):
            if os.fork() == 0:
                time.sleep(7405)
        time.sleep(7405)

class Vandal(Planted):
    """Writes into every folder of the run that it finds."""
    name = "vandal"
    def fit(self, task, budget):
        mine = Path(task.job.folder)
        for folder in [*mine.parent.iterdir(), *(mine.parents[1] / "cells").glob("*")]:
            if folder != mine:
                for name in ("result.json", "sampler.safetensors", "progress.json", "log.txt"):
                    (folder / name).write_text("{}")
        return ImageBankSampler(task.images)

class Talks(Planted):
    name = "talks"
    def fit(self, task, budget):
        for _ in range(1000):
            print("x" * 99_999)
        raise ValueError("said enough")

'''
)

TOML = suite_toml("fine")


Leftovers = Callable[[], list[str]]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """The file with the planted methods."""
    path = tmp_path / "planted.py"
    path.write_text(PLUGIN)
    return path


def rows(folder: Path) -> dict[str, Record]:
    """Method -> its newest record."""
    records, warnings = store.read(folder / "records.jsonl")
    assert not warnings
    return {record.cell.method: record for record in records}


@pytest.mark.slow
def test_every_ending_is_its_row(tmp_path: Path, left_over: Leftovers, plugin: Path) -> None:
    """Fourteen ways to end, two cells side by side: the right status and reason each, the fine ones among them ok.

    The methods come from one new file, given by `--plugin`; nothing else was edited.
    """
    names = [
        *["fine", "raises", "exits", "crashes", "loops", "hangs", "hoards", "refused"],
        *["nan", "peeks", "bomb", "vandal", "talks", "patricide"],
    ]
    toml = TOML.replace('["fine"]', str(names).replace("'", '"'))
    suite = msgspec.structs.replace(
        parse_suite(toml, "planted"), limits=CellLimits(cell_seconds=8, memory_mib=1200), checkpoint_seconds=0
    )
    heard = Heard()
    own = functools.partial(LocalExecutor, jobs=2)
    summary = run(suite, tmp_path / "run", plugins=[plugin], executor=own, progress=heard)
    found = rows(tmp_path / "run")
    assert {name: row.status for name, row in found.items()} == {
        "fine": Status.OK,
        "raises": Status.ERROR,
        "exits": Status.ERROR,
        "crashes": Status.KILLED,
        "loops": Status.TIMEOUT,
        "hangs": Status.TIMEOUT,
        "hoards": Status.OOM,
        "refused": Status.OOM,
        "nan": Status.DIVERGED,
        "peeks": Status.ERROR,
        "bomb": Status.TIMEOUT,
        "vandal": Status.OK,
        "talks": Status.ERROR,
        "patricide": Status.LOST,
    }
    assert summary.exit_code == 3
    assert found["raises"].reason == "ValueError: planted"
    assert "planted" in found["raises"].log_tail
    assert found["exits"].exit_code == 7
    assert "about to leave" in found["exits"].log_tail
    assert found["crashes"].exit_code == -signal.SIGSEGV
    assert "SIGSEGV" in found["crashes"].reason
    assert "limit of 8 s" in found["loops"].reason
    assert "the limit is 1200 MiB" in found["hoards"].reason
    assert "may not look at held-out images" in found["peeks"].reason
    assert "at step 3" in found["nan"].reason
    assert found["talks"].reason == "ValueError: said enough"
    assert (tmp_path / "run" / found["talks"].artifacts["log"]).stat().st_size <= 8 << 20
    assert found["patricide"].attempts == 3
    assert not left_over()
    assert not list((tmp_path / "run" / "work").iterdir())
    damaged = [sentence for sentence in heard.sentences if "is not what its cell left" in sentence]
    assert any(found["fine"].id in sentence for sentence in damaged)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_executor")
def test_a_retry_runs_what_was_asked_for(tmp_path: Path, plugin: Path) -> None:
    """`--retry error` runs the errors again and nothing else; without it a second run does nothing."""
    suite = parse_suite(TOML.replace('["fine"]', '["fine", "raises", "nan"]'), "planted")
    assert run(suite, tmp_path / "run", plugins=[plugin]).ran == 3
    assert run(suite, tmp_path / "run", plugins=[plugin]).ran == 0
    again = run(suite, tmp_path / "run", plugins=[plugin], retry=["error"])
    assert (again.ran, again.statuses) == (1, {"ok": 1, "error": 1, "diverged": 1})
    with pytest.raises(GraftbenchError, match=r"Unknown status 'eror'.*Did you mean 'error'"):
        run(suite, tmp_path / "run", plugins=[plugin], retry=["eror"])


@pytest.mark.slow
@pytest.mark.usefixtures("warm_executor")
def test_cells_without_their_source_model_are_skipped_and_tried_again(tmp_path: Path) -> None:
    """A source model that cannot be trained in its time: its cells are skipped and say why, the others run.

    The next run, with time enough, runs them without being asked.
    """
    suite = msgspec.structs.replace(
        parse_suite(TOML.replace('["fine"]', '["source", "memorizer"]'), "planted"),
        source_models={"gan": SourceModelSpec(kimg=1000, seed=77)},
        limits=CellLimits(source_seconds=2),
    )
    summary = run(suite, tmp_path / "run")
    assert summary.statuses == {"ok": 1, "skipped": 1}
    reason = rows(tmp_path / "run")["source"].reason
    assert "could not be trained" in reason
    assert "limit of 2 s" in reason
    affordable = msgspec.structs.replace(
        suite, source_models={"gan": SourceModelSpec(kimg=0.064, seed=77)}, limits=CellLimits()
    )
    assert run(affordable, tmp_path / "run").statuses == {"ok": 2}


@pytest.mark.slow
def test_a_method_edited_while_a_run_lasts_is_not_recorded_under_its_old_id(tmp_path: Path, plugin: Path) -> None:
    """The first cell edits the plugin: the second is skipped with the reason, the next run plans it anew.

    One after the other: side by side the second might have been checked before the first was fitted.
    """
    plugin.write_text(
        PLUGIN
        + f"""
class Edits(Planted):
    name = "edits"
    def fit(self, task, budget):
        path = Path({str(plugin)!r})
        path.write_text(path.read_text().replace("scratch", "frozen"))
        return ImageBankSampler(task.images)
"""
    )
    suite = parse_suite(TOML.replace('["fine"]', '["edits", "fine"]'), "planted")
    run(suite, tmp_path / "run", plugins=[plugin], executor=lambda: LocalExecutor(jobs=1))
    found = rows(tmp_path / "run")
    assert found["edits"].status == Status.OK
    assert found["fine"].status == Status.SKIPPED
    assert "was edited while the run lasted" in found["fine"].reason


def command(tmp_path: Path, suite: str, *more: str) -> list[str]:
    """A `graftbench run` of a suite's text."""
    path = tmp_path / "suite.toml"
    path.write_text(suite)
    return [sys.executable, "-m", "graftbench", "run", str(path), "--out", str(tmp_path / "run"), *more]


SLOW = """
class Slow(Planted):
    name = "slow"
    def fit(self, task, budget):
        Path(task.job.folder, "began").touch()
        time.sleep(SECONDS)
        return ImageBankSampler(task.images)
"""


@pytest.mark.slow
@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupt_finishes_the_running_cells_and_two_stop_at_once(
    tmp_path: Path, left_over: Leftovers, plugin: Path, interrupts: int
) -> None:
    """Ctrl-C once: what runs is finished and recorded, nothing new starts. Twice: no process stays. Both: 130."""
    plugin.write_text(PLUGIN + SLOW.replace("SECONDS", "2" if interrupts == 1 else "60"))
    suite = TOML.replace('["fine"]', '["slow"]').replace("seeds = [0]", "seeds = [0, 1, 2, 3]")
    driver = subprocess.Popen(
        command(tmp_path, suite, "--jobs", "1", "--plugin", str(plugin)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: list(tmp_path.glob("run/work/*/began")), "the cell's start", 100)
    driver.send_signal(signal.SIGINT)
    if interrupts == 2:
        time.sleep(0.5)
        driver.send_signal(signal.SIGINT)
    out, said = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "Ctrl-C again" in out
    assert said == "graftbench: interrupted; the same command goes on where this one stopped.\n"
    assert not left_over()
    done = store.read(tmp_path / "run" / "records.jsonl")[0]
    assert [record.status for record in done] == ([Status.OK] if interrupts == 1 else [])


@pytest.mark.long
def test_a_second_driver_is_refused_and_told_by_whom(tmp_path: Path, left_over: Leftovers, plugin: Path) -> None:
    """Two drivers on one folder: the second one stops with a sentence that names the first one's process."""
    plugin.write_text(PLUGIN + SLOW.replace("SECONDS", "60"))
    suite = TOML.replace('["fine"]', '["slow"]')
    line = command(tmp_path, suite, "--jobs", "1", "--plugin", str(plugin))
    first = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    until(lambda: list(tmp_path.glob("run/work/*/began")), "the cell's start", 100)
    second = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    first.terminate()
    assert first.wait(timeout=30) == 130
    assert second.returncode == 2
    assert f"Another run is working in '{tmp_path / 'run'}' (process {first.pid} on " in second.stderr
    assert not left_over()


KILLED = TOML.replace('["fine"]', '["memorizer", "gaussian"]').replace("seeds = [0]", "seeds = [0, 1, 2, 3, 4]")


def kill_and_resume(tmp_path: Path, left_over: Leftovers, kills: int, seed: int) -> None:
    """Kill the driver at random moments, each time resume; at the end compare with an undisturbed run."""
    chance = random.Random(seed)  # noqa: S311 - moments, no secrets
    line = command(tmp_path, KILLED, "--jobs", "2")
    path, killed = tmp_path / "run" / "records.jsonl", 0
    for number in range(kills):
        if number and number % 3 == 0:
            path.unlink(missing_ok=True)  # begin anew: else a short suite is done before all the kills
            for cell in tmp_path.glob("run/cells/*"):
                shutil.rmtree(cell)
        driver, count = (
            subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
            chance.randint(0, 9),
        )
        while driver.poll() is None and len(path.read_bytes().splitlines() if path.exists() else []) < count:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 3 if count == 0 else 0.5))
        killed += driver.poll() is None
        driver.kill()
        driver.wait()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    records, warnings = store.read(path)
    assert not warnings
    assert len(records) == len({record.id for record in records}) == 10
    run(parse_suite(KILLED, "calm"), tmp_path / "calm", jobs=2)
    calm, _ = store.read(tmp_path / "calm" / "records.jsonl")
    assert {r.id: r.scores for r in records} == {r.id: r.scores for r in calm}
    assert all((tmp_path / "run" / file).is_file() for record in records for file in record.artifacts.values())
    assert not list((tmp_path / "run" / "work").iterdir())
    until(lambda: not left_over(), "the end of all processes", 10)
    assert killed >= kills // 2


@pytest.mark.long
def test_three_kills_of_the_driver_lose_nothing(tmp_path: Path, left_over: Leftovers) -> None:
    """SIGKILL at random moments, then resume: every cell exactly once, nothing torn, equal scores, no process left."""
    kill_and_resume(tmp_path, left_over, kills=3, seed=0)


@pytest.mark.long
def test_a_hundred_kills_of_the_driver_lose_nothing(tmp_path: Path, left_over: Leftovers) -> None:
    """Likewise a hundred times."""
    kill_and_resume(tmp_path, left_over, kills=100, seed=1)


@pytest.mark.long
def test_a_disk_that_fills_up_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    """A file system of 24 MB (a tmpfs in a namespace of its own): one sentence, exit code 2, no record of the victim.

    With room again the run goes on to its end.
    """
    script = tmp_path / "fill.sh"
    inner = " ".join(command(tmp_path, TOML.replace('["fine"]', '["memorizer", "gaussian"]'), "--jobs", "1"))
    script.write_text(
        f"""
mkdir -p {tmp_path}/run
mount -t tmpfs -o size=24m none {tmp_path}/run || exit 77
head -c 23500k /dev/zero > {tmp_path}/run/.lock
{inner}; echo "first: $?"
cat {tmp_path}/run/records.jsonl | wc -l
mount -o remount,size=200m {tmp_path}/run
{inner}; echo "second: $?"
cat {tmp_path}/run/records.jsonl | wc -l
"""
    )
    unshare = shutil.which("unshare") or "unshare"
    done = subprocess.run(
        [unshare, "-rm", "/bin/sh", str(script)], capture_output=True, text=True, check=False, timeout=200
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()[:200]}")
    assert "first: 2" in done.stdout, done.stdout + done.stderr
    assert "second: 0" in done.stdout, done.stdout + done.stderr
