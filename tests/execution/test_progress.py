"""What a run shows: a board that fits its terminal, lines elsewhere, and a remaining time that is not led astray."""

from __future__ import annotations

import io
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from made_cells import make_cell
from rich.console import Console

from graftbench.execution.board import Board, BoardLine, FailureLine, clock
from graftbench.execution.progress import ConsoleProgress, read_report
from graftbench.records.record import Record, Score, Status

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.records.cell_spec import CellSpec


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def cell(method: str = "dcgan", seed: int = 0, images: int = 25) -> CellSpec:
    """A cell."""
    return make_cell(method, seed, images, family="scratch")


def record(spec: CellSpec, status: Status = Status.OK, reason: str = "", kid: float = 0.037) -> Record:
    """Its record."""
    scores = [Score(name="kid", value=kid, n_generated=600, n_reference=608, protocol="lite0@96")]
    return Record(id=spec.id, cell=spec, status=status, reason=reason, scores=scores if status == Status.OK else [])


def console(width: int, height: int, *, terminal: bool = True) -> Console:
    """A console that keeps what it prints; of a terminal or of a log, whatever this process has."""
    return Console(
        file=io.StringIO(),
        force_terminal=terminal,
        width=width,
        height=height,
        record=True,
        color_system="truecolor" if terminal else None,
        _environ={"TERM": "xterm-256color"},
    )


def rendered(board: Board, width: int, height: int = 40) -> list[str]:
    """The board's lines."""
    paper = console(width, height)
    paper.print(board)
    return [line.rstrip() for line in paper.export_text().splitlines()]


METHODS = ("finetune-diffaugment", "dcgan", "ddpm-finetune", "gatys")


def full_board(running: int, **changes: Any) -> Board:
    """A run in the middle, with so many running cells."""
    lines = [
        BoardLine(
            method=METHODS[i % 4],
            task="twemoji->openmoji@32",
            images=(10, 100, 800)[i % 3],
            seed=i % 5,
            elapsed=37 + 61.5 * i,
            share=None if i % 4 == 3 else min(1.0, 0.13 * i),
            scoring=i % 7 == 6,
            images_per_second=None if i % 4 == 3 else 1234.4 - i,
            kid=None if i % 3 else 0.0413,
        )
        for i in range(running)
    ]
    values: dict[str, Any] = {
        "total": 128,
        "done": 57,
        "statuses": [("ok", 54), ("error", 1), ("timeout", 1), ("skipped", 1)],
        "elapsed": 723.4,
        "remaining": "about 15:20",
        "running": lines,
        "failures": [
            FailureLine(
                "dcgan twemoji->openmoji@32 n=25 seed=0", "error", "ValueError: a long\nreason " + "word " * 60
            ),
            FailureLine("ewc twemoji->openmoji@32 n=25 seed=1", "timeout", "killed after the limit of 1800 s"),
        ],
    }
    return Board(**(values | changes))


# ---------------------------------------------------------------------------------------------------------- the board


def test_a_wide_board_shows_everything() -> None:
    """Head, one line a running cell with all that is known of it, the failures with their reasons."""
    lines = rendered(full_board(4), 120)
    assert lines[0].endswith("57/128 cells")
    assert lines[1] == "54 ok  1 error  1 timeout  1 skipped"
    assert lines[2] == "elapsed 12:03  remaining about 15:20"
    assert lines[3].split() == ["method", "task", "images", "seed", "budget", "images/s", "KID×10³", "elapsed"]
    assert lines[4].split() == [
        "finetune-diffaugment", "twemoji->openmoji@32", "10", "0", "┄┄┄┄┄┄┄┄", "0%", "1,234", "41.3", "0:37",
    ]  # fmt: skip
    assert lines[6].split()[4:] == ["━━┄┄┄┄┄┄", "26%", "1,232", "2:40"]
    assert lines[7].split() == ["gatys", "twemoji->openmoji@32", "10", "3", "41.3", "3:42"]
    assert lines[8].startswith("error dcgan twemoji->openmoji@32 n=25 seed=0: ValueError: a long reason word")
    assert lines[8].endswith("…")
    assert lines[9] == "timeout ewc twemoji->openmoji@32 n=25 seed=1: killed after the limit of 1800 s"
    assert len(lines) == 10


@pytest.mark.parametrize("width", [20, 40, 57, 80, 100, 200])
@pytest.mark.parametrize("height", [5, 10, 24, 50])
@pytest.mark.parametrize("running", [0, 1, 6, 64])
def test_a_board_never_leaves_its_terminal(width: int, height: int, running: int) -> None:
    """No line is wider than the terminal, and one line of it stays free for the cursor."""
    lines = rendered(full_board(running), width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) < height


def test_what_there_is_no_room_for_is_counted() -> None:
    """64 running cells on 24 lines: the oldest that fit, and how many more there are."""
    lines = rendered(full_board(64), 100, 24)
    shown = [line for line in lines if line.split()[0] in METHODS]
    (more,) = [line for line in lines if line.startswith("... and ")]
    assert len(lines) == 23
    assert len(shown) > 10
    assert more == f"... and {64 - len(shown)} more"


