"""Ways to execute jobs: `local` (the default), `ray`, `slurm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graftbench.execution.job import Ended, Job

Limit = float | None
"""A hard limit of a job; None for no limit."""


class Executor(Protocol):
    """Runs jobs in processes of their own, somewhere.

    The driver starts no more than `room()` allows and calls `wait` again and again; nothing happens in between.
    """

    @property
    def running(self) -> Sequence[str]:
        """Return the keys of the jobs that were started and have not been reported as ended."""
        ...

    def room(self, memory_mib: float | None = None) -> bool:
        """Return whether another job may be started now.

        Args:
            memory_mib: Memory that it is expected to hold on its device; None where nobody knows.
        """
        ...

    def start(
        self, key: str, job: Job, folder: Path, *, seconds: Limit, memory_mib: Limit, expected_mib: float | None = None
    ) -> None:
        """Start a job.

        Args:
            key: The key under which its end is reported; unique among the running.
            job: The job. `job.folder` is `folder`; an executor on another machine replaces it by a path there.
            folder: Folder that must hold everything that the job leaves when its end is reported. It may hold a
                checkpoint of an earlier attempt, from which the job resumes.
            seconds: Wall time after which the job's whole process group is killed; None for no limit.
            memory_mib: Resident memory of the process group above which it is killed; None for no limit.
            expected_mib: As in `room`.

        Raises:
            GraftbenchError: No job can be started any more.
        """
        ...

    def wait(self, seconds: float) -> list[Ended]:
        """Return jobs that ended; after `seconds` at the latest, early when one ends."""
        ...

    def close(self) -> None:
        """Kill what is running and end. May be called twice."""
        ...
