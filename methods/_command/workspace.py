"""Make the workspace of a foreign program: its folders, its copy of the code, its environment."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from graftbench.digests import files_below
from graftbench.errors import GraftbenchError
from graftbench.resources.device import HeldOnDevice
from graftbench.resources.programs import Program, Ran, run

from .template import fill, missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

Form = Literal["png", "zip"]

OURS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "GRAFTBENCH_CACHE")
"""Variables of this process's own interpreter and cache, which would lead another one astray."""

REFUSED = "refused-samples"
"""Folder in `{out}` for generated images that could not be used."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Workspace:
    """A cell's folders for a foreign program.

    Attributes:
        out: `{out}`: kept with the cell.
        work: `{code}`: the working directory, with copies of the files that `code` names.
        data: `{data}`: a folder or a zip file.
        source: `{source}`, likewise; written only where it is asked for.
        samples: `{samples}`.
        temporary: For temporary files.
    """

    out: Path
    work: Path
    data: Path
    source: Path
    samples: Path
    temporary: Path

    @classmethod
    def of(cls, folder: Path, form: Form) -> Workspace:
        """Make a cell's folders anew and empty."""
        folder = folder.resolve()
        ending = ".zip" if form == "zip" else ""
        scratch, out = folder / "scratch", folder / "output"
        for path in (scratch, out):
            shutil.rmtree(path, ignore_errors=True)
        workspace = cls(
            out=out,
            work=scratch / "work",
            data=scratch / f"data{ending}",
            source=scratch / f"source{ending}",
            samples=scratch / "samples",
            temporary=scratch / "tmp",
        )
        for path in (out, workspace.work, workspace.samples, workspace.temporary):
            path.mkdir(parents=True)
        return workspace

    def fresh_samples(self) -> Path:
        """Empty the folder `{samples}`."""
        shutil.rmtree(self.samples, ignore_errors=True)
        self.samples.mkdir(parents=True)
        return self.samples

    @contextmanager
    def kept_if_refused(self) -> Iterator[None]:
        """Keep what lies in `{samples}` where the block fails: somebody will want to look at it."""
        try:
            yield
        except BaseException:
            if self.samples.is_dir() and any(self.samples.iterdir()):
                kept = self.out / REFUSED
                shutil.rmtree(kept, ignore_errors=True)
                shutil.move(self.samples, kept)
            raise


def write_images(images: torch.Tensor, path: Path) -> None:
    """Write images, uint8 N×3×H×W, as a zip file if the path ends so, else as numbered PNG files in a folder."""
    from graftbench.images.writers import write_edm_zip, write_png_folder  # noqa: PLC0415 - a list of methods writes none

    pixels = images.cpu().numpy()
    if path.suffix == ".zip":
        write_edm_zip(pixels, path)
    else:
        write_png_folder(pixels, path)


# -------------------------------------------------------------------------------------------------------------- code


def code_files(code: str | Sequence[str]) -> dict[str, Path]:
    """Return path in the working directory -> original path, for all files that `code` names.

    A single folder is the working directory itself; of a list, each lies there under its last name.

    Raises:
        GraftbenchError: There is nothing, or two are of one name.
    """
    if isinstance(code, str):
        return dict(_below(Path(code), "")) if code else {}
    files: dict[str, Path] = {}
    for entry in code:
        for name, file in _below(Path(entry), f"{Path(entry).name}/"):
            if name in files:
                raise GraftbenchError(f"Two entries of `code` are of one name, '{name}': {files[name]} and {file}.")
            files[name] = file
    return files


def _below(path: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield path.name, path
    elif path.is_dir():
        yield from ((prefix + file.relative_to(path).as_posix(), file) for file in files_below(path))
    else:
        raise GraftbenchError(
            f"There is nothing at '{path}', which `code` names; relative paths begin at the folder of the file that "
            "declares the variant."
        )


def copy_code(code: str | Sequence[str], work: Path) -> None:
    """Copy the files that count for the cell's identity, and no others, into the working directory."""
    for name, file in code_files(code).items():
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)


# -------------------------------------------------------------------------------------------------------- environment


