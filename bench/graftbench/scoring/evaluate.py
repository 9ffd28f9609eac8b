"""Score images against images: folders, .npz files, domains, saved statistics or tensors, in one pass over each.

>>> import graftbench
>>> result = graftbench.evaluate("samples/", "domain:openmoji@32/reference", metrics=["kid", "prdc"])  # doctest: +SKIP
>>> result["kid"].value, result["kid"].interval  # doctest: +SKIP
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from graftbench.cache import cache_folder
from graftbench.errors import GraftbenchError
from graftbench.images.decoding import left_out_text
from graftbench.images.sources import held_out_of, open_images
from graftbench.metrics.catalogue import METRICS, resolve
from graftbench.metrics.evaluate import MOMENTS_SUFFICE, evaluate_features
from graftbench.metrics.features import Features
from graftbench.metrics.near_copies import near_copies
from graftbench.metrics.sides import INTERVAL_LIMIT
from graftbench.plugins import registry
from graftbench.records.cell_spec import Protocol
from graftbench.resources.device import resolve_device
from graftbench.scoring.features import FeatureReader
from graftbench.scoring.floors import training_floors
from graftbench.scoring.protocol import Extraction, key_of, resolve_protocol
from graftbench.scoring.reference_statistics import Manifest, Statistics, is_statistics, load_statistics
from graftbench.scoring.repeats import count_distinct, count_shared
from graftbench.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from graftbench.images.sources import Images, Source
    from graftbench.metrics.covariance import Moments
    from graftbench.metrics.estimate import Estimate
    from graftbench.plugins.registry import PluginSource


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of a set of images.

    Attributes:
        scores: One estimate per metric, in the catalogue's order.
        protocol: How features were extracted, the weights' hash included.
        generated: Name of the generated images.
        reference: Name of the reference images.
        train: Name of the training images; empty where none were given.
        floors: Metric -> what real images score that are neither generated nor in the reference, at the same numbers of
            images; empty where no such images are known.
        seconds: `extract` (decoding, resizing and the network), `forward` (the network's share of it), `metrics`.
        notes: Sentences that a reader of the numbers should know.
    """

    scores: tuple[Estimate, ...]
    protocol: Protocol
    generated: str
    reference: str
    train: str = ""
    floors: dict[str, Estimate] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Estimate:
        """Return the estimate of a metric.

        Raises:
            KeyError: It was not asked for.
        """
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(f"'{name}' was not computed; there are {', '.join(score.name for score in self.scores)}")

    def __contains__(self, name: str) -> bool:
        return any(score.name == name for score in self.scores)


