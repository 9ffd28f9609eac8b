"""Stand-ins for torch and other large packages, in commands that need of methods and domains only what these say.

To import torch takes seconds, to define a class that uses it takes none of it. Where a command lists, plans or cites,
these packages are names without contents: they can be imported, their classes derived from and their decorators
applied, and nothing else. What does more (calls a function of torch, compares, prints) raises `NeedsPackage`, and the
command line starts the command anew with the packages themselves: an answer never rests on a stand-in.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from inspect import CO_OPTIMIZED
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

PACKAGES = ("torch", "torchvision", "timm", "torch_fidelity", "safetensors.torch", "scipy")
"""Packages that no command needs which only plans, lists, cites or looks."""

OF_IMAGES = ("numpy", "PIL")
"""Packages that of these only a plan needs, which reads what is known of the images."""


class NeedsPackage(BaseException):
    """A stand-in was used for more than to define something."""


class StandIn:
    """A class, function or constant of a package that is not imported."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> StandIn:
        return _attribute(self._name, name)

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        """Let a class derive from it: the class has the method's own words and no more."""
        return ()

    def __call__(self, *args: object, **_: object) -> object:
        """Be a decorator or a default while a module or a class is defined; at any time, make an object of a class."""
        is_class = self._name.rpartition(".")[2][:1].isupper()
        if _is_function(sys._getframe(1)) and not is_class:  # noqa: SLF001 - the caller's
            self._refuse()
        return args[0] if len(args) == 1 and callable(args[0]) else StandIn(f"{self._name}()")

    def __getitem__(self, item: object) -> StandIn:
        """Be a type with parameters while a module or a class is defined: `NDArray[np.uint8]`."""
        of_types = all(isinstance(each, StandIn | type) for each in (item if isinstance(item, tuple) else (item,)))
        if _is_function(sys._getframe(1)) or not of_types:  # noqa: SLF001 - the caller's
            self._refuse()
        return self

    def __or__(self, other: object) -> StandIn:
        """Be part of a type: `Tensor | None`."""
        return self

    __ror__ = __or__

    def _refuse(self, *_: object) -> NoReturn:
        raise NeedsPackage(self._name)

    __bool__ = __eq__ = __str__ = __repr__ = __format__ = __iter__ = __len__ = __contains__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __neg__ = __index__ = __int__ = __float__ = __enter__ = __exit__ = _refuse
    __instancecheck__ = __subclasscheck__ = _refuse
    __hash__ = object.__hash__


def _is_function(frame: FrameType) -> bool:
    """Return whether a frame is a function's; a module's and a class's are none."""
    return bool(frame.f_code.co_flags & CO_OPTIMIZED)


class _StandInModule(ModuleType):
    def __getattr__(self, name: str) -> StandIn:
        return _attribute(self.__name__, name)


def _attribute(owner: str, name: str) -> StandIn:
    if name.startswith("__"):  # Python asks for these itself
        raise AttributeError(f"the stand-in of {owner} has no {name}")
    return StandIn(f"{owner}.{name}")


class _Finder(MetaPathFinder, Loader):
    """Finds a stand-in for packages and all modules below them."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        inside = any(fullname == name or fullname.startswith(f"{name}.") for name in self._packages)
        return ModuleSpec(fullname, self, is_package=True) if inside else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Define nothing."""


def stand_in(*, images: bool = True) -> None:
    """Let the packages' stand-ins be imported from now on; those that are imported already stay.

    Args:
        images: Leave NumPy and Pillow, which read images, as they are.
    """
    packages = PACKAGES if images else (*PACKAGES, *OF_IMAGES)
    if not active() and not any(name in sys.modules for name in packages):
        sys.meta_path.insert(0, _Finder(packages))


def active() -> bool:
    """Return whether stand-ins may have been imported."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)
