"""Jobs on a Slurm cluster, through submitit.

Jobs that wait are submitted as arrays; each array task runs one job with its node's own `LocalExecutor`, in a process
of its own under the same limits as on one machine. Nothing is sent: run folder, cache, plugins and the Python
environment lie on a file system that the nodes share with the machine on which the driver runs.

A job that Slurm preempts is requeued by submitit and goes on from the checkpoint in its folder. A job ends by itself
when it is no longer wanted: when its executor was closed or its driver has died (nobody touches `ALIVE` any more), or
when another driver has started the same job folder again (`CLAIM` names another claim).
"""

from __future__ import annotations

import importlib
import math
import secrets
import shlex
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.execution.executors.local import LocalExecutor
from graftbench.execution.job import Cause, Ended, Job, decode, write_whole
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graftbench.execution.executors import Limit

ALIVE = "alive"
"""File in submitit's folder that the driver touches as long as it wants jobs to run."""

CLAIM, ENDED, JOB_FILE = "slurm-claim.txt", "slurm-ended.json", "slurm-job.json"
"""Files in a job's folder: the claim that it runs for, how it ended, the job."""

TOUCH_SECONDS = 10.0
ORPHANED_SECONDS = 300.0
"""A job ends when `ALIVE` has not been touched for so long by the clock of its own machine; file systems that machines
share may show a change late."""

POLL_SECONDS = 0.5
FILES_SECONDS = 60.0
"""The files of a job may appear so long after Slurm has called it done: file systems that machines share are late."""

MARGIN_MINUTES = 5
"""Slurm gives a job so much more time than its own limit: imports, and the last files."""

UNLIMITED_MINUTES = 24 * 60
CLOSE_SECONDS = 15.0

GENERIC = {
    "name": str,
    "timeout_min": int,
    "mem_gb": float,
    "nodes": int,
    "cpus_per_task": int,
    "gpus_per_node": int,
    "tasks_per_node": int,
}
"""submitit's parameters for clusters of all kinds."""

GPU_PARAMETERS = ("gres", "gpus", "gpus_per_node", "gpus_per_task", "num_gpus")


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """End of a job, as its array task reports it.

    Attributes:
        claim: The claim that it ran for.
        exit_code: As in `Ended`.
        cause: As in `Ended`.
        seconds: As in `Ended`; of the last try, where Slurm has requeued it.
        detail: As in `Ended`.
    """

    claim: str
    exit_code: int | None
    cause: Cause
    seconds: float
    detail: str = ""


# ------------------------------------------------------------------------------------------------------- the driver


@dataclass
class _SlurmJob:
    key: str
    folder: Path
    claim: str
    seconds: Limit
    memory_mib: Limit
    submitted: float = 0.0
    task: Any = None
    done: float | None = None


