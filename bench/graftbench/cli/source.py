"""`graftbench source train`."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from graftbench.cli.run import Plugins


def train(
    domain: str,
    *,
    kind: str = "gan",
    resolution: int = 32,
    kimg: float = 512,
    seed: int = 0,
    suite: str = "quick",
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
    import msgspec

    from graftbench import imageset, registry
    from graftbench.cache import cache_folder
    from graftbench.device import resolve_device
    from graftbench.protocol import resolve_protocol
    from graftbench.source import find, obtain, provenance, recipe_for
    from graftbench.suite import SourceModelSpec, load_suite, parse_task

    parse_task(f"{domain}->{domain}@{resolution}")
    settings = load_suite(suite)
    cache = cache_folder()
    domain_plugin = registry.make_domain(domain, plugin)
    images = imageset.load(domain_plugin, domain, resolution, cache)
    spec = settings.source_models.get(kind, SourceModelSpec())
    recipe = recipe_for(msgspec.structs.replace(spec, kimg=kimg, seed=seed), kind, images)
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
