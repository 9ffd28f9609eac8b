"""`graftbench source train`, `graftbench source ls` and `graftbench source show`."""

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
from graftbench.cli.output import check_sheet, print_json, write_sheet

if TYPE_CHECKING:
    from graftbench.contracts import Domain, SourceModel
    from graftbench.images.prepared import ImageSet
    from graftbench.records.cell_spec import Protocol
    from graftbench.training.source_catalogue import SourceEntry
from graftbench.training.source import Recipe, verify

SHEET_IMAGES = 32
"""Samples on a contact sheet: 8×4."""


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
        kind: gan, vae, diffusion, flow or stylegan2.
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
    from graftbench.suites.suite import check_resolution, load_suite
    from graftbench.training.source import SourceModelSpec, find, obtain, recipe_for

    # Resolve the recipe.
    check_resolution(resolution, f"--resolution {resolution}")
    settings = load_suite(suite)
    parameters = settings.source_models.get(kind, SourceModelSpec()).parameters
    spec = read_table(
        {"kimg": kimg, "seed": seed, "parameters": parameters}, SourceModelSpec, "graftbench source train"
    )
    cache = cache_folder()
    domain_plugin = registry.make_domain(domain, plugin)
    images = prepared.load(domain_plugin, domain, resolution, cache)
    recipe = recipe_for(spec, kind, images)

    # Train, or take from the cache.
    if find(recipe, cache) is not None:
        print(f"source model {recipe.id} is there already; exporting it.")
    started = time.perf_counter()
    path = obtain(recipe, images, cache, device=resolve_device(device), say=print)
    seconds = time.perf_counter() - started

    # Score the model, and write it with its provenance.
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


def ls(*, json: bool = False) -> int:
    """List the source models that come with the package, that are in the cache, and that packages have.

    Args:
        json: Print a list of objects, each with a name.
    """
    from graftbench.cache import cache_folder
    from graftbench.cli.output import wide_console
    from graftbench.training.source_catalogue import source_entries

    rows = [
        {
            "name": entry.name,
            "kind": entry.kind,
            "of": entry.domain,
            "side": entry.resolution,
            "kimg": entry.kimg,
            "place": entry.place,
        }
        for entry in source_entries(cache_folder())
    ]
    if json:
        print_json(rows)
        return 0
    from rich.table import Table

    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(_text, row.values()))
    wide_console(160).print(table)
    return 0


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def show(
    name: str,
    *,
    sheet: Path | None = None,
    plugin: Plugins = [],  # noqa: B006 - never changed
    json: bool = False,
) -> int:
    """Show a source model: what it is, its licence, provenance and scores, its samples, and what can start from it.

    Args:
        name: Of `graftbench source ls`, or the beginning of an id.
        sheet: PNG file for a contact sheet of 8×4 samples; none by default.
        plugin: File or folder with more methods and domains.
        json: Print an object.
    """
    from graftbench.cache import cache_folder
    from graftbench.training.source_catalogue import find_entry

    check_sheet(sheet)
    cache = cache_folder()
    entry = find_entry(name, cache)
    facts, model = describe_source(entry, cache, plugin)
    if json:
        print_json(facts)
    else:
        print("\n".join(_lines(facts)))
    if sheet is not None:
        import torch

        from graftbench.execution.sheets import tiled
        from graftbench.training.source import kind_of

        sampler = kind_of(entry.kind).sampler(model, entry.resolution)
        images = sampler.sample(SHEET_IMAGES, torch.Generator().manual_seed(0))
        write_sheet(tiled(images), sheet, json=json)
    return 0


def describe_source(entry: SourceEntry, cache: Path, plugin: Plugins) -> tuple[dict[str, Any], SourceModel]:
    """Return what there is to know of a source model, and the model itself.

    Raises:
        GraftbenchError: Its file is damaged, or its package is not installed.
    """
    from graftbench.contracts import SourceModel
    from graftbench.plugins import registry
    from graftbench.training import source
    from graftbench.training.samplers import read_tensors
    from graftbench.training.source_catalogue import KNOWN, OWN_PARTS

    facts: dict[str, Any] = {"name": entry.name, "kind": entry.kind, "of": entry.domain, "side": entry.resolution}
    # Whose it is.
    if entry.file is None:
        from graftbench.training.source_import import import_source

        spec = source.SourceModelSpec(name=entry.name)
        imported = import_source(spec, entry.kind, entry.resolution, cache)
        file, license_, from_ = imported.file, imported.origin.license, KNOWN[entry.name].source
        facts["made of"] = imported.note
    else:
        file = entry.file
        license_, from_ = _of_domain(entry.domain, plugin)

    # What it is, and how it was made.
    tensors, metadata = read_tensors(file)
    model = SourceModel(metadata.get("id", ""), tensors, metadata)
    parts = msgspec.json.decode(metadata.get("parts", "null")) or OWN_PARTS
    shipped = next((s for s in source.shipped_provenance() if s["id"] == entry.name), {})
    facts |= {
        "place": entry.place,
        "licence": license_ or "not stated",
        "source": from_,
        "recipe": json.loads(metadata["recipe"]) if "recipe" in metadata else None,
        "command": shipped.get("command"),
        "trained at": shipped.get("trained_at"),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "numbers": sum(tensor.numel() for tensor in tensors.values()),
        "scores": shipped.get("scores"),
    }

    # Which methods can start from it.
    starting = [m for m in registry.methods(plugin).classes.values() if m.source_model == entry.kind]
    reasons = {m.name: source.lacking(m.source_parts, parts, entry.name) for m in starting}
    facts["starts"] = sorted(name for name, reason in reasons.items() if not reason)
    facts["cannot start"] = {name: reason for name, reason in sorted(reasons.items()) if reason}
    return facts, model


def _of_domain(name: str, plugin: Plugins) -> tuple[str, str]:
    """Return licence and source of the domain that a model was trained on; empty where it is not known here."""
    from graftbench.errors import GraftbenchError
    from graftbench.plugins import registry
    from graftbench.training.source_catalogue import KNOWN

    if name in KNOWN:
        return KNOWN[name].spec.license, KNOWN[name].source
    try:
        domain = registry.make_domain(name, plugin)
    except GraftbenchError:  # a folder that is gone, a plugin that was not named, one that was made elsewhere
        return "", ""
    return domain.license, domain.source


def _lines(facts: dict[str, Any]) -> list[str]:
    """Return the facts as text, a fact a line."""
    shown = {key: value for key, value in facts.items() if value not in (None, {}, "")}
    shown["scores"] = ", ".join(f"{name} {value:.4g}" for name, value in (facts["scores"] or {}).items() if value)
    if not shown["scores"]:
        shown["scores"] = "not known: none were measured with it (graftbench source train measures them)"
    shown["recipe"] = json.dumps(facts["recipe"], sort_keys=True) if facts["recipe"] else ""
    shown["starts"] = ", ".join(facts["starts"]) or "no method"
    reasons = facts["cannot start"]
    shown["cannot start"] = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return [f"{label:<13} {text}" for label, text in shown.items() if text != ""]
