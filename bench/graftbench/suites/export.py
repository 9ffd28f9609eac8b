"""The training images of a cell as files, for a generator that is trained elsewhere, by anyone's code.

Beside the images stand `manifest.json` (which cell they are of, and the hash of each) and a README of what to hand
back. Neither holds a path of this machine: domains that are paths are cut to their last part.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import msgspec
import numpy as np

from graftbench.cache import cache_folder
from graftbench.errors import GraftbenchError, unknown
from graftbench.images.subsets import shots
from graftbench.images.writers import write_edm_zip, write_png_folder
from graftbench.records.cell_spec import NO_SOURCE, TaskSpec, bare_name, without_path
from graftbench.scoring.protocol import resolve_protocol
from graftbench.suites.domains import SuiteDomain, domain_of, public_names
from graftbench.suites.export_manifest import MANIFEST, ExportedDomain, ExportedImage, ExportManifest, pixels_sha256
from graftbench.suites.export_readme import costs_template, readme
from graftbench.suites.suite import load_suite, parse_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from graftbench.images.prepared import ImageSet
    from graftbench.plugins.registry import PluginSource
    from graftbench.suites.suite import Suite

Form = Literal["png", "zip"]


def export_task(
    task: str,
    out: Path,
    *,
    budget: int,
    seed: int,
    suite: str | Path | Suite = "quick",
    form: Form = "png",
    with_source: bool = False,
    plugins: Sequence[PluginSource] = (),
    cache: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ExportManifest:
    """Write the images that a fit of a cell gets, a manifest, and a README of what to hand back.

    All is written or nothing: what is there at the end was put there as a whole.

    Args:
        task: One of the suite's, as it writes it.
        out: Folder; made. It may be there if it is empty.
        budget: Number of target training images.
        seed: Which draw of them.
        suite: Packaged suite, suite file or `Suite`.
        form: `png`: files `images/00000.png`, …; `zip`: one file `images.zip` in the layout of StyleGAN and EDM.
        with_source: Write the source domain's training images likewise (`source/…` or `source.zip`).
        plugins: More domains.
        cache: Cache folder; None for the user's.
        say: Told how far the preparation of a domain is.

    Raises:
        GraftbenchError: No task of the suite, unusable data, a budget that the training split does not have, or a
            folder that holds something or cannot be written.
    """
    # Check what was asked for.
    if form not in get_args(Form):
        raise unknown("form", form, get_args(Form), where="of exported images")
    chosen = suite if not isinstance(suite, (str, Path)) else load_suite(suite)
    spec = _exportable(task, chosen, with_source=with_source)
    _check_free(out)
    protocol = resolve_protocol(chosen.protocol)
    folder = cache_folder() if cache is None else cache
    loaded = _Loader(chosen, spec.resolution, folder, chosen.with_plugins(plugins), say)
    target = loaded.images(spec.target)
    positions = shots(target, budget, seed)

    # Write the images, then what says of them what they are.
    with _appearing(out) as part:
        written = _domain(loaded, spec.target, target, positions, part, stem="images", form=form)
        origin = None
        if with_source:
            images = loaded.images(spec.source)
            positions = images.positions("train").tolist()
            origin = _domain(loaded, spec.source, images, positions, part, stem="source", form=form)
        manifest = ExportManifest(
            task=str(_published(spec, chosen, loaded)),
            data_budget=budget,
            seed=seed,
            resolution=spec.resolution,
            resize=target.resize,
            suite=chosen.name,
            compute_budgets=chosen.compute_budgets,
            protocol=protocol.label,
            n_generated=protocol.n_generated,
            target=written,
            source_images=origin,
        )
        (part / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        (part / "README.md").write_text(readme(manifest, form), "utf-8")
        (part / "costs.toml").write_text(costs_template(), "utf-8")
    return manifest


# ------------------------------------------------------------------------------------------------------- which task


def _exportable(task: str, suite: Suite, *, with_source: bool) -> TaskSpec:
    """Find the suite's task.

    Raises:
        GraftbenchError: There is none of this name, or its images cannot be exported.
    """
    spec = task_of(task, suite)
    if spec.kind != "generate":
        raise GraftbenchError(f"Images are exported for tasks of the kind 'generate'; found {spec}.")
    if with_source and spec.source == NO_SOURCE:
        raise GraftbenchError(f"The task {spec} has no source domain whose images could be written.")
    return spec


def task_of(text: str, suite: Suite, manifest: str = "") -> TaskSpec:
    """Find the suite's task that a text names: in full, as a manifest does (without paths), or by a path.

    Args:
        text: The task.
        suite: A suite, or a run's: its tasks have no paths, and may have digits.
        manifest: Of the target's images, where that is known: it tells two targets of one name apart.

    Raises:
        GraftbenchError: It is written wrongly, or the suite has no such task; the nearest is named.
    """
    spec = parse_task(text)
    tasks = [parse_task(name) for name in suite.tasks]
    if spec in tasks:
        return spec
    alike = [task for task in tasks if _is_alike(task, spec, suite, manifest)]
    if len(alike) == 1:
        return alike[0]
    raise unknown("task", str(spec), map(str, tasks), where=f"of the suite '{suite.name}'")


def _is_alike(task: TaskSpec, spec: TaskSpec, suite: Suite, manifest: str) -> bool:
    sides = ((task.source, spec.source, ""), (task.target, spec.target, manifest))
    same_kind = (task.kind, task.resolution) == (spec.kind, spec.resolution)
    return same_kind and all(_same_domain(*side, suite) for side in sides)


def _same_domain(domain: str, named: str, manifest: str, suite: Suite) -> bool:
    """Return whether a name, or a path, means a suite's domain: two paths are the same where they are equal."""
    base, _, argument = named.partition(":")
    entry = suite.domains.get(domain)
    if entry is not None and entry.path == f"{base}:{os.path.abspath(argument)}":  # noqa: PTH100 - links stay
        return True
    same_bare = bare_name(domain, manifest) == bare_name(named, manifest)
    return same_bare and (domain == named or domain != without_path(domain) or named == without_path(named))


