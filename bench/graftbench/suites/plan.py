"""A suite resolved against data, methods and code: its cells, and what must exist before they run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.digests import digest_of_path
from graftbench.errors import GraftbenchError, unknown
from graftbench.images.preparation import cores
from graftbench.images.side_by_side import Preparation, prepare_side_by_side
from graftbench.metrics.catalogue import of_factors
from graftbench.plugins import registry
from graftbench.plugins.code_hash import files_of, files_of_scoring, hash_of
from graftbench.plugins.config import config_of
from graftbench.plugins.variants import seen_from
from graftbench.records.cell_spec import NO_SOURCE, SAMPLES, CellSpec
from graftbench.resources.determinism import portable_parameters
from graftbench.scoring.protocol import protocol_for, resolve_protocol
from graftbench.suites.domains import domain_of, named_domains, public_names
from graftbench.suites.matrix import lacking_source, renamed_suite, serves
from graftbench.suites.missing import MissingImagesError, MissingSet, uncounted_tasks
from graftbench.suites.shards import longest_first
from graftbench.suites.split_checks import (
    check_budgets,
    check_reference,
    check_source,
    notes_on_images,
    notes_on_ranking,
    withheld,
)
from graftbench.suites.submitted_images import check_images
from graftbench.suites.suite import DomainPath, override, parse_task, to_itself
from graftbench.training import source
from graftbench.training.source import SourceModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from graftbench.contracts import Method
    from graftbench.images.prepared import ImageSet
    from graftbench.plugins.registry import PluginIndex, PluginSource
    from graftbench.records.cell_spec import Origin, Protocol, TaskSpec
    from graftbench.suites.missing import UncountedTask
    from graftbench.suites.submissions import Submission
    from graftbench.suites.suite import Suite
    from graftbench.training.source import Material, Recipe

DomainImages = dict[tuple[str, int], "ImageSet"]
"""Name and resolution of a domain -> its images."""

Sources = dict[tuple[str, str, int], "PlannedSource"]
"""Kind, source domain and resolution -> the source model that methods start from."""


@dataclass(frozen=True)
class PlannedSource:
    """A source model that methods start from.

    Attributes:
        recipe: Which.
        material: The images it is trained on, or the file of what was imported.
        parts: What methods may look into; None for everything.
        note: Where it is from, in a sentence, if it was made elsewhere.
        chosen: Whether the suite says which; else it is one that is shipped, or one of the default budget.
    """

    recipe: Recipe
    material: Material
    parts: tuple[str, ...] | None = None
    note: str = ""
    chosen: bool = True


@dataclass(frozen=True)
class Plan:
    """The cells of a suite, and all that must exist before they run.

    Attributes:
        suite: The suite as resolved: the protocol knows its weights, `cells` is filled in.
        cells: Every cell, in the order in which they run.
        targets: Name and resolution -> images of each task's target domain.
        sources: Recipe id -> the source model.
        lacking: Method and recipe id -> why the method cannot start from that source model: its cells are skipped.
        notes: Sentences on the data (excluded images).
        images: Name and resolution -> images of every domain that a task names.
        code: Code hash -> the definitions behind it, as `code_hash.files_of` gives them.
        samples: Cell id -> the images that were submitted for it.
        origins: Method -> who makes its generators, where that is not the suite.
        secret: Method -> parameters that its cells hold otherwise than they are (`Method.secret`).
        missing: Sets of images that are not here, in a plan that was made without them.
        uncounted: The tasks that need them, of which no cell is in `cells`.
    """

    suite: Suite
    cells: list[CellSpec]
    targets: DomainImages
    sources: dict[str, PlannedSource]
    notes: list[str]
    images: DomainImages = field(default_factory=dict)
    code: dict[str, dict[str, str]] = field(default_factory=dict)
    samples: dict[str, Submission] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    secret: dict[str, dict[str, Any]] = field(default_factory=dict)
    lacking: dict[tuple[str, str], str] = field(default_factory=dict)
    missing: tuple[MissingSet, ...] = ()
    uncounted: tuple[UncountedTask, ...] = ()

    @cached_property
    def ids(self) -> list[str]:
        """Return the cells' ids in their order, each hashed once."""
        return [cell.id for cell in self.cells]


