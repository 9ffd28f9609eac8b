"""A suite file (TOML) -> a frozen suite -> frozen cells."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec
from msgspec import Meta

from graftbench.bounds import LARGEST_SIDE, Count, CountOrZero, InnerShare, NonNegative, Positive, Seed
from graftbench.contracts import SourceNeed
from graftbench.errors import GraftbenchError, unknown
from graftbench.images.resizing import DEFAULT, RULES
from graftbench.plugins.config import parse_toml, read_table, read_toml
from graftbench.plugins.variants import Variant, check_variants, placed
from graftbench.records.cell_spec import NO_SOURCE, ComputeBudget, Kind, Protocol, TaskSpec
from graftbench.suites.submissions import Submission, check_submissions
from graftbench.training.source import SourceModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.plugins.registry import PluginSource


class CellLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of a cell's time and memory, whatever its method does.

    Attributes:
        cell_seconds: Wall time after which a cell's whole process group is killed: status `timeout`.
        memory_mib: Resident memory of a cell's process group above which it is killed: status `oom`. None: no limit.
        source_seconds: Wall time after which the training of a source model is killed; the cells that need it are then
            `skipped`. None: no limit.
    """

    cell_seconds: Positive = 1800
    memory_mib: Annotated[float, Meta(ge=1)] | None = None
    source_seconds: Positive | None = None


LOCAL = "local.toml"
"""File beside a run's suite.toml: where this machine keeps its images."""

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)


