"""TensorBoard's own reader finds what was written."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tiny_suites import Heard

from graftbench.errors import GraftbenchError
from graftbench.execution.trackers.attach import RunTrackers
from graftbench.execution.trackers.find import make_tracker
from graftbench.execution.trackers.replay import replay
from graftbench.records.run import read_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.records.record import Record

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the extra 'tensorboard' is not installed"
)

KID = "kid_n600_ref608_lite0@96"


def read(folder: Path) -> Any:
    """One cell's events."""
    events = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    return events


def send(run: Path, tracker: str = "tensorboard") -> None:
    """Replay a run folder, in this process."""
    there = read_run(run)
    replay(make_tracker(tracker), there.name, there.folder, there.records, lambda _: None)


def text(events: Any, tag: str) -> str:
    """What is under TEXT."""
    return events.Tensors(f"{tag}/text_summary")[0].tensor_proto.string_val[0].decode()


def test_a_run_is_there_with_all_that_its_records_say(run_folder: Path) -> None:
    """Curves over images seen, scores, costs, pictures, facts, the failed cell's log."""
    send(run_folder)
    folders = {folder.name[:-9]: folder for folder in (run_folder / "tensorboard").iterdir()}
    assert sorted(folders) == [
        "dcgan twemoji-openmoji@32 n=25 seed=1",
        "finetune twemoji-openmoji@32 n=25 seed=0",
        "theirs twemoji-openmoji@32 n=25 seed=0",
    ]
    events = read(folders["finetune twemoji-openmoji@32 n=25 seed=0"])
    losses = events.Scalars("loss/generator")
    assert [(event.step, event.value) for event in losses] == [(2000, 6.0), (4000, 4.0), (6000, 2.0), (8000, 0.0)]
    assert [event.wall_time - losses[0].wall_time for event in losses] == [0.0, 4.0, 8.0, 12.0]
    assert [event.step for event in events.Scalars(f"snapshot/{KID}")] == [4000]
    assert events.Scalars(f"score/{KID}")[0].value == pytest.approx(0.05)
    assert events.Scalars("cost/peak_memory_mib")[0].value == 512.5
    picture = events.Images("pictures/samples")[0]
    assert (picture.width, picture.height, picture.step) == (48, 24, 8000)
    assert picture.encoded_image_string.startswith(b"\x89PNG")
    assert "| environment.packages.torch | 2.14.1 |" in text(events, "result")
    assert "| parameters.lr | 0.002 |" in text(events, "cell")
    failed = read(folders["dcgan twemoji-openmoji@32 n=25 seed=1"])
    assert "| status | error |" in text(failed, "result")
    assert "ValueError: no" in text(failed, "log")
    declared = read(folders["theirs twemoji-openmoji@32 n=25 seed=0"])
    assert declared.Scalars("cost_declared/fit_seconds")[0].value == 300
    assert "cost/fit_seconds" not in declared.Tags()["scalars"]


def test_parameters_stand_under_hparams(run_folder: Path) -> None:
    """The plugin that draws the tab finds each cell's parameters and how it ended."""
    from tensorboard.plugins.hparams import metadata

    send(run_folder)
    for folder in (run_folder / "tensorboard").iterdir():
        tags = read(folder).PluginTagToContent("hparams")
        start = metadata.parse_session_start_info_plugin_data(tags[metadata.SESSION_START_INFO_TAG])
        end = metadata.parse_session_end_info_plugin_data(tags[metadata.SESSION_END_INFO_TAG])
        assert start.hparams["parameters.lr"].number_value == 0.002
        assert start.hparams["parameters.augment"].bool_value is True
        assert start.hparams["task"].string_value == "twemoji->openmoji@32"
        assert end.status == (2 if folder.name.startswith("dcgan") else 1)  # STATUS_FAILURE, STATUS_SUCCESS


def test_sent_twice_it_is_there_once(run_folder: Path) -> None:
    """A cell's events are replaced; what else lies in its folder is left alone."""
    send(run_folder)
    folders = sorted((run_folder / "tensorboard").iterdir())
    (folders[0] / "mine.txt").write_text("mine")
    send(run_folder)
    assert sorted((run_folder / "tensorboard").iterdir()) == folders
    assert [len(list(folder.glob("events*"))) for folder in folders] == [1, 1, 1]
    assert (folders[0] / "mine.txt").read_text() == "mine"
    assert len(read(next(f for f in folders if f.name.startswith("finetune"))).Scalars("loss/generator")) == 4


def test_many_runs_share_a_folder(run_folder: Path, tmp_path: Path) -> None:
    """Each in a folder with its name and key."""
    send(run_folder, f"tensorboard:logdir={tmp_path}/shared")
    (own,) = (tmp_path / "shared").iterdir()
    key = (run_folder / "trackers" / "key").read_text()[:6]
    assert own.name == f"nightly {key}"
    assert len(list(own.iterdir())) == 3
    assert not (run_folder / "tensorboard").exists()


def test_a_cell_without_an_end_has_its_curve(record: Callable[..., Record], tmp_path: Path) -> None:
    """What was sent is on the disk at once, whatever happens to the driver."""
    from graftbench.execution.trackers.entries import cell_of, points_of
    from graftbench.execution.trackers.group import group_of

    tracker, made = make_tracker("tensorboard"), record()
    cell = cell_of(made.cell, 100.0)
    tracker.open(group_of("tiny", tmp_path))
    tracker.begin(cell)
    tracker.points(cell, points_of(made.curve, []))
    (folder,) = (tmp_path / "tensorboard").iterdir()
    assert len(read(folder).Scalars("loss/generator")) == 4
    tracker.close()


def test_a_folder_that_cannot_be_written_stops_no_run(run_folder: Path, tmp_path: Path) -> None:
    """A file stands where the folder would be: root, as which tests may run, writes into read-only folders."""
    (tmp_path / "file").write_text("")
    heard = Heard()
    records = read_run(run_folder).records
    with RunTrackers([f"tensorboard:logdir={tmp_path}/file"]).follow(heard, "tiny", run_folder) as told:
        for made in records:
            told.ended(made, 1.0)
    failed, missing = heard.sentences
    assert "Tracker 'tensorboard' failed at finetune" in failed
    assert "NotADirectoryError" in failed
    assert "3 of the 3 cells" in missing
    with pytest.raises(GraftbenchError, match="NotADirectoryError"):
        send(run_folder, f"tensorboard:logdir={tmp_path}/file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_stops_no_run(run_folder: Path) -> None:
    """The same for who is not root."""
    run_folder.chmod(0o500)
    try:
        with pytest.raises(GraftbenchError, match="PermissionError"):
            send(run_folder)
    finally:
        run_folder.chmod(0o700)


def test_neither_torch_nor_tensorflow_is_needed(run_folder: Path) -> None:
    """The package `tensorboard` alone writes the files."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from graftbench.execution.trackers.find import make_tracker\n"
        "from graftbench.execution.trackers.entries import cell_of, result_of\n"
        "from graftbench.execution.trackers.group import group_of\n"
        "from graftbench.records.store import read\n"
        "run = Path(sys.argv[1])\n"
        "record = read(run / 'records.jsonl')[0][0]\n"
        "tracker, cell = make_tracker('tensorboard'), cell_of(record.cell, 1.0)\n"
        "tracker.open(group_of('tiny', run))\n"
        "tracker.begin(cell)\n"
        "tracker.end(cell, result_of(record, run))\n"
        "print({'torch', 'tensorflow', 'pandas', 'matplotlib'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, run_folder], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
