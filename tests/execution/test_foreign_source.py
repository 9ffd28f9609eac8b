"""A run from a source model that was made elsewhere: fitted once, noted in records, skipped where it falls short."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from tiny_suites import Heard, suite_toml
from torch import nn

from graftbench.cache import cache_folder
from graftbench.execution.driver import run
from graftbench.records.record import Record, Status
from graftbench.records.store import read
from graftbench.suites.suite import load_suite

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("shared_cache", "warm_executor")

SUITE = suite_toml(
    *("finetune", "bsa"),
    tasks=["none->openmoji@32"],
    images=10,
    budget="{ kimg = 0.032 }",
    top="checkpoint_seconds = 0",
    n_generated=20,
    more="""
[source_models.gan]
builder = "nets.py:make"
weights = "g.safetensors"
latent = [4]
license = "CC0"
discriminator_kimg = 0.064
""",
)

NETS = """
from torch import nn


def make():
    return nn.Sequential(nn.Linear(4, 3 * 32 * 32), nn.Tanh(), nn.Unflatten(1, (3, 32, 32)))
"""


@pytest.mark.slow
def test_a_run_starts_from_a_builder_s_generator(tmp_path: Path) -> None:
    """`finetune` runs and its record says from what; `bsa` is skipped, for there is no batch norm."""
    (tmp_path / "suite.toml").write_text(SUITE, "utf-8")
    (tmp_path / "nets.py").write_text(NETS, "utf-8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(nn.Sequential(nn.Linear(4, 3 * 32 * 32)).state_dict(), tmp_path / "g.safetensors")
    said = Heard()
    run(load_suite(tmp_path / "suite.toml"), tmp_path / "run", progress=said)
    records, _ = read(tmp_path / "run" / "records.jsonl", Record)
    by_method = {record.cell.method: record for record in records}
    assert by_method["finetune"].status == Status.OK
    assert any(
        note.startswith("It starts from 'nets.py:make' (builder, sha256 ") for note in by_method["finetune"].notes
    )
    assert any("licence: CC0." in note for note in by_method["finetune"].notes)
    assert by_method["bsa"].status == Status.SKIPPED
    assert by_method["bsa"].reason.startswith("it needs batch norms of its source model, and gan-builder-32-")
    assert sum("fitting a discriminator" in sentence for sentence in said.sentences) == 1
    assert (cache_folder() / "source_models" / f"{by_method['finetune'].cell.source_model}.safetensors").is_file()