def test_a_narrow_board_keeps_what_matters_most() -> None:
    """At 40 columns: whose cell, how far, how long; task, seed and rates are left out before names are cut."""
    lines = rendered(full_board(6), 40)
    assert lines[3].split() == ["method", "budget", "elapsed"]
    assert lines[4].startswith("finetune-diffa…  ┄┄┄")
    assert lines[5].split() == ["dcgan", "━┄┄┄┄┄┄┄", "13%", "1:38"]


def test_columns_that_nobody_fills_are_not_shown() -> None:
    """Cells on other machines tell nothing but that they run."""
    board = Board(total=2, done=1, running=[BoardLine(method="dcgan", task="a->b@8", images=5, seed=0, elapsed=61)])
    (titles, line) = [text for text in rendered(board, 80) if "elapsed" in text or "a->b" in text][-2:]
    assert titles.split() == ["method", "task", "images", "seed", "elapsed"]
    assert line.split() == ["dcgan", "a->b@8", "5", "0", "1:01"]


def test_statuses_have_their_colours() -> None:
    """Green for ok, red for every failure, yellow for what was not tried."""
    paper = console(80, 20)
    paper.print(full_board(0))
    styled = paper.export_text(styles=True)
    assert "\x1b[32m54 ok\x1b[0m" in styled
    assert "\x1b[31m1 timeout\x1b[0m" in styled
    assert "\x1b[33m1 skipped\x1b[0m" in styled


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (-3, "0:00"), (59.6, "1:00"), (3599.4, "59:59"), (3753, "1:02:33")]
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    """Minutes and seconds, hours where there are any; never below zero."""
    assert clock(seconds) == text


# ------------------------------------------------------------------------------------------------------ the display


def test_a_log_has_one_line_for_each_finished_cell() -> None:
    """Number, cell, seconds, result or reason, elapsed and remaining time; nothing is drawn."""
    time, paper = Clock(), console(80, 24, terminal=False)
    told = ConsoleProgress(paper, jobs=1, clock=time)
    first, second, third = (cell(seed=seed) for seed in range(3))
    with told.live():
        told.begin(4, 1, {"ok": 1})
        told.plan([first, second, third])
        told.started(first, None)
        time.now += 10
        told.ended(record(first), 10.0)
        told.started(second, None)
        time.now += 1
        told.ended(record(second, Status.ERROR, "bad value"), 1.0)
    assert paper.export_text().splitlines() == [
        "[2/4] dcgan twemoji->openmoji@32 n=25 seed=0  10.0 s  KID×10³ 37  (elapsed 0:10, remaining about 0:20)",
        "[3/4] dcgan twemoji->openmoji@32 n=25 seed=1  1.0 s  error: bad value  (elapsed 0:11, remaining about 0:10)",
    ]


def test_no_score_is_minus_zero() -> None:
    """A KID a little below 0, as that of a good generator is half of the time."""
    paper = console(80, 24, terminal=False)
    told = ConsoleProgress(paper, jobs=1)
    told.begin(1, 0)
    told.ended(record(cell(), kid=-0.0003), 1.0)
    assert "KID×10³ 0 " in paper.export_text()
    line = BoardLine(method="dcgan", task="a->b@8", images=5, seed=0, elapsed=61, kid=-0.00003)
    (row,) = [text for text in rendered(Board(total=2, done=0, running=[line]), 80) if "a->b" in text]
    assert row.split()[4] == "0.0"


def test_a_running_cell_is_shown_as_its_file_tells(tmp_path: Path) -> None:
    """The file is looked at once a second at most; half a file, or none, changes nothing."""
    time = Clock()
    told = ConsoleProgress(console(120, 24), jobs=2, clock=time)
    told.begin(2, 0)
    told.started(cell(), tmp_path)
    told.started(cell(seed=1), None)
    file = tmp_path / "progress.json"
    assert told.board().running[0].share is None
    file.write_text('{"share": 0.25, "images_seen": 2000, "images_per_second": 512.5, "kid": 0.05, "phase": "fit"}')
    time.now += 0.5
    assert told.board().running[0].share is None
    time.now += 0.5
    line = told.board().running[0]
    assert (line.share, line.images_per_second, line.kid, line.elapsed) == (0.25, 512.5, 0.05, 1.0)
    file.write_text('{"share": 0.9')
    time.now += 5
    assert told.board().running[0].share == 0.25
    file.write_text('{"share": 1.0, "kid": null, "phase": "score"}')
    time.now += 5
    line = told.board().running[0]
    assert (line.share, line.scoring, line.kid) == (1.0, True, None)
    assert told.board().running[1].share is None


@pytest.mark.parametrize("text", ["", "null", "[]", '{"share": "x"}', '{"share": NaN}', "\xff"])
def test_what_is_no_progress_file_is_nothing(text: str, tmp_path: Path) -> None:
    """A cell's process writes what it likes; the display does not fall over it."""
    (tmp_path / "progress.json").write_bytes(text.encode("latin-1"))
    assert read_report(tmp_path) is None


