"""All metrics by name: their labels, better directions and needs. Imports neither NumPy nor torch.

A metric may be one file, in this folder or a user's (`--plugin`): `METRICS` in it, a tuple of `Metric(…)` with plain
values, says what it has, and its function `compute` makes `Estimate`s of `Sides` (see `sides`). What a file says of its
metrics is read without importing it.
"""

from __future__ import annotations

import ast
from dataclasses import KW_ONLY, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from graftbench.errors import GraftbenchError, unknown
from graftbench.records.cell_spec import SECOND_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

Need = Literal["reference", "logits", "train", "pixels", "thumbnails", "truth", "factors"]


@dataclass(frozen=True)
class Metric:
    """A metric as it is described before it is computed.

    Attributes:
        name: As in records and on the command line: `kid`.
        label: As printed, the scale included: `KID×10³`.
        title: Its meaning, in a line.
        better: -1 if lower is better, +1 if higher is, 0 if neither is.
        scale: Factor from the value to what is printed.
        needs: What it is computed from beside the generated images' features: reference images, the extractor's logits,
            training images, the pixels themselves, the images at 32×32 pixels, the true image of each, the factors that
            real images are made of.
        paper: arXiv number of its source, or its key in references.bib; empty where there is none.
        sets: Sets of its own to which it belongs, none of them one that graftbench's other metrics are in.
        text: What docs/metrics.md says of it, a paragraph, where it is a file of its own.
        panel: Title of the panel that shows it in reports; empty for that of other scores.
    """

    name: str
    label: str
    title: str
    _: KW_ONLY
    better: Literal[-1, 0, 1]
    scale: float = 1.0
    needs: tuple[Need, ...] = ("reference",)
    paper: str = ""
    sets: tuple[str, ...] = ()
    text: str = ""
    panel: str = ""

    @property
    def heading(self) -> str:
        """Return label and arrow: `KID×10³ ↓`."""
        return f"{self.label} {'↓ ↑'[self.better + 1]}".strip()


_ALL = (
    Metric(
        "fid",
        "FID",
        "Fréchet distance of the features' Gaussians; biased where images are few",
        better=-1,
        paper="1706.08500",
    ),
    Metric("fid_inf", "FID∞", "FID extrapolated to infinitely many generated images", better=-1, paper="1911.07023"),
    Metric("kid", "KID×10³", "kernel distance of all pairs; unbiased", better=-1, scale=1000.0, paper="1801.01401"),
    Metric(
        "kid_100x1000",
        "KID 100×1000 ×10³",
        "KID over 100 random subsets of 1000, as other tools compute it",
        better=-1,
        scale=1000.0,
        paper="1801.01401",
    ),
    Metric(
        "inception_score",
        "IS",
        "confidence and spread over the extractor's classes; blind to the target",
        better=1,
        needs=("logits",),
        paper="1606.03498",
    ),
    Metric(
        "precision",
        "precision",
        "share of generated images within the reference images' neighbourhoods (k = 3)",
        better=1,
        paper="1904.06991",
    ),
    Metric(
        "recall",
        "recall",
        "share of reference images within the generated images' neighbourhoods (k = 3)",
        better=1,
        paper="1904.06991",
    ),
    Metric("f_score", "F-score", "harmonic mean of precision and recall", better=1, paper="1904.06991"),
    Metric(
        "density",
        "density",
        "reference neighbourhoods (k = 5) around a generated image, over k; about 1 for equal distributions",
        better=1,
        paper="2002.09797",
    ),
    Metric(
        "coverage",
        "coverage",
        "share of reference images with a generated image in their neighbourhood (k = 5)",
        better=1,
        paper="2002.09797",
    ),
    Metric(
        "null_coverage",
        "null coverage",
        "the coverage that equal distributions give at these numbers of images",
        better=0,
        paper="2002.09797",
    ),
    Metric(
        "high_frequency",
        "high frequencies",
        "power above half the Nyquist frequency over that of reference images; 1: as sharp, below: blurred",
        better=0,
        needs=("reference", "pixels"),
    ),
    Metric("cmmd", "CMMD", "kernel distance of CLIP embeddings; unbiased", better=-1, paper="2401.09603"),
    Metric("cmmd_biased", "CMMD (biased)", "CMMD as the authors' code computes it", better=-1, paper="2401.09603"),
    Metric("mind", "MIND", "sliced Wasserstein distance of the features", better=-1, paper="2605.06797"),
    Metric(
        "c2st_accuracy",
        "C2ST accuracy",
        "held-out accuracy of a linear classifier of generated against reference; 0.5: cannot be told apart",
        better=-1,
        paper="1610.06545",
    ),
    Metric("c2st_f1", "C2ST F1", "the same classifier's F1 for the generated class", better=-1, paper="1610.06545"),
    Metric(
        "vendi_score", "Vendi", "effective number of different generated images", better=1, needs=(), paper="2210.02410"
    ),
    Metric(
        "copies",
        "copies %",
        "share of generated images that are training images, also cropped, moved, mirrored or recoloured",
        better=-1,
        scale=100.0,
        needs=("reference", "train", "thumbnails"),
    ),
    Metric(
        "train_distance_ratio",
        "train distance",
        "distance to the nearest training image, over that of reference images; 1: as new, towards 0: copies",
        better=0,
        needs=("reference", "train"),
    ),
    Metric(
        "authpct",
        "AuthPct",
        "percentage of generated images that are farther from a training image than its own neighbour",
        better=0,
        needs=("train",),
        paper="2102.08921",
    ),
    Metric(
        "copying_z",
        "C_T",
        "rank test of distances to training images against those of reference images; far below 0: copies",
        better=0,
        needs=("reference", "train"),
        paper="2004.05675",
    ),
    Metric(
        "mifid",
        "MiFID",
        "FID over a penalty for closeness to training images",
        better=-1,
        needs=("reference", "train"),
        paper="2106.03062",
    ),
    Metric(
        "intra_cluster_distance",
        "intra-cluster distance",
        "mean distance of generated images that share a nearest training image; empty clusters count 0",
        better=1,
        needs=("train",),
        paper="2104.06820",
    ),
    Metric(
        "cluster_occupancy",
        "occupancy",
        "share of training images that are nearest to a generated one",
        better=1,
        needs=("train",),
        paper="2104.06820",
    ),
    Metric(
        "modes",
        "modes",
        "variants of the target's known factors that are generated at least a quarter as often as they are real",
        better=1,
        needs=("reference", "factors"),
    ),
    Metric(
        "variant_pairs",
        "pairs",
        "pairs of variants of two known factors that are generated at least a quarter as often as they are real",
        better=1,
        needs=("reference", "factors"),
        paper="1611.02163",
    ),
    Metric(
        "factor_kl",
        "factor KL",
        "mean over known factors of KL(generated ‖ true) of their variants, in nats; 0: as often as they are real",
        better=-1,
        needs=("reference", "factors"),
    ),
)

