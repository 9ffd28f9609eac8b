"""The looks in processes of their own: what crashes, hangs or raises is a finding, and the page shows it."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from graftbench.errors import GraftbenchError
from graftbench.selftest import runner, selftest
from graftbench.selftest.finding import Bench, SelftestFinding, judged
from graftbench.selftest.runner import DeviceLook, LookResult, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Bench], Iterator[SelftestFinding]]], None]:
    """Put a look in the place of all; processes are forked, so that they see it."""

    def plant(look: Callable[[Bench], Iterator[SelftestFinding]]) -> None:
        monkeypatch.setattr(runner, "_context", lambda: multiprocessing.get_context("fork"))
        monkeypatch.setattr(runner, "import_module", lambda _: SimpleNamespace(look=look))

    return plant


def _good(bench: Bench) -> Iterator[SelftestFinding]:
    yield judged("planted", "sums", ok=bench.quick, found="2", expected="2", value=2.0)


def _raises(bench: Bench) -> Iterator[SelftestFinding]:
    yield from _good(bench)
    raise RuntimeError("CUDA error: planted\nsecond line")


def _hangs(bench: Bench) -> Iterator[SelftestFinding]:
    yield from _good(bench)
    time.sleep(600)


def _crashes(bench: Bench) -> Iterator[SelftestFinding]:
    yield from _good(bench)
    os._exit(9)


def _silent(_: Bench) -> Iterator[SelftestFinding]:
    yield from ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("look", "seconds", "words"),
    [
        (_raises, 60, "RuntimeError: CUDA error: planted"),
        (_hangs, 3, "had not ended after 3 s"),
        (_crashes, 60, "exit code 9"),
        (_silent, 60, "it found nothing"),
    ],
)
def test_whatever_becomes_of_a_look_is_a_finding(
    planted: Any, tmp_path: Path, look: Any, seconds: float, words: str
) -> None:
    """What was found before stays; the end is a failure in words, in time."""
    import_module("graftbench.selftest.device")  # torch: what is forked has it, as in a process of the fork server
    planted(look)
    start = time.monotonic()
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "findings.jsonl").write_text('{"an earlier": "look"}')
    result = take(DeviceLook("planted", "Planted", seconds), "cpu", quick=True, folder=folder, cache=tmp_path)
    assert time.monotonic() - start < 60
    *before, end = result.findings
    assert [finding.outcome for finding in before] == ([] if look is _silent else ["passed"])
    assert end.outcome == "failed"
    assert words in end.found
    assert "second line" not in end.found


def test_one_look_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All looks are taken, file and page are written, what was found is escaped."""

    def fake(look: DeviceLook, device: str, **_: Any) -> LookResult:
        outcome = look.name != "memory"
        finding = judged(look.name, f"<b>{look.name}</b>", ok=outcome, found=device, expected="1 < 2")
        return LookResult(look, [finding], 1.0)

    monkeypatch.setattr(selftest, "take", fake)
    heard: list[str] = []
    whole = selftest.selftest("cpu", tmp_path, cache=tmp_path, heard=lambda result: heard.append(result.look.name))
    assert heard == [look.name for look in runner.LOOKS]
    assert [finding.look for finding in whole.failed] == ["memory"]
    stored = json.loads((tmp_path / selftest.JSON).read_text("utf-8"))
    assert len(stored["findings"]) == len(runner.LOOKS)
    page = (tmp_path / selftest.PAGE).read_text("utf-8")
    assert "&lt;b&gt;memory&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "1 failed, 6 passed" in page


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the folder should be is said in a sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(GraftbenchError, match="cannot be made"):
        selftest.selftest("cpu", tmp_path / "file", cache=tmp_path)


def test_looks_by_name() -> None:
    """Names choose looks in their own order; an unknown one names the nearest."""
    assert [look.name for look in selftest.looks_named(["memory", "timing"])] == ["timing", "memory"]
    assert selftest.looks_named([]) == runner.LOOKS
    with pytest.raises(GraftbenchError, match="memory"):
        selftest.looks_named(["memroy"])


@pytest.mark.long
def test_the_command_on_a_cpu(tmp_path: Path, shared_cache: Path) -> None:
    """The short form passes on this CPU, in processes of its own."""
    looks = selftest.looks_named(["memory", "timing"])
    whole = selftest.selftest("cpu", tmp_path, cache=shared_cache, quick=True, looks=looks)
    assert whole.failed == []
