"""MLflow: its own client finds what was written; a server that is down stops no run."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from tiny_suites import Heard

from graftbench.errors import GraftbenchError
from graftbench.execution.trackers.attach import RunTrackers, find
from graftbench.execution.trackers.find import make_tracker
from graftbench.execution.trackers.replay import replay
from graftbench.records.run import read_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.execution.trackers.base import Tracker
    from graftbench.records.record import Record

pytest.importorskip("mlflow.version", reason="the extra 'mlflow' is not installed")

KID = "kid_n600_ref608_lite0:96"


def read(uri: str) -> tuple[dict[str, Any], int]:
    """All runs of a store by their names, and how many are in its trash; by MLflow's own client."""
    from mlflow import MlflowClient

    client, found, deleted = MlflowClient(uri), dict[str, Any](), 0
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            run_id, about = run.info.run_id, run.info
            files = [f.path for where in ("", "pictures") for f in client.list_artifacts(run_id, where)]
            found[str(about.run_name)] = {
                "experiment": experiment.name,
                "status": about.status,
                "seconds": ((about.end_time or 0) - about.start_time) / 1000,
                "metrics": run.data.metrics,
                "parameters": run.data.params,
                "tags": run.data.tags,
                "losses": [(m.step, m.value) for m in client.get_metric_history(run_id, "loss/generator")],
                "artifacts": sorted(files),
            }
        deleted += len(client.search_runs([experiment.experiment_id], run_view_type=2))
    return found, deleted


def send(run: Path, tracker: Tracker) -> None:
    """Replay a run folder."""
    there = read_run(run)
    replay(tracker, there.name, there.folder, there.records, lambda _: None)


def check(found: dict[str, Any]) -> None:
    """All that the three records say."""
    fine = found["finetune twemoji->openmoji@32 n=25 seed=0"]
    assert (fine["experiment"], fine["status"], fine["seconds"]) == ("tiny", "FINISHED", 20.0)
    assert fine["parameters"]["parameters.lr"] == "0.002"
    assert fine["parameters"]["task"] == "twemoji->openmoji@32"
    assert fine["losses"] == [(2000, 6.0), (4000, 4.0), (6000, 2.0), (8000, 0.0)]
    assert fine["metrics"][f"score/{KID}"] == 0.05
    assert fine["metrics"][f"snapshot/{KID}"] == 0.1
    assert fine["metrics"]["cost/peak_memory_mib"] == 512.5
    assert fine["artifacts"] == ["environment.json", "pictures", "pictures/neighbors.png", "pictures/samples.png"]
    assert fine["tags"]["graftbench.run"] == "tiny: nightly"
    assert fine["tags"]["status"] == "ok"
    failed = found["dcgan twemoji->openmoji@32 n=25 seed=1"]
    assert (failed["status"], failed["tags"]["reason"]) == ("FAILED", "ValueError: no")
    assert "log.txt" in failed["artifacts"]
    theirs = found["theirs twemoji->openmoji@32 n=25 seed=0"]
    assert theirs["metrics"]["cost_declared/fit_seconds"] == 300.0
    assert theirs["tags"]["tag.costs declared"] == "yes"


def test_a_store_of_files_has_all_that_the_records_say(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run a cell; sent again, the runs of before go to the trash."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # its owners would rather have a database
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    send(run_folder, make_tracker("mlflow"))
    send(run_folder, make_tracker("mlflow"))
    found, deleted = read((tmp_path / "store").as_uri())
    assert (len(found), deleted) == (3, 3)
    check(found)
    assert not (run_folder / "mlflow").exists()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")  # MLflow 3.17 with SQLAlchemy 2.1
def test_by_default_a_database_in_the_run_folder(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures lie beside it."""
    monkeypatch.chdir(run_folder.parent)
    send(run_folder, find(["mlflow"])[0])
    found, _ = read(f"sqlite:///{run_folder}/mlflow/mlflow.db")
    check(found)
    assert len(list((run_folder / "mlflow" / "artifacts").rglob("samples.png"))) == 2
    assert sorted(path.name for path in run_folder.parent.iterdir()) == ["nightly"]


def test_a_server_that_is_down_stops_no_run(
    record: Callable[..., Record], tmp_path: Path, left_over: Callable[[], list[str]]
) -> None:
    """The user hears of it within seconds; MLflow itself would try for minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"  # bound and not listening: every connection is refused
        heard = Heard()
        with RunTrackers([f"mlflow:uri={uri}"]).follow(heard, "tiny", tmp_path) as told:
            told.ended(record(), 1.0)
        failed, missing = heard.sentences
        assert "Tracker 'mlflow' failed at opening (ConnectionError" in failed
        assert f"--tracker mlflow:uri={uri}" in failed
        assert "1 of the 1 cells" in missing
        with pytest.raises(GraftbenchError, match="failed at opening"):
            replay(find([f"mlflow:uri={uri}"])[0], "tiny", tmp_path, [record()], lambda _: None)
    assert left_over() == []


def test_passwords_are_not_kept(run_folder: Path) -> None:
    """The run folder remembers which MLflow run shows which cell, under a hash of the place."""
    from graftbench.execution.trackers.group import group_of
    from graftbench.execution.trackers.mlflow import _RunIds

    place = "https://me:secret@host/mlflow tiny"
    shown = _RunIds(group_of("tiny", run_folder), place)
    shown.set("cell", "run")
    assert _RunIds(group_of("tiny", run_folder), place).get("cell") == "run"
    assert _RunIds(group_of("tiny", run_folder), "elsewhere").get("cell") is None
    file = run_folder / "trackers" / "mlflow.json"
    assert "secret" not in file.read_text()
    file.write_text("{damaged")
    assert _RunIds(group_of("tiny", run_folder), place).get("cell") is None