def environment(values: Mapping[str, str | None], user: Mapping[str, str], python: str, device: str) -> dict[str, str]:
    """Return the environment of a program: this process's, without what belongs to its own interpreter.

    Args:
        values: Placeholders; they are there as variables, `GRAFTBENCH_SEED` for `{seed}`.
        user: Variables that the user gives, in which placeholders are filled in; left out where one has no value.
        python: The program's interpreter; the commands of its environment come first. Empty for this one.
        device: As torch calls it.
    """
    variables = {name: value for name, value in os.environ.items() if name not in OURS}
    variables["PATH"] = search_path(python)
    variables["CUDA_VISIBLE_DEVICES"] = visible_devices(device, os.environ.get("CUDA_VISIBLE_DEVICES"))
    variables["PYTHONUNBUFFERED"] = "1"  # the log is live
    variables |= dict.fromkeys(THREADS, values["threads"] or "1")
    variables |= {f"GRAFTBENCH_{name.upper()}": value for name, value in values.items() if value is not None}
    return variables | {name: fill(text, values) for name, text in user.items() if not missing(text, values)}


def search_path(python: str) -> str:
    """Return PATH with the folder of another interpreter first, without that of this process's virtual environment."""
    parts = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if not python:
        return os.pathsep.join([str(Path(sys.executable).parent), *parts])
    this = str(Path(sys.prefix, "bin"))
    parts = [part for part in parts if part != this or sys.prefix == sys.base_prefix]
    folder = [str(Path(python).parent)] if os.sep in python else []
    return os.pathsep.join([*folder, *parts])


def visible_devices(device: str, before: str | None) -> str:
    """Return CUDA_VISIBLE_DEVICES for a program that is to see one GPU, or none on a CPU.

    Args:
        device: `cpu`, `cuda` or `cuda:N`, as torch counts what this process sees.
        before: The variable as this process has it.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return ""
    visible = [name.strip() for name in before.split(",")] if before else []
    number = int(index or 0)
    return visible[number] if number < len(visible) else str(number)


# ---------------------------------------------------------------------------------------------------------------- run


def run_words(
    words: Sequence[str],
    workspace: Workspace,
    variables: Mapping[str, str],
    device: str,
    *,
    seconds: float | None = None,
) -> Ran:
    """Run a command in its working directory, for at most so many seconds."""
    program = Program(words, workspace.work, {**variables, "TMPDIR": str(workspace.temporary)})
    held = HeldOnDevice.open(device) if device.partition(":")[0] == "cuda" else None
    if held is None:
        return run(program, seconds=seconds)
    try:
        return run(program, seconds=seconds, held_on_device=held.mib)
    finally:
        held.close()


def check_program(word: str, python: str, files: Mapping[str, Path], *, what: str) -> None:
    """Refuse a program that cannot be run; one that only the working directory has must be among `code`.

    Raises:
        GraftbenchError: What was looked for, and where.
    """
    relative = os.sep in word and not Path(word).is_absolute()
    if "{" in word or (relative and Path(word).as_posix() in files):
        return
    if relative:
        raise GraftbenchError(
            f"`{what}` runs '{word}', which is not among `code`; in the working directory lie {_some(files)}."
        )
    if shutil.which(word, path=search_path(python)) is None:
        problem = "is no program that can be run" if Path(word).exists() else "does not exist"
        raise GraftbenchError(f"`{what}` runs '{word}', which {problem if os.sep in word else 'is not on the PATH'}.")


def check_script(word: str, files: Mapping[str, Path], *, what: str) -> None:
    """Refuse a script that does not exist: the first argument, if it is written as a file of Python or of a shell.

    Raises:
        GraftbenchError: It names those that are.
    """
    path = Path(word)
    if "{" in word or path.suffix not in (".py", ".sh"):
        return
    if path.is_absolute():
        if not path.is_file():
            raise GraftbenchError(f"`{what}` runs '{word}', which does not exist.")
    elif os.path.normpath(word) not in files:
        raise GraftbenchError(
            f"`{what}` runs '{word}', which is not among `code`; in the working directory lie {_some(files)}. "
            f'Write code = ["{word}"], with all else that it needs.'
        )


def _some(files: Mapping[str, Path]) -> str:
    names = sorted(files)
    return ", ".join(names[:5]) + (", …" if names[5:] else "") if names else "no files, for `code` names none"
