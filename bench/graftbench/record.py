"""What a cell is and what it left behind, and the append-only file that keeps it.

Nothing here imports torch: reports, comparisons and `graftbench --help` read records alone.
"""

from __future__ import annotations

import hashlib
import math
import os
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
"""Version of the record format. A reader refuses a newer one."""


class Status(StrEnum):
    """How a cell ended. Every ending is a row."""

    OK = "ok"
    ERROR = "error"
    OOM = "oom"
    TIMEOUT = "timeout"
    DIVERGED = "diverged"
    KILLED = "killed"
    LOST = "lost"
    SKIPPED = "skipped"


SAMPLES = "samples"
"""What a cell is a variant of whose images were handed in."""

NO_SOURCE = "none"
"""What a task names as its source where it has none."""


Kind = Literal["generate", "stylize", "colorize", "superres4"]
"""What a task asks of a method: images of the target domain out of nothing, or out of given ones (`kinds`)."""


Origin = Literal["", "command", "submitted"]
"""Who made a cell's generator: the suite (empty), a foreign program under the suite's clock, or somebody elsewhere."""


# What is default is left out of JSON and hashes: tasks of the kind `generate` keep the ids they had before kinds.
class TaskSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A transfer: source domain to target domain at a resolution, written `twemoji->openmoji@32`.

    The source `none` says that there is no source domain: methods that start from nothing run on such a task. A kind
    other than `generate` is written before it, and may leave out the source: `colorize:openmoji@32`.
    """

    source: str
    target: str
    resolution: int
    kind: Kind = "generate"

    def __str__(self) -> str:
        transfer = f"{self.source}->{self.target}@{self.resolution}"
        if self.kind == "generate":
            return transfer
        return f"{self.kind}:{transfer.removeprefix(f'{NO_SOURCE}->')}"


class ComputeBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one fit may spend. Exactly one of the three binds; the others are None.

    Attributes:
        kimg: Thousands of training images shown.
        seconds: Seconds of fitting, evaluation not counted.
        gflops: 10⁹ floating-point operations (a multiply-add counts two).
    """

    kimg: float | None = None
    seconds: float | None = None
    gflops: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        if len(given) != 1:
            found = ", ".join(sorted(given)) or "none"
            raise ValueError(f"a compute budget is exactly one of kimg, seconds, gflops; found {found}")
        ((name, value),) = given.items()
        if not 0 < value < math.inf:
            raise ValueError(f"the compute budget must be positive and finite; found {name} = {value}")
        msgspec.structs.force_setattr(self, name, float(value))  # 16 and 16.0 are one budget and have one id

    def __str__(self) -> str:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None:
                return f"{value:g} {name}"
        raise AssertionError("one of the three is always given")


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a cell is scored. Numbers of two protocols do not compare, so it is part of every metric's printed name.

    Attributes:
        extractor: Name of the feature extractor.
        size: Side in pixels to which images are resized before the extractor; None for the extractor's own rule. In a
            suite, left out: the extractor's default.
        resize: Name of the resize filter ("bicubic-antialias"), or the extractor's own ("extractor"). In a suite, left
            out: the extractor's default.
        weights: Path of a local weights file; empty for the extractor's own. Not part of the identity: its hash is.
        weights_sha256: SHA-256 of the weights file that was used, filled in when the suite is resolved.
        n_generated: How many images each method generates.
        reference: The split of the target domain against which is measured.
        metrics: Names of metrics or of sets of them (`graftbench ls metrics`); written out when the suite is resolved.
    """

    extractor: str = "lite0"
    size: int | None = None
    resize: str = ""
    weights: str = ""
    weights_sha256: str = ""
    n_generated: int = 600
    reference: str = "reference"
    metrics: list[str] = msgspec.field(default_factory=lambda: ["default", "memorization", "diversity"])

    @property
    def label(self) -> str:
        """Short name for metric names: `lite0@96`."""
        return self.extractor if self.size is None else f"{self.extractor}@{self.size}"


class CellSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One cell: all that determines its result. Its id is the hash of these fields.

    Attributes:
        method: Registered name of the method.
        family: The method's family.
        parameters: The method's configuration as resolved, defaults included.
        task: Source, target, resolution.
        data_budget: Number of target training images.
        compute_budget: What the fit may spend.
        seed: Seed of the data subset, the initialisation, the training and the sampling.
        protocol: How it is scored.
        source_model: Recipe id of the source model that it starts from; empty where it needs none.
        manifests: Domain name -> hash over the ids, splits and pixels of the domain at this resolution.
        code: SHA-256 over the method's file, the local modules it imports, and the evaluation's.
        variant_of: The registered method that a variant is one of, `samples` for images that were handed in; empty for
            a method under its own name.
        files: Parameter that is a path -> SHA-256 of what lies there, empty for one that is a mere place on a machine;
            `samples` -> that of the images handed in.
    """

    method: str
    family: str
    parameters: dict[str, Any]
    task: TaskSpec
    data_budget: int
    compute_budget: ComputeBudget
    seed: int
    protocol: Protocol
    source_model: str = ""
    manifests: dict[str, str] = {}
    code: str = ""
    variant_of: str = ""
    files: dict[str, str] = {}

    @property
    def id(self) -> str:
        """16 hexadecimal digits; equal specs have equal ids on every machine.

        Where files lie does not matter, what they are does: paths of weights and parameters that are paths are left
        out and those of domains cut to their last part, for the hashes of all are in the spec.
        """
        fields = msgspec.to_builtins(self)
        del fields["protocol"]["weights"]
        for name in ("variant_of", "files"):  # cells without them keep the ids that they had before there were any
            if not fields[name]:
                del fields[name]
        fields["parameters"] = {name: value for name, value in self.parameters.items() if name not in self.files}
        fields["task"] |= {side: without_path(fields["task"][side]) for side in ("source", "target")}
        fields["manifests"] = sorted([without_path(name), sha256] for name, sha256 in self.manifests.items())
        return content_hash(fields)[:16]

    @property
    def shown_parameters(self) -> dict[str, Any]:
        """The parameters with what lies at a path in place of the path: `sha256:` and 12 digits; no places."""
        return {
            name: f"sha256:{self.files[name][:12]}" if name in self.files else value
            for name, value in self.parameters.items()
            if self.files.get(name) != ""
        }

    def __str__(self) -> str:
        return f"{self.method} {self.task} n={self.data_budget} seed={self.seed}"


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one cell.

    Attributes:
        name: `fid`, `kid`, `inception_score`, …
        value: The score, or None where it is undefined.
        undefined: Why there is no value; empty where there is one.
        standard_error: Within this cell (images drawn again), where a valid one is known.
        interval: 95 % interval within this cell, of the score at these numbers of images.
        method: How standard error and interval were made (`jackknife`, `U-statistic`, …).
        floor: What as many real images score that are neither the cell's nor the reference's; None where unknown.
        note: What a reader of the number should know; a sentence or empty.
        n_generated: Images generated.
        n_reference: Reference images; 0 for a metric that needs none.
        n_train: Training images; 0 for a metric that needs none.
        protocol: The protocol's label, `lite0@96`.
    """

    name: str
    value: float | None
    undefined: str = ""
    standard_error: float | None = None
    interval: tuple[float, float] | None = None
    method: str = ""
    floor: float | None = None
    note: str = ""
    n_generated: int
    n_reference: int
    n_train: int = 0
    protocol: str

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.name} is {self.value}: an undefined score has no value but a reason")

    @property
    def full_name(self) -> str:
        """`fid_n600_ref620_lite0@96`: what may be compared with what. A set that is not used is left out."""
        counts = {"n": self.n_generated, "ref": self.n_reference, "train": self.n_train}
        return "_".join([self.name, *(f"{key}{count}" for key, count in counts.items() if count), self.protocol])


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell cost. None: not measured here (no counter), never zero in its place.

    Attributes:
        device: `cpu` or the CUDA device's name.
        fit_seconds: Wall time of `fit`, the device synchronised at both ends, snapshots not counted. None for what was
            made elsewhere by somebody who did not say.
        fit_cpu_seconds: CPU time of the fit's process (and of what it started and has ended), snapshots not counted: on
            a CPU what other processes on the machine change least. None in records from before it was measured.
        images_seen: Training images shown, as metered.
        training_images_per_second: images_seen / fit_seconds.
        sampling_images_per_second: Images sampled per second for the evaluation's n_generated images.
        peak_memory_mib: During the fit. Device memory on CUDA, resident memory of the process on CPU (with the
            about 300 MiB that Python and torch take themselves).
        memory_kind: `device` or `resident`.
        energy_joules: By a hardware counter during the fit; None where there is none.
        energy_source: Which counter (`nvml`, `rapl`); empty where there is none.
        parameters_total: Numbers in all networks that take part in the fit, frozen ones included.
        parameters_trained: Those that the fit moves.
        flops_per_image: Floating-point operations per training image (forward and backward of every network).
        flops: Of the whole fit: flops_per_image × images_seen. None too in records from before it was kept.
        other_cpu_share: Share of the machine's CPU time that other processes used during the fit, 0 to 1.
        timing_shared: True if that share was above 0.1: the timings are then upper bounds.
        declared: Names of the fields above that whoever handed the generator in has declared: not measured here.
        calibration_seconds: What a fixed piece of work took just before and just after the fit (the mean of two
            medians; `graftbench.calibration`): the unit in which times of two machines, or of two days, compare.
    """

    device: str
    fit_seconds: float | None
    fit_cpu_seconds: float | None = None
    images_seen: int
    training_images_per_second: float | None = None
    sampling_images_per_second: float | None = None
    peak_memory_mib: float | None = None
    memory_kind: str = ""
    energy_joules: float | None = None
    energy_source: str = ""
    parameters_total: int = 0
    parameters_trained: int = 0
    flops_per_image: float | None = None
    flops: float | None = None
    other_cpu_share: float | None = None
    timing_shared: bool = False
    calibration_seconds: float | None = None
    declared: list[str] = []


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the training log: losses averaged since the point before; None where one was not finite."""

    images_seen: int
    seconds: float
    losses: dict[str, float | None]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The averaged generator on the way, sampled and scored; the time that it took counts nowhere.

    Attributes:
        share: Share of the compute budget that was asked for, between 0 and 1.
        images_seen: Training images shown when it was taken: the first step that began at or above the share.
        seconds: Seconds of fitting until then.
        scores: The protocol's metrics, but those that look at training images; as many images as at the end.
    """

    share: float
    images_seen: int
    seconds: float
    scores: list[Score]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell left: one line of records.jsonl.

    Attributes:
        format: Version of this format.
        id: The cell's id.
        cell: The cell.
        status: How it ended.
        reason: One sentence for every status but `ok`.
        exit_code: The process's exit code (negative: a signal), None where there was no process.
        log_tail: The end of the cell's log for every status but `ok`.
        scores: The metrics.
        resources: The cost; None where the cell ended before it was known.
        curve: The training log.
        snapshots: The learning curve, in the order of shares; a share that only the last step passed has none.
        leaks: The method looks at the very network that the protocol scores with: its scores flatter it, it is marked,
            and it does not compete for the best.
        notes: Plain sentences that a reader of the numbers should know (leaks, sampling with replacement, …).
        origin: Who made the generator. Of one that is `submitted` only the scores were measured.
        environment: Where it was made (`graftbench.environment.describe()`).
        artifacts: Kind (`samples`, `sampler`, `log`, `progress`, `neighbors`, `interpolation`) -> path relative to the
            run folder.
        finished_at: UTC, ISO 8601.
        wall_seconds: From the start of the cell's process to its end, by the executor's clock; None where nobody knows.
        attempts: How often the cell was started for this record (a lost machine is not the cell's fault).
    """

    id: str
    cell: CellSpec
    status: Status
    reason: str = ""
    exit_code: int | None = None
    log_tail: str = ""
    scores: list[Score] = []
    resources: Resources | None = None
    curve: list[CurvePoint] = []
    snapshots: list[Snapshot] = []
    leaks: bool = False
    notes: list[str] = []
    origin: Origin = ""
    environment: dict[str, Any] = {}
    artifacts: dict[str, str] = {}
    artifact_hashes: dict[str, str] = {}
    finished_at: str = ""
    wall_seconds: float | None = None
    attempts: int = 1
    format: int = FORMAT

    def score(self, name: str) -> Score | None:
        """The metric of that name, or None."""
        return next((score for score in self.scores if score.name == name), None)


def without_path(domain: str) -> str:
    """`folder:/data/cats` -> `folder:cats`."""
    base, colon, argument = domain.partition(":")
    return base + colon + argument.replace("\\", "/").rstrip("/").rpartition("/")[2]


def content_hash(value: object) -> str:
    """SHA-256 (hex) of a value's canonical JSON: keys sorted, no spaces, the same on every machine."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def _cut_torn_line(path: Path) -> str | None:
    """Move an unfinished last line, left by a killed writer, to PATH.torn. Returns a sentence if there was one."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end == len(data):
        return None
    with path.with_suffix(path.suffix + ".torn").open("ab") as torn:
        torn.write(data[end:] + b"\n")
    os.truncate(path, end)
    return f"{path} ended in an unfinished line of {len(data) - end} bytes; it was moved to {path.name}.torn."


def append(path: Path, record: Record) -> None:
    """Append one record as one line and wait until it is on the disk.

    Raises:
        OSError: The disk is full or the file cannot be written; the lines before are untouched.
    """
    if path.exists():
        _cut_torn_line(path)
    line = msgspec.json.encode(record) + b"\n"
    with path.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> tuple[list[Record], list[str]]:
    """All records of a file in order, and a warning for an unfinished last line.

    Reading changes nothing on the disk; the next `append` moves the unfinished line aside.

    Raises:
        GraftbenchError: A whole line is no record, or was written by a newer version.
    """
    if not path.exists():
        return [], []
    records: list[Record] = []
    warnings: list[str] = []
    lines = path.read_bytes().split(b"\n")
    last = lines.pop()
    if last:
        warnings.append(
            f"{path}: the last line is unfinished ({len(last)} bytes) and was left out; "
            "the cell that it belonged to will run again."
        )
    decoder = msgspec.json.Decoder(Record)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            version = msgspec.json.decode(line, type=_Version).format
            if version > FORMAT:
                raise GraftbenchError(
                    f"{path}, line {number}: record format {version} is newer than this version of graftbench reads "
                    f"({FORMAT}). Upgrade graftbench, or read the run with the version that made it."
                )
            records.append(decoder.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            raise GraftbenchError(
                f"{path}, line {number} is no record ({error}). Nothing was changed; remove that line to go on."
            ) from error
    return records, warnings


class _Version(msgspec.Struct):
    format: int = FORMAT


def latest(records: list[Record]) -> dict[str, Record]:
    """Id -> the newest record of that id, in order of first appearance.

    Of images that were handed in for one cell again and again the newest count, other pixels though they are.
    """
    newest: dict[object, Record] = {}
    for record in records:
        newest[_place(record.cell) if record.cell.variant_of == SAMPLES else record.id] = record
    return {record.id: record for record in newest.values()}


def _place(cell: CellSpec) -> tuple[object, ...]:
    return cell.method, str(cell.task), cell.data_budget, cell.seed, str(cell.compute_budget)
