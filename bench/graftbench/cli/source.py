"""`graftbench source train`."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.cli.options import Plugins, SuiteName

if TYPE_CHECKING:
    from graftbench.contracts import Domain
    from graftbench.images.prepared import ImageSet
    from graftbench.records.cell_spec import Protocol
from graftbench.training.source import Recipe, verify


def train(
    domain: str,
    *,
    kind: str = "gan",
    resolution: int = 32,
    kimg: float = 512,
    seed: int = 0,
    suite: SuiteName = "quick",
    out: Path | None = None,
    device: str = "auto",
    plugin: Plugins = [],  # noqa: B006 - never changed
) -> int:
    """Train a source model on a domain's training split, cache it, and export it with its provenance.

    With the kimg and seed of a suite, that suite finds it in the cache and trains nothing.

    Args:
        domain: Name of the source domain (graftbench ls domains).
        kind: gan, vae or diffusion.
        resolution: Side of the images in pixels.
        kimg: Thousands of images shown.
        seed: Seed of initialisation and training.
        suite: Whose training parameters and protocol to use.
        out: Folder for NAME.safetensors and NAME.json; the current one by default.
        device: auto, cpu, cuda or cuda:N.
        plugin: File or folder with more domains.
    """
    from graftbench.cache import cache_folder
    from graftbench.images import prepared
    from graftbench.plugins import registry
    from graftbench.plugins.config import read_table
    from graftbench.resources.device import resolve_device
    from graftbench.scoring.protocol import resolve_protocol
    from graftbench.suites.suite import load_suite, parse_task
    from graftbench.training.source import SourceModelSpec, find, obtain, recipe_for

    parse_task(f"{domain}->{domain}@{resolution}")
    settings = load_suite(suite)
    parameters = settings.source_models.get(kind, SourceModelSpec()).parameters
    spec = read_table(
        {"kimg": kimg, "seed": seed, "parameters": parameters}, SourceModelSpec, "graftbench source train"
    )
    cache = cache_folder()
    domain_plugin = registry.make_domain(domain, plugin)
    images = prepared.load(domain_plugin, domain, resolution, cache)
    recipe = recipe_for(spec, kind, images)
    if find(recipe, cache) is not None:
        print(f"source model {recipe.id} is there already; exporting it.")
    started = time.perf_counter()
    path = obtain(recipe, images, cache, device=resolve_device(device), say=print)
    seconds = time.perf_counter() - started
    protocol = resolve_protocol(settings.protocol)
    command = f"graftbench source train {images.domain} --kind {kind} --resolution {resolution}"
    command += f" --kimg {kimg:g} --seed {seed} --suite {suite}"
    facts = provenance(recipe, path, domain_plugin, images, protocol, command=command, cache=cache, seconds=seconds)
    folder = out or Path()
    folder.mkdir(parents=True, exist_ok=True)
    exported = folder / f"{recipe.id}.safetensors"
    shutil.copyfile(path, exported)
    exported.with_suffix(".json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", "utf-8")
    scores = ", ".join(f"{name} {value:.4g}" for name, value in facts["scores"].items() if value is not None)
    print(f"{exported} ({facts['bytes'] / 1e6:.1f} MB): {scores}")
    return 0


def provenance(
    recipe: Recipe,
    path: Path,
    domain: Domain,
    images: ImageSet,
    protocol: Protocol,
    *,
    command: str,
    cache: Path,
    seconds: float,
) -> dict[str, Any]:
    """Describe a model that is handed on: recipe, command, versions, its own scores, its hash.

    The scores are those of the untransferred model on its own domain: generated images against the source domain's
    reference split.
    """
    import torch

    from graftbench.resources.environment import describe
    from graftbench.scoring.score import score_sampler

    sampler, rng = verify(path, recipe), torch.Generator().manual_seed(recipe.seed)
    scored = score_sampler(sampler, images, protocol, rng, cache=cache)
    return {
        "id": recipe.id,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "recipe": msgspec.to_builtins(recipe),
        "command": command,
        "fit_seconds": round(seconds, 1),
        "scores": {score.full_name: score.value for score in scored.scores},
        "environment": describe(),
        "data": {"license": domain.license, "attribution": domain.attribution, "source": domain.source},
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
