"""Compare two files of `make bench` by ratios: our time over a peer's, measured in the same run.

    python tests/benchmarks/ratios.py [OLD.json [NEW.json]]

Without files: the last two that are stored in .benchmarks; with one: that against the last. Times of two days or two
machines do not compare, ratios of things timed side by side do. A benchmark is ours where its `extra_info` has `who` =
graftbench; its peers are the others of its group, and those whose seconds stand in its `peer_seconds`, round by round.
The latter is the way (`versus` in conftest.py): benchmarks that run minutes apart on a busy machine differ by more than
their own rounds show.

A ratio got worse where it grew by more than 20 % *and* by more than the noise of both files. Noise: the logarithms of
the rounds' seconds (of those timed by turns: of their ratios) have a standard deviation s, robust where there are many;
the median of n rounds then errs by 1.25 s/√n (√(π/2), the asymptotic factor of a normal median). Errors add up as
squares, their degrees of freedom by Welch and Satterthwaite, and Student's quantile gives two-sided intervals that hold
for all ratios together with 95 % (Bonferroni).

Exit code: 0; 1 where a ratio got worse; 2 bad input. What has no peer is shown and never judged.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median, stdev
from typing import Any

from scipy.special import stdtrit

THRESHOLD = 0.2
LEVEL = 0.95
MANY_ROUNDS = 10
"""From here on the spread is taken from the median absolute deviation; of fewer the standard deviation is safer."""
STORE = Path(__file__).parents[2] / ".benchmarks"
OURS = "graftbench"


class BadInputError(Exception):
    """What is said before ending with exit code 2."""


@dataclass(frozen=True)
class Ratio:
    """Our time over a peer's.

    Attributes:
        log: Natural logarithm of the ratio of medians, or of the median ratio of rounds.
        error: Standard error of it; None of one round.
        freedom: Degrees of freedom of the error; 0 of one round.
        rounds: The fewer of both.
    """

    log: float
    error: float | None
    freedom: float
    rounds: int


Key = tuple[str, str]
"""(group, peer)."""


@dataclass(frozen=True)
class Measured:
    """What a file says.

    Attributes:
        name: The file's.
        machine: The processor.
        ratios: Group and peer -> the ratio.
        alone: Group -> our median seconds, where there is no peer.
    """

    name: str
    machine: str
    ratios: dict[Key, Ratio]
    alone: dict[str, float]


# ------------------------------------------------------------------------------------------------------------ reading


def read(path: Path) -> Measured:
    """The ratios of a file that pytest-benchmark wrote, with the rounds' times.

    Raises:
        BadInputError: There is no such file, or it is not of that form.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        machine = str(data["machine_info"].get("cpu", {}).get("brand_raw", "unknown"))
        groups: dict[str, list[dict[str, Any]]] = {}
        for entry in data["benchmarks"]:
            groups.setdefault(entry["group"] or entry["fullname"], []).append(entry)
        ratios: dict[Key, Ratio] = {}
        alone: dict[str, float] = {}
        for group, entries in groups.items():
            found = _ratios(entries)
            ratios |= {(group, who): ratio for who, ratio in found.items()}
            if not found:
                alone |= {_name(group, entry, entries): float(entry["stats"]["median"]) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"'{path}' is no file of `make bench` ({type(error).__name__}: {error}); it takes pytest-benchmark's JSON "
            "with the data of all rounds (--benchmark-save-data)."
        ) from error
    return Measured(path.name, machine, ratios, alone)


def _name(group: str, entry: dict[str, Any], entries: list[dict[str, Any]]) -> str:
    return group if len(entries) == 1 else f"{group}: {entry['name']}"


def _ratios(entries: list[dict[str, Any]]) -> dict[str, Ratio]:
    """Peer -> ratio, of one group; one of its benchmarks at most is ours."""
    ours = [entry for entry in entries if entry["extra_info"].get("who") == OURS]
    if len(ours) != 1:
        return {}
    seconds = [float(value) for value in ours[0]["stats"]["data"]]
    found = {
        entry["extra_info"]["who"]: apart(seconds, [float(value) for value in entry["stats"]["data"]])
        for entry in entries
        if entry is not ours[0] and "who" in entry["extra_info"]
    }
    for who, values in ours[0]["extra_info"].get("peer_seconds", {}).items():
        found[who] = by_turns(seconds, [float(value) for value in values])
    return found


# --------------------------------------------------------------------------------------------------------- statistics


def apart(ours: list[float], peer: list[float]) -> Ratio:
    """The ratio of medians of two benchmarks that ran one after the other."""
    log, rounds = math.log(median(ours) / median(peer)), min(len(ours), len(peer))
    errors = [(_error([math.log(value) for value in values]), len(values) - 1.0) for values in (ours, peer)]
    return Ratio(log, *_together(errors), rounds)


def by_turns(ours: list[float], peer: list[float]) -> Ratio:
    """The median of the rounds' ratios: what slows a round down slows both."""
    logs = [math.log(mine / theirs) for mine, theirs in zip(ours, peer, strict=True)]
    return Ratio(median(logs), _error(logs), len(logs) - 1.0, len(logs))


