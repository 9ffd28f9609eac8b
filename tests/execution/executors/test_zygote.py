"""The process that starts jobs: what it imports, and how soon it is gone when its driver is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from graftbench.execution.executors import zygote
from graftbench.resources import processes

if TYPE_CHECKING:
    from pathlib import Path

SLOW_IMPORT = """
import sys
from graftbench.execution.executors import zygote
def imports():
    import time
    print("importing", flush=True)
    time.sleep(600)
zygote._import_what_children_share = imports
zygote.main()
"""

SLOW_END = """
import atexit, time
from graftbench.execution.executors import zygote
zygote._import_what_children_share = lambda: None
atexit.register(time.sleep, 600)
zygote.main()
"""

DRIVER = """
import subprocess, sys, time
process = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE)
print(process.pid, flush=True)
time.sleep(600)
"""


def test_a_driver_that_dies_during_the_imports_takes_it_along(tmp_path: Path) -> None:
    """They take seconds, in which nobody reads whether the driver is there."""
    with (tmp_path / "out").open("wb") as out:
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, SLOW_IMPORT], stdout=out)
        while len((tmp_path / "out").read_text().split()) < 2:  # the number, and the word that it imports
            assert driver.poll() is None
            time.sleep(0.02)
    (pid,) = (int(word) for word in (tmp_path / "out").read_text().split() if word.isdigit())
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    deadline = time.monotonic() + 60
    while any(process.pid == pid and not process.dead for process in processes.table().values()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_does_not_wait_for_the_interpreter_s_end() -> None:
    """What was imported has hooks and objects whose end takes seconds; there is nothing to put in order."""
    done = subprocess.run([sys.executable, "-c", SLOW_END], input=b"", capture_output=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"ready" in done.stdout


def test_a_hidden_package_is_not_there_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside it can be imported as before; one that is imported already stays."""
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with zygote._hidden("wave"), pytest.raises(ImportError):
        __import__("wave")
    assert __import__("wave")
    with zygote._hidden("wave"):
        assert __import__("wave")


@pytest.mark.long
def test_its_imports_leave_no_files_behind(tmp_path: Path) -> None:
    """A process that is killed removes nothing: W&B, which timm imports, would leave two folders."""
    environment = dict(os.environ, TMPDIR=str(tmp_path))
    name = zygote.__name__
    code = f"import os; from {name} import _import_what_children_share as load; load(); os._exit(0)"
    assert subprocess.run([*processes.PYTHON, "-c", code], env=environment, check=False).returncode == 0
    assert [path.name for path in tmp_path.iterdir() if "wandb" in path.name] == []
