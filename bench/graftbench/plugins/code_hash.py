"""The hash of the code that a cell's numbers depend on.

It covers the method's class and what it uses of training and networks, and what computes the scores: definitions, not
files (see `definitions`), by their contents, not by where they stand. Orchestration, records, reports, pictures and the
command line do not count, so a release that mends a sentence leaves every finished cell finished.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from graftbench.metrics.catalogue import FILES
from graftbench.plugins.definitions import definitions_of
from graftbench.plugins.local_imports import package_path, package_roots, public_name
from graftbench.plugins.pickled import shipped_files, source_digests
from graftbench.plugins.registry import file_of
from graftbench.plugins.remembered import memory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from graftbench.contracts import Method
    from graftbench.plugins.definitions import Definition, ModuleDefinitions
    from graftbench.plugins.local_imports import Target

COUNTED = (
    *("methods/", "training/", "nn/", "metrics/", "extractors/"),
    *("budget.py", "images/subsets.py", "images/resizing.py"),
    *("scoring/score.py", "scoring/features.py", "scoring/floors.py", "scoring/task_kinds.py"),
    *(
        "scoring/factor_classifier.py",
        "scoring/truth.py",
        "scoring/second.py",
        "scoring/drift.py",
        "scoring/denoising.py",
        "scoring/estimates.py",
    ),
)
"""Parts of the package that numbers depend on. All files of plugins outside the package count."""

_SCORING = "scoring/score.py", "score_sampler"
_SECOND = "scoring/second.py", "second_scores"
_OF_SAMPLERS = {
    "drift": ("scoring/drift.py", "forgetting_scores"),
    "source_kid": ("scoring/drift.py", "forgetting_scores"),
    "denoising_loss": ("scoring/denoising.py", "denoising_scores"),
    "velocity_loss": ("scoring/denoising.py", "denoising_scores"),
}
OF_SAMPLERS = frozenset(_OF_SAMPLERS)
"""Metrics that cells score from the sampler, beside their own file."""
_FITTING = (("budget.py", "Meter"), ("images/subsets.py", "shots"), ("scoring/task_kinds.py", "training_pairs"))
"""What decides beside the method what a fit sees, and when it ends."""


def code_of(method: type[Method], metrics: Collection[str] = (), *, second: bool = False) -> str:
    """Return the hash of all code that determines a cell's result: the method's, and that of its scores."""
    return hash_of(files_of(method, metrics, second=second))


def files_of(method: type[Method], metrics: Collection[str] = (), *, second: bool = False) -> dict[str, str]:
    """Return the definitions that `code_of` counts: name -> SHA-256, sorted by name.

    Names are the same on every machine: `graftbench/nn/losses.py::hinge` for those of the package, in a checkout too;
    for those of a plugin, the path from its outermost package or its folder. A class without a file (a notebook's)
    counts by its own text.

    Args:
        method: The method.
        metrics: Names of the metrics that are scored: those that are files of their own count where they are asked for,
            so that a new one leaves every cell without it as it is.
        second: Whether a second extractor scores too; likewise.
    """
    of_metrics = _files_of_metrics(metrics, second=second)
    if shipped := shipped_files(method):
        return dict(sorted((shipped | of_metrics).items()))
    try:
        file = file_of(method)
    except LookupError:
        return dict(sorted((files_of_scoring(metrics, second=second) | source_digests(method)).items()))
    name = next((cls.__name__ for cls in method.__mro__ if cls.__name__ in definitions_of(file).named), "")
    files = _digests([(file, name), *_in_package(_SCORING, *_FITTING)], file.parent)
    return dict(sorted((files | of_metrics).items()))


def files_of_scoring(metrics: Collection[str] = (), *, second: bool = False) -> dict[str, str]:
    """Return the definitions that determine the scores of images, whoever made them; as `files_of`."""
    files = _digests(_in_package(_SCORING), package_roots()[0])
    return dict(sorted((files | _files_of_metrics(metrics, second=second)).items()))


def _files_of_metrics(metrics: Collection[str], *, second: bool) -> dict[str, str]:
    """Return the definitions that compute the metrics which are files of their own, and a second extractor's scores."""
    files = _digests(_in_package(_SECOND), package_roots()[0]) if second else {}
    if from_samplers := {_OF_SAMPLERS[name] for name in OF_SAMPLERS.intersection(metrics)}:
        files |= _digests(_in_package(*from_samplers), package_roots()[0])
    for path in {FILES[name].path: None for name in metrics if name in FILES}:
        files |= _digests([(path, name) for name in ("compute", "FAMILY")], path.parent)
    return files


def hash_of(files: Mapping[str, str]) -> str:
    """Return the hash of a set of definitions, from what `files_of` says of them: their contents alone count."""
    return hashlib.sha256(b"".join(sorted(map(bytes.fromhex, files.values())))).hexdigest()


def code_hash(files: Iterable[Path]) -> str:
    """Return the hash of whole files, and of what they use of the counted parts of the package."""
    return hash_of(_digests([(file.resolve(), "") for file in files], package_roots()[0]))


def _in_package(*targets: tuple[str, str]) -> list[Target]:
    return [(package_roots()[0] / path, name) for path, name in targets]


def _digests(roots: list[Target], folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 of all definitions that these use; files outside the package are named from `folder`."""
    files = {file for file, _ in roots}
    digests: dict[str, str] = {}
    for (file, name), definitions in _used(roots, files).items():
        label = f"{public_name(file, folder)}::{name}"
        while label in digests:  # links to files of one name in several folders
            label += "'"
        digests[label] = hashlib.sha256(b"".join(definition.digest for definition in definitions)).hexdigest()
    memory().save()
    return dict(sorted(digests.items()))


def _used(roots: list[Target], always: set[Path]) -> dict[Target, tuple[Definition, ...]]:
    """Return the definitions that these targets use, directly or through others: where they stand -> what they are."""
    used: dict[Target, tuple[Definition, ...]] = {}
    modules: dict[Path, ModuleDefinitions] = {}
    visited: set[Target] = set()
    waiting = list(roots)
    while waiting:
        file, name = target = waiting.pop()
        if target in visited or not (file in always or _is_counted(file)):
            continue
        visited.add(target)

        # Importing a file runs its statements that bind no name.
        if file not in modules:
            modules[file] = definitions_of(file)
            waiting += modules[file].side_effects
            if unnamed := modules[file].unnamed:
                used[file, "import"] = unnamed
                waiting += _references(unnamed, modules[file], file)

        # What the name stands for: the whole file, one of its definitions, or something that it imports.
        module = modules[file]
        if not name:
            waiting += [(file, each) for each in module.named]
        elif name in module.named:
            used[target] = module.named[name]
            waiting += _references(module.named[name], module, file)
        else:
            waiting += module.imports.get(name, module.typing_only.get(name, ()))
    return used


def _references(definitions: Iterable[Definition], module: ModuleDefinitions, file: Path) -> list[Target]:
    """Return what definitions refer to: in their own module, and in those that it imports."""
    targets: list[Target] = []
    for definition in definitions:
        for name in definition.uses:
            targets += [(file, name)] if name in module.named else module.imports.get(name, ())
        for alias, attribute in definition.attributes:
            targets += [(imported, attribute) for imported, _ in module.imports[alias]]
    return targets


@cache
def _is_counted(file: Path) -> bool:
    """Return whether numbers depend on a file: what the package counts, and all that lies outside of it."""
    path = package_path(file)
    return path is None or path.startswith(COUNTED)
