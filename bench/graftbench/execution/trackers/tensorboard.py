"""TensorBoard: one event file a cell, under `tensorboard/` in the run folder. `tensorboard --logdir RUN/tensorboard`.

Written with the package's own record format and nothing of torch: `torch.utils.tensorboard` needs the same package,
takes seconds to import, and writes from a thread whose errors nobody sees.
"""

from __future__ import annotations

import re
import struct
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from graftbench.execution.trackers.base import Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graftbench.execution.trackers.base import TrackedCell, TrackedPoint, TrackedResult, TrackedRun, Value

EVENTS = "events.out.tfevents."
"""Files that begin so are TensorBoard's."""


class TensorBoardOptions(msgspec.Struct, frozen=True):
    """Options of `tensorboard:`.

    Attributes:
        logdir: Folder for the event files; the run folder's own `tensorboard` by default. Runs of several folders lie
            in it side by side, each in a folder of its own.
    """

    logdir: str = ""


class TensorBoard(Tracker):
    """Scalars over images seen, pictures, facts as text, parameters under HPARAMS."""

    name: ClassVar[str] = "tensorboard"
    title: ClassVar[str] = "TensorBoard"
    needs: ClassVar[tuple[str, ...]] = ("tensorboard",)
    Options: ClassVar[type[msgspec.Struct]] = TensorBoardOptions

    def open(self, group: TrackedRun) -> None:
        """Choose the folder; nothing is written yet."""
        folder = f"{_file_name(group.folder.name)} {group.key[:6]}"
        self._root = Path(self.options.logdir) / folder if self.options.logdir else group.folder / "tensorboard"
        self._files: dict[str, _EventFile] = {}

    def begin(self, cell: TrackedCell) -> None:
        """Begin a new event file in place of those that the cell has."""
        if (before := self._files.pop(cell.id, None)) is not None:
            before.close()
        folder = self._root / f"{_file_name(cell.name)} {cell.id[:8]}"
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{EVENTS}*"):
            old.unlink()
        file = self._files[cell.id] = _EventFile(folder, cell.began)
        file.add(_text("cell", _table({"name": cell.name, **cell.config})), 0, cell.began)
        file.add(_session_start(cell.config, cell.began), 0, cell.began)
        file.flush()

    def points(self, cell: TrackedCell, points: Sequence[TrackedPoint]) -> None:
        """Add scalars. Their wall time is the fit's: relative times in TensorBoard are seconds of fitting."""
        file = self._files[cell.id]
        for point in points:
            file.add(_scalars(point.values), point.images_seen, cell.began + point.seconds)
        file.flush()

    def end(self, cell: TrackedCell, result: TrackedResult) -> None:
        """Add scores, costs, pictures and facts at the last image."""
        file, step = self._files.pop(cell.id), result.images_seen
        ended = result.ended or time.time()
        file.add(_scalars(result.numbers), step, ended)
        for kind, path in result.pictures.items():
            with suppress(FileNotFoundError):  # removed meanwhile: a retry, `graftbench clean`
                file.add(_picture(f"pictures/{kind}", path.read_bytes()), step, ended)
        file.add(_text("result", _table(result.facts)), step, ended)
        if result.log_tail:
            verbatim = "\n".join(f"    {line}" for line in result.log_tail.splitlines())
            file.add(_text("log", verbatim), step, ended)
        file.add(_session_end(ended, ok=result.ok), step, ended)
        file.close()

    def close(self) -> None:
        """Close all files; cells without an end stay without one."""
        for file in self._files.values():
            file.close()
        self._files.clear()