class DomainPath(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Images of the user's under a name of their own.

    Attributes:
        path: A folder of images, or `zip:PATH`, `npz:PATH`, …, as in a task.
    """

    path: str


class LocalPaths(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of `local.toml`: name -> where this machine keeps the images."""

    domains: dict[str, DomainPath] = {}


class Suite(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A suite: the contents of a suite file.

    Attributes:
        name: Name of the suite.
        title: What it is for, in a line.
        tasks: `source->target@resolution`, with a kind before it where they are not plain generation
            (`colorize:openmoji@32`).
        methods: Registered names.
        data_budgets: Numbers of target training images.
        compute_budget: One of kimg, seconds, gflops; or several such budgets, each cell once under each.
        task_budgets: Task -> its own numbers of target training images, where they are not `data_budgets`.
        seeds: Each seed is another draw of the data budget, another initialisation, another run.
        protocol: How cells are scored.
        source_models: Kind (`gan`, `vae`, `diffusion`, `flow`, `stylegan2`) -> how source models of that kind are made.
        parameters: Method name -> parameters that differ from the method's defaults.
        limits: Hard limits per cell.
        snapshots: Shares of the compute budget, between 0 and 1, at which each generator is scored on the way: the
            learning curve. None of it counts against the budget or changes the result.
        checkpoint_seconds: A fit that lasts longer is checkpointed this often, and a killed cell goes on from there.
            0: never.
        variants: Name -> a method under that name with parameters of its own; `methods` lists the name.
        samples: Images that were made elsewhere: each a cell of its own, beside those of `methods`.
        plugins: Files and folders with methods and domains, seen from the suite's file: as `--plugin` of every command.
            The copy of the suite in a run folder has none, for a path of this machine helps nobody there.
        resize: Rule by which pictures become squares of the tasks' resolution, one of `resizing.RULES`. Another rule is
            another task: its cells have other ids.
        cells: Filled in by `run`: number of cells, so that a report can say how many are missing.
        domains: Name -> where its images are; tasks name them by it, and so do records and reports.
        folder: Where relative paths of images begin; the suite file's folder, filled in when it is read. Empty: the
            current folder.
    """

    name: str
    tasks: list[str]
    methods: list[str]
    data_budgets: list[Count]
    compute_budget: ComputeBudget | list[ComputeBudget]
    title: str = ""
    seeds: list[Seed] = msgspec.field(default_factory=lambda: [0, 1, 2])
    task_budgets: dict[str, list[Count]] = {}
    protocol: Protocol = Protocol()
    source_models: dict[str, SourceModelSpec] = {}
    parameters: dict[str, dict[str, Any]] = {}
    limits: CellLimits = CellLimits()
    variants: dict[str, Variant] = {}
    samples: list[Submission] = []
    snapshots: list[InnerShare] = []
    checkpoint_seconds: NonNegative = 60
    plugins: list[str] = []
    resize: str = DEFAULT
    cells: CountOrZero = 0
    domains: dict[str, DomainPath] = {}
    folder: str = ""

    @property
    def compute_budgets(self) -> list[ComputeBudget]:
        """Return the compute budgets, one or several, as a list."""
        return self.compute_budget if isinstance(self.compute_budget, list) else [self.compute_budget]

    def with_plugins(self, given: Sequence[PluginSource]) -> list[PluginSource]:
        """Return the suite's plugins, and those that are given beside it."""
        return [*map(Path, self.plugins), *given]

    def budgets_of(self, task: str) -> list[int]:
        """Return the data budgets of a task, as `str(parse_task(…))` writes it."""
        own = {str(parse_task(name)): budgets for name, budgets in self.task_budgets.items()}
        return own.get(task, self.data_budgets)


def packaged_suites() -> dict[str, str]:
    """Return name -> TOML text of the suites that come with the package."""
    suites = [file for file in files("graftbench.suites").iterdir() if file.name.endswith(".toml")]
    return dict(sorted((file.name.removesuffix(".toml"), file.read_text("utf-8")) for file in suites))


def load_suite(name_or_path: str | Path) -> Suite:
    """Load a packaged suite by name, or a TOML file by path.

    Raises:
        GraftbenchError: No such suite, no valid TOML, an unknown key or a value of the wrong type.
    """
    path = Path(name_or_path)
    name, packaged = str(name_or_path), packaged_suites()
    if name in packaged:
        return parse_suite(packaged[name], f"suite '{name}'")
    if path.suffix != ".toml":
        raise unknown("suite", name, packaged, where="(and no file NAME.toml was named)")
    if not path.is_file():
        raise GraftbenchError(f"There is no suite file '{path}'. Packaged suites: {', '.join(packaged)}.")
    suite = suite_of(read_toml(path, "suite file"), str(path))
    folder = str(path.resolve().parent)
    models = {
        kind: msgspec.structs.replace(spec, folder=spec.folder or folder) if spec.foreign else spec
        for kind, spec in suite.source_models.items()
    }
    return msgspec.structs.replace(
        suite,
        source_models=models,
        variants=placed(suite.variants, path),
        samples=[entry.placed(path) for entry in suite.samples],
        plugins=[str(Path(folder, Path(name).expanduser())) for name in suite.plugins],
        domains=suite.domains | (paths_beside(path) if path.name == "suite.toml" else {}),
        folder=suite.folder or folder,
    )


def paths_beside(suite_file: Path) -> dict[str, DomainPath]:
    """Return where this machine keeps the images of a run's suite; nothing where it was made elsewhere.

    Raises:
        GraftbenchError: The file is damaged.
    """
    path = suite_file.with_name(LOCAL)
    if not path.exists():
        return {}
    try:
        return read_table(read_toml(path, "file of paths"), LocalPaths, f"'{path}'").domains
    except GraftbenchError as error:
        raise GraftbenchError(f"{error} Remove it; the next run writes it again.") from error


def parse_suite(text: str, where: str) -> Suite:
    """Read a suite from TOML text; `where` names it in errors."""
    return suite_of(parse_toml(text, where), where)


def suite_of(raw: dict[str, Any], where: str) -> Suite:
    """Read a suite from the tables of its file; `where` names it in errors.

    Raises:
        GraftbenchError: An unknown key, a value of the wrong type or out of range, or parts that do not go together.
    """
    suite = read_table(raw, Suite, where)
    _check_name(suite.name, where)
    _check_lists(suite, where)
    _check_tasks(suite, where)
    _check_budgets(suite, where)
    if suite.protocol.reference not in ("reference", "validation"):
        raise unknown("split", suite.protocol.reference, ("reference", "validation"), where=f"in {where}")
    if suite.snapshots != sorted(set(suite.snapshots)):
        raise GraftbenchError(
            f"{where}: snapshots are shares of the budget above 0 and below 1, ascending; found {suite.snapshots}."
        )
    if suite.resize not in RULES:
        raise unknown("resize rule", suite.resize, RULES, where=f"in {where}")
    kinds = [kind for kind in get_args(SourceNeed) if kind]
    check_variants(suite.variants, where)
    check_submissions(suite.samples, where)
    _check_names("listed method", suite.parameters, suite.methods, f"in [parameters] of {where}")
    _check_names("kind of source model", suite.source_models, kinds, f"in [source_models] of {where}")
    for label in suite.domains:
        if not _LABEL.fullmatch(label) or label == NO_SOURCE:
            raise GraftbenchError(
                f"{where}: a name in [domains] has letters, digits and . _ + - and is not '{NO_SOURCE}'; "
                f"found '{label}'."
            )
    return suite


def _check_name(name: str, where: str) -> None:
    """Refuse a name that is none, or that reads as a path."""
    if not name.strip():
        raise GraftbenchError(f"{where}: a suite needs a name; found `name` = {name!r}.")
    if name in (".", "..") or re.search(r"[/\\]", name):
        raise GraftbenchError(f"{where}: a suite's name is no path and has no / and no \\; found `name` = {name!r}.")


def _check_lists(suite: Suite, where: str) -> None:
    """Refuse a list without a value, and one that has a value twice."""
    lists = {name: getattr(suite, name) for name in ("tasks", "methods", "data_budgets", "seeds")}
    for name, values in lists.items():
        if not values and not (name == "methods" and suite.samples):
            raise GraftbenchError(f"{where}: the matrix is empty, for `{name}` lists nothing.")
    for name, values in (lists | {"protocol.metrics": suite.protocol.metrics}).items():
        if len(set(values)) < len(values):
            raise GraftbenchError(f"{where}: `{name}` lists a value twice: {values}.")


def _check_tasks(suite: Suite, where: str) -> None:
    """Refuse a task that is written twice, in two spellings too (`@32`, `@032`)."""
    spellings: dict[str, str] = {}
    for text in suite.tasks:
        task = str(parse_task(text))
        if task in spellings:
            raise GraftbenchError(f"{where}: `tasks` lists one task twice, as '{spellings[task]}' and as '{text}'.")
        spellings[task] = text


def _check_budgets(suite: Suite, where: str) -> None:
    named, tasks = ([str(parse_task(text)) for text in texts] for texts in (suite.task_budgets, suite.tasks))
    _check_names("task", named, tasks, f"in [task_budgets] of {where}")
    for budgets in (suite.data_budgets, *suite.task_budgets.values()):
        if not budgets:
            raise GraftbenchError(f"{where}: `task_budgets` lists no budget for a task.")
        if len(set(budgets)) < len(budgets):
            raise GraftbenchError(f"{where}: `task_budgets` lists a value twice: {budgets}.")
    budgets = suite.compute_budgets
    if not budgets or len(set(budgets)) < len(budgets):
        listed = ", ".join(map(str, budgets)) or "none"
        raise GraftbenchError(f"{where}: `compute_budget` is one or several different budgets; found {listed}.")


def _check_names(what: str, names: Iterable[str], valid: Iterable[str], where: str) -> None:
    for name in names:
        if name not in valid:
            raise unknown(what, name, valid, where=where)


def parse_task(text: str) -> TaskSpec:
    """Split `twemoji->openmoji@32` into its parts. The resolution follows the last `@`; a source `none` is none.

    A kind may stand before it, and then the source may be left out: `stylize:twemoji->openmoji@32`,
    `superres4:openmoji@32`.

    Raises:
        GraftbenchError: Another form, a resolution that is no 4·2^k of at least 8, a kind without what it needs, or a
            source that is the target.
    """
    prefix, _, transfer = text.partition(":")
    kind = next((kind for kind in get_args(Kind) if prefix.strip() == kind), None)
    if kind is None:
        kind, transfer = "generate", text
    names, at, side = transfer.rpartition("@")
    if kind != "generate" and "->" not in names:
        names = f"{NO_SOURCE}->{names}"
    source, arrow, target = names.partition("->")
    if not (at and arrow and source.strip() and target.strip() and re.fullmatch(r"[0-9]{1,18}", side.strip())):
        raise GraftbenchError(f"A task is written source->target@resolution (twemoji->openmoji@32); found '{text}'.")
    if target.strip() == NO_SOURCE:
        raise GraftbenchError(f"A task needs a target domain; only its source can be '{NO_SOURCE}': found '{text}'.")
    resolution = int(side)
    check_resolution(resolution, text)
    if kind == "stylize" and source.strip() == NO_SOURCE:
        raise GraftbenchError(f"stylize needs a source domain (stylize:twemoji->openmoji@32); found '{text}'.")
    if source.partition("?")[0].strip() == target.partition("?")[0].strip():
        raise to_itself(text, TaskSpec(NO_SOURCE, target.strip(), resolution, kind))
    return TaskSpec(source.strip(), target.strip(), resolution, kind)


def check_resolution(resolution: int, written: str) -> None:
    """Refuse a side that the networks of no task have.

    Args:
        resolution: Side in pixels.
        written: Where it stands, as it is written there: the task, or the option.

    Raises:
        GraftbenchError: It is no 4·2^k from 8 on.
    """
    if not 8 <= resolution <= LARGEST_SIDE or resolution & (resolution - 1):
        raise GraftbenchError(
            f"A resolution is 8, 16, 32, …, {LARGEST_SIDE} (4·2^k); found {resolution} in '{written}'."
        )


def to_itself(written: str, alone: TaskSpec) -> GraftbenchError:
    """Make the error for a task whose source has the images of its target.

    Args:
        written: The task as it is written.
        alone: The task without its source.
    """
    way_forward = "" if alone.kind == "stylize" else f" '{alone}' trains on them without a source."
    return GraftbenchError(
        f"A task leads from one domain to another; source and target of '{written}' are the same images: what has "
        f"learnt the source has seen every training image already, whatever the data budget.{way_forward}"
    )


def override(suite: Suite, *, methods: Iterable[str] | None = None) -> Suite:
    """Return the suite with other methods; what it says of methods that are left out goes with them."""
    if methods is None:
        return suite
    names = list(methods)
    samples = [entry for entry in suite.samples if entry.method in names]
    submitted = {entry.method for entry in samples}
    return msgspec.structs.replace(
        suite,
        methods=[name for name in names if name not in submitted],
        parameters={name: values for name, values in suite.parameters.items() if name in names},
        variants={name: variant for name, variant in suite.variants.items() if name in names},
        samples=samples,
    )
