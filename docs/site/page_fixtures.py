"""What a page's folder may hold before its first block, made from the committed records or by real cells.

`<!-- needs: runs/quick -->` on a page asks for the entry `runs/quick`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.regression.baselines import save
from graftbench.suites.suite import packaged_suites

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOCS = Path(__file__).parents[1]
QUICK = DOCS / "quick" / "records.jsonl"
EMOJI = DOCS.parent / "tests" / "support" / "emoji" / "records.jsonl"
EMOJI_SUITE = DOCS / "examples" / "emoji.toml"
"""What the records of EMOJI are of."""


def quick_run(folder: Path) -> None:
    """Write the committed run of the quick suite, as `graftbench run quick` leaves it, without pictures."""
    _write_run(folder, _records(QUICK), packaged_suites()["quick"])


def emoji_run(folder: Path) -> None:
    """Write a run of docs/examples/emoji.toml, without pictures."""
    _write_run(folder, _records(EMOJI))


def results_run(folder: Path) -> None:
    """Write the committed run behind docs/results.md."""
    folder.mkdir(parents=True)
    for name in ("records.jsonl", "suite.toml"):
        shutil.copy(DOCS / "results" / name, folder / name)


def worse_run(folder: Path) -> None:
    """Write the emoji run, edited: what docs/regressions.md says of it."""
    records = _records(EMOJI)
    wobble = iter(
        ({"fid": 1.1, "kid": 0.8}, {"fid": 1.25, "kid": 0.7}, {"fid": 1.35, "kid": 1.05}, {"fid": 1.2, "kid": 0.9})
    )
    for record in records:
        cell = record["cell"]
        factors = {"finetune": {"kid": 1.63, "fid": 1.295}}.get(cell["method"], {})
        factors = next(wobble) if cell["method"] == "vae" else factors
        for score in record["scores"]:
            if score["value"] is not None:
                score["value"] *= factors.get(score["name"], 1.0)
        if cell["method"] == "freezed":
            record["resources"]["peak_memory_mib"] *= 1.12
        if (cell["method"], cell["data_budget"], cell["seed"]) == ("gaussian", 400, 1):
            reason = "memory ran out: 8,000 MiB is the limit"
            record |= {"status": "oom", "reason": reason, "scores": [], "resources": None}
    _write_run(folder, records)


def older_run(folder: Path) -> None:
    """Write the emoji run as if an earlier commit had made it."""
    records = _records(EMOJI)
    for record in records:
        record["environment"]["commit"] = "0123456789abcdef0123456789abcdef01234567"
    _write_run(folder, records)


def curves_run(folder: Path) -> None:
    """Write a made-up run of four seeds whose fits were looked at half-way: what docs/regressions.md says of it."""
    _write_curves(
        folder, finetune=(20.4, 22.1, 24.3, 26.0), freezed=(18.2, 21.5, 19.9, 20.6), vae=(30.1, 28.4, 33, 31.2)
    )


def newer_curves_run(folder: Path) -> None:
    """Write the same cells of another day: who arrives sooner, and who no longer arrives."""
    _write_curves(folder, finetune=(10.1, 11.4, 12.0, 13.3), freezed=(9.4, 10.3, 10.2, 10.1), vae=(None,) * 4, rate=200)


def _write_curves(folder: Path, rate: float = 100, **arrivals: Sequence[float | None]) -> None:
    """Write fits of 40 s that are at KID 0.4 after so many seconds, or never below 0.6, from a source at 1.

    Args:
        folder: The run's.
        rate: Training images that `freezed` sees a second; the others see 100.
        arrivals: Method -> seconds of each seed; None where it never arrives.
    """
    import msgspec

    from graftbench.records.record import Record, Snapshot

    cells = {record["cell"]["method"]: record for record in _records(EMOJI) if record["cell"]["data_budget"] == 25}

    def record(method: str, seed: int, kid: float, way: Sequence[tuple[float, float]] = ()) -> dict[str, Any]:
        made = msgspec.convert(cells[method], Record)
        (score,) = (score for score in made.scores if score.name == "kid")
        score = msgspec.structs.replace(score, value=kid, floor=0.0)
        speed = rate if method == "freezed" else 100
        snapshots = [
            Snapshot(
                share=0.5,
                images_seen=round(speed * seconds),
                seconds=seconds,
                scores=[msgspec.structs.replace(score, value=at)],
            )
            for seconds, at in way
        ]
        assert made.resources is not None
        cost = msgspec.structs.replace(
            made.resources,
            fit_seconds=40.0 if way else 0.0,
            images_seen=round(40 * speed) if way else 0,
            other_cpu_share=0.0,
            timing_shared=False,
        )
        cell = msgspec.structs.replace(made.cell, seed=seed)
        changed = {"id": cell.id, "cell": cell, "scores": [score], "snapshots": snapshots, "resources": cost}
        without_files: dict[str, Any] = {"artifacts": {}, "artifact_hashes": {}}
        return msgspec.to_builtins(msgspec.structs.replace(made, **changed, **without_files))

    records = [record("source", 0, 1.0)]
    for method, seconds in arrivals.items():
        for seed, arrival in enumerate(seconds):
            way = [(20.0, 0.7)] if arrival is None else [(arrival, 0.4)]
            records.append(record(method, seed, 0.6 if arrival is None else 0.3, way))
    _write_run(folder, records)


def _records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def _write_run(folder: Path, records: list[dict[str, Any]], suite: str = "") -> None:
    folder.mkdir(parents=True)
    (folder / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    cells = f"cells = {len({record['id'] for record in records})}\n"
    (folder / "suite.toml").write_text(cells + (suite or EMOJI_SUITE.read_text("utf-8")), "utf-8")


def baseline(folder: Path) -> None:
    """Write the quick run as the baseline of that name."""
    with tempfile.TemporaryDirectory() as temporary:
        quick_run(Path(temporary, "run"))
        save(folder.name, Path(temporary, "run"), folder.parent)


def repository(folder: Path) -> None:
    """Make a git repository with one commit in the page's folder."""
    root = folder.parent
    first = ["commit", "--quiet", "--allow-empty", "--message", "Begin"]
    for words in (["init", "--quiet"], ["config", "user.name", "R"], ["config", "user.email", "r@localhost"], first):
        subprocess.run(["git", "-C", str(root), *words], check=True)  # noqa: S603, S607 - git, with our own words