@dataclass(frozen=True)
class ResolvedMethod:
    """A method of a suite with all that its cells depend on.

    Attributes:
        cls: Its class.
        parameters: Its parameters, defaults included, as they may be recorded; paths are absolute.
        file_digests: Parameter that is a path -> SHA-256 of what lies there; empty for one that is a mere place. Secret
            parameter -> SHA-256 of the whole of it.
        definitions: Its code, as `code_hash.files_of` gives it.
        secret: Parameters that are recorded otherwise than they are.
    """

    cls: type[Method]
    parameters: dict[str, Any]
    file_digests: dict[str, str]
    definitions: dict[str, str]
    secret: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def code(self) -> str:
        """Return the hash of its code."""
        return hash_of(self.definitions)


@dataclass(frozen=True)
class ResolvedSuite:
    """A suite whose names are resolved, before any image is read.

    Attributes:
        suite: The suite as written.
        protocol: Its protocol with the weights' hash and all metrics written out.
        plugins: All methods that are known.
        methods: Those of the suite, in its order.
        serving: Task -> the methods that have cells on it.
    """

    suite: Suite
    protocol: Protocol
    plugins: PluginIndex[Method]
    methods: list[ResolvedMethod]
    serving: dict[TaskSpec, list[ResolvedMethod]]


def make_plan(
    suite: Suite,
    cache: Path,
    *,
    plugins: Sequence[PluginSource] = (),
    say: Callable[[str], None] = lambda _: None,
    without_images: bool = False,
) -> Plan:
    """Resolve a suite. Everything that can be wrong with it is found here, before any training.

    Args:
        suite: The suite.
        cache: Cache folder.
        plugins: Files or folders with more methods and domains.
        say: Told what is being made.
        without_images: Plan the tasks whose images are here, and name the others, where sets of images are missing.
            Pixels that were checked in full before, and not touched since, are not read again.

    Raises:
        MissingImagesError: Images cannot be had, and the plan needs all of them.
        GraftbenchError: Unknown method, domain or extractor, a budget larger than the training split.
    """
    plugins = suite.with_plugins(plugins)
    resolved = resolve_suite(suite, plugins)
    images, missing = load_images(resolved, cache, plugins, say, trusting=without_images)
    if missing and not without_images:
        raise MissingImagesError(missing)
    names_of = {task: [method.cls.name for method in serving] for task, serving in resolved.serving.items()}
    uncounted = uncounted_tasks(suite, names_of, missing)
    resolved = _without(resolved, {task.task for task in uncounted})
    check_data(resolved, images)
    resolved, images = under_public_names(resolved, images, plugins)
    suite = resolved.suite
    sources = resolve_sources(resolved, images, cache, say)
    fitted = enumerate_cells(resolved, images, sources)
    lacking = _lacking(resolved, sources)
    submitted = submitted_cells(resolved, images)

    cells = [*fitted, *(cell for cell, _ in submitted)]
    origins: dict[str, Origin] = {entry.method: "submitted" for _, entry in submitted}
    origins |= {method.cls.name: method.cls.origin for method in resolved.methods if method.cls.origin}
    targets = {(task.target, task.resolution): images[task.target, task.resolution] for task in resolved.serving}
    return Plan(
        suite=_recorded_suite(resolved, len(cells)),
        cells=longest_first(cells),
        targets=targets,
        sources={planned.recipe.id: planned for planned in sources.values()},
        notes=[
            *notes_on_ranking(targets, resolved.protocol),
            *notes_on_images(images),
            *_notes_on_withheld(resolved, images),
            *_notes_on_kinds(resolved),
            *_notes_on_metrics(resolved, images),
            *_notes_on_samples(suite),
            *(f"{method}: its cells are skipped, for {reason}" for (method, _), reason in lacking.items()),
        ],
        images=images,
        code=_code(resolved, scored=bool(submitted)),
        samples={cell.id: entry for cell, entry in submitted},
        origins=origins,
        secret={method.cls.name: method.secret for method in resolved.methods if method.secret},
        lacking=lacking,
        missing=tuple(missing),
        uncounted=tuple(uncounted),
    )


def _without(resolved: ResolvedSuite, tasks: set[str]) -> ResolvedSuite:
    """Return the suite without the cells of some tasks, and without what was submitted for them."""
    if not tasks:
        return resolved
    samples = [entry for entry in resolved.suite.samples if str(parse_task(entry.task)) not in tasks]
    serving = {task: methods for task, methods in resolved.serving.items() if str(task) not in tasks}
    return replace(resolved, suite=msgspec.structs.replace(resolved.suite, samples=samples), serving=serving)