class _EventFile:
    """An event file; everything is on the disk when `flush` returns, or it raises.

    Args:
        folder: The folder; it exists.
        began: Its first event's time, in seconds since 1970.
    """

    def __init__(self, folder: Path, began: float) -> None:
        writer = _module("summary.writer.record_writer").RecordWriter
        self._event = _module("compat.proto.event_pb2").Event
        self._writer = writer((folder / f"{EVENTS}{time.time_ns():020d}.graftbench").open("wb"))
        self._write(self._event(wall_time=began, file_version="brain.Event:2"))

    def add(self, summary: Any, step: int, wall_time: float) -> None:  # noqa: ANN401 - protobuf makes its classes
        """Add values at a step."""
        self._write(self._event(wall_time=wall_time, step=step, summary=summary))

    def flush(self) -> None:
        """Hand what was added to the operating system."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, event: Any) -> None:  # noqa: ANN401
        self._writer.write(event.SerializeToString())


# --------------------------------------------------------------------------------------------------------- summaries


def _scalars(values: Mapping[str, float]) -> Any:  # noqa: ANN401 - see _EventFile.add
    summary = _module("compat.proto.summary_pb2").Summary
    return summary(value=[summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def _picture(tag: str, png: bytes) -> Any:  # noqa: ANN401
    """Show a PNG as it is; its header has width and height as big-endian 32-bit numbers at byte 16."""
    summary = _module("compat.proto.summary_pb2").Summary
    width, height = struct.unpack(">II", png[16:24])
    image = summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
    return summary(value=[summary.Value(tag=tag, image=image)])


def _text(tag: str, markdown: str) -> Any:  # noqa: ANN401
    protos = _module("compat.proto.summary_pb2")
    shape = _module("compat.proto.tensor_shape_pb2").TensorShapeProto
    tensor = _module("compat.proto.tensor_pb2").TensorProto(
        dtype="DT_STRING", string_val=[markdown.encode("utf-8")], tensor_shape=shape(dim=[shape.Dim(size=1)])
    )
    about = protos.SummaryMetadata(plugin_data=protos.SummaryMetadata.PluginData(plugin_name="text"))
    return protos.Summary(value=[protos.Summary.Value(tag=f"{tag}/text_summary", metadata=about, tensor=tensor)])


def _session_start(config: Mapping[str, Value], began: float) -> Any:  # noqa: ANN401
    """Describe what the tab HPARAMS lists; it infers columns from what the sessions have."""
    protos = _module("plugins.hparams.plugin_data_pb2")
    info = protos.SessionStartInfo(start_time_secs=began)
    for name, value in config.items():
        field = info.hparams[name]
        if isinstance(value, bool):
            field.bool_value = value
        elif isinstance(value, str):
            field.string_value = value
        else:
            field.number_value = value
    return _of_plugin("SESSION_START_INFO_TAG", protos.HParamsPluginData(session_start_info=info))


def _session_end(ended: float, *, ok: bool) -> Any:  # noqa: ANN401
    protos, statuses = _module("plugins.hparams.plugin_data_pb2"), _module("plugins.hparams.api_pb2")
    status = statuses.STATUS_SUCCESS if ok else statuses.STATUS_FAILURE
    info = protos.SessionEndInfo(status=status, end_time_secs=ended)
    return _of_plugin("SESSION_END_INFO_TAG", protos.HParamsPluginData(session_end_info=info))


def _of_plugin(tag: str, data: Any) -> Any:  # noqa: ANN401
    summary, metadata = _module("compat.proto.summary_pb2").Summary, _module("plugins.hparams.metadata")
    about = metadata.create_summary_metadata(data)
    return summary(value=[summary.Value(tag=getattr(metadata, tag), metadata=about, tensor=metadata.NULL_TENSOR)])


def _module(name: str) -> Any:  # noqa: ANN401
    """Import a module of the optional package. Its classes are made on import: no type checker sees them."""
    return import_module(f"tensorboard.{name}")


# -------------------------------------------------------------------------------------------------------------- words


def _file_name(name: str) -> str:
    """Return `finetune twemoji-openmoji@32 n=25 seed=0`: a name that every file system takes."""
    return re.sub(r"[^\w@=+., -]+", "-", name.replace("->", "-")).strip(" .")[:150]


def _table(facts: Mapping[str, Value]) -> str:
    """Lay facts out as a Markdown table."""
    cells = {name: " ".join(str(value).split()).replace("|", "\\|") for name, value in facts.items()}
    return "| | |\n| --- | --- |\n" + "\n".join(f"| {name} | {text} |" for name, text in cells.items())