def _together(errors: list[tuple[float | None, float]]) -> tuple[float | None, float]:
    """The error of a difference and its degrees of freedom (Welch, Satterthwaite), of errors and theirs."""
    known = [(error, freedom) for error, freedom in errors if error is not None]
    if len(known) < len(errors):
        return None, 0.0
    total = math.hypot(*(error for error, _ in known))
    parts = sum(error**4 / freedom for error, freedom in known)
    return total, total**4 / parts if parts else min(freedom for _, freedom in known)


def _error(logs: list[float]) -> float | None:
    """Standard error of the median; None of one value."""
    if len(logs) < 2:
        return None
    if len(logs) < MANY_ROUNDS:
        spread = stdev(logs)
    else:
        centre = median(logs)
        spread = 1.4826 * median(abs(value - centre) for value in logs)  # of a normal distribution: its deviation
    return math.sqrt(math.pi / 2) * spread / math.sqrt(len(logs))


@dataclass(frozen=True)
class Verdict:
    """What became of a ratio.

    Attributes:
        change: New ratio over old, less 1; above zero is slower.
        noise: Half of the interval of log(1 + change); None where a file has one round.
        word: `worse`, `better`, `same`, or `not judged`.
    """

    change: float
    noise: float | None
    word: str


def judge(old: Ratio, new: Ratio, ratios: int = 1) -> Verdict:
    """Whether the ratio, one of so many, changed by more than the threshold and by more than noise."""
    log = new.log - old.log
    change = math.exp(log) - 1
    error, freedom = _together([(old.error, old.freedom), (new.error, new.freedom)])
    if error is None:
        return Verdict(change, None, "not judged")
    noise = float(stdtrit(freedom, 1 - (1 - LEVEL) / (2 * ratios))) * error
    if abs(log) <= max(noise, math.log1p(THRESHOLD)):
        return Verdict(change, noise, "same")
    return Verdict(change, noise, "worse" if log > 0 else "better")


# ------------------------------------------------------------------------------------------------------------- output


def compared(old: Measured, new: Measured) -> tuple[list[str], int]:
    """Lines to print, and the exit code.

    Raises:
        BadInputError: The files have no ratio in common.
    """
    both = [key for key in new.ratios if key in old.ratios]
    if not both:
        raise BadInputError(f"'{old.name}' and '{new.name}' have no benchmark with a peer in common.")
    lines = [f"{new.name} against {old.name}: our time over the peer's, both of one run", ""]
    if old.machine != new.machine:
        lines += [f"Other machines ({old.machine}; {new.machine}): ratios travel better than times, not perfectly.", ""]
    lines.append(f"{'benchmark':<44} {'peer':<15} {'old':>7} {'new':>7} {'change':>8} {'noise':>7}")
    verdicts = {key: judge(old.ratios[key], new.ratios[key], len(both)) for key in both}
    order = {"worse": 0, "better": 1, "not judged": 2, "same": 3}
    for key in sorted(both, key=lambda key: order[verdicts[key].word]):
        lines.append(_line(key, old.ratios[key], new.ratios[key], verdicts[key]))
    for title, keys in (
        ("Only in the old file", old.ratios.keys() - new.ratios.keys()),
        ("Only in the new file", new.ratios.keys() - old.ratios.keys()),
    ):
        if keys:
            lines += ["", f"{title}: {'; '.join(' / '.join(key) for key in sorted(keys))}."]
    if new.alone:
        lines += ["", "Without a peer, not judged (seconds, old and new):"]
        for group, seconds in new.alone.items():
            before = f"{old.alone[group]:.3g}" if group in old.alone else "—"
            lines.append(f"{group[:60]:<60} {before:>7} {seconds:>7.3g}")
    worse = sum(verdict.word == "worse" for verdict in verdicts.values())
    told = "No ratio" if not worse else "1 ratio" if worse == 1 else f"{worse} ratios"
    lines += ["", f"{told} of {len(both)} got worse by more than {THRESHOLD:.0%} and by more than noise."]
    return lines, int(worse > 0)


def _line(key: Key, old: Ratio, new: Ratio, verdict: Verdict) -> str:
    noise = "—" if verdict.noise is None else f"±{math.expm1(verdict.noise):.0%}"
    numbers = f"{math.exp(old.log):>7.3g} {math.exp(new.log):>7.3g} {verdict.change:>+8.0%} {noise:>7}"
    return f"{key[0][:44]:<44} {key[1][:15]:<15} {numbers}  {'' if verdict.word == 'same' else verdict.word}".rstrip()


def files(arguments: list[str], store: Path = STORE) -> tuple[Path, Path]:
    """Old and new.

    Raises:
        BadInputError: More than two are named, or fewer than needed are stored.
    """
    if len(arguments) > 2:
        raise BadInputError(f"Two files at most, OLD and NEW; found {len(arguments)}.")
    if len(arguments) == 2:
        return Path(arguments[0]), Path(arguments[1])
    stored = sorted(store.glob("*/*.json"), key=lambda path: path.name)
    needed = 2 - len(arguments)
    if len(stored) < needed:
        raise BadInputError(
            f"'{store}' holds {len(stored)} stored runs and {needed} are needed: make bench stores one."
        )
    return (Path(arguments[0]), stored[-1]) if arguments else (stored[-2], stored[-1])


def main(arguments: list[str]) -> int:
    """Print the comparison; the exit code."""
    try:
        lines, code = compared(*map(read, files(arguments)))
    except BadInputError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
