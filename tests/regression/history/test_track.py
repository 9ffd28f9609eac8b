"""`graftbench track` as a user meets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cyclopts import App
from made_cells import EMOJI_RECORDS

from graftbench.errors import GraftbenchError
from graftbench.regression.history.history import add

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.regression.history.history import HistoryEntry


@pytest.fixture
def track(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `graftbench track …` in this process at 100 columns; what it prints. It must end well."""
    monkeypatch.setenv("COLUMNS", "100")
    app = App(name="track")
    for verb in ("add", "show", "report"):
        app.command(f"graftbench.cli.track:{verb}", name=verb)

    def command(*arguments: str | Path) -> str:
        assert app([str(argument) for argument in arguments], result_action="return_value") == 0
        return capsys.readouterr().out

    return command


@pytest.fixture
def history(tmp_path: Path, entry: Callable[..., HistoryEntry]) -> Path:
    """Twelve runs of two methods; the KID of one goes up at the seventh."""
    for i in range(12):
        add(tmp_path / "nightly", entry(i, {"kid": 1.0 if i < 6 else 1.5, "fid": 900.0}))
        add(tmp_path / "nightly", entry(i, {"kid": 2.0}, key="vae|twemoji->openmoji@32|25|8 kimg"))
    return tmp_path / "nightly"


def test_add_a_run_of_the_suite(track: Callable[..., str], tmp_path: Path) -> None:
    """A committed run: added once, then known, then shown."""
    out = track("add", EMOJI_RECORDS, "--history", tmp_path / "h", "--commit", "abc1234", "--date", "2026-01-31")
    assert "series of commit abc1234, 2026-01-31T00:00:00Z were added" in out
    again = track("add", EMOJI_RECORDS, "--history", tmp_path / "h", "--commit", "abc1234", "--date", "2026-01-31")
    assert "nothing was added" in again
    shown = track("show", tmp_path / "h", "--measure", "kid", "--method", "finetune")
    assert "abc1234" in shown
    assert "0 worse than before" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_show(track: Callable[..., str], history: Path) -> None:
    """The worst first with its commits; filters leave the rest out."""
    out = " ".join(track("show", history).replace("│", " ").split())
    assert "3 series: 1 worse than before, 0 changed otherwise, 0 with too few runs to judge." in out
    assert out.index("40 % worse than at its best") < out.index("900")
    assert "0000000005..0000000006" in out
    assert "vae" not in track("show", history, "--method", "finetune")
    assert "FID" not in track("show", history, "--changed")
    assert "0 worse" in track("show", history, "--measure", "kid=50%")


def test_show_objects(track: Callable[..., str], history: Path) -> None:
    """One a line, unrounded, with whole commits."""
    found = [json.loads(line) for line in track("show", history, "--json", "--measure", "kid").splitlines()]
    assert [one["method"] for one in found] == ["finetune", "vae"]
    (step,) = found[0]["steps"]
    assert (step["before"], step["after"], step["worse"]) == (1.0, 1.5, pytest.approx(0.4))
    assert (len(step["old_commit"]), len(step["new_commit"]), found[1]["steps"]) == (40, 40, [])


def test_report(track: Callable[..., str], history: Path, tmp_path: Path) -> None:
    """One file, named after the folder of the history."""
    out = tmp_path / "site" / "index.html"
    assert "3 series of 24 runs" in track("report", history, "--out", out)
    assert "<h1>nightly</h1>" in out.read_text("utf-8")


def test_mistakes_name_the_nearest(track: Callable[..., str], history: Path, tmp_path: Path) -> None:
    """An unknown measure, an unknown method, no history."""
    for arguments, said in (
        (("show", history, "--measure", "kit"), "Did you mean 'kid'"),
        (("show", history, "--method", "finetun"), "Did you mean 'finetune'"),
        (("show", tmp_path / "none"), "There is no history"),
        (("add", EMOJI_RECORDS, "--history", tmp_path / "h", "--date", "soon"), "'soon' is no date"),
    ):
        with pytest.raises(GraftbenchError, match=said):
            track(*arguments)
