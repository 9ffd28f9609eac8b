"""WebDataset: tar files in which the files of one sample stand side by side under one name."""

from __future__ import annotations

import itertools
import re
import tarfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from graftbench.contracts import DomainImages, Item
from graftbench.errors import GraftbenchError
from graftbench.images.archives import bad_name, bad_size, is_hidden, is_picture, refusal
from graftbench.images.decoding import reason, unreadable, upright
from graftbench.images.preparation import gathered

from ._decode import RECIPE
from ._places import contents
from ._user_files import UserFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

_BAD_TAR = (OSError, ValueError, EOFError, tarfile.TarError)

_PREFERRED = ("png", "jpg", "jpeg", "webp")
"""Which picture of a sample is taken where it has several, best first: what is not compressed with loss."""


class WebDatasetShards(UserFiles):
    """The images in WebDataset's tar files: `webdataset:PATH` with a tar file, a folder of them, or braces.

    `webdataset:shards/train-{000..009}.tar` means ten files; ranges and lists (`{a,b}`) are spelt out as in a shell. A
    sample's key is its members' path up to the first dot of the last part. Its picture is the member that ends in png,
    jpg, jpeg or webp, in this order, or else the first that is a picture. Nothing is unpacked to the disk. Compressed
    tar files are refused: their pictures could be read from front to back alone.
    """

    name = "webdataset"
    title = "WebDataset shards"
    description = "Tar files of samples with a png, jpg or webp member each, as the webdataset package writes them."

    def fingerprint(self) -> str:
        """Return the SHA-256 over names and contents of the tar files, and what decodes the images.

        Raises:
            GraftbenchError: A file is not there.
        """
        shards = self._shards()
        return f"{contents(self, shards[0].parent, shards)}, {RECIPE}"

    def images(self, resolution: int) -> DomainImages:
        """Return one image of every sample that has a readable one: upright, on white, cropped, resized, in file order.

        Raises:
            GraftbenchError: As `items`; or no image can be used.
        """
        return gathered(self.items(resolution), resolution, f"images in '{Path(self.argument).name}'")

    def items(self, resolution: int) -> list[Item]:
        """Return one picture of every sample, in file order; a sample without one is excluded by name.

        Ids are the shard's name up to its first dot, a slash, and the sample's key.

        Raises:
            GraftbenchError: A file is not there, is no tar file, is compressed, truncated or refused.
        """
        del resolution
        return [item for shard in self._shards() for item in _samples(shard)]

    def _shards(self) -> list[Path]:
        path = Path(self.argument).expanduser()
        if path.is_dir():
            shards = sorted(path.glob("*.tar"))
            if not shards:
                raise GraftbenchError(f"The folder '{path}' holds no files that end in .tar.")
            return shards
        shards = [Path(one) for one in spelt_out(str(path))]
        missing = [shard.name for shard in shards if not shard.is_file()]
        if missing:
            raise GraftbenchError(
                f"{len(missing)} of the {len(shards)} shards of '{path}' are not there, the first is "
                f"{missing[0]}; expected tar files: a file, a folder of them, or train-{{000..009}}.tar."
            )
        return shards


def spelt_out(pattern: str) -> list[str]:
    """Spell out braces: `a-{08..10}.tar` -> a-08.tar, a-09.tar, a-10.tar; `{x,y}` -> x, y; several braces multiply.

    A range keeps the zeros in front of its first number.
    """
    braces = re.search(r"\{([^{}]*)\}", pattern)
    if not braces:
        return [pattern]
    ends = re.fullmatch(r"(\d+)\.\.(\d+)", braces[1])
    parts = braces[1].split(",")
    if ends:
        parts = [f"{i:0{len(ends[1])}d}" for i in range(int(ends[1]), int(ends[2]) + 1)]
    return [one for part in parts for one in spelt_out(pattern[: braces.start()] + part + pattern[braces.end() :])]


class _Member(NamedTuple):
    """A file in a tar file, by offset and size in bytes."""

    name: str
    key: str
    ending: str
    offset: int
    size: int


def _samples(shard: Path) -> Iterator[Item]:
    """Yield an item for each run of members with one key; where no member is a picture, one that is excluded for it."""
    stem = shard.name.partition(".")[0]
    for key, group in itertools.groupby(_members(shard), key=lambda member: member.key):
        members = list(group)
        by_ending = {member.ending: member for member in members if is_picture(member.name)}
        if by_ending:
            first = next((ending for ending in _PREFERRED if ending in by_ending), next(iter(by_ending)))
            opens = partial(_picture, shard, by_ending[first])
        else:
            endings = ", ".join(sorted({member.ending for member in members}))
            opens = partial(unreadable, f"the sample has no picture that is read ({endings})")
        yield Item(f"{stem}/{key}", f"{stem}/{key}", opens)


def _members(shard: Path) -> list[_Member]:
    """Return the members that are files and not hidden, in order.

    Raises:
        GraftbenchError: The file is damaged or refused.
    """
    refused, size, members = refusal(shard.name), shard.stat().st_size, list[_Member]()
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if why := bad_name(member.name) or bad_size(member.size, member.size):
                    raise refused(member.name, why)
                if member.offset_data + member.size > size:
                    raise EOFError(f"the file ends within the member {member.name}")
                if member.isreg() and not member.sparse and not is_hidden(member.name):
                    members.append(_Member(member.name, *_key(member.name), member.offset_data, member.size))
            _check_end(shard, archive.offset)
    except _BAD_TAR as error:
        raise GraftbenchError(
            f"'{shard.name}' cannot be read to its end as an uncompressed tar file ({reason(error)}). It may be "
            "truncated (fetch it again) or compressed (unpack it with gunzip, say)."
        ) from error
    return members


def _check_end(shard: Path, offset: int) -> None:
    """Refuse a file without the block of zeros that ends a tar file: tarfile takes any later damage for its end."""
    with shard.open("rb") as stream:
        stream.seek(offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError(f"no end mark after {offset:,} bytes")


def _picture(shard: Path, member: _Member) -> Image.Image:
    """Read a member and decode it. Raises one of `graftbench.images.decoding.DAMAGE`."""
    with shard.open("rb") as stream:
        stream.seek(member.offset)
        return upright(stream.read(member.size))


def _key(name: str) -> tuple[str, str]:
    """Split a member's name into key and ending: `a/b.c.jpg` -> `a/b`, `c.jpg`."""
    folder, slash, last = name.removeprefix("./").rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", ending.lower()
