"""Every metric by name: how it is printed, which way is better, and what it needs. Imports neither NumPy nor torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from graftbench.errors import GraftbenchError, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

Need = Literal["reference", "logits", "train", "pixels", "truth"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric as it is described before it is computed.

    Attributes:
        name: As in records and on the command line: `kid`.
        label: As printed, the scale included: `KID×10³`.
        title: What it says, in a line.
        better: -1 if lower is better, +1 if higher is, 0 if neither is.
        scale: Factor from the value to what is printed.
        needs: What it is computed from beside the generated images' features: reference images, the extractor's logits,
            training images, the pixels themselves, the true image of each.
        paper: arXiv number of its source; empty where there is none.
    """

    name: str
    label: str
    title: str
    better: Literal[-1, 0, 1]
    scale: float = 1.0
    needs: tuple[Need, ...] = ("reference",)
    paper: str = ""

    @property
    def heading(self) -> str:
        """Return label and arrow: `KID×10³ ↓`."""
        return f"{self.label} {'↓ ↑'[self.better + 1]}".strip()


_ALL = (
    Metric(
        name="fid",
        label="FID",
        title="Fréchet distance of the features' Gaussians; biased where images are few",
        better=-1,
        paper="1706.08500",
    ),
    Metric(
        name="fid_inf",
        label="FID∞",
        title="FID extrapolated to infinitely many generated images",
        better=-1,
        paper="1911.07023",
    ),
    Metric(
        name="kid",
        label="KID×10³",
        title="kernel distance of all pairs; unbiased",
        better=-1,
        scale=1000.0,
        paper="1801.01401",
    ),
    Metric(
        name="kid_100x1000",
        label="KID 100×1000 ×10³",
        title="KID over 100 random subsets of 1000, as other tools compute it",
        better=-1,
        scale=1000.0,
        paper="1801.01401",
    ),
    Metric(
        name="inception_score",
        label="IS",
        title="confidence and spread over the extractor's classes; blind to the target",
        better=1,
        needs=("logits",),
        paper="1606.03498",
    ),
    Metric(
        name="precision",
        label="precision",
        title="share of generated images within the reference images' neighbourhoods (k = 3)",
        better=1,
        paper="1904.06991",
    ),
    Metric(
        name="recall",
        label="recall",
        title="share of reference images within the generated images' neighbourhoods (k = 3)",
        better=1,
        paper="1904.06991",
    ),
    Metric(
        name="f_score", label="F-score", title="harmonic mean of precision and recall", better=1, paper="1904.06991"
    ),
    Metric(
        name="density",
        label="density",
        title="reference neighbourhoods (k = 5) around a generated image, over k; about 1 for equal distributions",
        better=1,
        paper="2002.09797",
    ),
    Metric(
        name="coverage",
        label="coverage",
        title="share of reference images with a generated image in their neighbourhood (k = 5)",
        better=1,
        paper="2002.09797",
    ),
    Metric(
        name="null_coverage",
        label="null coverage",
        title="the coverage that equal distributions give at these numbers of images",
        better=0,
        paper="2002.09797",
    ),
    Metric(
        name="high_frequency",
        label="high frequencies",
        title="power above half the Nyquist frequency over that of reference images; 1: as sharp, below: blurred",
        better=0,
        needs=("reference", "pixels"),
    ),
    Metric(
        name="cmmd", label="CMMD", title="kernel distance of CLIP embeddings; unbiased", better=-1, paper="2401.09603"
    ),
    Metric(
        name="cmmd_biased",
        label="CMMD (biased)",
        title="CMMD as the authors' code computes it",
        better=-1,
        paper="2401.09603",
    ),
    Metric(
        name="mind", label="MIND", title="sliced Wasserstein distance of the features", better=-1, paper="2605.06797"
    ),
    Metric(
        name="c2st_accuracy",
        label="C2ST accuracy",
        title="held-out accuracy of a linear classifier of generated against reference; 0.5: cannot be told apart",
        better=-1,
        paper="1610.06545",
    ),
    Metric(
        name="c2st_f1",
        label="C2ST F1",
        title="the same classifier's F1 for the generated class",
        better=-1,
        paper="1610.06545",
    ),
    Metric(
        name="vendi_score",
        label="Vendi",
        title="effective number of different generated images",
        better=1,
        needs=(),
        paper="2210.02410",
    ),
    Metric(
        name="train_distance_ratio",
        label="train distance",
        title="distance to the nearest training image, over that of reference images; 1: as new, towards 0: copies",
        better=0,
        needs=("reference", "train"),
    ),
    Metric(
        name="authpct",
        label="AuthPct",
        title="percentage of generated images that are farther from a training image than its own neighbour",
        better=0,
        needs=("train",),
        paper="2102.08921",
    ),
    Metric(
        name="copying_z",
        label="C_T",
        title="rank test of distances to training images against those of reference images; far below 0: copies",
        better=0,
        needs=("reference", "train"),
        paper="2004.05675",
    ),
    Metric(
        name="mifid",
        label="MiFID",
        title="FID over a penalty for closeness to training images",
        better=-1,
        needs=("reference", "train"),
        paper="2106.03062",
    ),
    Metric(
        name="intra_cluster_distance",
        label="intra-cluster distance",
        title="mean distance of generated images that share a nearest training image; empty clusters count 0",
        better=1,
        needs=("train",),
        paper="2104.06820",
    ),
    Metric(
        name="cluster_occupancy",
        label="occupancy",
        title="share of training images that are nearest to a generated one",
        better=1,
        needs=("train",),
        paper="2104.06820",
    ),
)

