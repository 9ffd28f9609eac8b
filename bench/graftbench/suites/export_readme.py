"""Write the README.md beside exported training images, for people who do not know graftbench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graftbench.records.costs import COSTS, UNITS

if TYPE_CHECKING:
    from graftbench.suites.export_manifest import ExportedDomain, ExportManifest

_README = """\
# {task}: {n} training images, draw {seed}

{place} holds {n} images of {side}×{side} pixels, 8-bit RGB. They are the training images
that every method gets for the task `{task}` of the suite `{suite}`, at a data budget of
{n} images and with the seed {seed}. `manifest.json` lists them with the SHA-256 of their pixels.

## What may be used

- Of the domain `{target}` these {n} images and no others, however they are cropped, mirrored or
  coloured. Choosing a setting or a checkpoint by other images of the domain counts as using them.
{source}- A model that was pretrained on something else. Say on what, in a note.

The suite's own methods spend {budgets} on each fit (kimg: thousands of training images shown).
Who spends more or less says so, in a note or in the costs.

## What to hand back

- {n_generated} generated images of {side}×{side} pixels, 8-bit RGB: a folder or a zip file of PNG files, or an
  `.npz` file with one uint8 array N×H×W×3. The generator's draws as they come, none picked out. Of
  more images {n_generated} are drawn by chance; fewer are refused.
- `costs.toml`, as far as the costs are known: it is prepared beside this file, with units.
- The same for other seeds, if there is to be an interval: `graftbench export-task` with another
  `--seed` writes other images, and the training begins from another random state.

Images that are (nearly) those that the scores are measured against are refused. Copies of training
images are not, but the scores of memorisation show them.

## How it becomes a row

```console
$ graftbench add samples SAMPLES --run RUN --method NAME \\
    --task '{task}' --budget {n} --seed {seed} --costs costs.toml
$ graftbench report RUN
```

`SAMPLES` is what was handed back, `RUN` the folder of a run of the suite (`--suite {suite}` begins one), `NAME`
what tables call the generator. Where the samples lie in this folder, task, budget and seed are read from
`manifest.json` and may be left out.

## Licence

{licences}

Written by graftbench {graftbench}; protocol {protocol}.
"""


def readme(manifest: ExportManifest, form: str) -> str:
    """Write the README of an export.

    Args:
        manifest: What was written.
        form: `png` or `zip`.
    """
    origin = manifest.source_images
    domains = [manifest.target, *([origin] if origin else [])]
    return _README.format(
        task=manifest.task,
        n=manifest.data_budget,
        seed=manifest.seed,
        side=manifest.resolution,
        suite=manifest.suite,
        target=manifest.target.name,
        place=_location("images", form),
        source="" if origin is None else _about_source(origin, form),
        budgets=" or ".join(map(str, manifest.compute_budgets)),
        n_generated=manifest.n_generated,
        licences="\n".join(
            f"- `{one.name}`: {one.license}. Attribution: {one.attribution.rstrip('.')}. Source: {one.source}."
            for one in domains
        ),
        graftbench=manifest.graftbench,
        protocol=manifest.protocol,
    )


def _location(stem: str, form: str) -> str:
    if form == "png":
        return f"The folder `{stem}`"
    return f"The file `{stem}.zip` (in the layout of dataset_tool.py of StyleGAN and EDM)"


def _about_source(domain: ExportedDomain, form: str) -> str:
    location = _location("source", form).replace("The", "the", 1)
    return (
        f"- Of the source domain `{domain.name}` the {len(domain.images)} images in {location}:\n"
        "  its training split.\n"
    )


def costs_template() -> str:
    """Write a `costs.toml` to be filled in: every cost is a comment."""
    lines = [
        "# What making the generator cost, as far as it is known. Take the # away and fill in; leave out what is not",
        "# known rather than guess. Tables mark these numbers as declared.",
        "",
    ]
    examples: dict[type, str] = {str: '""'}
    lines += [f"# {name} = {examples.get(kind, '')}".ljust(36) + f"# {UNITS[name]}" for name, kind in COSTS.items()]
    return "\n".join(lines) + "\n"
