"""The images of a domain at one resolution: decoded once, split for good (`splitting`), kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, cast

import numpy as np

from graftbench.bounds import LARGEST_SIDE
from graftbench.cache import CacheChangedError, atomic_file, atomic_folder, cache_folder, locked
from graftbench.digests import remembered, stamp
from graftbench.errors import GraftbenchError, unknown
from graftbench.images import near_duplicates, preparation
from graftbench.images.resizing import DEFAULT, RULES
from graftbench.images.splitting import SPLITS, Split, assign

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from graftbench.contracts import Domain, DomainImages
    from graftbench.digests import Stamp

FORMAT = 1
"""Version of the cached form; raised when the files or the rule of the splits change."""

_CHECKED = "checked.json"
"""In an entry: what its files looked like from outside when they were last checked in full."""

_PIECE = 1 << 22


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A domain at one resolution.

    Attributes:
        domain: Name of the domain; of a path, only the last component.
        resolution: Side of the images in pixels.
        ids: One stable id per image.
        groups: One group per image; images of one group are on one side of every split.
        splits: One split per image.
        pixels: uint8, N×3×H×W, RGB, 0 to 255; read-only, mapped from the cache.
        manifest: SHA-256 over name, resolution, ids, groups, splits and pixels; equal on every machine for equal
            images.
        excluded: Id -> why the image could not be used.
        entry: The folder in the cache that they are read from.
        resize: The rule by which pictures were resized.
        near_duplicates: Ids of images that are nearly equal and were joined in one group for it, set by set; none
            where the domain's own groups are complete.
        factors: Factor -> variant of each image, "" where it lacks the factor; empty where the domain knows none.
        moved: Ids of images that the domain states another split for: they are nearly the same as images of this one.
    """

    domain: str
    resolution: int
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[Split, ...]
    pixels: NDArray[np.uint8]
    manifest: str
    excluded: Mapping[str, str] = field(default_factory=dict)
    entry: Path | None = None
    resize: str = DEFAULT
    near_duplicates: tuple[tuple[str, ...], ...] = ()
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    moved: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Return split -> number of its images."""
        return {split: self.splits.count(split) for split in SPLITS}

    @property
    def largest_group(self) -> int:
        """Return how many images the largest group has."""
        return max(Counter(self.groups).values())

    def positions(self, split: str) -> NDArray[np.int64]:
        """Return the positions of a split's images: int64, ascending; empty if the split has none.

        Raises:
            GraftbenchError: There is no such split.
        """
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        return np.flatnonzero(np.array(self.splits) == split).astype(np.int64)

    def images(self, split: str) -> NDArray[np.uint8]:
        """Return a copy of a split's images in order: uint8 n×3×H×W.

        Raises:
            GraftbenchError: There is no such split.
        """
        return np.array(self.pixels[self.positions(split)])


def load(
    domain: Domain,
    name: str,
    resolution: int,
    cache: Path | None = None,
    *,
    resize: str = DEFAULT,
    say: Callable[[str], None] = lambda _: None,
    trusting: bool = False,
) -> ImageSet:
    """Load the images of a domain, from the cache if they are there, else decode them and put them there.

    Processes that ask for the same images at once decode them once. What was cached is checked in full against its
    manifest, which reads the file once; a damaged entry is made again. Memory stays small however many images there
    are, if the domain offers `items`.

    Args:
        domain: The domain.
        name: As a suite writes it, argument included (`folder:photos/cats`).
        resolution: Side in pixels.
        cache: Cache folder; None for the user's (`cache_folder`).
        resize: Rule by which pictures are resized, one of `resizing.RULES`.
        say: Is told every few seconds how far a preparation is.
        trusting: Do not read the pixels of files that nothing has touched since they were last checked in full.

    Raises:
        GraftbenchError: The images are not there or not usable, or the cache cannot be written; the domain gives its
            images by the default rule alone; there is no such rule.
    """
    if not 1 <= resolution <= LARGEST_SIDE:
        raise GraftbenchError(f"The resolution of '{name}' is {resolution}; expected 1 to {LARGEST_SIDE} pixels.")
    if resize not in RULES:
        raise unknown("resize rule", resize, RULES)
    public = public_name(domain, name)
    entry = entry_of(domain, name, resolution, cache_folder() if cache is None else cache, resize)
    images = _read(entry, public, resolution, trusting=trusting)
    if images is None:  # the lock comes second: a cache that is read-only but full serves as well
        with locked(entry.with_name(f"{entry.name}.lock")):
            images = _read(entry, public, resolution)
            if images is None:
                _prepare(entry, domain, public, resolution, resize=resize, say=say)
                images = _read(entry, public, resolution)
    if images is None:
        raise GraftbenchError(
            f"The cache entry {entry} reads differently from what was just written to it; "
            "set GRAFTBENCH_CACHE to a folder on a sound disk."
        )
    return images


def entry_of(domain: Domain, name: str, resolution: int, cache: Path, resize: str = DEFAULT) -> Path:
    """Return the folder in the cache that keeps the images of a domain once they are prepared.

    Raises:
        GraftbenchError: The domain's argument is wrong, or what it reads is not there.
    """
    with remembered(cache / "digests" / f"{_digest(name)}.json") as file_digest:
        domain.file_digest = file_digest
        try:
            fingerprint = domain.fingerprint()
        finally:
            del domain.file_digest  # what it remembers is written down when the block ends
    parts = [public_name(domain, name), fingerprint, resolution, FORMAT, *_choices(domain, resize)]
    return cache / "domains" / _digest(parts)


def _choices(domain: Domain, resize: str) -> list[str]:
    """Return what the images depend on beside the domain, where it is not as it was before there was a choice."""
    rule = domain.split_rule
    choices = [] if resize == DEFAULT else [f"resize {resize}"]
    choices += [] if rule.train is None else [f"train {rule.train}, validation {rule.validation}"]
    if domain.curated_groups:
        return choices
    return [*choices, f"near-duplicates {'kept' if rule.keep_near_duplicates else near_duplicates.VERSION}"]


def reopen(entry: Path, manifest: str) -> ImageSet:
    """Open a cache entry that is known to be there, whatever has become of what its images were made from.

    The files are checked in full only if they changed since they last were (`load` does that once a run): if their
    size, times or number on the disk are others. What a failing disk does to them in between is not noticed.

    Raises:
        CacheChangedError: It is not there any more, is damaged, or holds other images.
    """
    try:
        stored = json.loads((entry / "manifest.json").read_text("ascii"))
        images = _read(entry, stored["domain"], stored["resolution"], trusting=True)
    except (OSError, ValueError, KeyError, TypeError):
        images = None
    if images is None or images.manifest != manifest:
        raise CacheChangedError(
            f"The prepared images at {entry} are gone, damaged or others than when the run was planned; "
            "run the same command again."
        )
    return images


def public_name(domain: Domain, name: str) -> str:
    """Return the name without what is private to a machine: a path is cut to its last component."""
    base, colon, argument = name.partition(":")
    if colon and "PATH" in domain.takes_argument:
        path, mark, options = argument.partition("?")
        return f"{base}:{Path(path).expanduser().resolve().name}{mark}{options}"
    return name


def _prepare(
    entry: Path, domain: Domain, name: str, resolution: int, *, resize: str, say: Callable[[str], None]
) -> None:
    """Decode a domain, keep equal images together, split, and put the result into the cache.

    Raises:
        GraftbenchError: See `load`.
    """
    pictures, excluded, expected = _pictures(domain, name, resolution, resize)

    def report(done: int, rate: float) -> None:
        say(f"preparing {name}@{resolution}: {done:,} of {expected:,} ({rate:,.0f} images/s)")

    with atomic_folder(entry) as folder, closing(pictures):
        # Write the pixels.
        file = folder / "pixels.npy"
        prepared = preparation.write(file, pictures, resolution, expected=expected, report=report)
        if not prepared.ids:
            preparation.check_some(0, prepared.excluded, f"images of domain '{name}'")
            raise GraftbenchError(f"Domain '{name}' has no images.")

        # Group equal images and near-duplicates, and split.
        near = _near(prepared)
        groups = join_groups(prepared.groups, [*_equal(prepared.digests), *near])
        splits, moved = assign(groups, prepared.splits, domain.split_rule, name)
        factors = preparation.by_factor(prepared.factors)

        # Write the manifest; what a domain does not have is left out of it.
        text = _manifest_text(name, resolution, prepared.ids, groups, splits, resize, factors)
        manifest: dict[str, object] = {
            "format": FORMAT,
            "domain": name,
            "resolution": resolution,
            "manifest": _hash_of(text, file),
            "ids": prepared.ids,
            "groups": groups,
            "splits": splits,
            "excluded": {**excluded, **prepared.excluded},
        }
        if resize != DEFAULT:
            manifest["resize"] = resize
        if factors:
            manifest["factors"] = factors
        if near:
            manifest["near_duplicates"] = _together(prepared.ids, groups, near)
        if moved:
            manifest["moved"] = [prepared.ids[position] for position in moved]
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), "ascii")


def _pictures(
    domain: Domain, name: str, resolution: int, resize: str
) -> tuple[Generator[preparation.Decoded], Mapping[str, str], int]:
    """Return a domain's images, decoded one after another; those it leaves out, with the reason; how many it expects.

    Raises:
        GraftbenchError: See `load`.
    """
    sketched = not (domain.curated_groups or domain.split_rule.keep_near_duplicates)
    items = domain.items(resolution)
    if items is None:
        images = _whole(domain, name, resolution, resize)
        return preparation.given(images, sketched=sketched), images.excluded, len(images.ids)
    distinct, expected = len({item.id for item in items}), len(items)
    if distinct != expected:
        raise GraftbenchError(
            f"Domain '{name}' gave {expected} ids, {distinct} of them distinct; expected distinct ids."
        )
    ordered = sorted(items, key=lambda item: item.id)
    return preparation.decoded(ordered, resolution, resize, sketched=sketched), {}, expected


def _whole(domain: Domain, name: str, resolution: int, resize: str) -> DomainImages:
    """Return all images of a domain that does not offer them one by one.

    Raises:
        GraftbenchError: They break the contract, or another rule than the default was asked for.
    """
    if resize != DEFAULT:
        raise GraftbenchError(
            f"Domain '{name}' draws its images at the size that is asked for, by '{DEFAULT}' alone; found the resize "
            f"rule '{resize}'. Leave it out of the suite, or name domains of image files."
        )
    images = domain.images(resolution)
    _check(name, resolution, images)
    return images


def _near(prepared: preparation.PreparedFiles) -> list[tuple[int, int]]:
    """Return positions of images that are nearly but not quite equal, to be joined; none without sketches."""
    if not prepared.sketches:
        return []
    hashes = np.array([one.hash for one in prepared.sketches], dtype=np.uint64)
    pairs = near_duplicates.grouped(hashes, np.stack([one.thumbnail for one in prepared.sketches]))
    return [(a, b) for a, b in pairs if prepared.digests[a] != prepared.digests[b]]


def _together(ids: Sequence[str], groups: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[list[str]]:
    """Return the images of every group that a near-duplicate is in."""
    members: dict[str, list[str]] = {groups[a]: [] for a, _ in pairs}
    for name, group in zip(ids, groups, strict=True):
        if group in members:
            members[group].append(name)
    return list(members.values())


def _check(name: str, resolution: int, decoded: DomainImages) -> None:
    count, pixels = len(decoded.ids), decoded.pixels
    expected = (count, 3, resolution, resolution)
    if count == 0:
        raise GraftbenchError(f"Domain '{name}' has no images.")
    if pixels.dtype != np.uint8 or pixels.shape != expected:
        raise GraftbenchError(
            f"Domain '{name}' gave {pixels.dtype} pixels of shape {pixels.shape}; expected uint8 of shape {expected}."
        )
    if len(decoded.groups) != count or len(set(decoded.ids)) != count:
        raise GraftbenchError(
            f"Domain '{name}' gave {count} ids, {len(set(decoded.ids))} of them distinct, and {len(decoded.groups)} "
            "groups; expected distinct ids and one group for each."
        )
    if len(decoded.splits) not in (0, count):
        raise GraftbenchError(
            f"Domain '{name}' gave {len(decoded.splits)} splits for {count} images; expected one for each, or none."
        )
    for factor, variants in decoded.factors.items():
        if len(variants) != count:
            raise GraftbenchError(
                f"Domain '{name}' gave {len(variants)} variants of the factor '{factor}' for {count} images; expected "
                "one for each."
            )


def join_groups(groups: Sequence[str], pairs: Iterable[tuple[int, int]]) -> tuple[str, ...]:
    """Join groups so that both images of every pair share one: the first name (as text) of all that are joined.

    Args:
        groups: One group per image.
        pairs: Positions of images that belong together.
    """
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for a, b in pairs:
        one, other = root(groups[a]), root(groups[b])
        parent[max(one, other)] = min(one, other)
    return tuple(root(group) for group in groups)


def _equal(digests: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Pair each image with the first of the same digest."""
    first: dict[bytes, int] = {}
    return ((position, first.setdefault(digest, position)) for position, digest in enumerate(digests))