def evaluate(
    generated: Source,
    reference: Source,
    *,
    metrics: Iterable[str] = ("default",),
    train: Source | None = None,
    held_out: Source | None = None,
    extractor: str = "lite0",
    size: int | None = None,
    resize: str = "",
    weights: str = "",
    blur: float | None = None,
    dither: float | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    intervals: bool = True,
    floors: bool = True,
    seed: int = 0,
    cache: Path | None = None,
    plugins: Sequence[PluginSource] = (),
    progress: Callable[[str, int, int], None] = lambda _name, _done, _count: None,
) -> Evaluation:
    """Score generated images against reference images.

    Every image is decoded once, resized once and goes through the network once, whatever metrics are asked for.
    Features of reference and training images are kept in the cache under a key of their content; those of generated
    images are not. Where FID alone is asked for without intervals, no features of generated and reference images are
    kept in memory, and of the reference mean and covariance alone in the cache.

    Args:
        generated: A folder, a .zip, .npz or .npy file, `domain:NAME@RESOLUTION/SPLIT`, or a uint8 array or tensor
            N×3×H×W.
        reference: The same, or a statistics file of `graftbench stats`.
        metrics: Names or sets of the catalogue (`graftbench ls metrics`). The metrics of memorisation are added where
            `train` is given and `metrics` is left as it is.
        train: The images that the generator was trained on.
        held_out: Real images that are neither training nor reference images, for the floors; of a domain, its other
            splits are taken. Against saved mean and covariance FID alone has a floor.
        extractor: Name of the feature extractor.
        size: Side to which images are resized for it; None for its own.
        resize: Resize rule; empty for the extractor's first.
        weights: Path of a local weights file; empty for the extractor's own.
        blur: Standard deviation, in pixels, of the blur that images on both sides get first; None for the extractor's.
        dither: Standard deviation, in levels of 255, of the noise that they get then; None for the extractor's.
        device: auto, cpu, cuda or cuda:N.
        batch_size: Images per forward pass; None for the extractor's own.
        intervals: Estimate FID's standard error as well, for up to 10,000 images.
        floors: Score held-out real images too, where they are known.
        seed: Of subsets, directions and splits.
        cache: Cache folder; None for the user's.
        plugins: Files or folders with more metrics and domains.
        progress: Told which images are read, how many are done and how many there are.

    Raises:
        GraftbenchError: Images, statistics or weights are missing, damaged or do not fit; an unknown name; a negative
            seed; the held-out images are the reference's.
    """
    registry.metrics(plugins)
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    metric_names = resolve(("default", "memorization") if names == ("default",) and train is not None else names)
    if seed < 0:  # said before the images are read
        raise GraftbenchError(f"A seed is 0 or a positive integer; found {seed}.")
    protocol = _protocol(extractor, size, resize, weights, blur, dither)
    folder = cache_folder() if cache is None else cache
    reader = FeatureReader(protocol, folder, device=resolve_device(device), batch_size=batch_size, progress=progress)
    sources: list[Images] = []

    def opened(source: Source) -> Images:
        sources.append(open_images(source, cache=folder, plugins=plugins))
        return sources[-1]

    # Open the images. One image has no covariance; that is for the metric to say.
    images = opened(generated)
    needs_train = any("train" in METRICS[name].needs for name in metric_names)
    train_images = opened(train) if train is not None and needs_train else None
    with_interval = intervals and images.count <= INTERVAL_LIMIT
    stream = set(metric_names) <= MOMENTS_SUFFICE and not with_interval and images.count > 1

    # Extract features, or moments where they suffice.
    before = len(sources)
    target = _reference(reader, reference, opened, moments_only=stream)
    reference_images = sources[before] if len(sources) > before else None  # None of a statistics file
    extracted = reader.moments(images) if stream else reader.features(images)
    train_features = None if train_images is None else reader.cached(train_images)

    # Score them, and held-out real images under the same protocol.
    start = time.perf_counter()
    scores = evaluate_features(
        extracted, target.content, metrics=metric_names, train=train_features, intervals=intervals, seed=seed
    )
    metrics_seconds = time.perf_counter() - start
    real = None
    if floors:
        named = held_out is not None
        real = opened(held_out) if named else held_out_of(reference, cache=folder, plugins=plugins)
    known_floors = {} if real is None else _floors(reader, real, target, metric_names, n=images.count, seed=seed)
    if floors and train_features is not None and target.features is not None:
        known_floors |= training_floors(target.features, train_features, metric_names)
    sides = [(images.name, _sizes(images, extracted)), (target.manifest.name, _sizes(reference_images, target.content))]
    sides += [
        (one.name, _sizes(one, features)) for one, features in ((train_images, train_features), (real, None)) if one
    ]
    return Evaluation(
        scores=tuple(scores),
        protocol=protocol,
        generated=images.name,
        reference=target.manifest.name,
        train="" if train_images is None else train_images.name,
        floors=known_floors,
        seconds={"extract": reader.extract_seconds, "forward": reader.forward_seconds, "metrics": metrics_seconds},
        notes=(
            *_notes_on_sources(sources),
            *_note_on_sizes(protocol, sides),
            *_notes(images, target, real, train_images),
            *_notes_on_repeats(images, extracted, target),
            *_notes_on_scores({score.name: score for score in scores}, known_floors),
        ),
    )


