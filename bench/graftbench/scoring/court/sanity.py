"""The fifteen sanity checks of Räisä et al. (ICML 2025, arXiv 2505.22450), on synthetic features.

Each check draws pairs of sets whose relation is known, and states which curve a score of fidelity, of diversity, of
both or a distance must have. Distributions, parameters, criteria and tolerances are those of the paper's published
checks; there are fewer points on each curve and fewer repetitions (`SanitySize`). The paper tries scores of fidelity
and diversity. What is asked of distances and of numbers of images is ours. A distance is turned into a score, 1 at
the smallest value of a curve and 0 at the largest, or at the lower end where it must rise towards both; where it must
stay, and of numbers of images, values are divided by the largest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from graftbench.metrics.features import Features
from graftbench.scoring.court.criteria import (
    HIGH,
    LOW,
    covers_or_matches,
    falls,
    falls_early,
    is_bell,
    is_level,
    is_near,
    rises,
    settles,
)
from graftbench.scoring.court.values import of_features_alone, role_of, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from graftbench.scoring.court.criteria import Curve
    from graftbench.scoring.court.values import Role

    Points = NDArray[np.float64]
    Pair = tuple[str, float, Points, Points]
    Draw = Callable[[np.random.Generator, "SanitySize"], Iterator[Pair]]
    Judge = Callable[[Role, str, Curve], list[str]]


@dataclass(frozen=True)
class SanitySize:
    """How large the checks are.

    Attributes:
        images: Points in each set; 1,000 in the paper.
        points: Points on the long curves; 51 in the paper.
        sizes: Numbers of points where these vary; 20 numbers from 100 to 10,000 in the paper.
        dimensions: Which of the paper's three numbers of dimensions are tried.
        repetitions: Draws of all sets; the criteria are of the mean curves.
    """

    images: int = 1000
    points: int = 5
    sizes: tuple[int, ...] = (100, 300, 1000, 2000)
    dimensions: tuple[int, ...] = (0, 1, 2)
    repetitions: int = 1


QUICK = SanitySize(images=150, points=5, sizes=(50, 100, 200), dimensions=(1,), repetitions=1)


@dataclass(frozen=True)
class SanityCheck:
    """One check.

    Attributes:
        name: Its name.
        asks: What it asks, in a sentence.
        pairs: Yields group (curve), x, real set, synthetic set.
        judge: Role, group and curve -> reasons for failing, or `HIGH` and `LOW`.
        roles: For which scores it says something.
    """

    name: str
    asks: str
    pairs: Draw
    judge: Judge
    roles: tuple[str, ...] = ("fidelity", "diversity", "both", "distance")


def tried_by(check: SanityCheck, metrics: Sequence[str]) -> list[str]:
    """Return those of the metrics of which a check says something and that need neither images nor training images."""
    return [name for name in of_features_alone(metrics) if role_of(name) in check.roles]


def run_check(check: SanityCheck, metrics: Sequence[str], size: SanitySize, seed: int) -> dict[str, str]:
    """Return metric -> "" if it passes, else why it fails; only of those that are `tried_by` it."""
    tried = tried_by(check, metrics)
    sums: dict[str, dict[tuple[str, float], float]] = {name: {} for name in tried}
    for repetition in range(size.repetitions):
        for group, x, real, made in check.pairs(np.random.default_rng((seed, repetition)), size):
            for name, value in values_of(_features(made), _features(real), None, tried).items():
                sums[name][group, x] = sums[name].get((group, x), 0.0) + value / size.repetitions
    return {name: _verdict(check, name, _curves(means)) for name, means in sums.items()}


def _curves(means: dict[tuple[str, float], float]) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for (group, x), value in means.items():
        curves.setdefault(group, []).append((x, value))
    return curves


def _features(points: Points) -> Features:
    return Features.of(points, np.zeros((len(points), 0)))


def _verdict(check: SanityCheck, metric: str, groups: dict[str, Curve]) -> str:
    """Return why a metric fails a check, the first reason; "" if it does not."""
    meanings, role = set(), role_of(metric)
    for group, curve in groups.items():
        if any(math.isnan(value) for _, value in curve):
            return f"{group}: undefined".removeprefix(": ")
        for finding in check.judge(role, group, curve):
            if finding in (HIGH, LOW):
                meanings.add(finding)
            elif finding:
                return f"{group}: {finding}" if group else finding
    return "now covers, now matches" if len(meanings) > 1 else ""


def _score(role: Role, curve: Curve, *, level: bool = False, bell: bool = False) -> Curve:
    """Turn the values of a distance into scores from 0 to 1, and other unbounded ones into shares of the largest.

    Args:
        role: What the score is.
        curve: Its values.
        level: The curve must stay where it is: values are divided by the largest.
        bell: It must rise towards both ends, and may do so to very different heights: values are cut at the lower end.
    """
    if role not in ("distance", "count"):
        return curve
    values = np.array([value for _, value in curve])
    if level or role == "count":
        scores = values / (np.abs(values).max() or 1.0)
    else:
        values = np.minimum(values, min(values[0], values[-1])) if bell else values
        scores = (values.max() - values) / (np.ptp(values) or 1.0)
    return [(x, float(score)) for (x, _), score in zip(curve, scores, strict=True)]


# ------------------------------------------------------------------------------------------------------------- drawing

DIMENSIONS = (1, 8, 64)
_SHIFTS = (6.0, 3.0, 1.0)
_SPREADS = (3.0, 1.0, 0.5)
_MODE_SCALES = (1 / 6, 1 / 3, 1.0)
_MODES = 10
_CENTRES = np.array([
    *((5.47, -4.08), (4.87, -13.65), (-16.39, 9.10), (-2.15, 12.46), (11.56, -4.96)),
    *((-24.61, 14.18), (16.84, -3.19), (-5.48, -6.77), (9.47, 1.06), (-5.40, -17.29)),
])  # fmt: skip


def _dimensions(size: SanitySize) -> list[tuple[int, int]]:
    return [(i, DIMENSIONS[i]) for i in size.dimensions]


def _mean_difference(rng: np.random.Generator, size: SanitySize, outlier: str = "") -> Iterator[Pair]:
    n = size.images
    for i, d in _dimensions(size):
        real = rng.standard_normal((n, d))
        far = np.full((1, d), _SHIFTS[i])
        for shift in np.linspace(-_SHIFTS[i], _SHIFTS[i], size.points):
            made = rng.standard_normal((n, d)) + shift
            group = f"{d} D"
            if not outlier:
                yield group, shift, real, made
            if "real" in outlier:
                yield f"{group}, real outlier", shift, np.concatenate((real, far)), made
            if "made" in outlier:
                yield f"{group}, synthetic outlier", shift, real, np.concatenate((made, far))


def _spread_difference(rng: np.random.Generator, size: SanitySize) -> Iterator[Pair]:
    for i, d in _dimensions(size):
        real = rng.standard_normal((size.images, d))
        for power in np.linspace(-_SPREADS[i], _SPREADS[i], size.points):
            yield f"{d} D", power, real, rng.standard_normal((size.images, d)) * 10**power


def _mixture(rng: np.random.Generator, n: int, means: Points, scale: float, shares: Points) -> Points:
    chosen = rng.choice(len(means), n, p=shares / shares.sum())
    return means[chosen] + scale * rng.standard_normal((n, means.shape[1]))


def _dropping(rng: np.random.Generator, size: SanitySize, *, together: bool) -> Iterator[Pair]:
    for i, d in _dimensions(size):
        means = np.tile(np.linspace(0, 10, _MODES)[:, None], (1, d))
        draw = partial(_mixture, rng, size.images, means, _MODE_SCALES[i])
        real = draw(np.ones(_MODES))
        for x in (0.0, 0.25, 0.5, 0.75, 0.96, 1.0) if together else (0.0, 1.0, 3.0, 5.0, 7.0, 9.0):
            shares = np.ones(_MODES)
            if together:
                shares[1:] *= 1.0 - x
            else:
                shares[_MODES - int(x) :] = 0.0
            yield f"{d} D", x, real, draw(shares)


def _invention(rng: np.random.Generator, size: SanitySize) -> Iterator[Pair]:
    draw = partial(_mixture, rng, size.images, _CENTRES, 0.25)
    half = (np.arange(10) < 5).astype(float)
    real = draw(half)
    for count in range(1, 11):
        yield "", float(count), real, draw((np.arange(10) < count).astype(float))


def _sphere_surface(rng: np.random.Generator, size: SanitySize) -> Iterator[Pair]:
    def drawn(dimensions: int, radius: float) -> Points:
        directions = rng.standard_normal((size.images, dimensions))
        return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)

    for i in size.dimensions:
        d = 2 * DIMENSIONS[i]
        real = drawn(d, 1.0)
        for radius in np.linspace(0.1, 1.9, size.points):
            yield f"{d} D", radius, real, drawn(d, radius)


def _cubes(rng: np.random.Generator, size: SanitySize, *, both: bool) -> Iterator[Pair]:
    for _, d in _dimensions(size):
        start = 1.0 - 0.2 ** (1 / d)
        for n in size.sizes:
            real = rng.random((n if both else size.images, d))
            yield f"{d} D", float(n), real, rng.random((n, d)) + start


def _torus_and_ball(rng: np.random.Generator, size: SanitySize) -> Iterator[Pair]:
    def ball(n: int) -> Points:
        directions = rng.standard_normal((n, 3))
        return 0.8 * rng.random((n, 1)) ** (1 / 3) * directions / np.linalg.norm(directions, axis=1, keepdims=True)

    def torus(n: int) -> Points:
        angle, turn, tube = 2 * np.pi * rng.random(n), 2 * np.pi * rng.random(n), 0.1 * np.sqrt(rng.random(n))
        ring = 1.0 + tube * np.cos(turn)
        return np.column_stack((ring * np.cos(angle), ring * np.sin(angle), tube * np.sin(turn)))

    for group, real, made in (("real ball", ball, torus), ("real torus", torus, ball)):
        fixed = real(size.images)
        for n in size.sizes:
            yield group, float(n), fixed, made(n)


def _one_or_two_modes(rng: np.random.Generator, size: SanitySize) -> Iterator[Pair]:
    n = size.images
    for _, d in _dimensions(size):
        for gap in np.linspace(0, 5, 6):
            sign = rng.choice((-0.5, 0.5), (n, 1))
            real = gap * sign + rng.standard_normal((n, d))
            yield f"{d} D", gap, real, math.sqrt(1 + gap**2) * rng.standard_normal((n, d))


def _scaled_dimension(rng: np.random.Generator, size: SanitySize) -> Iterator[Pair]:
    for power in np.linspace(-3, 3, 7):
        scale = np.array([1.0, 10**power])
        real, made = rng.standard_normal((2, size.images, 2)) * scale
        yield "", power, real, made + np.array([6.0, 0.0])


def _pareto(rng: np.random.Generator, size: SanitySize) -> Iterator[Pair]:
    def drawn(shift: float) -> Points:
        return np.column_stack((rng.standard_normal(size.images) + shift, rng.pareto(1.01, size.images) + 1.0))

    real = drawn(0.0)
    for shift in np.linspace(-6, 6, size.points):
        yield "", shift, real, drawn(shift)


def _one_disjoint_dimension(rng: np.random.Generator, size: SanitySize) -> Iterator[Pair]:
    for extra in (1, 10, 100, 1000) if len(size.dimensions) > 1 else (1, 100):
        real, made = rng.standard_normal((2, size.images, extra + 1))
        made[:, 0] += 6.0
        yield "", float(extra), real, made


def _discrete(rng: np.random.Generator, size: SanitySize) -> Iterator[Pair]:
    for group in ("real discrete", "real continuous"):
        for power in np.linspace(0, 3, 7):
            real, made = 10**power * rng.standard_normal((2, size.images, 1))
            pair = (np.round(real), made) if group == "real discrete" else (real, np.round(made))
            yield group, power, *pair


# ------------------------------------------------------------------------------------------------------------- judging


def _bell(role: Role, _: str, curve: Curve, middle: float = 0.0) -> list[str]:
    ends = [] if role == "distance" else [is_near(curve, middle, 1.0, "equal sets")]
    if role != "distance":
        ends += [is_near(curve, curve[i][0], 0.0, "sets far apart") for i in (0, -1)]
    return [is_bell(_score(role, curve, bell=True), middle), *ends]


def _of_spread(role: Role, _: str, curve: Curve) -> list[str]:
    narrow, wide = curve[0][0], curve[-1][0]
    if role == "distance":
        return [is_bell(_score(role, curve, bell=True), 0.0)]
    if role == "count":
        return [rises(_score(role, curve))]
    ends = [is_near(curve, 0.0, 1.0, "equal sets")]
    if role == "fidelity":
        return [falls(curve), *ends, is_near(curve, narrow, 1.0, "narrow"), is_near(curve, wide, 0.0, "wide")]
    if role == "both":
        return [is_bell(curve, 0.0), *ends, is_near(curve, narrow, 0.0, "narrow"), is_near(curve, wide, 0.0, "wide")]
    shape = HIGH if not rises(curve) else LOW if not is_bell(curve, 0.0) else f"no rise and no bell: {rises(curve)}"
    return [shape, *ends, is_near(curve, narrow, 0.0, "narrow"), covers_or_matches(curve, wide, "wide")]


def _of_dropping(role: Role, _: str, curve: Curve, early: float) -> list[str]:
    if role == "fidelity":
        return [is_level(curve), is_near(curve, 0.0, 1.0, "equal sets"), is_near(curve, curve[-1][0], 1.0, "one mode")]
    shape = falls_early(_score(role, curve), early)
    return [shape] if role in ("distance", "count") else [shape, is_near(curve, 0.0, 1.0, "equal sets")]


def _of_invention(role: Role, _: str, curve: Curve) -> list[str]:
    if role == "distance":
        return [is_bell(_score(role, curve, bell=True), 5.0)]
    if role == "count":
        return [rises(_score(role, curve))]
    equal = is_near(curve, 5.0, 1.0, "equal sets")
    if role == "fidelity":
        return [falls(curve), equal, is_near(curve, 1.0, 1.0, "one mode")]
    if role == "both":
        return [is_bell(curve, 5.0), equal]
    return [rises(curve), equal, is_near(curve, 10.0, 1.0, "all modes and as many invented")]


def _of_sizes(role: Role, _: str, curve: Curve, target: float) -> list[str]:
    if role == "distance":
        return [settles(_score(role, curve, level=True))]
    return [settles(curve), is_near(curve, curve[-1][0], target, "most points")]


def _of_modes(role: Role, _: str, curve: Curve) -> list[str]:
    if role == "distance":
        return [falls(_score(role, curve))]
    equal = is_near(curve, 0.0, 1.0, "equal sets")
    if role == "diversity":
        return [HIGH if not is_level(curve) else LOW if not falls(curve) else "neither level nor falling", equal]
    return [falls(curve), equal]


def _level_and_apart(role: Role, _: str, curve: Curve) -> list[str]:
    if role == "distance":
        return [is_level(_score(role, curve, level=True))]
    return [is_level(curve), *(is_near(curve, curve[i][0], 0.0, "disjoint sets") for i in (0, -1))]


def _of_rounding(role: Role, group: str, curve: Curve) -> list[str]:
    ends = curve[0][0], curve[-1][0]
    words = ("coarse", "fine")
    if role == "both":
        return [is_level(curve), *(is_near(curve, x, 0.0, what) for x, what in zip(ends, words, strict=True))]
    if role == "fidelity":
        target = 0.0 if group == "real discrete" else 1.0
        return [is_level(curve), *(is_near(curve, x, target, what) for x, what in zip(ends, words, strict=True))]
    if group == "real discrete":
        return [is_level(curve), *(covers_or_matches(curve, x, what) for x, what in zip(ends, words, strict=True))]
    return [is_level(curve), *(is_near(curve, x, 0.0, what) for x, what in zip(ends, words, strict=True))]


_SHARES = ("fidelity", "diversity", "both")
_ALL = (*_SHARES, "distance", "count")

CHECKS = (
    SanityCheck("Gaussian mean difference", "falls as the means part", _mean_difference, _bell),
    SanityCheck(
        "mean difference with outlier",
        "one outlier on either side changes nothing",
        partial(_mean_difference, outlier="real and made"),
        _bell,
    ),
    SanityCheck("Gaussian spread difference", "tells narrow from wide", _spread_difference, _of_spread, roles=_ALL),
    SanityCheck(
        "simultaneous mode dropping",
        "nine of ten modes get rarer: variety falls, fidelity does not",
        partial(_dropping, together=True),
        partial(_of_dropping, early=0.96),
        roles=_ALL,
    ),
    SanityCheck(
        "sequential mode dropping",
        "modes go one by one: variety falls, fidelity does not",
        partial(_dropping, together=False),
        partial(_of_dropping, early=5.0),
        roles=_ALL,
    ),
    SanityCheck(
        "mode dropping and invention",
        "1 to 5 of five real modes, then invented ones",
        _invention,
        _of_invention,
        roles=_ALL,
    ),
    SanityCheck(
        "hypersphere surface", "falls inside the sphere as outside", _sphere_surface, partial(_bell, middle=1.0)
    ),
    SanityCheck(
        "hypercube, varying size",
        "a fifth overlaps, at any number of points",
        partial(_cubes, both=True),
        partial(_of_sizes, target=0.2),
    ),
    SanityCheck(
        "hypercube, varying synthetic size",
        "a fifth overlaps, at any number of synthetic points",
        partial(_cubes, both=False),
        partial(_of_sizes, target=0.2),
    ),
    SanityCheck(
        "sphere against torus", "0 for a torus around a ball, and back", _torus_and_ball, partial(_of_sizes, target=0.0)
    ),
    SanityCheck("mode collapse", "one Gaussian in place of two modes", _one_or_two_modes, _of_modes),
    SanityCheck("scaling one dimension", "units do not matter", _scaled_dimension, _level_and_apart),
    SanityCheck("mean difference with Pareto", "a heavy tail beside hides nothing", _pareto, _bell),
    SanityCheck(
        "one disjoint dimension", "many equal dimensions do not hide it", _one_disjoint_dimension, _level_and_apart
    ),
    SanityCheck("discrete against continuous", "rounded numbers are told", _discrete, _of_rounding, roles=_SHARES),
)
"""The fifteen checks, in the paper's order of figures."""
