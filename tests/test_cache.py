"""The cache: where it is, whole files or none, one process at a time, sentences instead of tracebacks."""

from __future__ import annotations

import select
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from graftbench.cache import atomic_file, atomic_folder, cache_folder, locked
from graftbench.errors import GraftbenchError


def test_cache_folder_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GRAFTBENCH_CACHE goes before XDG_CACHE_HOME, which goes before ~/.cache; a relative XDG_CACHE_HOME is ignored."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("GRAFTBENCH_CACHE", "~/own")
    assert cache_folder() == tmp_path / "home/own"
    monkeypatch.delenv("GRAFTBENCH_CACHE")
    assert cache_folder() == tmp_path / "xdg/graftbench"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / "home/.cache/graftbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / "home/.cache/graftbench"


def test_a_user_without_a_home_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no home directory is known, the error names the variable that mends it."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("GRAFTBENCH_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(GraftbenchError, match="set GRAFTBENCH_CACHE"):
        cache_folder()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """While a block writes, and after it failed, readers see the old file; nothing is left beside it."""
    path = tmp_path / "deep/file"
    with atomic_file(path) as partial:
        partial.write_text("old")
        assert not path.exists()
    with suppress(ZeroDivisionError), atomic_file(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]
    with atomic_file(path) as partial:
        partial.write_text("new")
    assert path.read_text() == "new"


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failed block leaves the old folder; a good one leaves only what it wrote; leftovers are cleared."""
    path = tmp_path / "deep/folder"
    with atomic_folder(path) as partial:
        (partial / "a").write_text("old")
    with suppress(ZeroDivisionError), atomic_folder(path) as partial:
        (partial / "a").write_text("new")
        raise ZeroDivisionError
    assert (path / "a").read_text() == "old"
    leftover = path.with_name(".folder.partial")
    leftover.mkdir()
    (leftover / "c").write_text("left by a process that was killed")
    with atomic_folder(path) as partial:
        (partial / "b").write_text("new")
    assert [file.name for file in path.iterdir()] == ["b"]
    assert list(path.parent.iterdir()) == [path]


def test_a_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    """The second one enters only after the first has left."""
    entered = threading.Event()

    def second() -> None:
        with locked(tmp_path / "lock"):
            entered.set()

    waiting = threading.Thread(target=second)
    with locked(tmp_path / "lock"):
        waiting.start()
        assert not entered.wait(0.2)
    assert entered.wait(10)
    waiting.join()


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """A file where the folder should be: lock, file and folder say so and name GRAFTBENCH_CACHE."""
    (tmp_path / "cache").write_text("a file")
    inside = tmp_path / "cache" / "entry"
    for writing in (locked, atomic_file, atomic_folder):
        with pytest.raises(GraftbenchError, match=r"cannot be written.*GRAFTBENCH_CACHE"), writing(inside):
            pass


_HOLD = """
import sys
from pathlib import Path
from graftbench.cache import locked
print("asks", flush=True)
with locked(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_lock_excludes_another_process_and_ends_with_it(tmp_path: Path) -> None:
    """While one process holds the lock another waits; the moment the first is killed, the other has it."""
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "lock")]
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for _ in range(2)
        )
        stack.callback(second.kill)
        stack.callback(first.kill)
        assert first.stdout
        assert second.stdout
        assert [first.stdout.readline(), second.stdout.readline()] == [b"asks\n"] * 2
        (held,), _, _ = select.select([first.stdout, second.stdout], [], [], 30)
        holder, waiter = (first, second) if held is first.stdout else (second, first)
        assert holder.stdout
        assert waiter.stdout
        assert holder.stdout.readline() == b"holds\n"
        assert not select.select([waiter.stdout], [], [], 0.3)[0]
        holder.kill()
        assert waiter.stdout.readline() == b"holds\n"
