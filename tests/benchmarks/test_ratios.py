"""The script behind `make bench-compare`, on made-up files of pytest-benchmark and on one that it wrote."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def load() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("ratios", ROOT / "tests" / "benchmarks" / "ratios.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ratios"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


ratios = load()

STEADY = [1.00, 1.01, 0.99, 1.02, 0.98]


def entry(group: str, who: str | None, seconds: list[float], **extra: Any) -> dict[str, Any]:
    """A benchmark as pytest-benchmark stores it, as far as it is read."""
    return {
        "group": group,
        "name": who or "test_it",
        "fullname": f"tests/{group}",
        "extra_info": ({"who": who} if who else {}) | extra,
        "stats": {"data": seconds, "median": sorted(seconds)[len(seconds) // 2]},
    }


def file(path: Path, entries: list[dict[str, Any]], cpu: str = "A") -> Path:
    """Such a file."""
    path.write_text(json.dumps({"machine_info": {"cpu": {"brand_raw": cpu}}, "benchmarks": entries}))
    return path


def pair(scale: float = 1.0, *, slower_machine: float = 1.0) -> list[dict[str, Any]]:
    """Ours at 2 s and the peer at 4 s, ours times `scale`."""
    return [
        entry("kid", "graftbench", [2 * scale * slower_machine * each for each in STEADY]),
        entry("kid", "torch-fidelity", [4 * slower_machine * each for each in STEADY]),
    ]


def ended(capsys: pytest.CaptureFixture[str], *paths: Path) -> tuple[int, str]:
    """Exit code and what was printed."""
    code = ratios.main([str(path) for path in paths])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_a_ratio_by_hand() -> None:
    """2 s against 4 s: 0.5; the error of each median is √(π/2) s/√5, and both add up as squares."""
    found = ratios.apart([2 * each for each in STEADY], [4 * each for each in STEADY])
    assert math.exp(found.log) == pytest.approx(0.5)
    one = math.sqrt(math.pi / 2) * stdev(math.log(each) for each in STEADY) / math.sqrt(5)
    assert found.error == pytest.approx(math.sqrt(2) * one)
    assert (found.rounds, found.freedom) == (5, pytest.approx(8.0))  # Welch's, of equal errors: both together


def test_by_turns_a_busy_minute_cancels() -> None:
    """Rounds that were three times as slow for both leave the ratio and its error as they are."""
    busy = [1, 1, 3, 3, 1]
    found = ratios.by_turns([2.0 * each for each in busy], [4.0 * each for each in busy])
    assert math.exp(found.log) == pytest.approx(0.5)
    assert found.error == pytest.approx(0.0, abs=1e-12)
    assert ratios.apart([2.0 * each for each in busy], [4.0 * each for each in busy]).error > 0.3


def test_one_outlier_of_many_rounds_adds_no_noise() -> None:
    """From ten rounds on the spread is robust."""
    steady = [1.0 + 0.01 * (i % 3) for i in range(12)]
    assert ratios._error([math.log(each) for each in [*steady, 50.0]]) < 0.01


def test_a_slower_machine_is_no_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All times three times as long, on another processor: the same ratios, and a word about the machine."""
    old, new = file(tmp_path / "old.json", pair()), file(tmp_path / "new.json", pair(slower_machine=3.0), "B")
    code, text = ended(capsys, old, new)
    assert code == 0
    assert "Other machines (A; B)" in text
    assert "No ratio of 1 got worse" in text


def test_a_kernel_that_got_slower_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours takes half as long again while the peer does not: exit code 1; the other way round it is better."""
    old, new = file(tmp_path / "old.json", pair()), file(tmp_path / "new.json", pair(1.5))
    code, text = ended(capsys, old, new)
    assert code == 1
    assert "+50%" in text
    assert "worse" in text
    assert "1 ratio of 1 got worse" in text
    code, text = ended(capsys, new, old)
    assert (code, "better" in text) == (0, True)


def test_both_the_threshold_and_the_noise_decide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """15 % without noise is within the threshold; 50 % amid rounds that differ twofold is noise."""
    old = file(tmp_path / "old.json", pair())
    code, _ = ended(capsys, old, file(tmp_path / "small.json", pair(1.15)))
    assert code == 0
    noisy = pair(1.5)
    noisy[0]["stats"]["data"] = [2.0, 4.0, 3.0, 2.1, 4.2]
    code, text = ended(capsys, old, file(tmp_path / "noisy.json", noisy))
    assert code == 0
    assert "+50%" in text


def test_false_alarms_are_rare() -> None:
    """Equal code with 10 % noise on each of 3, 5 or 9 rounds: at most 2.5 % come out worse.

    The interval is two-sided at 95 %, and the threshold takes more away; of 600 trials 2.5 % are 15, and 30 lie four
    standard deviations (of √(600·0.025·0.975) = 3.8) above.
    """
    draw = np.random.default_rng(0)
    for rounds in (3, 5, 9):

        def one(rounds: int = rounds) -> Any:
            return ratios.apart(*np.exp(draw.normal(0, 0.1, (2, rounds))).tolist())

        assert sum(ratios.judge(one(), one()).word == "worse" for _ in range(600)) <= 30


def test_many_ratios_share_the_level() -> None:
    """What is beyond the noise of one ratio is within that of twelve: t quantiles 2.31 and 3.96 of 8 degrees."""
    old, new = ratios.Ratio(0.0, 0.06, 4.0, 5), ratios.Ratio(0.25, 0.06, 4.0, 5)
    assert [ratios.judge(old, new, count).word for count in (1, 12)] == ["worse", "same"]
    found = [ratios.judge(old, new, count).noise / math.hypot(0.06, 0.06) for count in (1, 12)]
    assert found == pytest.approx([2.306, 3.962], abs=0.001)


def test_a_steady_side_needs_few_rounds() -> None:
    """Welch's degrees of freedom are the noisier side's: 8 of nine rounds beside two that are all but equal."""
    noisy = [1.0, 1.2, 0.9, 1.1, 1.0, 0.8, 1.05, 0.95, 1.15]
    assert ratios.apart(noisy, [4.0, 4.0001]).freedom == pytest.approx(8.0, abs=0.01)
    assert ratios.apart([1.0] * 3, [2.0] * 5).freedom == 2  # no noise at all: the fewer


def test_one_round_is_not_judged() -> None:
    """No noise is known."""
    verdict = ratios.judge(ratios.apart([1.0], [1.0]), ratios.apart([9.0], [1.0]))
    assert (verdict.word, verdict.noise) == ("not judged", None)
    assert verdict.change == pytest.approx(8.0)


def test_peers_timed_by_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their seconds stand with ours, round by round."""

    def turns(scale: float) -> list[dict[str, Any]]:
        peers = {"bare loop": [each / 2 for each in STEADY]}
        return [entry("training", "graftbench", [scale * each for each in STEADY], peer_seconds=peers)]

    old, new = file(tmp_path / "old.json", turns(1.0)), file(tmp_path / "new.json", turns(1.3))
    code, text = ended(capsys, old, new)
    assert code == 1
    assert "bare loop" in text
    assert "+30%" in text


