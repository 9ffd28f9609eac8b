"""A suite resolved against data, methods and code: its cells, and what must exist before they run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import graftbench
from graftbench import imageset, registry, source
from graftbench.code import code_hash
from graftbench.errors import GraftbenchError
from graftbench.protocol import resolve_protocol
from graftbench.record import NO_SOURCE, CellSpec, TaskSpec
from graftbench.suite import SourceModelSpec, config_of, parse_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graftbench.contracts import Method
    from graftbench.imageset import ImageSet
    from graftbench.source import Recipe
    from graftbench.suite import Suite


@dataclass(frozen=True)
class Plan:
    """What a suite comes to.

    Attributes:
        suite: The suite as resolved: the protocol knows its weights, `cells` is filled in.
        cells: Every cell, in the order in which they run.
        targets: Name and resolution -> images of each task's target domain.
        recipes: Recipe id -> the source model's recipe and the images it is trained on.
        notes: Sentences on the data (excluded images).
    """

    suite: Suite
    cells: list[CellSpec]
    targets: dict[tuple[str, int], ImageSet]
    recipes: dict[str, tuple[Recipe, ImageSet]]
    notes: list[str]


def make_plan(
    suite: Suite, cache: Path, *, plugins: Sequence[Path] = (), say: Callable[[str], None] = lambda _: None
) -> Plan:
    """Resolve a suite. Everything that can be wrong with it is found here, before any training.

    Raises:
        GraftbenchError: Unknown method, domain or extractor, unusable data, a budget larger than the training split.
    """
    found = registry.methods(plugins)
    methods = [found[name] for name in suite.methods]
    protocol = resolve_protocol(suite.protocol)
    tasks = [parse_task(text) for text in suite.tasks]
    images = _images(tasks, cache, plugins, say)
    recipes: dict[str, tuple[Recipe, ImageSet]] = {}
    cells: list[CellSpec] = []
    configs = {m.name: _config(m, suite) for m in methods}
    codes = {m.name: code_hash([registry.file_of(m), *_scoring_files()]) for m in methods}
    for task, method in product(tasks, methods):
        _check_method(method, configs[method.name], task)
    for task, budget, seed, method in product(tasks, suite.data_budgets, suite.seeds, methods):
        origin, target = images.get((task.source, task.resolution)), images[task.target, task.resolution]
        pool = len(target.positions("train"))
        if budget > pool:
            raise GraftbenchError(
                f"A data budget of {budget} images was asked for; the training split of {task.target}@{task.resolution}"
                f" has {pool} (of {len(target.ids)} images; the rest is for validation and reference)."
            )
        model = ""
        if method.source_model and origin:
            spec = suite.source_models.get(method.source_model, SourceModelSpec())
            recipe = source.recipe_for(spec, method.source_model, origin)
            recipes[recipe.id] = recipe, origin
            model = recipe.id
        cells.append(
            CellSpec(
                method=method.name,
                family=method.family,
                parameters=configs[method.name],
                task=task,
                data_budget=budget,
                compute_budget=suite.compute_budget,
                seed=seed,
                protocol=protocol,
                source_model=model,
                manifests={name: s.manifest for name, s in ((task.source, origin), (task.target, target)) if s},
                code=codes[method.name],
            )
        )
    resolved = msgspec.structs.replace(suite, protocol=protocol, cells=len(cells))
    notes = [
        f"{name}@{resolution}: {len(s.excluded)} images could not be used ({', '.join(list(s.excluded)[:3])}, …)"
        for (name, resolution), s in images.items()
        if s.excluded
    ]
    targets = {(task.target, task.resolution): images[task.target, task.resolution] for task in tasks}
    return Plan(resolved, _longest_first(cells), targets, recipes, notes)


def _images(
    tasks: Sequence[TaskSpec], cache: Path, plugins: Sequence[Path], say: Callable[[str], None]
) -> dict[tuple[str, int], ImageSet]:
    wanted = dict.fromkeys((name, task.resolution) for task in tasks for name in (task.source, task.target))
    images = {}
    for name, resolution in wanted:
        if name == NO_SOURCE:
            continue
        say(f"preparing {name}@{resolution}")
        images[name, resolution] = imageset.load(registry.make_domain(name, plugins), name, resolution, cache)
    return images


def _check_method(method: type[Method], parameters: dict[str, object], task: TaskSpec) -> None:
    """Refuse a method on a task that lacks what it needs.

    Raises:
        GraftbenchError: There is no source domain, or a parameter does not go with the resolution.
    """
    needs = [f"a source model ({method.source_model})"] if method.source_model else []
    needs += ["source images"] if method.needs_source_images else []
    if needs and task.source == NO_SOURCE:
        raise GraftbenchError(
            f"Method '{method.name}' needs {' and '.join(needs)}; the task {task} has no source domain. "
            "Name one (source->target@resolution), or leave the method out."
        )
    try:
        method(msgspec.convert(parameters, method.Config)).check(task.resolution)
    except GraftbenchError as error:
        raise GraftbenchError(f"Method '{method.name}' cannot run on {task}: {error}") from error


def _config(method: type[Method], suite: Suite) -> dict[str, object]:
    """The method's parameters with its defaults filled in."""
    config = config_of(method.Config, suite.parameters.get(method.name, {}), f"[parameters.{method.name}]")
    return msgspec.to_builtins(config)


def _scoring_files() -> list[Path]:
    """The files that determine every cell's result beside its method's: how it is run and how it is scored."""
    home = Path(graftbench.__file__).parent
    return [home / "scoring.py", home / "cell.py"]


def _longest_first(cells: list[CellSpec]) -> list[CellSpec]:
    """Reference rows last: they are short and fill the gaps at the end."""
    return sorted(cells, key=lambda cell: cell.family == "reference")
