"""The matrix of a suite without its data and code: which cells it has, and of which suite several runs are parts."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import NO_SOURCE, ComputeBudget
from graftbench.records.domain_names import public_task
from graftbench.suites.suite import DomainPath, parse_task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graftbench.contracts import Method
    from graftbench.records.cell_spec import CellSpec, TaskSpec
    from graftbench.suites.submissions import Submission
    from graftbench.suites.suite import Suite

_MATRIX = ("tasks", "methods", "data_budgets", "seeds")
_UNITED = ("parameters", "source_models", "variants")
_STRICT = ("compute_budget", "task_budgets")
_HARMLESS = ("limits", "snapshots", "checkpoint_seconds")

Place = tuple[str, str, int, int, ComputeBudget]
"""Place of a cell in a suite's matrix: method, task, data budget, seed, compute budget."""


def united_suite(suites: Sequence[Suite], names: Sequence[str]) -> tuple[Suite, list[str]]:
    """Return the suite of which all these are parts, and notes on what differed without harm.

    Runs of one suite may differ in tasks, methods, data budgets and seeds (each machine had its own): the union counts.
    Suites of different names must agree in all the rest.

    Args:
        suites: As resolved.
        names: What to call each in errors.

    Raises:
        GraftbenchError: They differ in the protocol or in something else that a cell's result depends on.
    """
    first, notes = suites[0], []
    for suite, name in zip(suites[1:], names[1:], strict=True):
        for key in first.protocol.__struct_fields__:
            if key != "weights":
                here, there = (each.protocol.with_weights_at(lambda _: "") for each in (first, suite))
                values = getattr(here, key), getattr(there, key)
                _check_equal(key, *values, f"the protocol of '{names[0]}'", f"'{name}'")
        strict = _STRICT if suite.name == first.name else (*_STRICT, *_MATRIX, *_UNITED)
        for key in strict:
            _check_equal(key, getattr(first, key), getattr(suite, key), f"the suite of '{names[0]}'", f"'{name}'")
        if suite.name != first.name:
            notes.append(f"'{name}' is a run of suite '{suite.name}', which is '{first.name}' under another name.")
    united: dict[str, Any] = {key: _union(key, [getattr(suite, key) for suite in suites]) for key in _MATRIX}
    united |= {key: _united(key, suites, names) for key in _UNITED}
    united["domains"] = {label: domain for suite in reversed(suites) for label, domain in suite.domains.items()}
    united["samples"] = list({entry.coordinates: entry for suite in suites for entry in suite.samples}.values())
    notes += [
        f"The runs differ in `{key}`, which no score depends on; that of '{names[0]}' is kept."
        for key in _HARMLESS
        if any(getattr(suite, key) != getattr(first, key) for suite in suites)
    ]
    whole = msgspec.structs.replace(first, **united)
    return msgspec.structs.replace(whole, cells=len(places(whole))), notes


def _check_equal(key: str, first: object, second: object, first_name: str, second_name: str) -> None:
    if first != second:
        raise GraftbenchError(
            f"The runs do not belong together: `{key}` is {_shown(first)} in {first_name}, {_shown(second)} in "
            f"{second_name}. "
            "Runs of one suite under one protocol can be merged."
        )


def _shown(value: object) -> str:
    return str(value) if isinstance(value, msgspec.Struct) else repr(value)


def _union(key: str, lists: Sequence[Sequence[Any]]) -> list[Any]:
    """Return all values, each once; the order of the longest list, then of the others as they come.

    Tasks are one that differ in where a machine keeps its domains.
    """
    union: dict[Any, Any] = {}
    for values in sorted(lists, key=len, reverse=True):
        for value in values:
            union.setdefault(public_task(parse_task(value)) if key == "tasks" else value, value)
    return list(union.values())


def _united(key: str, suites: Sequence[Suite], names: Sequence[str]) -> dict[str, Any]:
    """Return one table of all. Where two suites have the same entry, it is the same."""
    united: dict[str, tuple[Any, str]] = {}
    for suite, name in zip(suites, names, strict=True):
        entries = getattr(suite, key)
        if key == "variants":  # where a machine keeps their files does not matter
            entries = {name: msgspec.structs.replace(variant, folder="") for name, variant in entries.items()}
        for entry in suite.methods if key == "parameters" else entries:
            value = entries.get(entry, {})
            first, first_name = united.setdefault(entry, (value, name))
            _check_equal(f"{key}.{entry}", first, value, f"the suite of '{first_name}'", f"'{name}'")
    return {entry: value for entry, (value, _) in sorted(united.items()) if value != {}}