def test_what_has_no_peer_is_shown_and_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred times slower alone: seconds of another day say nothing."""
    old = file(tmp_path / "old.json", [*pair(), entry("plan", None, [1.0] * 3)])
    new = file(tmp_path / "new.json", [*pair(), entry("plan", None, [100.0] * 3), entry("report", None, [1.0])])
    code, text = ended(capsys, old, new)
    assert code == 0
    assert "Without a peer, not judged" in text
    lines = {line.split()[0]: line.split()[-2:] for line in text.splitlines() if line.startswith(("plan", "report"))}
    assert lines == {"plan": ["1", "100"], "report": ["—", "1"]}


def test_missing_groups_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A benchmark that is gone, and one that is new."""
    gone = [entry("fid", "graftbench", STEADY), entry("fid", "torch-fidelity", STEADY)]
    fresh = [entry("prdc", "graftbench", STEADY), entry("prdc", "prdc", STEADY)]
    old, new = file(tmp_path / "old.json", [*pair(), *gone]), file(tmp_path / "new.json", [*pair(), *fresh])
    code, text = ended(capsys, old, new)
    assert code == 0
    assert "Only in the old file: fid / torch-fidelity." in text
    assert "Only in the new file: prdc / prdc." in text


def test_bad_input_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No file, another file, one without the rounds' data, nothing in common, too many files, nothing stored."""
    good = file(tmp_path / "good.json", pair())
    other = tmp_path / "other.json"
    other.write_text("[]")
    bare = pair()
    del bare[0]["stats"]["data"]
    for new, told in (
        (tmp_path / "absent.json", "absent.json' is no file of `make bench`"),
        (other, "other.json' is no file"),
        (file(tmp_path / "bare.json", bare), "--benchmark-save-data"),
        (file(tmp_path / "alone.json", [entry("plan", None, [1.0])]), "no benchmark with a peer in common"),
    ):
        code, text = ended(capsys, good, new)
        assert (code, told in text) == (2, True), text
    assert ended(capsys, good, good, good)[0] == 2
    with pytest.raises(ratios.BadInputError, match=r"holds 0 stored runs and 2 are needed: make bench stores one"):
        ratios.files([], tmp_path)


def test_the_last_stored_files_are_taken(tmp_path: Path) -> None:
    """pytest-benchmark numbers what it stores."""
    folder = tmp_path / "Linux-CPython-3.11-64bit"
    folder.mkdir()
    paths = [file(folder / f"{number:04}_abc.json", pair()) for number in (1, 2, 10)]
    assert ratios.files([], tmp_path) == (paths[1], paths[2])
    assert ratios.files(["x.json"], tmp_path) == (Path("x.json"), paths[2])


pytest_plugins = ["pytester"]


@pytest.mark.long  # it imports torch in a process of its own
def test_what_pytest_benchmark_writes_is_read(pytester: pytest.Pytester) -> None:
    """Two benchmarks of a group, one timed by turns as `versus` does it, and one alone, from file to ratio."""
    pytester.makeconftest((ROOT / "tests" / "benchmarks" / "conftest.py").read_text("utf-8"))
    pytester.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.parametrize("who,seconds", [("graftbench", 0.001), ("peer", 0.004)])
        def test_apart(benchmark, who, seconds):
            benchmark.group, benchmark.name = "apart", who
            benchmark.extra_info["who"] = who
            benchmark.pedantic(time.sleep, args=(seconds,), rounds=3)

        def test_turns(versus):
            versus("turns", lambda: time.sleep(0.001) or 1, {"loop": lambda: time.sleep(0.004) or 1}, rounds=4)

        def test_alone(benchmark):
            benchmark.pedantic(time.sleep, args=(0.001,), rounds=2)
        """
    )
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--benchmark-json=out.json")
    done.assert_outcomes(passed=4)
    found = ratios.read(pytester.path / "out.json")
    assert found.ratios.keys() == {("apart", "peer"), ("turns", "loop")}
    assert {key: ratio.rounds for key, ratio in found.ratios.items()} == {("apart", "peer"): 3, ("turns", "loop"): 4}
    assert all(ratio.log < 0 for ratio in found.ratios.values())  # 1 ms of sleep against 4
    assert len(found.alone) == 1