METRICS = {metric.name: metric for metric in _ALL}
"""Name -> metric, in the order in which tables show them."""

_FIDELITY = (
    Metric(
        "psnr",
        "PSNR",
        "peak signal over the error to the true image, in dB; mean over images",
        better=1,
        needs=("truth",),
    ),
    Metric(
        "ssim",
        "SSIM",
        "structural similarity to the true image, Gaussian window of 11 px; mean over images",
        better=1,
        needs=("truth",),
    ),
    Metric(
        "feature_distance",
        "feature distance",
        "1 − cosine of the features of an image and of its true image; mean over images",
        better=-1,
        needs=("truth",),
    ),
)

FIDELITY = {metric.name: metric for metric in _FIDELITY}
"""Metrics of fidelity to content. No protocol asks for them: they are scored, all of them, where a task's kind gives
every image a truth, and nowhere else."""

EVERY_METRIC = METRICS | FIDELITY
"""All metrics that a record may hold."""

_PRDC = ("precision", "recall", "f_score", "density", "coverage", "null_coverage")

SETS: dict[str, tuple[str, ...]] = {
    "is": ("inception_score",),
    "prdc": _PRDC,
    "c2st": ("c2st_accuracy", "c2st_f1"),
    "memorization": ("copies", "train_distance_ratio", "authpct", "copying_z", "mifid"),
    "diversity": ("vendi_score", "intra_cluster_distance", "cluster_occupancy"),
    "truth": ("modes", "variant_pairs", "factor_kl"),
    "default": ("fid", "kid", "inception_score", *_PRDC, "high_frequency"),
    "all": tuple(name for name, metric in METRICS.items() if "factors" not in metric.needs),
}
"""Short names of several metrics that belong together. `all` are those of graftbench that any images can have."""


@dataclass(frozen=True)
class MetricFile:
    """A file that holds metrics.

    Attributes:
        path: Where it is.
        metrics: What it says of them.
        load: Imports it.
    """

    path: Path
    metrics: tuple[Metric, ...]
    load: Callable[[], ModuleType]


FILES: dict[str, MetricFile] = {}
"""Name -> file, of the metrics that are files of their own."""

BROKEN: dict[str, str] = {}
"""File or entry point -> why its metrics are not known."""

_OWN_SETS = frozenset(SETS)


def metrics_in(path: Path) -> tuple[Metric, ...]:
    """Read what a file says of its metrics, without importing it; nothing where it has no `METRICS`.

    Raises:
        GraftbenchError: It is no Python, or `METRICS` is no tuple of `Metric(…)` with plain values that fit.
    """
    source = path.read_text("utf-8")
    if "METRICS" not in source:
        return ()
    try:
        statements = ast.parse(source, str(path)).body
    except SyntaxError as error:
        raise GraftbenchError(f"The file {path} is no Python ({error}).") from error
    for statement in statements:
        if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == ["METRICS"]:
            if not isinstance(statement.value, ast.Tuple):
                return ()
            return tuple(_metric(call, path) for call in statement.value.elts)
    return ()