def place_of(cell: CellSpec) -> Place:
    """Return where a cell belongs, by the names of its domains. Other code or parameters change nothing."""
    return cell.method, public_task(cell.task), cell.data_budget, cell.seed, cell.compute_budget


def places(suite: Suite) -> set[Place]:
    """Return the cells of a suite's matrix, and of the samples that were submitted beside it."""
    serving = _serving(suite)
    return {place_of_samples(entry, suite) for entry in suite.samples} | {
        place
        for task in suite.tasks
        for place in product(
            serving[parse_task(task)],
            [public_task(parse_task(task))],
            suite.budgets_of(str(parse_task(task))),
            suite.seeds,
            suite.compute_budgets,
        )
    }


def place_of_samples(entry: Submission, suite: Suite) -> Place:
    """Return where samples belong in a suite; where they name no compute budget it is the suite's first."""
    task = public_task(parse_task(entry.task))
    return entry.method, task, entry.data_budget, entry.seed, entry.compute_budget or suite.compute_budgets[0]


def _serving(suite: Suite) -> dict[TaskSpec, list[str]]:
    """Return task -> the suite's methods that have cells on it.

    Methods are looked up only where a task is of another kind than `generate` or has no source domain: a plan leaves
    out those that do not serve it. A plugin's method that is not known here is taken to serve every task.
    """
    tasks = [parse_task(task) for task in suite.tasks]
    if all(task.kind == "generate" and task.source != NO_SOURCE for task in tasks):
        return dict.fromkeys(tasks, suite.methods)
    from graftbench.plugins import registry  # noqa: PLC0415 - imports every method, and torch with them

    classes = registry.methods(variants=suite.variants).classes
    return {task: [m for m in suite.methods if m not in classes or serves(classes[m], task, suite)] for task in tasks}


def serves(method: type[Method], task: TaskSpec, suite: Suite) -> bool:
    """Return whether a method has cells on a task: it serves the kind, and is no reference row that lacks its source.

    A trained method that lacks it is refused with its suite: what is named to be trained must not be left out unseen.
    """
    return task.kind in method.kinds and not (method.family == "reference" and lacking_source(method, task, suite))


def lacking_source(method: type[Method], task: TaskSpec, suite: Suite) -> list[str]:
    """Return what a method needs of the source domain that a task does not have: `source images`; none where it has."""
    if task.source != NO_SOURCE:
        return []
    spec = suite.source_models.get(method.source_model)
    from_elsewhere = spec is not None and spec.foreign
    needs = [f"a source model ({method.source_model})"] if method.source_model and not from_elsewhere else []
    return [*needs, *(["source images"] if method.needs_source_images else [])]


def renamed_suite(suite: Suite, name: Callable[[TaskSpec], TaskSpec]) -> Suite:
    """Return the suite with other names of the domains in its tasks; a task whose names stay is left as written.

    Where the images of a renamed domain are goes with its name.

    Args:
        suite: The suite.
        name: Gives each task its names.
    """

    def renamed(text: str) -> str:
        task = parse_task(text)
        return text if (other := name(task)) == task else str(other)

    pairs = [(task, name(task)) for task in map(parse_task, suite.tasks)]
    sides = {(old.source, new.source) for old, new in pairs} | {(old.target, new.target) for old, new in pairs}
    moved = {new: suite.domains.get(old, DomainPath(old)) for old, new in sorted(sides) if old != new}
    gone = {old for old, new in sides if old != new}
    kept = {label: domain for label, domain in suite.domains.items() if label not in gone}
    return msgspec.structs.replace(
        suite,
        domains=kept | moved,
        tasks=[renamed(task) for task in suite.tasks],
        task_budgets={renamed(task): budgets for task, budgets in suite.task_budgets.items()},
        samples=[msgspec.structs.replace(entry, task=renamed(entry.task)) for entry in suite.samples],
    )


def keep_samples(planned: Suite, of_run: Suite | None) -> Suite:
    """Return the suite that was planned, with the samples that the run's suite has besides.

    Args:
        planned: As resolved.
        of_run: What the run folder says so far; None where it says nothing. Its samples of cells of which `planned` has
            samples itself, and of tasks that `planned` does not have, are left out.
    """
    if of_run is None:
        return planned
    tasks = [public_task(parse_task(task)) for task in planned.tasks]
    taken = {place_of_samples(entry, planned) for entry in planned.samples}
    kept = [
        entry
        for entry in of_run.samples
        if public_task(parse_task(entry.task)) in tasks and place_of_samples(entry, planned) not in taken
    ]
    samples, cells = [*planned.samples, *kept], planned.cells + len(kept)
    return msgspec.structs.replace(planned, samples=samples, cells=cells)
