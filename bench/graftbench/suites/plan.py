"""A suite resolved against data, methods and code: its cells, and what must exist before they run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

import msgspec

from graftbench.cache import atomic_file
from graftbench.digests import digest_of_path
from graftbench.errors import GraftbenchError, unknown
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.plugins.code_hash import files_of, files_of_scoring, hash_of
from graftbench.plugins.config import config_of
from graftbench.plugins.variants import seen_from
from graftbench.records.cell_spec import NO_SOURCE, SAMPLES, CellSpec, TaskSpec
from graftbench.scoring.protocol import resolve_protocol
from graftbench.suites.submitted_images import looked_over
from graftbench.suites.suite import override, parse_task
from graftbench.training import source
from graftbench.training.source import SourceModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graftbench.contracts import Method
    from graftbench.images.prepared import ImageSet
    from graftbench.plugins.registry import Found, Given
    from graftbench.records.cell_spec import ComputeBudget, Origin, Protocol
    from graftbench.suites.submissions import Submission
    from graftbench.suites.suite import Suite
    from graftbench.training.source import Recipe


CODE = "code.json"
"""In a run folder: code hash -> file -> SHA-256 of its contents, of every plan that was run there."""


@dataclass(frozen=True)
class Plan:
    """What a suite comes to.

    Attributes:
        suite: The suite as resolved: the protocol knows its weights, `cells` is filled in.
        cells: Every cell, in the order in which they run.
        targets: Name and resolution -> images of each task's target domain.
        recipes: Recipe id -> the source model's recipe and the images it is trained on.
        notes: Sentences on the data (excluded images).
        images: Name and resolution -> images of every domain that a task names.
        code: Code hash -> the files behind it, as `code.files_of` gives them.
        samples: Cell id -> the images that were handed in for it.
        origins: Method -> who makes its generators, where that is not the suite.
    """

    suite: Suite
    cells: list[CellSpec]
    targets: dict[tuple[str, int], ImageSet]
    recipes: dict[str, tuple[Recipe, ImageSet]]
    notes: list[str]
    images: dict[tuple[str, int], ImageSet] = field(default_factory=dict)
    code: dict[str, dict[str, str]] = field(default_factory=dict)
    samples: dict[str, Submission] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)

    @cached_property
    def ids(self) -> list[str]:
        """The cells' ids in their order, each hashed once."""
        return [cell.id for cell in self.cells]


def make_plan(
    suite: Suite, cache: Path, *, plugins: Sequence[Given] = (), say: Callable[[str], None] = lambda _: None
) -> Plan:
    """Resolve a suite. Everything that can be wrong with it is found here, before any training.

    Raises:
        GraftbenchError: Unknown method, domain or extractor, unusable data, a budget larger than the training split.
    """
    found = registry.methods(plugins, suite.variants)
    methods = [_usable(found, name) for name in suite.methods]
    protocol = resolve_protocol(suite.protocol)
    tasks = [parse_task(text) for text in suite.tasks]
    images = _images(tasks, cache, plugins, say, resize=suite.resize)
    configs = {m.name: _config(m, suite) for m in methods}
    paths = {m.name: _path_digests(m, configs[m.name]) for m in methods}
    files = {m.name: files_of(m) for m in methods}
    codes = {name: hash_of(known) for name, known in files.items()}
    served = {task: _serving(task, methods) for task in tasks}
    for task in tasks:
        for method in served[task]:
            _check_method(method, configs[method.name], task, suite.compute_budgets)
    for task in tasks:
        _check_budgets(suite.budgets_of(str(task)), task, images[task.target, task.resolution])
    recipes = _recipes(suite, served, images)
    models = {key: recipe.id for key, (recipe, _) in recipes.items()}
    manifests = {task: _manifests(task, images) for task in tasks}
    cells = [
        CellSpec(
            method=method.name,
            family=method.family,
            parameters=configs[method.name],
            task=task,
            data_budget=budget,
            compute_budget=compute,
            seed=seed,
            protocol=protocol,
            source_model=models.get((method.source_model, task.source, task.resolution), ""),
            manifests=manifests[task],
            code=codes[method.name],
            variant_of=method.variant_of,
            files=paths[method.name],
        )
        for task in tasks
        for budget, compute, seed, method in product(
            suite.budgets_of(str(task)), suite.compute_budgets, suite.seeds, served[task]
        )
    ]
    at_work = [method.name for method in methods if any(method in serving for serving in served.values())]
    scoring = files_of_scoring()
    samples = _handed_in(suite, found, protocol, images, hash_of(scoring))
    cells += [cell for cell, _ in samples]
    resolved = override(suite, methods=[*at_work, *dict.fromkeys(entry.method for entry in suite.samples)])
    return Plan(
        suite=msgspec.structs.replace(resolved, protocol=protocol, cells=len(cells)),
        cells=_longest_first(cells),
        targets={(task.target, task.resolution): images[task.target, task.resolution] for task in tasks},
        recipes={recipe.id: (recipe, origin) for recipe, origin in recipes.values()},
        notes=[*_notes(images), *_not_served(served, methods), *_alone(suite)],
        images=images,
        code={codes[name]: known for name, known in files.items()} | ({hash_of(scoring): scoring} if samples else {}),
        samples={cell.id: entry for cell, entry in samples},
        origins=_origins(methods, [entry for _, entry in samples]),
    )


