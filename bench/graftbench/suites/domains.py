"""The domains that a suite's tasks name: where their images are, and the names under which they are published."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError, unknown
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.records.cell_spec import NO_SOURCE, with_digits, without_path
from graftbench.suites.suite import DomainPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from graftbench.contracts import Domain
    from graftbench.images.prepared import ImageSet
    from graftbench.plugins.registry import PluginSource
    from graftbench.records.cell_spec import TaskSpec
    from graftbench.suites.suite import Suite

_PATH_DOMAIN = "folder"
"""Domain that reads a path of [domains] that names none."""

_DIGITS = 9
"""Length of `#1a2b3c4d`."""


@dataclass(frozen=True)
class SuiteDomain:
    """A domain of a suite.

    Attributes:
        domain: It.
        name: What it goes by where its images are prepared: its label, or as it is written, with an absolute path.
        written: As a task may write it, with an absolute path.
        public: Its name without paths, which another one may have too.
        is_path: Its argument is a path.
        has_digits: It had digits after its name when it was published before.
        folder: Where its relative path was taken to begin; empty where it was absolute.
    """

    domain: Domain
    name: str
    written: str
    public: str
    is_path: bool = False
    has_digits: bool = False
    folder: str = ""

    def load(
        self,
        resolution: int,
        cache: Path,
        *,
        resize: str,
        say: Callable[[str], None] = lambda _: None,
        trusting: bool = False,
    ) -> ImageSet:
        """Load its images, as `prepared.load` does.

        Raises:
            GraftbenchError: As there; where a relative path leads nowhere, it says where was looked.
        """
        try:
            return prepared.load(self.domain, self.name, resolution, cache, resize=resize, say=say, trusting=trusting)
        except GraftbenchError as error:
            path = Path(self.domain.argument.partition("?")[0])
            if not self.folder or path.exists():
                raise
            other = Path(os.path.relpath(path, self.folder)).absolute()
            hint = f" '{other}' exists: write its path from there, or the whole path." if other.exists() else ""
            raise GraftbenchError(
                f"{error} It was looked for at '{path}': relative paths of a suite begin at the folder of the suite "
                f"file, '{self.folder}'.{hint}"
            ) from error


def domain_of(suite: Suite, name: str, plugins: Sequence[PluginSource]) -> SuiteDomain:
    """Return the domain that a suite's task names: a registered one, one with a path, or a label of [domains].

    Raises:
        GraftbenchError: There is none (naming the nearest), its argument is wrong, or a label is a domain's name.
    """
    label, mark, split_options = name.partition("?")
    registered, entry = registry.domains(plugins).classes, suite.domains.get(name)
    if entry is None and mark and label in suite.domains:
        entry = DomainPath(f"{suite.domains[label].path}?{split_options}")
    if entry is not None and label in registered:
        raise GraftbenchError(f"[domains.{label}] has the name of a domain that is there already. Choose another.")
    if entry is None and ":" not in name and label not in registered and suite.domains:
        raise unknown("domain", label, [*registered, *suite.domains])
    is_label = entry is not None and ":" not in name
    written = name if entry is None else entry.path
    if entry is not None and written.partition(":")[0] not in registered:
        written = f"{_PATH_DOMAIN}:{written}"  # cats -> folder:cats
    base, colon, argument = written.partition(":")
    domain = registry.make_domain(written, plugins)
    if not (colon and "PATH" in domain.takes_argument):
        return SuiteDomain(domain, name if is_label else written, written, name)
    path = Path(argument).expanduser()
    folder = "" if path.is_absolute() else suite.folder
    argument = os.path.abspath(Path(folder, path))  # noqa: PTH100 - a link's own name is the public one
    written = f"{base}:{argument}"
    is_published = entry is not None and not is_label  # by a run, in its own suite
    has_digits = is_published and name[-_DIGITS : -_DIGITS + 1] == "#"
    public = name if is_label else name[:-_DIGITS] if has_digits else without_path(written)
    return SuiteDomain(
        domain=registry.make_domain(written, plugins),
        name=name if is_label else written,
        written=written,
        public=public,
        is_path=True,
        has_digits=has_digits,
        folder=folder,
    )


def named_domains(tasks: Iterable[TaskSpec]) -> list[tuple[str, int]]:
    """Return the name and resolution of every domain that tasks name, each once, in their order."""
    domains = dict.fromkeys((name, task.resolution) for task in tasks for name in (task.source, task.target))
    return [(name, resolution) for name, resolution in domains if name != NO_SOURCE]


def public_names(
    domains: Mapping[str, SuiteDomain], manifests: Mapping[tuple[str, int], str]
) -> dict[tuple[str, int], str]:
    """Return (name in the suite, resolution) -> the name under which the images are published.

    Args:
        domains: Name in the suite -> the domain.
        manifests: (Name in the suite, resolution) -> the manifest of its images. Where several domains of one public
            name are not the same images, the first digits of its manifest follow each.
    """
    names = {}
    for (name, resolution), manifest in manifests.items():
        domain = domains[name]
        rivals = [other for other, one in domains.items() if one.public == domain.public and other != name]
        differ = any(manifests.get((other, resolution)) != manifest for other in rivals)
        names[name, resolution] = with_digits(domain.public, manifest) if domain.has_digits or differ else domain.public
    return names
