"""Jobs that prepare what cells need: a death is said with its cause and a hint, and what was computed is kept."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from graftbench.errors import GraftbenchError
from graftbench.execution.job import EXIT_DISK_FULL, RESULT, Cause, Ended, Finished
from graftbench.execution.prerequisites import Prerequisites
from graftbench.execution.progress import Silent
from graftbench.execution.scheduler import TRIES_WHEN_LOST, Stop
from graftbench.suites.suite import CellLimits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Dying:
    """An executor whose one job ends in these ways, one after another."""

    def __init__(self, folder: Path, *endings: Ended) -> None:
        self.running: list[str] = []
        self.starts = 0
        self._folder, self._endings = folder, list(endings)

    def room(self) -> bool:
        """There is."""
        return not self.running

    def start(self, key: str, *_: object, **__: object) -> None:
        """Count it."""
        self.running, self.starts = [key], self.starts + 1

    def wait(self, _: float) -> list[Ended]:
        """End it."""
        ended = self._endings.pop(0)
        if ended.exit_code == 0:
            (self._folder / RESULT).write_bytes(msgspec.json.encode(Finished()))
        self.running = []
        return [ended]


def ended(exit_code: int | None, cause: Cause = Cause.ENDED, detail: str = "") -> Ended:
    """An end of the job."""
    return Ended("job", exit_code, cause, 1.0, detail)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[str, int, Path]]:
    """`run(*endings)`: why the job failed, how often it was started, its folder."""

    def make(*endings: Ended) -> tuple[str, int, Path]:
        folder = tmp_path / "job"
        folder.mkdir(exist_ok=True)
        executor = Dying(folder, *endings)
        prerequisites = Prerequisites(
            folder=cast("Any", None),
            executor=cast("Any", executor),
            cache=tmp_path,
            limits=CellLimits(),
            progress=Silent(),
            stop=Stop(lambda: None),
            unfinished={},
            checkpoint_seconds=1,
            plugins=[],
        )
        job = cast("Any", SimpleNamespace(folder=str(folder)))
        return prerequisites._run({"job": job}, None)["job"], executor.starts, folder

    return make


def test_a_killed_job_is_said_with_a_hint(run: Callable[..., tuple[str, int, Path]]) -> None:
    """Signal by name, what it may mean, what to do."""
    reason, starts, _ = run(ended(-signal.SIGKILL))
    assert starts == 1
    assert "signal 9 (SIGKILL), by somebody or for want of memory; run the same command again" in reason


def test_a_lost_job_is_tried_again(run: Callable[..., tuple[str, int, Path]]) -> None:
    """The process that started it is gone, which is not its fault; but not for ever."""
    lost = ended(None, Cause.LOST, "the process that started the cell died")
    assert run(lost, lost, ended(0))[:2] == ("", 3)
    reason, starts, _ = run(*[lost] * TRIES_WHEN_LOST)
    assert starts == TRIES_WHEN_LOST
    assert "the process that started the cell died" in reason


def test_the_checkpoint_of_a_killed_training_stays(run: Callable[..., tuple[str, int, Path]], tmp_path: Path) -> None:
    """The next run goes on from it. A job that came to a result, or has no checkpoint, leaves nothing."""
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "checkpoint.safetensors").write_bytes(b"x")
    _, _, folder = run(ended(-signal.SIGKILL))
    assert (folder / "checkpoint.safetensors").exists()
    assert not run(ended(0))[2].exists()
    assert not run(ended(-signal.SIGKILL))[2].exists()


def test_a_full_disk_ends_the_run_with_its_sentence(run: Callable[..., tuple[str, int, Path]], tmp_path: Path) -> None:
    """And with all that was computed."""
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "checkpoint.safetensors").write_bytes(b"x")
    with pytest.raises(GraftbenchError, match="The disk is full"):
        run(ended(EXIT_DISK_FULL))
    assert (tmp_path / "job" / "checkpoint.safetensors").exists()