def _origins(methods: Sequence[type[Method]], samples: Sequence[Submission]) -> dict[str, Origin]:
    """Method -> who makes its generators, where that is not the suite."""
    found: dict[str, Origin] = {method.name: method.origin for method in methods if method.origin}
    for entry in samples:
        found[entry.method] = "submitted"
    return found


def _usable(found: Found[Method], name: str) -> type[Method]:
    """A method by name; an adapter is none without its parameters.

    Raises:
        GraftbenchError: It is unknown, or an adapter under its own name.
    """
    method = found[name]
    if method.adapter:
        raise GraftbenchError(
            f"'{name}' is an adapter and needs parameters: give it a name of its own, "
            f'[variants.MY-NAME] with method = "{name}" and its parameters, and list that name.'
        )
    return method


def _path_digests(method: type[Method], config: dict[str, object]) -> dict[str, str]:
    """Parameter -> SHA-256 of what lies at the path that it names, where something does; empty for a mere place."""
    found = {name: digest_of_path(config[name]) for name in method.paths}
    return {name: digest for name, digest in found.items() if digest} | {
        name: "" for name in method.places if config[name]
    }


def _handed_in(
    suite: Suite,
    found: Found[Method],
    protocol: Protocol,
    domains: dict[tuple[str, int], ImageSet],
    code: str,
) -> list[tuple[CellSpec, Submission]]:
    """A cell for each of the suite's samples.

    Raises:
        GraftbenchError: They are of a registered method's name, of a task that is not the suite's, the images of
            another cell, too few, of another size, or cannot be read.
    """
    images = {task: domains[task.target, task.resolution] for task in map(parse_task, suite.tasks)}
    cells: list[tuple[CellSpec, Submission]] = []
    seen: dict[tuple[str, str], Submission] = {}
    for entry in suite.samples:
        task = parse_task(entry.task)
        _check_entry(entry, task, found, images)
        sha256 = looked_over(entry.source, needed=protocol.n_generated, side=task.resolution)
        twin = seen.setdefault((entry.method, sha256), entry)
        if twin is not entry:
            raise GraftbenchError(
                f"The samples '{entry.path}' and '{twin.path}' of '{entry.method}' are the same images; each cell has "
                "those of a training of its own."
            )
        cell = CellSpec(
            method=entry.method,
            family=entry.family,
            parameters={},
            task=task,
            data_budget=entry.data_budget,
            compute_budget=entry.compute_budget or suite.compute_budgets[0],
            seed=entry.seed,
            protocol=protocol,
            manifests=_manifests(task, domains),
            code=code,
            variant_of=SAMPLES,
            files={SAMPLES: sha256},
        )
        cells.append((cell, entry))
    return cells


def _check_entry(entry: Submission, task: TaskSpec, found: Found[Method], images: dict[TaskSpec, ImageSet]) -> None:
    """Refuse samples that no cell can be made of, before they are read.

    Raises:
        GraftbenchError: It says what was found.
    """
    if entry.method in found.classes:
        raise GraftbenchError(
            f"The samples in '{entry.path}' stand under the name '{entry.method}', which is a registered method's: "
            "whoever reads the table would take them for its own. Choose another name."
        )
    if task not in images:
        raise unknown("task", str(task), map(str, images), where=f"of the samples '{entry.method}'")
    if task.kind != "generate":
        raise GraftbenchError(f"Samples can be handed in for tasks of the kind 'generate'; found {task}.")
    _check_budgets([entry.data_budget], task, images[task])