def _metric(call: ast.expr, path: Path) -> Metric:
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != "Metric":
        raise GraftbenchError(f"METRICS of {path} holds Metric(…) and nothing else; found `{ast.unparse(call)}`.")
    try:
        positional = [ast.literal_eval(value) for value in call.args]
        named = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        metric = Metric(*positional, **named)
    except (ValueError, TypeError) as error:
        raise GraftbenchError(f"A metric of {path} has plain values and the fields of Metric: {error}.") from error
    if metric.better not in (-1, 0, 1):
        raise GraftbenchError(f"`better` of {metric.name} in {path} is -1, 0 or 1; found {metric.better!r}.")
    for need in metric.needs:
        if need not in _NEEDS_OF_FILES:
            raise unknown("need", str(need), _NEEDS_OF_FILES, where=f"of {metric.name} in {path}")
    return metric


_NEEDS_OF_FILES = tuple(need for need in get_args(Need) if need not in ("truth", "factors"))
"""What `Sides` has; truths and factors come from elsewhere."""


def enter(path: Path, load: Callable[[], ModuleType]) -> None:
    """Make a file's metrics known in this process; again for a file that is known already changes nothing.

    Args:
        path: The file.
        load: Imports it, when one of its metrics is computed.

    Raises:
        GraftbenchError: It cannot be read, or a name of it or of its sets is taken.
    """
    known = {file.path for file in FILES.values()}
    file = MetricFile(path, metrics_in(path), load)
    if path in known:
        return
    for metric in file.metrics:
        if metric.name in EVERY_METRIC or metric.name in SETS:
            raise GraftbenchError(f"The name '{metric.name}' of a metric in {path} is taken; rename it.")
        if taken := (_OWN_SETS | EVERY_METRIC.keys()).intersection(metric.sets):
            raise GraftbenchError(f"The metric '{metric.name}' in {path} names a set that is taken: {min(taken)}.")
    for metric in file.metrics:
        METRICS[metric.name] = EVERY_METRIC[metric.name] = metric
        FILES[metric.name] = file
        for name in metric.sets:
            SETS[name] = (*SETS.get(name, ()), metric.name)


def _enter_own() -> None:
    """Enter the files of this folder that hold metrics; they belong to `all`."""
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name != Path(__file__).name:
            enter(path, lambda name=f"graftbench.metrics.{path.stem}": import_module(name))
    for name in FIDELITY:  # they stay the last
        EVERY_METRIC[name] = EVERY_METRIC.pop(name)
    SETS["all"] = tuple(name for name, metric in METRICS.items() if "factors" not in metric.needs)


_enter_own()


def of_factors(names: Iterable[str]) -> list[str]:
    """Return those of the metrics that need to know which factors real images are made of."""
    return [name for name in names if "factors" in METRICS[name].needs]


def metric_named(name: str) -> Metric | None:
    """Return the metric that a record's score is of, None where nobody knows it.

    One by a second extractor is named with its label, `kid.vgg16`, and is printed with it: `KID×10³ (vgg16)`.
    """
    if not is_by_second(name):
        return EVERY_METRIC.get(name)
    base, _, label = name.partition(".")
    return replace(METRICS[base], name=name, label=f"{METRICS[base].label} ({label})")


def is_by_second(name: str) -> bool:
    """Return whether a score is a second extractor's: `kid.vgg16`."""
    base, _, label = name.partition(".")
    return bool(label) and base in SECOND_METRICS and name not in EVERY_METRIC


def resolve(names: Iterable[str], *, where: str = "") -> tuple[str, ...]:
    """Return the names of metrics with the sets written out, in the catalogue's order, each once.

    Args:
        names: Names or sets; a string is one of them, not its letters.
        where: Where they stand ("in the protocol"), for the message.

    Raises:
        GraftbenchError: An unknown name (with the nearest), or none at all.
    """
    chosen: set[str] = set()
    for name in (names,) if isinstance(names, str) else names:
        if name not in METRICS and name not in SETS:
            error = unknown("metric", name, [*METRICS, *SETS], where=where)
            failed = "; ".join(f"{file}: {reason}" for file, reason in BROKEN.items())
            raise GraftbenchError(f"{error} Files whose metrics are not known: {failed}") if failed else error
        chosen.update(SETS.get(name, (name,)))
    if not chosen:
        raise GraftbenchError(f"No metric was asked for{' ' + where if where else ''}; known: {', '.join(METRICS)}.")
    return tuple(name for name in METRICS if name in chosen)
