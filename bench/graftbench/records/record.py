"""The record of a cell that ran, one line of the append-only file `records.jsonl`.

Nothing here imports torch: reports, comparisons and `graftbench --help` read records alone.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any

import msgspec

from graftbench.records.cell_spec import CellSpec, Origin

FORMAT = 2
"""Version of the record format. A reader refuses a newer one. Raise it, and HASHED_FORMAT, when the rule by which a
cell's id is made from its fields (`CellSpec.id`) changes."""

HASHED_FORMAT = 2
"""From this format on a record's id is the hash of its cell by the present rule, which is checked when it is read. Of
older records, whose ids older rules made, the form alone can be checked."""


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


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one cell.

    Attributes:
        name: `fid`, `kid`, `inception_score`, …; of a second extractor with its label: `kid.vgg16`.
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
        """Return `fid_n600_ref620_lite0@96`: what may be compared with what. A set that is not used is left out."""
        counts = {"n": self.n_generated, "ref": self.n_reference, "train": self.n_train}
        metric = self.name.removesuffix(f".{self.protocol}")
        return "_".join([metric, *(f"{key}{count}" for key, count in counts.items() if count), self.protocol])


class NeglectedVariant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant of a factor that a generator does not cover.

    Attributes:
        factor: `hair`.
        variant: `fonze`; empty for having none.
        true_share: Share of the reference images that have it.
        generated_share: Share of the generated images that were read to have it.
    """

    factor: str
    variant: str
    true_share: float
    generated_share: float

    def __str__(self) -> str:
        shares = f"{100 * self.generated_share:.1f} % made, {100 * self.true_share:.1f} % true"
        return f"{self.factor} = {self.variant or 'none'} ({shares})"


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """How well the factors of generated images were recognised: `modes`, `variant_pairs` and `factor_kl` rest on it.

    Attributes:
        variants: Of how many variants `modes` are covered: all that the reference images show, over all factors read.
        pairs: Of how many pairs of variants `variant_pairs` are covered; 0 in records that have none.
        accuracy: Factor that is read -> share of held-out real images in which it is read rightly.
        shown: Share of the factors of the generated images that show a variant for sure, 0 to 1; None in records from
            before it was asked.
        left_out: Factor that is not read -> why.
        neglected: The variants that are not covered, the most neglected first; at most ten.
    """

    variants: int
    pairs: int = 0
    accuracy: dict[str, float] = {}
    shown: float | None = None
    left_out: dict[str, str] = {}
    neglected: list[NeglectedVariant] = []

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Return what is shown beside a cell's scores: labels and texts."""
        read = ", ".join(f"{factor} {100 * share:.1f} %" for factor, share in self.accuracy.items())
        left_out = "; ".join(f"{factor}: {reason}" for factor, reason in self.left_out.items())
        rows = [
            ("factors read", read and f"{self.variants} variants, read rightly in held-out images: {read}"),
            ("factors left out", left_out),
            ("variants shown", "" if self.shown is None else f"by {100 * self.shown:.1f} % of what was generated"),
            ("most neglected", ", ".join(map(str, self.neglected))),
        ]
        return [(label, text) for label, text in rows if text]


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """Costs of a cell. A cost that was not measured (no counter) is None, never zero.

    Attributes:
        device: `cpu` or the CUDA device's name.
        fit_seconds: Wall time of `fit`, the device synchronised at both ends, snapshots not counted. None for what was
            made elsewhere by somebody who did not say.
        fit_cpu_seconds: CPU time of the fit's process (and of what it started and has ended), snapshots not counted: on
            a CPU what other processes on the machine change least. None in records from before it was measured.
        images_seen: Training images shown, as metered.
        training_images_per_second: images_seen / fit_seconds.
        sampling_images_per_second: Images sampled per second for the evaluation's n_generated images; None where none
            were made then, but replayed.
        peak_memory_mib: During the fit. Device memory on CUDA (what torch's allocator handed out), resident memory of
            the process on CPU (with the 300 to 500 MiB that Python, torch and what else was imported take themselves).
        fit_memory_mib: That peak less what was held when the fit began: what the fit itself took, without imports and
            images. None where the system does not tell, and in records from before it was measured.
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
            medians; `graftbench.resources.calibration`): the unit in which times of two machines, or of two days,
            compare.
        reserved_memory_mib: On CUDA, the most that torch's allocator had taken from the device during the fit.
        device_memory_mib: On CUDA, the most that the driver counted for this process during the fit (NVML): what a card
            must have. With CUDA's context and the libraries' workspaces, which torch does not count.
        host_memory_mib: The most that the process had resident during the fit, on CUDA too.
        sampling_memory_mib: As `peak_memory_mib`, while the evaluation's images were sampled.
        sampling_reserved_memory_mib: As `reserved_memory_mib`, likewise.
        sampling_device_memory_mib: As `device_memory_mib`, likewise.
        sampling_host_memory_mib: As `host_memory_mib`, likewise.
        joules_per_image: energy_joules / images_seen.
        joules_per_1000_samples: Energy of sampling, for 1,000 images.
        warmup_seconds: Of the steps until the fit was in its steady state: the first step, and those that follow it and
            took over twice the median (compiling, choosing kernels, counting operations).
        steady_images_per_second: Training images per second of the steps after them.
        step_seconds_p50: Median of the seconds of these steps; by events on the device on CUDA.
        step_seconds_p90: Their 90th percentile.
        step_seconds_p99: Their 99th percentile.
        mfu: Model FLOPs utilisation: flops_per_image × steady_images_per_second / peak_flops_per_second.
        peak_flops_per_second: What a large product of matrices reached here beside the fit; a multiply-add counts two.
        peak_flops_dtype: In which the fit multiplies, and that product was measured.
        sampler_bytes: Of all tensors of the sampler.
        stored_bytes: Of what must be stored of the sampler for someone who has the source model: tensors that it does
            not hold, and of those that differ by a matrix of low rank its two factors.
        unmeasured: Name of a field above -> why it has no value.
    """

    device: str
    fit_seconds: float | None
    fit_cpu_seconds: float | None = None
    images_seen: int
    training_images_per_second: float | None = None
    sampling_images_per_second: float | None = None
    peak_memory_mib: float | None = None
    fit_memory_mib: float | None = None
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
    reserved_memory_mib: float | None = None
    device_memory_mib: float | None = None
    host_memory_mib: float | None = None
    sampling_memory_mib: float | None = None
    sampling_reserved_memory_mib: float | None = None
    sampling_device_memory_mib: float | None = None
    sampling_host_memory_mib: float | None = None
    joules_per_image: float | None = None
    joules_per_1000_samples: float | None = None
    warmup_seconds: float | None = None
    steady_images_per_second: float | None = None
    step_seconds_p50: float | None = None
    step_seconds_p90: float | None = None
    step_seconds_p99: float | None = None
    mfu: float | None = None
    peak_flops_per_second: float | None = None
    peak_flops_dtype: str = ""
    sampler_bytes: int | None = None
    stored_bytes: int | None = None
    unmeasured: dict[str, str] = {}


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
        joules: Energy of fitting until then; None without a counter, and in records from before it was kept.
        scores: The protocol's metrics, but those that look at training images; as many images as at the end.
    """

    share: float
    images_seen: int
    seconds: float
    joules: float | None = None
    scores: list[Score]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a cell: one line of records.jsonl.

    Attributes:
        format: Version of this format.
        id: The cell's id.
        cell: The cell.
        status: How it ended.
        reason: One sentence for every status but `ok`.
        exit_code: The process's exit code (negative: a signal), None where there was no process.
        log_tail: The end of the cell's log for every status but `ok`.
        scores: The metrics.
        truth: The target's known factors and the variants that are not covered; None where none are known.
        resources: The cost; None where the cell ended before it was known.
        curve: The training log.
        snapshots: The learning curve, in the order of shares; a share that only the last step passed has none.
        leaks: The method looks at the very network that the protocol scores with: its scores flatter it, it is marked,
            and it does not compete for the best.
        leaks_second: Likewise of the protocol's second extractor and its scores.
        notes: Plain sentences that a reader of the numbers should know (leaks, sampling with replacement, …).
        origin: Who made the generator. Of one that is `submitted` only the scores were measured.
        environment: Where it was made (`graftbench.resources.environment.describe()`).
        artifacts: Kind (`samples`, `sampler`, `log`, `progress`, `neighbors`, `interpolation`) -> path relative to the
            run folder.
        artifact_hashes: Kind -> SHA-256 of the file, as the cell left it.
        source_model_sha256: Over the tensors of the source model that the fit started from
            (`graftbench.training.source.digest_of`); empty where it started from none, and in records from before it
            was kept.
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
    truth: Truth | None = None
    resources: Resources | None = None
    curve: list[CurvePoint] = []
    snapshots: list[Snapshot] = []
    leaks: bool = False
    leaks_second: bool = False
    notes: list[str] = []
    origin: Origin = ""
    environment: dict[str, Any] = {}
    artifacts: dict[str, str] = {}
    artifact_hashes: dict[str, str] = {}
    source_model_sha256: str = ""
    finished_at: str = ""
    wall_seconds: float | None = None
    attempts: int = 1
    format: int = FORMAT

    @property
    def competes(self) -> str:
        """Say by which scores the method does not compete, for it was trained with their network; empty: by all."""
        if self.leaks and self.cell.protocol.second:
            return "by the second extractor alone: it was trained with the first"
        if self.leaks:
            return "no: it was trained with the network that scores it"
        return "by the first extractor alone: it was trained with the second" if self.leaks_second else ""

    def score(self, name: str) -> Score | None:
        """Return the metric of that name, or None."""
        return next((score for score in self.scores if score.name == name), None)
