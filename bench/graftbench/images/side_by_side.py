"""Several domains prepared at once, each in a process of its own.

Who draws pictures holds Python's lock, so that threads gain nothing: three sets of avatars take half the time in two
processes. What a process cannot prepare is left to whoever loads the images next, and hears there what is wrong.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.resources.processes import PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graftbench.contracts import Domain


@dataclass(frozen=True)
class Preparation:
    """Arguments of one call of `prepared.load`.

    Attributes:
        domain: The domain.
        name: As a suite writes it.
        resolution: Side in pixels.
        cache: Cache folder.
        resize: Rule by which pictures are resized.
    """

    domain: Domain
    name: str
    resolution: int
    cache: Path
    resize: str

    @property
    def is_missing(self) -> bool:
        """Return whether the cache has no such images; False where they cannot be had."""
        try:
            return not prepared.entry_of(self.domain, self.name, self.resolution, self.cache, self.resize).exists()
        except (GraftbenchError, OSError):
            return False


def prepare_side_by_side(
    preparations: Sequence[Preparation], cores: int, say: Callable[[str], None] = lambda _: None
) -> None:
    """Put the images of domains that are not in the cache yet there, several at once.

    Up to two processes share a core, so that none is idle while the last of three sets is made on another. Nothing is
    raised where that fails. Of one domain, or on one core, nothing is done: `prepared.load` does it.

    Args:
        preparations: What is wanted.
        cores: CPU cores for it.
        say: Told how far each is.
    """
    missing = [each for each in preparations if each.is_missing] if len(preparations) > 1 else []
    if min(cores, len(missing)) < 2:
        return
    children: list[subprocess.Popen[bytes]] = []

    def run(preparation: Preparation) -> None:
        try:
            job = pickle.dumps(preparation)
        except (pickle.PicklingError, AttributeError, TypeError):  # a class that exists in this process alone
            return
        with subprocess.Popen(  # noqa: S603 - this very file
            [*PYTHON, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as child:
            children.append(child)
            assert child.stdin
            assert child.stdout
            child.stdin.write(job)
            child.stdin.close()
            for line in child.stdout:
                say(line.decode("utf-8", "replace").rstrip("\n"))

    with ThreadPoolExecutor(min(2 * cores, len(missing))) as pool:
        try:
            list(pool.map(run, missing))
        finally:  # an interrupt: what is half done is of no use
            pool.shutdown(wait=False, cancel_futures=True)
            for child in children:
                child.kill()


def main() -> None:
    """Prepare what stands on the standard input, and print how far it is; a reader that is gone ends it."""
    preparation: Preparation = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by the process that started this one

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201 - the process that started this one reads it

    say(f"preparing {preparation.name}@{preparation.resolution}")
    prepared.load(
        preparation.domain,
        preparation.name,
        preparation.resolution,
        preparation.cache,
        resize=preparation.resize,
        say=say,
    )


if __name__ == "__main__":
    main()