def samples(folder: Path) -> None:
    """Make 600 samples of `finetune`, 25 images, seed 0 of the emoji suite; its training images beside, in `shots`."""
    import msgspec
    import torch
    from PIL import Image

    from graftbench.execution.driver import run
    from graftbench.images.prepared import load
    from graftbench.images.subsets import nested_subset
    from graftbench.plugins.registry import make_domain
    from graftbench.suites.suite import load_suite, override
    from graftbench.training.samplers import load_sampler

    suite = override(load_suite(EMOJI_SUITE), methods=["finetune"])
    suite = msgspec.structs.replace(suite, data_budgets=[25], seeds=[0])
    with tempfile.TemporaryDirectory() as temporary:
        run(suite, temporary, device="cpu")
        (file,) = Path(temporary).glob("cells/*/sampler.safetensors")
        images = load_sampler(file).sample(600, torch.Generator().manual_seed(0))
    target = load(make_domain("openmoji"), "openmoji", 32)
    pool = target.positions("train")
    chosen = [int(pool[i]) for i in nested_subset([target.ids[i] for i in pool], 25, 0)]
    shots = torch.tensor(target.pixels[chosen])
    for name, pictures_of in ((folder, images), (folder.with_name("shots"), shots)):
        name.mkdir()
        for number, pixels in enumerate(pictures_of):
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(name / f"{number:03d}.png")


def documents(folder: Path) -> None:
    """Copy the checkout's docs/, for pages that name its files."""
    folder.symlink_to(DOCS)


def pictures(folder: Path) -> None:
    """Write some sixty pictures of different sizes, as somebody's drawings: patches of scikit-image's photographs."""
    import numpy as np
    from PIL import Image
    from skimage import data

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    sources = [data.astronaut(), data.coffee(), data.chelsea()]
    for number in range(60):
        pixels = sources[number % 3]
        side = int(rng.integers(48, 120))
        y, x = (int(rng.integers(0, extent - side)) for extent in pixels.shape[:2])
        Image.fromarray(pixels[y : y + side, x : x + side]).save(folder / f"drawing-{number:02d}.png")


def method_file(path: Path) -> None:
    """Write a method of somebody's own, the shortest."""
    path.write_text(
        """from graftbench import Method, Reference
from graftbench.training.samplers import ImageBankSampler


class Mine(Method):
    name = "mine"
    family = "scratch"
    title = "Mine"
    reference = Reference(authors="me", title="A method of my own", venue="", year=2026)
    trains = "nothing"

    def fit(self, task, budget):
        budget.spend(len(task.images))
        return ImageBankSampler(task.images // 2 + 64)
""",
        "utf-8",
    )


def emoji_suite_file(path: Path) -> None:
    """Copy docs/examples/emoji.toml."""
    shutil.copy(EMOJI_SUITE, path)


def suite_file(path: Path) -> None:
    """Write a suite for it, of four short cells."""
    path.write_text(
        """name = "my-suite"
tasks = ["twemoji->openmoji@32"]
methods = ["mine", "memorizer"]
data_budgets = [25]
compute_budget = { kimg = 0.2 }
seeds = [0, 1]

[protocol]
n_generated = 64
""",
        "utf-8",
    )


PROVIDED: dict[str, Callable[[Path], None]] = {
    "runs/quick": quick_run,
    "runs/emoji": emoji_run,
    "runs/main": emoji_run,
    "runs/new": emoji_run,
    "runs/results": results_run,
    "runs/half": worse_run,
    "runs/before": emoji_run,
    "runs/after": worse_run,
    "runs/today": emoji_run,
    "runs/old": older_run,
    "runs/curves": curves_run,
    "runs/curves-new": newer_curves_run,
    "emoji.toml": emoji_suite_file,
    "my_method.py": method_file,
    "my-suite.toml": suite_file,
    "baselines/main": baseline,
    ".git": repository,
    "docs": documents,
    "drawings": pictures,
    "samples": samples,
    "real": pictures,
}
"""Path in the page's folder -> what makes it."""