def _manifest_text(  # noqa: PLR0917 - the seven parts of it
    name: str,
    resolution: int,
    ids: Sequence[str],
    groups: Sequence[str],
    splits: Sequence[str],
    resize: str,
    factors: Mapping[str, Sequence[str]],
) -> bytes:
    """Encode name, resolution, ids, groups, splits, a resize rule other than the default, and factors if there are any.

    As JSON with a zero byte behind it.
    """
    parts: list[object] = [name, resolution, list(ids), list(groups), list(splits)]
    parts += [] if resize == DEFAULT else [resize]
    parts += [{factor: list(variants) for factor, variants in factors.items()}] if factors else []
    return json.dumps(parts, separators=(",", ":")).encode("ascii") + b"\0"


def _hash_of(text: bytes, file: Path) -> str:
    """Return the SHA-256 over text and pixels in a `.npy` file, which is read piece by piece: memory stays small.

    Raises:
        OSError, ValueError: It is no whole file of that kind.
    """
    digest = hashlib.sha256(text)
    mapped = np.load(file, mmap_mode="r")
    with file.open("rb") as stream:
        stream.seek(mapped.offset)
        remaining = mapped.nbytes
        while remaining and (piece := stream.read(min(remaining, _PIECE))):
            digest.update(piece)
            remaining -= len(piece)
    return digest.hexdigest()