def test_a_share_stays_between_none_and_all(tmp_path: Path) -> None:
    """A method that overspends by a batch is at 100 %."""
    (tmp_path / "progress.json").write_text(json.dumps({"share": 1.03}))
    report = read_report(tmp_path)
    assert report is not None
    assert report.share == 1.0


def test_the_board_counts_and_remembers() -> None:
    """Statuses of before and of now, failures with their reasons, running cells until they end."""
    told = ConsoleProgress(console(120, 24), jobs=2, clock=Clock())
    told.begin(9, 2, {"ok": 1, "timeout": 1})
    one, other = cell(), cell(seed=1)
    told.started(one, None)
    told.started(other, None)
    told.ended(record(one, Status.OOM, "out of memory"), 3.0)
    board = told.board()
    assert (board.done, board.total) == (3, 9)
    assert list(board.statuses) == [("ok", 1), ("oom", 1), ("timeout", 1)]
    assert [line.seed for line in board.running] == [1]
    assert list(board.failures) == [FailureLine(str(one), "oom", "out of memory")]


def test_a_cell_that_is_started_again_is_there_once() -> None:
    """A lost machine's cell is tried again: its clock starts anew."""
    time = Clock()
    told = ConsoleProgress(console(120, 24), jobs=2, clock=time)
    told.started(cell(), None)
    time.now += 100
    told.started(cell(), None)
    time.now += 5
    assert [line.elapsed for line in told.board().running] == [5.0]


def test_a_stop_is_said_and_waiting_cells_no_longer_count() -> None:
    """The first Ctrl-C names what the second does; the remaining time is that of the running cells."""
    time, paper = Clock(), console(120, 24, terminal=False)
    told = ConsoleProgress(paper, jobs=1, clock=time)
    cells = [cell(seed=seed) for seed in range(10)]
    told.begin(10, 0)
    told.plan(cells, lambda _: 60.0)
    told.started(cells[0], None)
    time.now += 20
    assert told.board().remaining == "about 9:40"
    told.stopping(first=True)
    assert told.board().notice == "finishing 1 running cell; Ctrl-C again stops at once"
    assert told.board().remaining == "about 0:40"
    told.stopping(first=False)
    assert paper.export_text().splitlines() == [
        "finishing 1 running cell; Ctrl-C again stops at once",
        "stopping 1 running cell",
    ]


def test_a_terminal_gets_a_board_and_no_lines() -> None:
    """Sentences stand above the board; what a finished cell has to say is on it; its last state stays."""
    paper = console(100, 24)
    told = ConsoleProgress(paper, jobs=1)
    with told.live():
        told.begin(2, 0)
        told.say("preparing twemoji@32")
        told.started(cell(), None)
        told.ended(record(cell()), 1.0)
        told.started(cell(seed=1), None)
        told.ended(record(cell(seed=1), Status.DIVERGED, "loss nan"), 1.0)
    text = paper.export_text()
    assert "preparing twemoji@32" in text
    assert "[1/2]" not in text
    assert text.rstrip().endswith("diverged dcgan twemoji->openmoji@32 n=25 seed=1: loss nan")
    assert "2/2 cells" in text
    told.say("over")


def test_drawing_and_running_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Cells start and end, and sentences are said, while the board is drawn as fast as it can be: nobody hangs."""
    told = ConsoleProgress(console(100, 24), jobs=8)
    cells = [cell(seed=seed) for seed in range(40)]
    (tmp_path / "progress.json").write_text('{"share": 0.5}')
    over = threading.Event()

    def drive() -> None:
        told.begin(len(cells), 0)
        told.plan(cells, lambda _: 1.0)
        for spec in cells:
            told.started(spec, tmp_path)
            told.say(str(spec))
            told.ended(record(spec, Status.ERROR, "x"), 0.1)
        over.set()

    with told.live():
        driver = threading.Thread(target=drive, daemon=True)
        driver.start()
        while not over.is_set():
            told._console.print(told.board())
            if not driver.is_alive():
                break
        driver.join(timeout=20)
    assert over.is_set()
    assert told.board().done == len(cells)


def test_a_terminal_that_cannot_draw_gets_lines() -> None:
    """TERM=dumb: as in a log."""
    paper = Console(file=io.StringIO(), force_terminal=True, width=200, record=True, _environ={"TERM": "dumb"})
    told = ConsoleProgress(paper, jobs=1)
    with told.live():
        told.begin(1, 0)
        told.started(cell(), None)
        told.ended(record(cell()), 1.0)
    assert paper.export_text().startswith("[1/1] dcgan")


def test_a_wall_clock_that_jumps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elapsed and remaining time come from a clock that only goes on."""
    import time

    told = ConsoleProgress(console(100, 24), jobs=1)
    told.begin(2, 0)
    told.plan([cell(seed=0), cell(seed=1)], lambda _: 50.0)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    board = told.board()
    assert board.elapsed < 5
    assert board.remaining == "about 1:40"