def _protocol(  # noqa: PLR0917 - the six parts of it
    extractor: str, size: int | None, resize: str, weights: str, blur: float | None, dither: float | None
) -> Protocol:
    """Return the resolved protocol of these settings; None stands for the extractor's default."""
    return resolve_protocol(
        Protocol(
            extractor=extractor,
            size=size,
            resize=resize,
            weights=weights,
            blur=msgspec.UNSET if blur is None else blur,
            dither=msgspec.UNSET if dither is None else dither,
        )
    )


def statistics_of(
    source: Source,
    *,
    moments_only: bool = False,
    extractor: str = "lite0",
    size: int | None = None,
    resize: str = "",
    weights: str = "",
    blur: float | None = None,
    dither: float | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    cache: Path | None = None,
    plugins: Sequence[PluginSource] = (),
    progress: Callable[[str, int, int], None] = lambda _name, _done, _count: None,
) -> Statistics:
    """Make reference statistics of images, to be saved and used in place of the images.

    Args:
        source: As for `evaluate`.
        moments_only: Keep mean and covariance alone: enough for FID, and of one size for any number of images.
        extractor: As for `evaluate`, and so the rest.
        size: Side to which images are resized.
        resize: Resize rule.
        weights: Path of a local weights file.
        blur: Blur of the images before it, in pixels.
        dither: Noise after the blur, in levels of 255.
        device: auto, cpu, cuda or cuda:N.
        batch_size: Images per forward pass.
        cache: Cache folder.
        plugins: Files or folders with more domains.
        progress: Told how far it is.

    Raises:
        GraftbenchError: Images or weights are missing, damaged or do not fit; an unknown name.
    """
    protocol = _protocol(extractor, size, resize, weights, blur, dither)
    folder = cache_folder() if cache is None else cache
    reader = FeatureReader(protocol, folder, device=resolve_device(device), batch_size=batch_size, progress=progress)
    return _statistics(reader, open_images(source, cache=folder, plugins=plugins), moments_only=moments_only)


def _statistics(reader: FeatureReader, images: Images, *, moments_only: bool) -> Statistics:
    content = reader.cached_moments(images) if moments_only else reader.cached(images)
    manifest = Manifest(
        name=images.name,
        images=images.manifest,
        n_images=images.count,
        extraction=Extraction.of(reader.protocol),
        graftbench=__version__,
    )
    if isinstance(content, Features):
        return Statistics(manifest, content, None)
    return Statistics(manifest, None, content)


def _reference(
    reader: FeatureReader, source: Source, opened: Callable[[Source], Images], *, moments_only: bool
) -> Statistics:
    """Load the reference from a statistics file, or make it of its images."""
    if isinstance(source, (str, os.PathLike)) and is_statistics(Path(source)):
        return load_statistics(_expanded(Path(source)), reader.protocol)
    images = opened(source)
    return _statistics(reader, images, moments_only=moments_only and images.count > 1)