def _code(resolved: ResolvedSuite, *, scored: bool) -> dict[str, dict[str, str]]:
    """Return hash -> definitions of the methods' code, and of that which scores submitted images if there are any."""
    code = {method.code: method.definitions for method in resolved.methods}
    if scored:
        definitions = _files_of_scoring(resolved.protocol)
        code[hash_of(definitions)] = definitions
    return code


def _recorded_suite(resolved: ResolvedSuite, cells: int) -> Suite:
    """Return the suite as a run folder keeps it: the methods that have cells, and the protocol written out."""
    in_use = {method.cls.name for serving in resolved.serving.values() for method in serving}
    names = [method.cls.name for method in resolved.methods if method.cls.name in in_use]
    submitted = dict.fromkeys(entry.method for entry in resolved.suite.samples)
    named = override(resolved.suite, methods=[*names, *submitted])
    return msgspec.structs.replace(_public(named, resolved), protocol=resolved.protocol, plugins=[], cells=cells)


def _public(suite: Suite, resolved: ResolvedSuite) -> Suite:
    """Return the suite with the parameters of its methods as they may be recorded."""
    classes = {method.cls.name: method.cls for method in resolved.methods}
    parameters = {
        name: classes[name].recorded(given) if name in classes else given for name, given in suite.parameters.items()
    }
    variants = {
        name: msgspec.structs.replace(variant, parameters=cls.recorded(variant.parameters))
        if (cls := resolved.plugins.classes.get(variant.method)) is not None
        else variant
        for name, variant in suite.variants.items()
    }
    return msgspec.structs.replace(suite, parameters=parameters, variants=variants)


# ----------------------------------------------------------------------------------------------- 1. resolve the suite


def resolve_suite(suite: Suite, plugins: Sequence[PluginSource]) -> ResolvedSuite:
    """Find the methods of a suite and read their parameters and code; write its protocol out.

    Raises:
        GraftbenchError: Unknown method, parameter, extractor or metric; a method cannot run on a task.
    """
    registry.metrics(plugins)
    index = registry.methods(plugins, suite.variants)
    protocol = resolve_protocol(suite.protocol)
    methods = [_resolve_method(_usable(index, name), suite, protocol) for name in suite.methods]
    for name in suite.variants.keys() - set(suite.methods):
        _usable(index, name)  # nothing runs it, and a wrong name in it is a wrong name all the same
    serving = {task: _serving(task, methods, suite) for task in map(parse_task, suite.tasks)}
    for task, servants in serving.items():
        for method in servants:
            _check_method(method, task, suite)
    return ResolvedSuite(suite, protocol, index, methods, serving)


def _resolve_method(cls: type[Method], suite: Suite, protocol: Protocol) -> ResolvedMethod:
    """Fill in a method's defaults, and hash its code and what lies at its paths."""
    given = {name: seen_from("", name, value, cls) for name, value in suite.parameters.get(cls.name, {}).items()}
    where = f"[variants.{cls.name}]" if cls.variant_of else f"[parameters.{cls.name}]"
    parameters = msgspec.to_builtins(config_of(cls.Config, {**cls.defaults, **given}, where))
    if suite.protocol.portable:
        parameters = portable_parameters(parameters)
    public, digests = cls.recorded(parameters), file_digests(cls, parameters) | cls.secret_digests(parameters)
    secret = {name: parameters[name] for name in cls.secret if parameters[name] != public[name]}
    definitions = files_of(cls, protocol.metrics, second=bool(protocol.second))
    return ResolvedMethod(cls, public, digests, definitions, secret)


def _files_of_scoring(protocol: Protocol) -> dict[str, str]:
    """Return the definitions that score submitted images under a protocol."""
    return files_of_scoring(protocol.metrics, second=bool(protocol.second))


def file_digests(cls: type[Method], parameters: dict[str, Any]) -> dict[str, str]:
    """Return parameter -> SHA-256 of what lies at the path that it names, where something does; empty for a place."""
    digests = {name: digest for name in cls.paths if (digest := digest_of_path(parameters[name]))}
    return digests | {name: "" for name in cls.places if parameters[name]}


def _usable(index: PluginIndex[Method], name: str) -> type[Method]:
    """Return a method by name; an adapter is none without its parameters.

    Raises:
        GraftbenchError: It is unknown, or an adapter under its own name.
    """
    method = index[name]
    if method.adapter:
        raise GraftbenchError(
            f"'{name}' is an adapter and needs parameters: give it a name of its own, "
            f'[variants.MY-NAME] with method = "{name}" and its parameters, and list that name.'
        )
    return method