def _alone(suite: Suite) -> list[str]:
    """Which samples are of a data budget, seed or compute budget that no method of the suite has."""
    found = []
    for entry in suite.samples:
        of_suite = suite.budgets_of(str(parse_task(entry.task)))
        unlike = [f"{entry.data_budget} training images"] if entry.data_budget not in of_suite else []
        unlike += [f"the seed {entry.seed}"] if entry.seed not in suite.seeds else []
        other = entry.compute_budget is not None and entry.compute_budget not in suite.compute_budgets
        unlike += [str(entry.compute_budget)] if other else []
        if unlike:
            found.append(
                f"{entry.method}: the suite has no cells of {' and '.join(unlike)}, so nothing stands beside these "
                "samples."
            )
    return found


def shard(cells: Sequence[CellSpec], k: int, n: int) -> list[CellSpec]:
    """The k-th of n parts of a plan's cells, counted from 1, in the plan's order.

    Like cells (of one method at one resolution) are put side by side, long ones first, and dealt out in turn: shards
    differ by at most one cell of each kind, whatever n is. Dealt out in the order in which they run, a suite of eight
    methods on four machines would give each machine the cells of two methods alone. What is dealt follows from the
    suite, so that machines that never speak to each other agree.

    Raises:
        GraftbenchError: There is no such part.
    """
    if not 1 <= k <= n:
        raise GraftbenchError(f"There is no shard {k} of {n}; the first is 1, the last {n}.")
    alike = sorted(range(len(cells)), key=lambda i: (*_length(cells[i]), cells[i].method))
    return [cells[i] for i in sorted(alike[k - 1 :: n])]


def parse_shard(text: str) -> tuple[int, int]:
    """`3/8` -> (3, 8): the third of eight.

    Raises:
        GraftbenchError: Another form, or a number out of range.
    """
    k, slash, n = text.strip().partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise GraftbenchError(f"A shard is written K/N with K from 1 to N (3/8: the third of eight); found '{text}'.")
    return int(k), int(n)


def known_code(folder: Path) -> dict[str, dict[str, str]]:
    """Code hash -> file -> SHA-256, as `note_code` left it in a run folder; empty where nothing readable is there."""
    try:
        return msgspec.json.decode((folder / CODE).read_bytes(), type=dict[str, dict[str, str]])
    except (OSError, msgspec.MsgspecError, ValueError):
        return {}


def note_code(folder: Path, plan: Plan) -> None:
    """Add the files behind a plan's code hashes to the run folder, so that a later plan can name what was edited.

    Called by the one driver that holds the folder. The file is replaced whole; a file that cannot be read is put
    aside as `code.json.damaged`, not overwritten.

    Raises:
        GraftbenchError: The folder cannot be written.
    """
    path, known = folder / CODE, known_code(folder)
    if known and plan.code.keys() <= known.keys():
        return
    try:
        if not known and path.exists():
            path.replace(path.with_name(f"{CODE}.damaged"))
        with atomic_file(path) as part:
            part.write_bytes(msgspec.json.encode(known | plan.code, order="sorted"))
    except (OSError, GraftbenchError) as error:
        cause = error.__cause__ or error  # the sentence of `atomic_file` is about the cache
        raise GraftbenchError(f"'{path}' cannot be written ({cause}).") from error


def _check_budgets(budgets: Sequence[int], task: TaskSpec, target: ImageSet) -> None:
    """Refuse a data budget that the target's training split does not have.

    Raises:
        GraftbenchError: The budget and the size of the split.
    """
    pool = len(target.positions("train"))
    for budget in budgets:
        if budget > pool:
            raise GraftbenchError(
                f"A data budget of {budget} images was asked for; the training split of {task.target}@{task.resolution}"
                f" has {pool} (of {len(target.ids)} images; the rest is for validation and reference)."
            )


def _recipes(
    suite: Suite,
    served: dict[TaskSpec, list[type[Method]]],
    images: dict[tuple[str, int], ImageSet],
) -> dict[tuple[str, str, int], tuple[Recipe, ImageSet]]:
    """Kind, source domain, resolution -> the source model that methods of this kind start from."""
    found = {}
    for task, method in ((task, method) for task, methods in served.items() for method in methods):
        key = method.source_model, task.source, task.resolution
        origin = images.get((task.source, task.resolution))
        if method.source_model and origin and key not in found:
            spec = suite.source_models.get(method.source_model, SourceModelSpec())
            found[key] = source.recipe_for(spec, method.source_model, origin), origin
    return found