def _checked_as(entry: Path, stamps: dict[str, Stamp]) -> bool:
    """Return whether the entry's files were checked in full as they are."""
    try:
        return json.loads((entry / _CHECKED).read_text("ascii")) == stamps
    except (OSError, ValueError):
        return False


def _read(entry: Path, name: str, resolution: int, *, trusting: bool = False) -> ImageSet | None:
    """Read a cache entry; None if it is missing or not what its manifest says.

    Args:
        entry: Its folder.
        name: The domain's name that it must have.
        resolution: The side that its images must have.
        trusting: Do not read the pixels if nothing has touched the files since they were last checked in full.
    """
    try:
        stamps = {file: stamp(entry / file) for file in ("manifest.json", "pixels.npy")}
        manifest = json.loads((entry / "manifest.json").read_text("ascii"))
        pixels = np.load(entry / "pixels.npy", mmap_mode="r")
        ids, groups = tuple(manifest["ids"]), tuple(manifest["groups"])
        splits = cast("tuple[Split, ...]", tuple(manifest["splits"]))
        resize = manifest.get("resize", DEFAULT)
        factors = {factor: tuple(variants) for factor, variants in manifest.get("factors", {}).items()}
        sound = (
            pixels.dtype == np.uint8
            and pixels.shape == (len(ids), 3, resolution, resolution)
            and pixels.flags.c_contiguous
            and manifest["domain"] == name
        )
        if sound and not (trusting and _checked_as(entry, stamps)):
            text = _manifest_text(name, resolution, ids, groups, splits, resize, factors)
            sound = manifest["manifest"] == _hash_of(text, entry / "pixels.npy")
            if sound and not _checked_as(entry, stamps):
                with suppress(GraftbenchError), atomic_file(entry / _CHECKED) as part:  # else all is checked again
                    part.write_text(json.dumps(stamps), "ascii")
        excluded = dict(manifest["excluded"])
        near = tuple(tuple(members) for members in manifest.get("near_duplicates", ()))
        moved = tuple(manifest.get("moved", ()))
    except (OSError, ValueError, KeyError, TypeError, EOFError, TokenError):  # numpy parses a header as Python
        return None
    if not sound:
        return None
    return ImageSet(
        domain=name,
        resolution=resolution,
        ids=ids,
        groups=groups,
        splits=splits,
        pixels=cast("NDArray[np.uint8]", np.asarray(pixels)),
        manifest=manifest["manifest"],
        excluded=excluded,
        entry=entry,
        resize=resize,
        near_duplicates=near,
        factors=factors,
        moved=moved,
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode("ascii")).hexdigest()