def _serving(task: TaskSpec, methods: Sequence[ResolvedMethod], suite: Suite) -> list[ResolvedMethod]:
    """Return the methods that have cells on a task.

    Raises:
        GraftbenchError: None has, and there are some.
    """
    serving = [method for method in methods if serves(method.cls, task, suite)]
    if methods and not serving:
        for method in methods:
            _check_source_domain(method, task, suite)
        raise GraftbenchError(
            f"No method of the suite serves tasks of the kind '{task.kind}', as {task} is one; "
            f"`graftbench ls methods --json` says which do."
        )
    return serving


def _check_method(method: ResolvedMethod, task: TaskSpec, suite: Suite) -> None:
    """Refuse a method on a task that lacks what it needs, or under a budget that it cannot keep.

    Raises:
        GraftbenchError: There is no source domain, or a parameter does not go with the resolution or the budget.
    """
    cls = method.cls
    _check_source_domain(method, task, suite)
    try:
        instance = cls(msgspec.convert(method.parameters | method.secret, cls.Config))
        instance.check(task.resolution)
        for budget in suite.compute_budgets:
            instance.check_budget(budget)
    except GraftbenchError as error:
        raise GraftbenchError(f"Method '{cls.name}' cannot run on {task}: {error}") from error


def _check_source_domain(method: ResolvedMethod, task: TaskSpec, suite: Suite) -> None:
    """Refuse a method that needs a source domain on a task that has none.

    Raises:
        GraftbenchError: What it needs, and what to do.
    """
    if needs := lacking_source(method.cls, task, suite):
        raise GraftbenchError(
            f"Method '{method.cls.name}' needs {' and '.join(needs)}; the task {task} has no source domain. "
            "Name one (source->target@resolution), or leave the method out."
        )


# ------------------------------------------------------------------------------------------------ 2. resolve the data


def load_images(
    resolved: ResolvedSuite,
    cache: Path,
    plugins: Sequence[PluginSource],
    say: Callable[[str], None],
    *,
    trusting: bool = False,
) -> tuple[DomainImages, list[MissingSet]]:
    """Prepare the images of every domain that a task names; return them, and the sets that could not be had.

    Args:
        resolved: The suite.
        cache: Cache folder.
        plugins: Files or folders with more domains.
        say: Told what is being made.
        trusting: Do not read the pixels of files that nothing has touched since they were last checked in full.

    Raises:
        GraftbenchError: Unknown domain, or a wrong argument of one.
    """
    images: DomainImages = {}
    missing: list[MissingSet] = []
    domains = {(name, side): domain_of(resolved.suite, name, plugins) for name, side in named_domains(resolved.serving)}
    preparations = [
        Preparation(domain.domain, domain.name, resolution, cache, resolved.suite.resize)
        for (_, resolution), domain in domains.items()
    ]
    prepare_side_by_side(preparations, cores(), say)
    for (name, resolution), domain in domains.items():
        say(f"preparing {name}@{resolution}")
        try:
            images[name, resolution] = domain.load(
                resolution, cache, resize=resolved.suite.resize, say=say, trusting=trusting
            )
        except GraftbenchError as error:
            missing.append(MissingSet(name, resolution, domain.domain.source, str(error)))
    return images, missing


def check_data(resolved: ResolvedSuite, images: DomainImages) -> None:
    """Refuse splits that cannot serve the suite.

    Raises:
        GraftbenchError: A data budget larger than a training split, a reference too small for a metric, or a source
            whose images are the target's.
    """
    for task in resolved.serving:
        target = images[task.target, task.resolution]
        check_budgets(resolved.suite.budgets_of(str(task)), task, target)
        check_reference(task, target, resolved.protocol)
        if source_images := images.get((task.source, task.resolution)):
            check_source(task, source_images)
            if source_images.manifest == target.manifest:
                raise to_itself(str(task), msgspec.structs.replace(task, source=NO_SOURCE))