class SlurmExecutor:
    """Runs jobs as Slurm array tasks.

    Args:
        folder: Folder for submitit's scripts and logs, on the shared file system; made if need be.
        jobs: How many are submitted and have not ended at most. How many of them run is Slurm's to decide.
        parameters: What jobs ask Slurm for: submitit's parameters (`timeout_min`, `mem_gb`, `cpus_per_task`,
            `gpus_per_node`, …), sbatch's (`partition`, `account`, `gres`, `qos`, `constraint`, …) with `_` for `-`.
        device: Where jobs compute; by default `cuda:0` if the parameters ask for GPUs, else `cpu`.
        cluster: `slurm`; `local` runs the same on this machine, for tests.

    Raises:
        GraftbenchError: submitit is not installed, there is no Slurm here, or a parameter is wrong.
    """

    def __init__(
        self,
        folder: Path,
        *,
        jobs: int = 64,
        parameters: Mapping[str, str] | None = None,
        device: str | None = None,
        cluster: str = "slurm",
    ) -> None:
        if jobs < 1:
            raise GraftbenchError(f"jobs must be at least 1; found {jobs}.")
        self._jobs = jobs
        self._device = device or ("cuda:0" if any(name in (parameters or {}) for name in GPU_PARAMETERS) else "cpu")
        self._folder = folder.absolute() / secrets.token_hex(4)
        self._submitit = _import_submitit()
        self._parameters = _converted(parameters or {})
        self._default_minutes = self._parameters.pop("timeout_min", None)
        self._waiting: list[_SlurmJob] = []
        self._running: dict[str, _SlurmJob] = {}
        self._ending: list[Any] = []
        self._closed = False
        self._executor = self._make(cluster)
        self._touched = -math.inf
        self._touch()

    def _make(self, cluster: str) -> Any:  # noqa: ANN401 - submitit is an extra
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            python = shlex.join(processes.PYTHON)
            executor = self._submitit.AutoExecutor(
                self._folder, cluster=cluster, slurm_python=python, local_python=python
            )
            executor.update_parameters(**self._parameters)
        except (RuntimeError, ValueError, NameError, AssertionError, OSError) as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise GraftbenchError(f"Jobs cannot be given to Slurm here: {str(error).strip()}") from error
        return executor

    @property
    def running(self) -> Sequence[str]:
        """Return the keys of the jobs that were started and have not been reported as ended."""
        return [*(job.key for job in self._waiting), *self._running]

    def room(self, memory_mib: float | None = None) -> bool:  # noqa: ARG002 - Slurm places jobs by what they ask for
        """Return whether another job may be submitted now."""
        return len(self._waiting) + len(self._running) < self._jobs

    def start(
        self,
        key: str,
        job: Job,
        folder: Path,
        *,
        seconds: Limit,
        memory_mib: Limit,
        expected_mib: float | None = None,  # noqa: ARG002 - as in `room`
    ) -> None:
        """Note a job; all that were noted are submitted together by the next `wait`. See `Executor.start`."""
        (folder / ENDED).unlink(missing_ok=True)
        claim = secrets.token_hex(8)
        (folder / CLAIM).write_text(claim)
        write_whole(folder / JOB_FILE, msgspec.structs.replace(job, device=self._device))
        self._waiting.append(_SlurmJob(key, folder, claim, seconds, memory_mib))

    def wait(self, seconds: float) -> list[Ended]:
        """Return jobs that ended within the next `seconds`; early when one does.

        Raises:
            GraftbenchError: Slurm does not take jobs.
        """
        self._submit()
        deadline = time.monotonic() + seconds
        while True:
            self._touch()
            self._ending = [task for task in self._ending if not task.done()]
            ended = [end for job in list(self._running.values()) if (end := self._look(job)) is not None]
            remaining = deadline - time.monotonic()
            if ended or remaining <= 0:
                return ended
            time.sleep(min(POLL_SECONDS, remaining))

    def _submit(self) -> None:
        """Submit the waiting jobs: one array for all jobs with the same limit of time, which an array shares.

        Raises:
            GraftbenchError: Slurm does not take them; it says why.
        """
        waiting, self._waiting = self._waiting, []
        for minutes in sorted({self._minutes(job.seconds) for job in waiting}):
            array = [job for job in waiting if self._minutes(job.seconds) == minutes]
            self._executor.update_parameters(timeout_min=minutes)
            try:
                with self._executor.batch():
                    tasks = [self._executor.submit(SlurmTask.of(job, self._folder / ALIVE)) for job in array]
            except (RuntimeError, OSError) as error:
                self._waiting = [job for job in waiting if job.key not in self._running]
                raise GraftbenchError(f"Slurm does not take jobs: {str(error).strip()}") from error
            for job, task in zip(array, tasks, strict=True):
                job.task, job.submitted = task, time.monotonic()
                self._running[job.key] = job

    def _minutes(self, seconds: float | None) -> int:
        """Return Slurm's limit for a job: the job's own with a margin; without one, that of the parameters."""
        if seconds is None:
            return self._default_minutes or UNLIMITED_MINUTES
        return math.ceil(seconds / 60) + MARGIN_MINUTES

    def _look(self, job: _SlurmJob) -> Ended | None:
        """Return a job's end, if it has ended."""
        ending = _ending(job)
        if ending is None:
            if not job.task.done():
                return None
            job.done = job.done or time.monotonic()
            if job.task.state not in _DEAD and time.monotonic() - job.done < FILES_SECONDS:
                return None
            ending = _ending_by_state(job)
        del self._running[job.key]
        self._ending.append(job.task)
        _clear(job.folder)
        return Ended(job.key, ending.exit_code, ending.cause, ending.seconds, ending.detail)

    def _touch(self) -> None:
        if time.monotonic() - self._touched > TOUCH_SECONDS:
            (self._folder / ALIVE).touch()
            self._touched = time.monotonic()

    def close(self) -> None:
        """Cancel what is submitted, and wait a while for it to end."""
        if self._closed:
            return
        self._closed = True
        (self._folder / ALIVE).unlink(missing_ok=True)  # what cannot be reached ends by itself
        tasks = [*self._ending, *(job.task for job in self._running.values())]
        for job in self._running.values():
            with suppress(Exception):  # Slurm does not answer
                job.task.cancel(check=False)
        deadline = time.monotonic() + CLOSE_SECONDS
        while (tasks := [task for task in tasks if not task.done()]) and time.monotonic() < deadline:
            time.sleep(0.1)
        for job in (*self._waiting, *self._running.values()):
            _clear(job.folder)
        self._waiting.clear()
        self._running.clear()
        if not tasks:
            shutil.rmtree(self._folder, ignore_errors=True)


