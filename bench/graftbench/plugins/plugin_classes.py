"""Name -> plugin class; a file of the package is imported when one of its names is asked for, or all are listed."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Class = TypeVar("Class", bound=type)

_NAME = re.compile(r"^    name(?: *: *[^=\n]+)? *= *[\"']([^\"'\n]+)[\"']", re.MULTILINE)


def names_in(source: str) -> tuple[str, ...]:
    """Return the texts that a file of plugins calls `name` in a class or function: its plugins' names are among them.

    Empty where none is written out; the file must then be imported to know.
    """
    return tuple(dict.fromkeys(_NAME.findall(source)))


class PluginClasses(MutableMapping[str, Class]):
    """Classes by name, in the order of their names.

    A file may wait: it is imported when one of the names that may be in it is looked up, and all that wait are when the
    names are listed or counted. What a look-up says is thus never a guess.
    """

    def __init__(self) -> None:
        self._classes: dict[str, Class] = {}
        self._waiting: dict[str, list[Callable[[], None]]] = {}

    def wait(self, names: Iterable[str], enter: Callable[[], None]) -> None:
        """Let a file wait whose plugins may have these names.

        Args:
            names: Of which one must be looked up before the file is imported.
            enter: Imports the file and enters its classes here.
        """
        for name in names:
            self._waiting.setdefault(name, []).append(enter)

    def __getitem__(self, name: str) -> Class:
        self._enter(name)
        return self._classes[name]

    def __setitem__(self, name: str, cls: Class) -> None:
        self._classes[name] = cls

    def __delitem__(self, name: str) -> None:
        self._enter(name)
        del self._classes[name]

    def __iter__(self) -> Iterator[str]:
        self._enter_all()
        return iter(sorted(self._classes))

    def __len__(self) -> int:
        self._enter_all()
        return len(self._classes)

    def _enter_all(self) -> None:
        while self._waiting:
            self._enter(min(self._waiting))

    def _enter(self, name: str) -> None:
        """Import the files in which a name may be, in their order."""
        for enter in self._waiting.pop(name, ()):
            for others in self._waiting.values():
                if enter in others:
                    others.remove(enter)
            enter()