def _expanded(path: Path) -> Path:
    """Return the path with `~` as the home directory, where one is known."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _floors(
    reader: FeatureReader, held_out: Images, target: Statistics, metrics: Sequence[str], *, n: int, seed: int
) -> dict[str, Estimate]:
    if held_out.manifest == target.manifest.images:
        raise GraftbenchError(
            f"The held-out images {held_out.name} are the reference images; a floor needs other real images."
        )
    key = key_of(reader.protocol, target.manifest.images)
    if target.features is not None and target.features.powers is None:
        key += "-without-powers"  # statistics of an earlier version: the images themselves have one floor more
    return reader.floors(target.content, key, held_out, metrics, n=n, seed=seed)


def _notes_on_sources(sources: Iterable[Images]) -> Iterator[str]:
    """Say which files of each source were left out, and what is odd about its pixels."""
    for images in sources:
        if images.skipped:
            yield f"{images.name}: {left_out_text(images.skipped)}"
        if images.remark:
            yield images.remark


MOST_SIZES = 5
"""Most sizes that a note lists."""

Sizes = tuple[tuple[int, int], ...]
"""Each distinct (H, W), in the order of the images."""


def _sizes(images: Images | None, extracted: Features | Moments | None) -> Sizes:
    """Return the sizes of a side's images; none of a statistics file that does not have them.

    Features have them. Of a folder whose moments alone were kept, or nothing, it is that of the first image.
    """
    if isinstance(extracted, Features) and extracted.powers is not None:
        return tuple(dict.fromkeys((int(height), int(width)) for _, height, width in extracted.powers.tolist()))
    if images is None:
        return ()
    return images.sizes or tuple(batch.shape[2:] for batch in islice(images.batches(1), 1))


def _note_on_sizes(protocol: Protocol, sides: Iterable[tuple[str, Sizes]]) -> Iterator[str]:
    """Say that images of several sizes are scored: what is resized more is less sharp, and the scores take note.

    Args:
        protocol: Has the size to which all are resized.
        sides: Names and sizes of the generated images, the reference, the training images and held-out real ones.
    """
    known = [(name, sizes) for name, sizes in sides if sizes]
    listed = ", ".join(dict.fromkeys(f"{_listed(sizes)} in {name}" for name, sizes in known))
    if len({frozenset(sizes) for _, sizes in known}) > 1:
        yield (
            f"images are of other sizes: {listed}; each is resized to {protocol.size}×{protocol.size} by itself, so "
            "that the sides differ in sharpness, which scores tell too"
        )
    elif any(len(sizes) > 1 for _, sizes in known):
        yield f"images are of several sizes, {listed}; each was resized by itself"


def _listed(sizes: Sizes) -> str:
    """Write `72×72`, or `3 sizes (72×72, 50×72, 31×72)`, width first."""
    few = sizes if len(sizes) <= MOST_SIZES else sizes[: MOST_SIZES - 1]  # "and 1 more" is no shorter than the size
    shown = ", ".join(f"{width}×{height}" for height, width in few)
    more = f" and {len(sizes) - len(few)} more" if len(sizes) > len(few) else ""
    return shown if len(sizes) == 1 else f"{len(sizes)} sizes ({shown}{more})"


def _notes(images: Images, target: Statistics, held_out: Images | None, train: Images | None) -> Iterator[str]:
    if images.manifest == target.manifest.images:
        yield "generated and reference images are the same"
    if train is not None and train.manifest == target.manifest.images:
        yield "training and reference images are the same, so nothing can be said of copying"
    if held_out is not None and held_out.count < images.count:
        yield f"no floor: {held_out.count} held-out real images are fewer than the {images.count} generated ones"


def _notes_on_repeats(images: Images, extracted: Features | Moments, target: Statistics) -> Iterator[str]:
    """Say how many images are there twice, or are reference images: both move every score, and no score says so."""
    if not isinstance(extracted, Features):
        return
    distinct = count_distinct(extracted.pooled)
    if distinct < images.count:
        yield f"only {distinct:,} of the {images.count:,} images of {images.name} are different ones"
    if target.features is not None and images.manifest != target.manifest.images:
        shared = count_shared(extracted.pooled, target.features.pooled)
        if shared:
            yield f"{shared:,} of the {images.count:,} images of {images.name} are reference images"


def _notes_on_scores(scores: Mapping[str, Estimate], floors: Mapping[str, Estimate]) -> Iterator[str]:
    """Say that the scores of memorisation speak of copies, where they do."""

    def value(name: str, of: Mapping[str, Estimate] = scores) -> float | None:
        return of[name].value if name in of else None

    authpct, floor = scores.get("authpct"), floors.get("authpct")
    counts = {
        "n_generated": 0 if authpct is None else authpct.n_generated,
        "n_reference": 0 if floor is None else floor.n_generated,
    }
    interval = scores["copies"].interval if "copies" in scores else None
    note = near_copies(
        value("copying_z"),
        value("authpct"),
        value("authpct", floors),
        **counts,
        copies=value("copies"),
        least_copies=0.0 if interval is None else interval[0],
    )
    if note:
        yield note