def _manifests(task: TaskSpec, images: dict[tuple[str, int], ImageSet]) -> dict[str, str]:
    found = ((name, images.get((name, task.resolution))) for name in (task.source, task.target))
    return {name: domain.manifest for name, domain in found if domain}


def _notes(images: dict[tuple[str, int], ImageSet]) -> list[str]:
    excluded = [
        f"{name}@{resolution}: {len(s.excluded)} images could not be used ({', '.join(list(s.excluded)[:3])}, …)"
        for (name, resolution), s in images.items()
        if s.excluded
    ]
    return excluded + [_near_duplicates(*key, s.near_duplicates) for key, s in images.items() if s.near_duplicates]


def _near_duplicates(name: str, resolution: int, sets: Sequence[Sequence[str]]) -> str:
    joined, largest = sum(map(len, sets)), max(sets, key=len)
    return (
        f"{name}@{resolution}: {joined} images are nearly the same as others and stay on one side of the splits with "
        f"them ({len(sets)} sets, the largest of {len(largest)}: {', '.join(largest[:2])}, …)"
    )


def _serving(task: TaskSpec, methods: Sequence[type[Method]]) -> list[type[Method]]:
    """The methods that have cells on a task.

    Raises:
        GraftbenchError: None has, and there are some.
    """
    serving = [method for method in methods if task.kind in method.kinds]
    if methods and not serving:
        raise GraftbenchError(
            f"No method of the suite serves tasks of the kind '{task.kind}', as {task} is one; "
            f"`graftbench ls methods --json` says which do."
        )
    return serving


def _not_served(served: dict[TaskSpec, list[type[Method]]], methods: Sequence[type[Method]]) -> list[str]:
    """Which methods have no cells on a task, and why."""
    missing = {task: [m.name for m in methods if m not in serving] for task, serving in served.items()}
    return [
        f"{task}: no cells of {', '.join(names)}, which do not serve the kind '{task.kind}'"
        for task, names in missing.items()
        if names
    ]


def _images(
    tasks: Sequence[TaskSpec], cache: Path, plugins: Sequence[Given], say: Callable[[str], None], *, resize: str
) -> dict[tuple[str, int], ImageSet]:
    wanted = dict.fromkeys((name, task.resolution) for task in tasks for name in (task.source, task.target))
    images = {}
    for name, resolution in wanted:
        if name == NO_SOURCE:
            continue
        say(f"preparing {name}@{resolution}")
        domain = registry.make_domain(name, plugins)
        images[name, resolution] = prepared.load(domain, name, resolution, cache, resize=resize, say=say)
    return images


def _check_method(
    method: type[Method], parameters: dict[str, object], task: TaskSpec, budgets: Sequence[ComputeBudget]
) -> None:
    """Refuse a method on a task that lacks what it needs, or under a budget that it cannot keep.

    Raises:
        GraftbenchError: There is no source domain, or a parameter does not go with the resolution or the budget.
    """
    needs = [f"a source model ({method.source_model})"] if method.source_model else []
    needs += ["source images"] if method.needs_source_images else []
    if needs and task.source == NO_SOURCE:
        raise GraftbenchError(
            f"Method '{method.name}' needs {' and '.join(needs)}; the task {task} has no source domain. "
            "Name one (source->target@resolution), or leave the method out."
        )
    try:
        made = method(msgspec.convert(parameters, method.Config))
        made.check(task.resolution)
        for budget in budgets:
            made.check_budget(budget)
    except GraftbenchError as error:
        raise GraftbenchError(f"Method '{method.name}' cannot run on {task}: {error}") from error


def _config(method: type[Method], suite: Suite) -> dict[str, object]:
    """The method's parameters with its defaults filled in; paths are absolute."""
    given = suite.parameters.get(method.name, {})
    given = {name: seen_from("", name, value, method) for name, value in given.items()}
    where = f"[variants.{method.name}]" if method.variant_of else f"[parameters.{method.name}]"
    return msgspec.to_builtins(config_of(method.Config, {**method.defaults, **given}, where))


def _longest_first(cells: list[CellSpec]) -> list[CellSpec]:
    """Large images first; reference rows last: they are short and fill the gaps at the end."""
    return sorted(cells, key=_length)


def _length(cell: CellSpec) -> tuple[bool, int]:
    """Sorts cells by how long they may last, the longest first, as far as the suite alone can tell."""
    return cell.family == "reference", -cell.task.resolution
