"""The whole trial of all scores, kept step by step: what is in the file of results is not computed again.

Of a score or a failure that is new only its own part is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from graftbench.cache import atomic_file
from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import content_hash
from graftbench.scoring.court.failures import (
    DOSES,
    FAILURES,
    drawn_values,
    planted_pool,
    reading_of,
)
from graftbench.scoring.court.generators import agreements
from graftbench.scoring.court.sanity import CHECKS, QUICK, SanitySize, run_check, tried_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from graftbench.images.prepared import ImageSet
    from graftbench.records.record import Record
    from graftbench.scoring.features import FeatureReader

RESULTS = "results.json"

DoseTuple: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class CourtSize:
    """How much is tried.

    Attributes:
        sanity: Of the sanity checks.
        images: Number of generated images -> draws of sets with a failure, per dose.
        clean: Number of generated images -> draws of sets without any.
        doses: Doses of each failure.
        limit: Images of the domain that are used; 0 for all.
    """

    sanity: SanitySize
    images: dict[int, int]
    clean: dict[int, int]
    doses: tuple[float, ...] = DOSES
    limit: int = 0


FULL = CourtSize(SanitySize(), images={200: 10, 600: 10, 50: 10, 2000: 5}, clean={200: 30, 600: 30, 50: 30, 2000: 15})
"""The numbers of images on which verdicts rest come first: a trial that is stopped has them."""

SMALL = CourtSize(QUICK, images={50: 3}, clean={50: 6}, doses=(0.1, 0.5), limit=500)


class CourtResults(msgspec.Struct):
    """What the trial came to.

    Attributes:
        key: Over the settings, the images and the protocol: results of others are not gone on with.
        protocol: Label of the protocol of the features of images.
        domain: Name of the domain of the images.
        metrics: Names of what was asked for last; all else that was tried stays.
        sanity: Check -> metric -> why it fails, "" if it does not.
        kept_shares: As in `PlantedPool`.
        clean: Number of images -> metric -> values of sets without a failure; empty where one is undefined.
        doses: `IMAGES/FAILURE/DOSE` -> metric -> mean, share of draws told, share of draws praised; None where one is
            undefined.
        ranks: Truth -> metric -> τ, lower and upper end, cells, tasks.
    """

    key: str
    protocol: str
    domain: str
    metrics: list[str]
    sanity: dict[str, dict[str, str]] = {}
    kept_shares: dict[str, float] = {}
    clean: dict[int, dict[str, list[float]]] = {}
    doses: dict[str, dict[str, DoseTuple | None]] = {}
    ranks: dict[str, dict[str, tuple[float, float, float, int, int]]] = {}


def try_scores(
    metrics: Sequence[str],
    size: CourtSize,
    domain: ImageSet,
    reader: FeatureReader,
    out: Path,
    *,
    records: Iterable[Record] = (),
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> CourtResults:
    """Try scores, and go on where an earlier call with the same settings stopped.

    Args:
        metrics: Names of the catalogue.
        size: How much is tried.
        domain: Images that know their factors.
        reader: Of the protocol of their features.
        out: Folder of `results.json`.
        records: Of fitted generators; none to leave out their ranks.
        seed: Of all draws.
        say: Is told what begins.
    """
    path = out / RESULTS
    key = content_hash([repr(size), domain.manifest, reader.protocol.label, seed])[:16]
    results = load_results(path) if path.exists() else None
    if results is None or results.key != key:
        results = CourtResults(key, reader.protocol.label, domain.domain, [])
    results.metrics = list(metrics)

    # Sanity checks, on synthetic features.
    for check in CHECKS:
        passed = results.sanity.setdefault(check.name, {})
        if missing := [name for name in tried_by(check, metrics) if name not in passed]:
            say(f"sanity check: {check.name}")
            passed |= run_check(check, missing, size.sanity, seed)
            _save(results, path)

    # Rank agreement, from records.
    results.ranks = {
        truth: {name: (each.tau, each.low, each.high, each.cells, each.tasks) for name, each in found.items()}
        for truth, found in agreements(records, seed=seed).items()
    }

    # Planted failures: of each number of images clean sets first, which the others are compared with.
    pool = None
    for n, draws in size.images.items():
        clean = results.clean.get(n, {})
        for failure, dose in [("", 0.0), *((failure, dose) for failure in FAILURES for dose in size.doses)]:
            found = results.doses.get(f"{n}/{failure}/{dose:g}", {})
            missing = [name for name in metrics if name not in (found if failure else clean)]
            if not missing:
                continue
            if pool is None:
                say("features of the images")
                pool = planted_pool(domain, reader, seed=seed, limit=size.limit)
                results.kept_shares = pool.kept_shares
            say(f"{n} images: {failure}, {dose:g}" if failure else f"{n} images: clean")
            times = draws if failure else size.clean[n]
            values = drawn_values(pool, n, times, missing, failure=failure, dose=dose, seed=seed)
            if failure:
                read = {name: _reading(name, clean[name], values[name]) for name in missing}
                results.doses[f"{n}/{failure}/{dose:g}"] = found | read
            else:
                clean |= {name: _kept(each) for name, each in values.items()}
                results.clean[n] = clean
            _save(results, path)
    _save(results, path)
    return results


def load_results(path: Path) -> CourtResults:
    """Read a file of results.

    Raises:
        GraftbenchError: There is none, or it is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=CourtResults)
    except (OSError, msgspec.MsgspecError) as error:
        raise GraftbenchError(f"'{path}' holds no results of `graftbench court` ({error}).") from error


def _kept(values: Sequence[float]) -> list[float]:
    """Return the values in six digits; nothing where one is undefined."""
    return [float(f"{value:.6g}") for value in values] if all(value == value for value in values) else []  # noqa: PLR0124 - not NaN


def _reading(metric: str, clean: Sequence[float], dosed: Sequence[float]) -> DoseTuple | None:
    reading = reading_of(metric, clean, dosed) if clean else None
    return None if reading is None else (round(reading.mean, 6), reading.told, reading.praised)


def _save(results: CourtResults, path: Path) -> None:
    with atomic_file(path) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
