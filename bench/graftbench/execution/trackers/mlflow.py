"""MLflow: one run a cell, in an experiment that has the suite's name.

Where to: the option `uri`, else MLFLOW_TRACKING_URI, else an SQLite file in the run folder. The package `mlflow-skinny`
does for servers; databases need SQLAlchemy and Alembic beside it.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.execution.job import write_whole
from graftbench.execution.trackers.base import Tracker
from graftbench.execution.trackers.group import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graftbench.execution.trackers.base import TrackedCell, TrackedPoint, TrackedResult, TrackedRun, Value

BATCH = 100
"""So many parameters, tags or metrics go into one request; MLflow takes no more than that of the first two."""

VALUE_CHARACTERS = 5000
"""Longer values are cut: MLflow takes parameters of 6,000 characters and tags of 8,000."""

REACH_SECONDS = 10.0
"""A server that does not answer within that is not there. MLflow itself would try for minutes."""

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


class MLflowOptions(msgspec.Struct, frozen=True):
    """Options of `mlflow:`.

    Attributes:
        uri: Address of the tracking server or store (`http://host:5000`, `sqlite:///mlflow.db`).
        experiment: Its name; by default MLFLOW_EXPERIMENT_NAME, else the suite's.
    """

    uri: str = ""
    experiment: str = ""


class MLflow(Tracker):
    """Parameters, tags, metrics over images seen, pictures and environment as artifacts.

    MLflow takes no @ and no + in a metric's name: `kid_n600_ref620_lite0@96+dither8` is
    `kid_n600_ref620_lite0:96-dither8` there.
    """

    name: ClassVar[str] = "mlflow"
    title: ClassVar[str] = "MLflow"
    needs: ClassVar[tuple[str, ...]] = ("mlflow",)
    Options: ClassVar[type[msgspec.Struct]] = MLflowOptions

    def check(self) -> None:
        """Refuse a database without the packages that databases need.

        Raises:
            GraftbenchError: One is missing.
        """
        super().check()
        scheme = self._uri().partition(":")[0].partition("+")[0] or _DATABASES[0]
        missing = [module for module in ("sqlalchemy", "alembic") if find_spec(module) is None]
        if scheme in _DATABASES and missing:
            raise GraftbenchError(
                f"Tracker 'mlflow' needs '{missing[0]}' for its database, which is not installed: pip install "
                "'graftbench[mlflow]', or name a server with mlflow:uri=http://…."
            )

    def open(self, group: TrackedRun) -> None:
        """Find or make the experiment."""
        uri, artifacts = self._uri(), None
        if not uri:
            folder = group.folder / "mlflow"
            folder.mkdir(exist_ok=True)
            uri, artifacts = f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()
        if uri.startswith(("http:", "https:")):
            requests: Any = import_module("requests")  # MLflow brings it
            with suppress(requests.exceptions.SSLError):  # MLFLOW_TRACKING_INSECURE_TLS may know better
                requests.get(uri, timeout=REACH_SECONDS, stream=True).close()  # any answer will do; raises without one
        self._entities: Any = import_module("mlflow.entities")
        self._client: Any = import_module("mlflow").MlflowClient(uri)
        name = self.options.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or group.suite
        existing = self._client.get_experiment_by_name(name)
        self._experiment = existing.experiment_id if existing else self._client.create_experiment(name, artifacts)
        self._group = group
        self._runs: dict[str, str] = {}
        self._run_ids = _RunIds(group, f"{uri} {name}")

    def begin(self, cell: TrackedCell) -> None:
        """Begin a new run; the earlier one of this cell, which this folder made, goes to MLflow's trash."""
        if (before := self._run_ids.get(cell.id)) is not None:
            with suppress(Exception):  # it was deleted in MLflow, or the database is a new one
                self._client.delete_run(before)
        run = self._client.create_run(
            self._experiment,
            start_time=_milliseconds(cell.began),
            run_name=cell.name,
            tags={"graftbench.cell": cell.id, "graftbench.run": self._group.name, "mlflow.source.name": "graftbench"},
        )
        self._runs[cell.id] = run.info.run_id
        self._run_ids.set(cell.id, run.info.run_id)
        parameters = [self._entities.Param(_name(name), _text(value)) for name, value in cell.config.items()]
        self._log(run.info.run_id, params=parameters)

    def points(self, cell: TrackedCell, points: Sequence[TrackedPoint]) -> None:
        """Log metrics at their step, which is the number of images seen."""
        metrics = [
            self._entities.Metric(_name(name), value, _milliseconds(cell.began + point.seconds), point.images_seen)
            for point in points
            for name, value in point.values.items()
        ]
        self._log(self._runs[cell.id], metrics=metrics)

    def end(self, cell: TrackedCell, result: TrackedResult) -> None:
        """Log scores and costs as metrics, facts as tags, pictures and the log as artifacts."""
        run, ended = self._runs.pop(cell.id), _milliseconds(result.ended)
        metrics = [self._entities.Metric(_name(k), v, ended, result.images_seen) for k, v in result.numbers.items()]
        self._log(run, metrics=metrics)
        facts = {name: value for name, value in result.facts.items() if not name.startswith("environment.")}
        tags = {**facts, **{f"tag.{tag}": "yes" for tag in result.tags}}
        self._log(run, tags=[self._entities.RunTag(_name(name), _text(value)) for name, value in tags.items()])
        for path in result.pictures.values():
            self._client.log_artifact(run, str(path), "pictures")
        environment = {name: value for name, value in result.facts.items() if name not in facts}
        self._client.log_dict(run, environment, "environment.json")
        if result.log_tail:
            self._client.log_text(run, result.log_tail, "log.txt")
        self._client.set_terminated(run, "FINISHED" if result.ok else "FAILED", ended)

    def close(self) -> None:
        """Mark cells without an end as killed."""
        for run in self._runs.values():
            self._client.set_terminated(run, "KILLED")
        self._runs.clear()

    def _log(self, run: str, **entities: Sequence[Any]) -> None:
        """Log `params`, `tags` or `metrics` in as many requests as they need."""
        for kind, values in entities.items():
            for first in range(0, len(values), BATCH):
                self._client.log_batch(run, **{kind: values[first : first + BATCH]})

    def _uri(self) -> str:
        return self.options.uri or os.environ.get("MLFLOW_TRACKING_URI") or ""


class _RunIds:
    """Remembers in the run folder which MLflow run shows which cell: MLflow chooses the ids.

    Args:
        group: The run folder.
        destination: Server and experiment; kept as a hash, for there may be a password in it.
    """

    def __init__(self, group: TrackedRun, destination: str) -> None:
        self._file = group.folder / FOLDER / "mlflow.json"
        self._destination = hashlib.sha256(destination.encode()).hexdigest()[:16]
        try:
            self._all = msgspec.json.decode(self._file.read_bytes(), type=dict[str, dict[str, str]])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            self._all: dict[str, dict[str, str]] = {}

    def get(self, cell: str) -> str | None:
        """Return the run that shows a cell."""
        return self._all.get(self._destination, {}).get(cell)

    def set(self, cell: str, run: str) -> None:
        """Remember the run of a cell; a folder that cannot be written is not worth an error."""
        self._all.setdefault(self._destination, {})[cell] = run
        with suppress(OSError):
            write_whole(self._file, self._all)


def _name(name: str) -> str:
    return re.sub(r"[^\w./: -]", "-", name.replace("@", ":"))


def _text(value: Value) -> str:
    text = str(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]} …"


def _milliseconds(seconds: float) -> int:
    return int((seconds or time.time()) * 1000)