def under_public_names(
    resolved: ResolvedSuite, images: DomainImages, plugins: Sequence[PluginSource]
) -> tuple[ResolvedSuite, DomainImages]:
    """Return the suite and its images under names that may be published, in place of paths.

    Raises:
        GraftbenchError: Two tasks are one: their images are the same.
    """
    suite = resolved.suite
    domains = {name: domain_of(suite, name, plugins) for name, _ in images}
    names = public_names(domains, {key: domain.manifest for key, domain in images.items()})

    def renamed(task: TaskSpec) -> TaskSpec:
        source, target = (names.get((name, task.resolution), name) for name in (task.source, task.target))
        return msgspec.structs.replace(task, source=source, target=target)

    written: dict[TaskSpec, TaskSpec] = {}
    for task in resolved.serving:
        if (other := written.setdefault(renamed(task), task)) != task:
            raise GraftbenchError(
                f"The tasks '{other}' and '{task}' are one: their images are the same. Leave one out."
            )
    paths = {
        names[name, resolution]: DomainPath(domains[name].written)
        for name, resolution in images
        if domains[name].is_path
    }
    public = renamed_suite(suite, renamed)
    public = msgspec.structs.replace(public, domains=public.domains | paths)
    serving = {renamed(task): methods for task, methods in resolved.serving.items()}
    return (
        replace(resolved, suite=public, serving=serving),
        {(names[name, resolution], resolution): domain for (name, resolution), domain in images.items()},
    )


# ---------------------------------------------------------------------------------------------- 3. enumerate the cells


def enumerate_cells(resolved: ResolvedSuite, images: DomainImages, sources: Sources) -> list[CellSpec]:
    """Return a cell for each method on each task that it serves, at each data budget, compute budget and seed.

    A method that replays held-out images has none where they are too few.
    """
    suite = resolved.suite
    models = {key: planned.recipe.id for key, planned in sources.items()}
    manifests = {task: _manifests(task, images) for task in resolved.serving}
    protocols = {
        task: protocol_for(resolved.protocol, images[task.target, task.resolution]) for task in resolved.serving
    }
    return [
        CellSpec(
            method=method.cls.name,
            family=method.cls.family,
            parameters=method.parameters,
            task=task,
            data_budget=budget,
            compute_budget=compute,
            seed=seed,
            protocol=protocols[task],
            source_model=models.get((method.cls.source_model, task.source, task.resolution), ""),
            manifests=manifests[task],
            code=method.code,
            variant_of=method.cls.variant_of,
            files=method.file_digests,
        )
        for task, serving in resolved.serving.items()
        for budget, compute, seed, method in product(
            suite.budgets_of(str(task)), suite.compute_budgets, suite.seeds, serving
        )
        if not (method.cls.replays_held_out and withheld(images[task.target, task.resolution], budget))
    ]


def resolve_sources(resolved: ResolvedSuite, images: DomainImages, cache: Path, say: Callable[[str], None]) -> Sources:
    """Return the source models that the suite's methods start from; those from elsewhere are imported and checked.

    Raises:
        GraftbenchError: An unknown setting, or a source model from elsewhere that is not as declared.
    """
    sources: Sources = {}
    for task, serving in resolved.serving.items():
        for kind in dict.fromkeys(method.cls.source_model for method in serving):
            key = kind, task.source, task.resolution
            if kind and key not in sources:
                sources[key] = _planned_source(resolved.suite, kind, task, images, cache=cache, say=say)
    return sources


def _planned_source(
    suite: Suite, kind: str, task: TaskSpec, images: DomainImages, *, cache: Path, say: Callable[[str], None]
) -> PlannedSource:
    """Return the model that the suite says; if it says nothing, the shipped one, else one of the default budget."""
    spec = suite.source_models.get(kind)
    if spec is not None and spec.foreign:
        from graftbench.training.source_import import import_source  # noqa: PLC0415 - most suites name none

        say(f"looking at the source model '{spec.label}'")
        imported = import_source(spec, kind, task.resolution, cache)
        return PlannedSource(imported.recipe, imported.file, imported.parts, imported.note)
    domain = images[task.source, task.resolution]
    recipe = source.shipped_recipe(kind, domain) if spec is None else None
    if recipe is None:
        recipe = source.recipe_for(spec or SourceModelSpec(), kind, domain, portable=suite.protocol.portable)
    return PlannedSource(recipe, domain, chosen=spec is not None)


def _lacking(resolved: ResolvedSuite, sources: Sources) -> dict[tuple[str, str], str]:
    """Return method and recipe id -> why the method cannot start from that source model."""
    lacking: dict[tuple[str, str], str] = {}
    for task, serving in resolved.serving.items():
        for method in serving:
            planned = sources.get((method.cls.source_model, task.source, task.resolution))
            if planned and planned.parts is not None:
                recipe_id = planned.recipe.id
                if reason := source.lacking(method.cls.source_parts, planned.parts, recipe_id):
                    lacking[method.cls.name, recipe_id] = reason
    return lacking


def _manifests(task: TaskSpec, images: DomainImages) -> dict[str, str]:
    domains = {name: images.get((name, task.resolution)) for name in (task.source, task.target)}
    return {name: domain.manifest for name, domain in domains.items() if domain}


