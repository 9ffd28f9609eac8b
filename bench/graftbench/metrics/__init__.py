"""Metrics of generated images: pure functions of features, each usable without the rest of the suite.

>>> import numpy as np
>>> from graftbench.metrics import fid
>>> features = np.eye(3)
>>> round(fid(features, features + 1.0).value, 9)
3.0

Features are NumPy arrays or torch tensors; torch is imported by nothing but the extractors, and only when one is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graftbench.metrics.classifier import c2st as c2st
    from graftbench.metrics.clipped import clipped_coverage as clipped_coverage
    from graftbench.metrics.clipped import clipped_density as clipped_density
    from graftbench.metrics.copying import copies as copies
    from graftbench.metrics.covariance import Moments as Moments
    from graftbench.metrics.covariance import StreamingMoments as StreamingMoments
    from graftbench.metrics.covariance import moments as moments
    from graftbench.metrics.diversity import cluster_occupancy as cluster_occupancy
    from graftbench.metrics.diversity import intra_cluster_distance as intra_cluster_distance
    from graftbench.metrics.diversity import vendi as vendi
    from graftbench.metrics.diversity import vendi_score as vendi_score
    from graftbench.metrics.estimate import Estimate as Estimate
    from graftbench.metrics.evaluate import evaluate_features as evaluate_features
    from graftbench.metrics.frechet import fid as fid
    from graftbench.metrics.frechet import fid_inf as fid_inf
    from graftbench.metrics.inception import inception_score as inception_score
    from graftbench.metrics.kernel import kid as kid
    from graftbench.metrics.kernel import kid_subsets as kid_subsets
    from graftbench.metrics.kernel_difference import kid_difference as kid_difference
    from graftbench.metrics.kernel_entropy import rke as rke
    from graftbench.metrics.kernel_gaussian import cmmd as cmmd
    from graftbench.metrics.likelihood import fld as fld
    from graftbench.metrics.manifold import prdc as prdc
    from graftbench.metrics.memorization import authpct as authpct
    from graftbench.metrics.memorization import copying_z as copying_z
    from graftbench.metrics.memorization import mifid as mifid
    from graftbench.metrics.memorization import train_distance_ratio as train_distance_ratio
    from graftbench.metrics.sliced import mind as mind
    from graftbench.metrics.spectrum import band_powers as band_powers
    from graftbench.metrics.spectrum import high_frequency as high_frequency
    from graftbench.metrics.symmetric import symmetric_precision as symmetric_precision
    from graftbench.metrics.symmetric import symmetric_recall as symmetric_recall
    from graftbench.metrics.thumbnail import thumbnails as thumbnails
    from graftbench.metrics.variants import factor_kl as factor_kl
    from graftbench.metrics.variants import modes as modes
    from graftbench.metrics.variants import variant_pairs as variant_pairs

_LAZY = {
    "classifier": ("c2st",),
    "clipped": ("clipped_coverage", "clipped_density"),
    "kernel_difference": ("kid_difference",),
    "kernel_gaussian": ("cmmd",),
    "diversity": ("cluster_occupancy", "intra_cluster_distance", "vendi", "vendi_score"),
    "estimate": ("Estimate",),
    "evaluate": ("evaluate_features",),
    "likelihood": ("fld",),
    "frechet": ("fid", "fid_inf"),
    "inception": ("inception_score",),
    "kernel": ("kid", "kid_subsets"),
    "manifold": ("prdc",),
    "memorization": ("authpct", "copying_z", "mifid", "train_distance_ratio"),
    "kernel_entropy": ("rke",),
    "sliced": ("mind",),
    "spectrum": ("band_powers", "high_frequency"),
    "symmetric": ("symmetric_precision", "symmetric_recall"),
    "variants": ("factor_kl", "modes", "variant_pairs"),
    "copying": ("copies",),
    "thumbnail": ("thumbnails",),
    "covariance": ("Moments", "StreamingMoments", "moments"),
}


def __getattr__(name: str) -> object:
    """Import a metric, and with it SciPy, only when it is asked for (PEP 562)."""
    for module, names in _LAZY.items():
        if name in names:
            from importlib import import_module  # noqa: PLC0415 - only the lazy names need it

            return getattr(import_module(f"graftbench.metrics.{module}"), name)
    raise AttributeError(f"module 'graftbench.metrics' has no attribute {name!r}")
