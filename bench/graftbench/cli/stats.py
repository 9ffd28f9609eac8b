"""`graftbench stats`."""

from __future__ import annotations

from pathlib import Path

from graftbench.cli.options import DEFAULT_EXTRACTION, ExtractionOptions
from graftbench.cli.output import print_json


def stats(
    images: str,
    *,
    out: Path,
    moments: bool = False,
    extraction: ExtractionOptions = DEFAULT_EXTRACTION,
    json: bool = False,
) -> int:
    """Write reference statistics to a file, to score against without the images.

    Args:
        images: A folder of images, a .zip, .npz or .npy file, or domain:NAME@RESOLUTION/SPLIT.
        out: File NAME.safetensors.
        moments: Keep mean and covariance alone: enough for FID, small for any number of images.
        extraction: Extractor, its input and its device.
        json: Print the manifest.
    """
    from graftbench.cli.evaluate import reading
    from graftbench.scoring.evaluate import statistics_of
    from graftbench.scoring.reference_statistics import check_name

    check_name(out)
    with reading() as progress:
        statistics = statistics_of(images, moments_only=moments, **vars(extraction), progress=progress)
    statistics.save(out)
    manifest = statistics.manifest
    if json:
        print_json(manifest)
    else:
        contents = "mean and covariance" if statistics.features is None else "features"
        print(
            f"{out}: {contents} of {manifest.n_images:,} images of {manifest.name} "
            f"({out.stat().st_size / 1e6:.1f} MB), "
            f"{manifest.extraction.label}, weights {manifest.extraction.weights_sha256[:12]}."
        )
    return 0
