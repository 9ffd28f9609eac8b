"""Parcels: what goes in comes out, once per content, whole or not at all, by any number of processes at once."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graftbench.execution.executors import shipping

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write(folder: Path, **contents: bytes) -> dict[str, Path]:
    """Files of a folder, `_` in names standing for `/`; as `files_under` gives them."""
    for name, data in contents.items():
        path = folder / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return shipping.files_under(folder)


def read(folder: Path) -> dict[str, bytes]:
    """Relative name -> contents of all files, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_under_leaves_out_links_byte_code_and_hidden_files(tmp_path: Path) -> None:
    """Regular files by relative name, sorted."""
    write(tmp_path, b=b"", a_c=b"1")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "c.pyc").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert list(shipping.files_under(tmp_path)) == ["a/c", "b"]
    assert list(shipping.files_under(tmp_path, without=lambda name: name == "b")) == ["a/c"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=40), max_size=6), limit=st.integers(1, 50)
)
def test_bundles_hold_what_the_files_do(
    contents: dict[str, bytes], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For any contents and any limit: no bundle is larger, and unpacked they are the files, empty ones too."""
    folder = tmp_path_factory.mktemp("files")
    files = write(folder, **contents)
    bundles = list(shipping.bundles(files, limit))
    assert all(0 <= sum(len(data) for _, data in bundle) <= limit for bundle in bundles)
    for bundle in bundles:
        shipping.unpack(bundle, folder / "out")
    assert {name: data for name, data in contents.items() if (folder / "out" / name).read_bytes() == data} == contents
    assert len(shipping.files_under(folder / "out") if contents else []) == len(contents)


def test_the_hash_follows_names_and_contents(tmp_path: Path) -> None:
    """Equal files in another folder have an equal hash; another name, content or division of it has another."""
    one = shipping.digest_of(write(tmp_path / "1", a=b"x", b=b"y"))
    assert shipping.digest_of(write(tmp_path / "2", b=b"y", a=b"x")) == one
    others = [
        shipping.digest_of(write(tmp_path / "3", a=b"x", c=b"y")),
        shipping.digest_of(write(tmp_path / "4", a=b"xy", b=b"")),
        shipping.digest_of(write(tmp_path / "5", a=b"y", b=b"x")),
        shipping.digest_of(write(tmp_path / "6", a=b"x")),
    ]
    assert len({one, *others}) == 5


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    """What a node sends back is written below the job's folder and nowhere else."""
    with pytest.raises(ValueError, match="leads out of its folder"):
        shipping.unpack([(name, b"")], tmp_path / "in")


def test_a_parcel_is_fetched_once_and_by_many_at_once(tmp_path: Path) -> None:
    """Eight threads that want a parcel all get it whole; who comes later does not fetch it again."""
    files = write(tmp_path / "files", a=b"1" * 1000, b_c=b"2")
    digest = shipping.digest_of(files)
    start = threading.Barrier(8)
    found: list[dict[str, bytes]] = []

    def slowly() -> Iterator[list[tuple[str, bytes]]]:
        for bundle in shipping.bundles(files, 100):
            time.sleep(0.002)
            yield bundle

    def want() -> None:
        start.wait()
        found.append(read(shipping.settle(tmp_path / "store", digest, slowly)))

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"a": b"1" * 1000, "b/c": b"2"}] * 8
    assert [entry.name for entry in (tmp_path / "store").iterdir()] == [digest]
    assert shipping.settle(tmp_path / "store", digest, lambda: pytest.fail("it is there")).name == digest


def test_a_parcel_whose_sending_breaks_off_is_not_there(tmp_path: Path) -> None:
    """Half a parcel is none; the next attempt makes it whole."""

    def broken() -> Iterator[list[tuple[str, bytes]]]:
        yield [("a", b"half")]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        shipping.settle(tmp_path, "digest", broken)
    assert list(tmp_path.iterdir()) == []
    assert read(shipping.settle(tmp_path, "digest", lambda: [[("a", b"whole")]])) == {"a": b"whole"}


def test_what_nobody_uses_is_removed_from_a_node(tmp_path: Path) -> None:
    """After `UNUSED_DAYS`, when something new comes; what was used since stays."""
    for name in ("used", "unused"):
        shipping.settle(tmp_path, name, lambda: [[("a", b"")]])
        long_ago = time.time() - (shipping.UNUSED_DAYS + 1) * 86400
        os.utime(tmp_path / name, (long_ago, long_ago))
    shipping.settle(tmp_path, "used", list)
    shipping.settle(tmp_path, "new", list)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["new", "used"]


def test_what_arrives_comes_into_the_folder_together(tmp_path: Path) -> None:
    """Nothing before the end, the result last; what a driver before had not finished is thrown away."""
    (tmp_path / ".arriving").mkdir()
    (tmp_path / ".arriving" / "result.json").write_text("of the driver before")
    (tmp_path / "log.txt").write_text("of the try before")
    arrival = shipping.Arrival(tmp_path, "result.json")
    arrival.add([("log.txt", b"one "), ("result.json", b"{}"), ("log.txt", b"two")])
    assert read(tmp_path)["log.txt"] == b"of the try before"
    arrival.finish()
    assert read(tmp_path) == {"log.txt": b"one two", "result.json": b"{}"}


def test_a_node_folder_of_somebody_else_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code is run from it: it must be the user's own, and only the user may write there."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home = shipping.node_home()
    assert home.parent == tmp_path
    assert home.stat().st_mode & 0o777 == 0o700
    home.chmod(0o777)
    with pytest.raises(PermissionError, match="set TMPDIR"):
        shipping.node_home()
    home.rmdir()
    home.symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="set TMPDIR"):
        shipping.node_home()


def test_the_package_is_laid_out_as_installed(tmp_path: Path) -> None:
    """Plugin folders lie inside, wherever they were; weights of source models stay behind."""
    write(tmp_path / "bench" / "pack", a=b"")
    models = tmp_path / "bench" / "pack" / "training" / "source_models"
    models.mkdir(parents=True)
    for name in ("m.safetensors", "m.json"):
        (models / name).touch()
    write(tmp_path / "methods", m=b"")
    files = shipping.package_files(tmp_path / "bench" / "pack", {"methods": [str(tmp_path / "methods")]})
    assert list(files) == ["pack/a", "pack/methods/m", "pack/training/source_models/m.json"]


def test_the_package_that_was_sent_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process and in those that it starts, over what is installed and what lies in the working directory."""
    import subprocess

    for name in ("sent", "here"):
        (tmp_path / name / "graftbench").mkdir(parents=True)
        (tmp_path / name / "graftbench" / "__init__.py").touch()
        (tmp_path / name / "graftbench" / "say.py").write_text(f"print({name!r})")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "here"))
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    shipping.prefer(tmp_path / "sent")
    assert sys.path[0] == str(tmp_path / "sent")
    assert "graftbench.execution.executors" not in sys.modules
    command = [sys.executable, "-m", "graftbench.say"]
    said = subprocess.run(command, cwd=tmp_path / "here", capture_output=True, text=True, check=True)
    assert said.stdout == "sent\n"
