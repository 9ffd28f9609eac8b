"""Writes a working plugin and its test under a name of the user's choice."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from graftbench.errors import GraftbenchError
from graftbench.plugins import registry

Kind = Literal["method", "domain", "report"]
MethodStart = Literal["scratch", "fine-tune"]

_NAME = re.compile(r"[a-z][a-z0-9_-]*")

LONGEST = 40
"""Characters of a name: tables have room for so many."""


def write(kind: Kind, name: str, folder: Path, family: MethodStart = "scratch") -> list[Path]:
    """Write the plugin NAME and its test into a folder.

    In a checkout of the suite, its folder for plugins of this kind is given a plugin like its neighbours; the test
    goes to that folder of `tests/`.

    Args:
        kind: What it is.
        name: As suites and tables write it; the file and the class are named after it.
        folder: Made if it is not there.
        family: Of a method: whether it starts from fresh weights or from a source model.

    Returns:
        The plugin's file and the test's.

    Raises:
        GraftbenchError: The name is none, is taken, or would hide a module that plugins need; a file is there already;
            the folder cannot be written.
    """
    module = _module_name(kind, name)
    house = _checkout(folder, kind)
    _check_free(kind, name, module, house=house is not None)
    tests = house / "tests" / registry.FOLDERS[kind] if house else folder
    paths = [folder / f"{module}.py", tests / f"test_{module}.py"]
    existing = [path for path in paths if path.exists()]
    if existing:
        raise GraftbenchError(
            f"'{existing[0]}' is there already; nothing was written. Remove it, or choose another name."
        )
    templates = (kind, f"test_{kind}")
    texts = [rendered(template, name, house=house is not None, family=family) for template in templates]
    _write_both(dict(zip(paths, texts, strict=True)))
    return paths


def rendered(template: str, name: str, *, house: bool, family: MethodStart = "scratch") -> str:
    """Render a template with a name filled in.

    Args:
        template: "method", "test_method", and so on.
        name: Of the plugin.
        house: Whether it is for the suite's own folders.
        family: As in `write`.
    """
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - `graftbench --help` does without

    text = (files("graftbench.plugins.templates") / f"{template}.py.jinja").read_text("utf-8")
    words = name.replace("_", "-").split("-")
    environment = Environment(  # noqa: S701 - Python, not HTML; names are identifiers
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    return environment.from_string(text).render(
        name=name,
        module=name.replace("-", "_"),
        cls="".join(word[:1].upper() + word[1:] for word in words),
        title=" ".join(words).capitalize(),
        house=house,
        family=family,
        year=datetime.now(UTC).year,
    )


# ----------------------------------------------------------------------------------------------------------- names


def _module_name(kind: str, name: str) -> str:
    """Return the file's name without its ending.

    Raises:
        GraftbenchError: The name cannot be one.
    """
    module = name.replace("-", "_")
    example = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789") or f"my-{kind}"
    if not _NAME.fullmatch(name) or not module.isidentifier() or name.endswith(("-", "_")):
        raise GraftbenchError(
            f"'{name}' cannot be a {kind}'s name: it has lower-case letters, digits and hyphens, and begins with a "
            f"letter. For example: {example}."
        )
    if len(name) > LONGEST:
        raise GraftbenchError(f"'{name}' has {len(name)} characters; a name has at most {LONGEST}.")
    if keyword.iskeyword(module) or keyword.issoftkeyword(module):
        raise GraftbenchError(f"'{name}' is a word of Python's own; choose another name. For example: my-{name}.")
    if module.startswith("test_"):
        raise GraftbenchError(
            f"'{name}' begins with 'test': pytest would take {module}.py for a file of tests. "
            f"For example: {name[5:] or f'my-{kind}'}."
        )
    return module


def _check_free(kind: str, name: str, module: str, *, house: bool) -> None:
    """Refuse what is taken.

    Raises:
        GraftbenchError: By whom.
    """
    existing = registry.SEARCHES[kind]().classes.get(name)
    if existing is not None:
        raise GraftbenchError(f"The {kind} '{name}' exists already: the name is taken by {_file_shown(existing)}.")
    if not house and (hidden := _hides(module)):
        raise GraftbenchError(
            f"A file {module}.py would hide {hidden} from every Python that starts in its folder; choose another name. "
            f"For example: my-{name}."
        )


def _file_shown(cls: type[Any]) -> str:
    """Return where a plugin is defined: `methods/dcgan.py` of the package's own, else the path."""
    file = registry.file_of(cls)
    own = cls.__module__.startswith("graftbench.")
    return "/".join(file.parts[-2:]) if own else str(file)


def _hides(module: str) -> str:
    """Return the module that a file of this name would hide; empty if there is none."""
    if module in sys.stdlib_module_names:
        return f"Python's own module '{module}'"
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    origin = spec.origin if spec is not None else None  # a folder without __init__.py has none and hides nothing
    ours = origin is not None and Path(origin).resolve().parent == Path.cwd()  # a neighbour of the user's own
    return "" if origin is None or ours else f"the installed package '{module}'"


def _checkout(folder: Path, kind: str) -> Path | None:
    """Return the root of the checkout whose folder of plugins this is; None for any other folder."""
    root, name = folder.resolve().parent, folder.resolve().name
    is_checkout = (root / "bench" / "graftbench" / "contracts.py").is_file()
    return root if is_checkout and name == registry.FOLDERS[kind] else None


# ----------------------------------------------------------------------------------------------------------- files


def _write_both(texts: dict[Path, str]) -> None:
    """Write new files; nothing that is there is replaced, and of two both are written or none.

    Raises:
        GraftbenchError: A file is there, or cannot be written.
    """
    written: list[Path] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise GraftbenchError(f"'{error.filename}' cannot be written ({error.strerror}).") from error
