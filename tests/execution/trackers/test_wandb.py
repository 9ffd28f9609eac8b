"""Weights & Biases, offline: what is in its files; without a login nobody is asked, and nothing hangs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tiny_suites import Heard

from graftbench.execution.trackers.attach import RunTrackers, find
from graftbench.execution.trackers.replay import replay
from graftbench.records.run import read_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.records.record import Record

pytest.importorskip("wandb", reason="the extra 'wandb' is not installed")

KID = "kid_n600_ref608_lite0@96"

READER = """
import json, sys
from wandb.proto import wandb_internal_pb2 as pb

def records(data):
    # LevelDB's log format after seven bytes of W&B's: blocks of 32 KiB, each with pieces of records, a piece with
    # checksum (4 bytes), length (2) and type (1: whole, 2: first, 3: middle, 4: last).
    assert data[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        length, kind = int.from_bytes(data[at + 4:at + 6], "little"), data[at + 6]
        if left < 7 or kind == 0:
            at += left
            continue
        whole += data[at + 7:at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""

def values(items):
    return {".".join(filter(None, [item.key, *item.nested_key])): json.loads(item.value_json) for item in items}

def rows_of(file):
    return [row for data in records(open(file, "rb").read()) for row in rows_of_record(data)]

def rows_of_record(data):
    record = pb.Record()
    record.ParseFromString(data)
    kind = record.WhichOneof("record_type")
    if kind == "run":
        run = record.run
        yield (kind, {"id": run.run_id, "name": run.display_name, "group": run.run_group, "tags": list(run.tags),
                            "project": run.project, "config": values(run.config.update)})
    elif kind == "config":
        yield kind, values(record.config.update)
    elif kind == "history":
        yield kind, values(record.history.item)
    elif kind == "summary":
        yield kind, values(record.summary.update)
    elif kind == "exit":
        yield kind, record.exit.exit_code

print(json.dumps([rows_of(file) for file in sys.argv[1:]]))
"""


Rows = list[tuple[str, Any]]


def read(*files: Path) -> list[Rows]:
    """The records of each offline file, as the package's own messages, in a process of its own.

    The package has had no reader in Python since it is written in Go; the format is that of LevelDB's log.
    """
    done = subprocess.run([sys.executable, "-c", READER, *files], capture_output=True, text=True, check=True)
    return [[(kind, value) for kind, value in rows] for rows in json.loads(done.stdout)]


def merged(rows: Rows, kind: str) -> dict[str, Any]:
    """All records of a kind as one."""
    return {name: value for found, values in rows if found == kind for name, value in values.items()}


def send(run: Path, written: str) -> None:
    """Replay a run folder in another process."""
    (tracker,) = find([written])
    there = read_run(run)
    replay(tracker, there.name, there.folder, there.records, lambda _: None)


def offline_files(run: Path) -> list[Path]:
    """One for each W&B run."""
    return sorted((run / "wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.long
def test_sent_twice_a_cell_is_there_once(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the same id, so that it overwrites on a server too; the older file is gone, or both would be sent."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    send(run_folder, "wandb")
    first = offline_files(run_folder)
    send(run_folder, "wandb")
    second = offline_files(run_folder)
    assert {file.name for file in first} == {file.name for file in second}
    assert len(first) == len(second) == 3


@pytest.mark.slow
def test_offline_everything_is_in_the_run_folder(
    run_folder: Path, left_over: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One W&B run a cell with name, group, tags, config, curve, scores, costs, pictures."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    send(run_folder, "wandb:project=grafts")
    files = offline_files(run_folder)
    assert len(files) == 3
    found = {merged(rows, "run")["name"].partition(" ")[0]: rows for rows in read(*files)}
    fine, failed, theirs = found["finetune"], found["dcgan"], found["theirs"]
    about = merged(fine, "run")
    assert about["name"] == "finetune twemoji->openmoji@32 n=25 seed=0"
    assert (about["project"], about["group"]) == ("grafts", "tiny: nightly")
    assert set(about["tags"]) == {"fine-tune", "ok"}
    assert about["config"]["parameters.lr"] == 0.002
    assert merged(fine, "config")["environment.packages.torch"] == "2.14.1"
    losses = [row for kind, row in fine if kind == "history" and "loss/generator" in row]
    assert [(row["images_seen"], row["loss/generator"], row["fit_seconds"]) for row in losses] == [
        (2000, 6.0, 4.0), (4000, 4.0, 8.0), (6000, 2.0, 12.0), (8000, 0.0, 16.0),
    ]  # fmt: skip
    summary = merged(fine, "summary")
    assert summary[f"score/{KID}"] == 0.05
    assert summary[f"interval_high/{KID}"] == pytest.approx(0.06)
    assert summary["cost/fit_seconds"] == 16.0
    assert summary["status"] == "ok"
    (folder,) = (run_folder / "wandb").glob(f"offline-run-*-{about['id']}")
    assert len(list((folder / "files" / "media" / "images" / "pictures").glob("samples*.png"))) == 1
    assert [row for kind, row in fine if kind == "exit"] == [0]
    assert [row for kind, row in failed if kind == "exit"] == [1]
    assert merged(failed, "summary")["reason"] == "ValueError: no"
    assert "Traceback" in merged(failed, "summary")["log"]
    assert merged(theirs, "summary")["cost_declared/fit_seconds"] == 300.0
    assert "costs declared" in merged(theirs, "run")["tags"]
    assert left_over() == []


@pytest.mark.parametrize("key", ["", pytest.param("x" * 40, marks=pytest.mark.long)])
def test_a_server_that_is_down_stops_no_run(
    key: str,
    record: Callable[..., Record],
    tmp_path: Path,
    left_over: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a login the user is told so; with one, W&B tries for a minute and a half and is left behind."""
    from graftbench.execution.trackers import attach

    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # a port where nobody listens
    monkeypatch.setenv("HOME", str(tmp_path))  # no .netrc of the developer's
    monkeypatch.setattr(attach, "END_SECONDS", 4.0 if key else 30.0)
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    heard = Heard()
    with RunTrackers(["wandb"]).follow(heard, "tiny", tmp_path) as told:
        told.ended(record(), 1.0)
    sentences = heard.sentences
    assert "1 of the 1 cells" in sentences[-1]
    if not key:
        # on a busy machine the wait for the tracker is announced first
        told_so = "failed at opening (Weights & Biases knows no login here: use `wandb login`, or WAN"
        assert any(told_so in sentence for sentence in sentences)
    assert left_over() == []