# ----------------------------------------------------------------------------------------- 4. attach what was submitted


def submitted_cells(resolved: ResolvedSuite, images: DomainImages) -> list[tuple[CellSpec, Submission]]:
    """Return a cell for each of the suite's samples.

    Raises:
        GraftbenchError: They are of a registered method's name, of a task that is not the suite's, the images of
            another cell, too few, of another size, or cannot be read.
    """
    suite, protocol = resolved.suite, resolved.protocol
    code = hash_of(_files_of_scoring(protocol)) if suite.samples else ""
    cells: list[tuple[CellSpec, Submission]] = []
    first_of: dict[tuple[str, str], Submission] = {}
    for entry in suite.samples:
        task = parse_task(entry.task)
        _check_entry(entry, task, resolved, images)
        sha256 = check_images(entry.source, needed=protocol.n_generated, side=task.resolution)
        twin = first_of.setdefault((entry.method, sha256), entry)
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
            protocol=protocol_for(protocol, images[task.target, task.resolution]),
            manifests=_manifests(task, images),
            code=code,
            variant_of=SAMPLES,
            files={SAMPLES: sha256},
        )
        cells.append((cell, entry))
    return cells


def _check_entry(entry: Submission, task: TaskSpec, resolved: ResolvedSuite, images: DomainImages) -> None:
    """Refuse samples that no cell can be made of, before they are read.

    Raises:
        GraftbenchError: It says what was found.
    """
    if entry.method in resolved.plugins.classes:
        raise GraftbenchError(
            f"The samples in '{entry.path}' stand under the name '{entry.method}', which is a registered method's: "
            "whoever reads the table would take them for its own. Choose another name."
        )
    if task not in resolved.serving:
        raise unknown("task", str(task), map(str, resolved.serving), where=f"of the samples '{entry.method}'")
    if task.kind != "generate":
        raise GraftbenchError(f"Samples can be handed in for tasks of the kind 'generate'; found {task}.")
    check_budgets([entry.data_budget], task, images[task.target, task.resolution])


# ---------------------------------------------------------------------------------------------------------- the notes


def _notes_on_withheld(resolved: ResolvedSuite, images: DomainImages) -> Iterable[str]:
    """Say at which data budgets a method that replays held-out images has no cells, and why."""
    for task, serving in resolved.serving.items():
        names = ", ".join(method.cls.name for method in serving if method.cls.replays_held_out)
        for budget in resolved.suite.budgets_of(str(task)):
            if names and (why := withheld(images[task.target, task.resolution], budget)):
                yield f"{task}: no cells of {names} at {budget} images: {why}"


def _notes_on_kinds(resolved: ResolvedSuite) -> Iterable[str]:
    """Say which methods have no cells on a task, and why."""
    for task, serving in resolved.serving.items():
        without_cells = [method.cls for method in resolved.methods if method not in serving]
        if other_kinds := [cls.name for cls in without_cells if task.kind not in cls.kinds]:
            yield f"{task}: no cells of {', '.join(other_kinds)}, which do not serve the kind '{task.kind}'"
        for cls in without_cells:
            if cls.name not in other_kinds:
                needs = " and ".join(lacking_source(cls, task, resolved.suite))
                yield f"{task}: no cells of {cls.name}, which needs {needs}: the task has no source domain"


def _notes_on_metrics(resolved: ResolvedSuite, images: DomainImages) -> Iterable[str]:
    """Say which metrics that the suite names cannot be computed on a task."""
    named = of_factors(resolved.protocol.metrics)
    for task in resolved.serving if named else ():
        if not images[task.target, task.resolution].factors:
            yield f"{task}: no {' and no '.join(named)}, for the images of {task.target} are not labelled with factors"


def _notes_on_samples(suite: Suite) -> Iterable[str]:
    """Say which samples are of a data budget, seed or compute budget that no method of the suite has."""
    for entry in suite.samples:
        budgets = suite.budgets_of(str(parse_task(entry.task)))
        unlike = [f"{entry.data_budget} training images"] if entry.data_budget not in budgets else []
        unlike += [f"the seed {entry.seed}"] if entry.seed not in suite.seeds else []
        other = entry.compute_budget is not None and entry.compute_budget not in suite.compute_budgets
        unlike += [str(entry.compute_budget)] if other else []
        if unlike:
            yield (
                f"{entry.method}: the suite has no cells of {' and '.join(unlike)}, so nothing stands beside these "
                "samples."
            )