METRICS = {metric.name: metric for metric in _ALL}
"""Name -> metric, in the order in which tables show them."""

_FIDELITY = (
    Metric(
        name="psnr",
        label="PSNR",
        title="peak signal over the error to the true image, in dB; mean over images",
        better=1,
        needs=("truth",),
    ),
    Metric(
        name="ssim",
        label="SSIM",
        title="structural similarity to the true image, Gaussian window of 11 px; mean over images",
        better=1,
        needs=("truth",),
    ),
    Metric(
        name="feature_distance",
        label="feature distance",
        title="1 − cosine of the features of an image and of its true image; mean over images",
        better=-1,
        needs=("truth",),
    ),
)

FIDELITY = {metric.name: metric for metric in _FIDELITY}
"""Metrics of fidelity to content. No protocol asks for them: they are scored, all of them, where a task's kind gives
every image a truth, and nowhere else."""

EVERY_METRIC = METRICS | FIDELITY
"""Whatever a record may hold."""

SETS: dict[str, tuple[str, ...]] = {
    "is": ("inception_score",),
    "prdc": ("precision", "recall", "f_score", "density", "coverage", "null_coverage"),
    "c2st": ("c2st_accuracy", "c2st_f1"),
    "memorization": ("train_distance_ratio", "authpct", "copying_z", "mifid"),
    "diversity": ("vendi_score", "intra_cluster_distance", "cluster_occupancy"),
    "default": (
        "fid",
        "kid",
        "inception_score",
        *("precision", "recall", "f_score"),
        "density",
        "coverage",
        "null_coverage",
        "high_frequency",
    ),
    "all": tuple(METRICS),
}
"""Short names of several metrics that belong together."""


def resolve(names: Iterable[str], *, where: str = "") -> tuple[str, ...]:
    """Return the names of metrics with the sets written out, in the catalogue's order, each once.

    Args:
        names: Names or sets; a string is one of them, not its letters.
        where: Where they stand ("in the protocol"), for the message.

    Raises:
        GraftbenchError: An unknown name (with the nearest), or none at all.
    """
    wanted: set[str] = set()
    for name in (names,) if isinstance(names, str) else names:
        if name not in METRICS and name not in SETS:
            raise unknown("metric", name, [*METRICS, *SETS], where=where)
        wanted.update(SETS.get(name, (name,)))
    if not wanted:
        raise GraftbenchError(f"No metric was asked for{' ' + where if where else ''}; known: {', '.join(METRICS)}.")
    return tuple(name for name in METRICS if name in wanted)