def _published(spec: TaskSpec, suite: Suite, loader: _Loader) -> TaskSpec:
    """Return the task under public names. Where two domains of the suite share one, their images tell them apart."""
    tasks = [task for task in map(parse_task, suite.tasks) if task.resolution == spec.resolution]
    bases = {name.partition(":")[0] for name in (spec.source, spec.target) if ":" in name}
    names = {name for task in tasks for name in (task.source, task.target) if name.partition(":")[0] in bases}
    names |= {spec.source, spec.target} - {NO_SOURCE}
    domains = {name: loader.domain(name) for name in names}
    shared = Counter(domain.public for domain in domains.values())
    manifests = {
        (name, spec.resolution): loader.images(name).manifest if shared[domain.public] > 1 or domain.has_digits else ""
        for name, domain in domains.items()
    }
    public = {name: text for (name, _), text in public_names(domains, manifests).items()}
    source, target = (public.get(name, name) for name in (spec.source, spec.target))
    return msgspec.structs.replace(spec, source=source, target=target)


# --------------------------------------------------------------------------------------------------------- the files


class _Loader:
    """Domains by name, at one resolution and by one resize rule."""

    def __init__(
        self, suite: Suite, resolution: int, cache: Path, plugins: Sequence[PluginSource], say: Callable[[str], None]
    ) -> None:
        self._suite, self._resolution, self._cache = suite, resolution, cache
        self._plugins, self._say = plugins, say

    def domain(self, name: str) -> SuiteDomain:
        return domain_of(self._suite, name, self._plugins)

    def images(self, name: str) -> ImageSet:
        return self.domain(name).load(self._resolution, self._cache, resize=self._suite.resize, say=self._say)

    def about(self, name: str) -> dict[str, str]:
        """Return licence, attribution and source; where a path stands in them, its last part."""
        domain = self.domain(name)
        texts = {key: getattr(domain.domain, key) for key in ("license", "attribution", "source")}
        return {key: value.replace(domain.written, domain.public) for key, value in texts.items()}


def _domain(
    loader: _Loader, name: str, images: ImageSet, positions: Sequence[int], folder: Path, *, stem: str, form: Form
) -> ExportedDomain:
    """Write images of a domain, and return what the manifest says of them."""
    pixels = np.array(images.pixels[np.asarray(positions, dtype=np.intp)])
    if form == "png":
        files = [f"{stem}/{file}" for file in write_png_folder(pixels, folder / stem)]
    else:
        files = [f"{stem}.zip!{member}" for member in write_edm_zip(pixels, folder / f"{stem}.zip")]
    return ExportedDomain(
        name=images.domain,
        manifest=images.manifest,
        **loader.about(name),
        images=[
            ExportedImage(file=file, id=images.ids[position], sha256=pixels_sha256(image))
            for file, position, image in zip(files, positions, pixels, strict=True)
        ],
    )


def _check_free(out: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        GraftbenchError: It says what is there.
    """
    if out.exists() and not out.is_dir():
        raise GraftbenchError(f"The output '{out}' is a file; the images need a folder.")
    if out.is_dir() and (entries := sorted(out.iterdir())):
        raise GraftbenchError(f"The folder '{out}' is not empty (it holds '{entries[0].name}'); choose another.")


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` that takes its place when the block ends well, and else is gone.

    Raises:
        GraftbenchError: It cannot be written.
    """
    target = out.resolve()
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        part.mkdir(parents=True)
        yield part
        part.replace(target)  # an empty folder may be there
    except OSError as error:
        raise GraftbenchError(f"'{out}' cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