_DEAD = {"CANCELLED", "FAILED", "NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "TIMEOUT", "DEADLINE", "INTERRUPTED"}
"""Slurm's states (and submitit's for this machine) of a job that will leave nothing more."""


def _ending_by_state(job: _SlurmJob) -> Ending:
    """Return the end, by Slurm's state, of a job whose task did not say how it ended."""
    state = str(job.task.state).partition(" ")[0]  # CANCELLED by 1000
    cause = {"OUT_OF_MEMORY": Cause.MEMORY, "TIMEOUT": Cause.TIME}.get(state, Cause.LOST)
    seconds, detail = time.monotonic() - job.submitted, f"Slurm ended the job: {state}"
    return Ending(claim=job.claim, exit_code=None, cause=cause, seconds=seconds, detail=detail)


def _ending(job: _SlurmJob) -> Ending | None:
    """Read how a job ended, as its task says; None where it has not said so."""
    try:
        ending = msgspec.json.decode((job.folder / ENDED).read_bytes(), type=Ending)
    except (OSError, msgspec.MsgspecError):
        return None
    return ending if ending.claim == job.claim else None


def _clear(folder: Path) -> None:
    """Remove this file's own files from a job's folder."""
    for name in (CLAIM, ENDED, JOB_FILE):
        (folder / name).unlink(missing_ok=True)


def _converted(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Convert parameters to submitit's names and types.

    Raises:
        GraftbenchError: A value that is no number where one is needed.
    """
    sbatch_names = importlib.import_module("submitit.slurm.slurm").SlurmExecutor._valid_parameters()  # noqa: SLF001 - no other list
    converted: dict[str, Any] = {}
    for name, text in ((name.replace("-", "_"), text) for name, text in parameters.items()):
        if name in GENERIC:
            try:
                converted[name] = GENERIC[name](text)
            except ValueError as error:
                raise GraftbenchError(f"The Slurm parameter {name} is a number; found '{text}'.") from error
        elif name in sbatch_names:
            converted[f"slurm_{name}"] = int(text) if text.isdigit() else text
        else:  # an option of sbatch that submitit has no name for
            converted.setdefault("slurm_additional_parameters", {})[name.replace("_", "-")] = text
    return converted


def _import_submitit() -> Any:  # noqa: ANN401 - submitit is an extra
    try:
        return importlib.import_module("submitit")
    except ImportError as error:
        raise GraftbenchError(f"submitit is not installed ({error}): pip install 'graftbench[slurm]'.") from error


# ---------------------------------------------------------------------------------------------------- the array task


@dataclass(frozen=True)
class SlurmTask:
    """The callable that submitit runs on a node: one job, under its limits, as long as it is wanted.

    Attributes:
        folder: The job's folder.
        claim: The claim that it runs for.
        alive: File that is touched as long as the driver lives.
        seconds: Limit of wall time.
        memory_mib: Limit of resident memory.
    """

    folder: str
    claim: str
    alive: str
    seconds: float | None
    memory_mib: float | None

    @classmethod
    def of(cls, job: _SlurmJob, alive: Path) -> SlurmTask:
        """Return the task of a job."""
        return cls(str(job.folder), job.claim, str(alive), job.seconds, job.memory_mib)

    def __call__(self) -> None:
        """Run the job, and write down how it ended."""
        folder = Path(self.folder)
        job = decode((folder / JOB_FILE).read_bytes())
        is_claimed = ClaimCheck(folder / CLAIM, self.claim, Path(self.alive))
        if not is_claimed():  # it has waited in a queue
            return
        executor = LocalExecutor(jobs=1, devices=[job.device])
        try:
            executor.start("job", job, folder, seconds=self.seconds, memory_mib=self.memory_mib)
            while not (ended := executor.wait(1.0)):
                if not is_claimed():
                    return
        finally:  # when Slurm preempts it too: submitit's handler raises SystemExit
            executor.close()
        (end,) = ended
        write_whole(
            folder / ENDED,
            Ending(claim=self.claim, exit_code=end.exit_code, cause=end.cause, seconds=end.seconds, detail=end.detail),
        )

    def checkpoint(self) -> Any:  # noqa: ANN401 - submitit is an extra
        """Submit the task again: the job resumes from the checkpoint in its folder."""
        return importlib.import_module("submitit").helpers.DelayedSubmission(self)


class ClaimCheck:
    """Tell whether a job is still claimed by a living driver.

    Args:
        claim: File with the claim that the job folder runs for.
        mine: The claim of this job.
        alive: File that is touched as long as the driver lives. Clocks of machines differ: what counts is for how long
            its time has not changed.
    """

    def __init__(self, claim: Path, mine: str, alive: Path) -> None:
        self._claim, self._mine, self._alive = claim, mine, alive
        self._touched = 0
        self._seen = time.monotonic()

    def __call__(self) -> bool:
        """Return whether the driver lives and the folder still runs for this job."""
        try:
            touched = self._alive.stat().st_mtime_ns
            claimed = self._claim.read_text()
        except FileNotFoundError:
            return False
        except OSError:  # the file system is not there for the moment
            return time.monotonic() - self._seen < ORPHANED_SECONDS
        if touched != self._touched:
            self._touched, self._seen = touched, time.monotonic()
        return claimed == self._mine and time.monotonic() - self._seen < ORPHANED_SECONDS
