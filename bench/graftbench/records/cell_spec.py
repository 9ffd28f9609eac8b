"""The specification of a cell: everything that determines its result, and the id that is its hash."""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from graftbench.bounds import MOST, AtLeastTwo, BlurPixels, Levels, Positive, Side

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = "samples"
"""Value of `variant_of` in cells whose images were submitted instead of drawn by a method of the suite."""


NO_SOURCE = "none"
"""Name of the source domain in tasks that have none."""


Kind = Literal["generate", "stylize", "colorize", "superres4"]
"""What a task asks of a method: images of the target domain out of nothing, or out of given ones (`kinds`)."""


Origin = Literal["", "command", "submitted"]
"""Who made a cell's generator: the suite (empty), a foreign program under the suite's clock, or somebody elsewhere."""


# What is default is left out of JSON and hashes: tasks of the kind `generate` keep the ids they had before kinds.
class TaskSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A transfer: source domain to target domain at a resolution, written `twemoji->openmoji@32`.

    The source `none` says that there is no source domain: methods that start from nothing run on such a task. A kind
    other than `generate` is written before it, and may leave out the source: `colorize:openmoji@32`.
    """

    source: str
    target: str
    resolution: int
    kind: Kind = "generate"

    def __str__(self) -> str:
        transfer = f"{self.source}->{self.target}@{self.resolution}"
        if self.kind == "generate":
            return transfer
        return f"{self.kind}:{transfer.removeprefix(f'{NO_SOURCE}->')}"


class ComputeBudget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The budget of one fit. Exactly one of the three binds; the others are None.

    Attributes:
        kimg: Thousands of training images shown.
        seconds: Seconds of fitting, evaluation not counted.
        gflops: 10⁹ floating-point operations (a multiply-add counts two).
    """

    kimg: Positive | None = None
    seconds: Positive | None = None
    gflops: Positive | None = None

    def __post_init__(self) -> None:
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        if len(given) != 1:
            names = ", ".join(sorted(given)) or "none"
            raise ValueError(f"a compute budget is exactly one of kimg, seconds, gflops; found {names}")
        ((name, value),) = given.items()
        if not 0 < value < math.inf:
            raise ValueError(f"the compute budget must be positive and finite; found {name} = {value}")
        if name == "kimg" and not 1 <= 1000 * value <= MOST:
            limits = f"0.001 kimg (one image) to {MOST // 1000:,} kimg"
            raise ValueError(f"a budget of images is {limits}; found {value:g} kimg")
        msgspec.structs.force_setattr(self, name, float(value))  # 16 and 16.0 are one budget and have one id

    def __str__(self) -> str:
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return next(f"{value:g} {name}" for name, value in values if value is not None)


class SecondExtractor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A second network that looks at the same images: FID and KID are scored with it too, beside the first's scores.

    Attributes:
        extractor: Name of the feature extractor.
        size: As in `Protocol`, and so are the following.
        resize: Name of the resize filter.
        weights: Path of a local weights file. Not part of the identity: its hash is.
        weights_sha256: SHA-256 of the weights file that was used.
        blur: Blur before the features, in pixels.
        dither: Noise after it, in levels of 255.
    """

    extractor: str
    size: Side | None = None
    resize: str = ""
    weights: str = ""
    weights_sha256: str = ""
    blur: BlurPixels | msgspec.UnsetType = msgspec.UNSET
    dither: Levels | msgspec.UnsetType = msgspec.UNSET

    @property
    def label(self) -> str:
        """Return the short name in which the names of its scores end: `vgg16`, `lite0@64+blur0.7+dither8`."""
        return protocol_label(self.extractor, self.size, self.blur or 0, self.dither or 0)


SECOND_METRICS = ("fid", "kid")
"""What is scored with a second extractor too."""


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a cell is scored. Numbers of two protocols do not compare, so it is part of every metric's printed name.

    Attributes:
        extractor: Name of the feature extractor.
        size: Side in pixels to which images are resized before the extractor; None for the extractor's own rule. In a
            suite, left out: the extractor's default.
        resize: Name of the resize filter ("bicubic-antialias"), or the extractor's own ("extractor"). In a suite, left
            out: the extractor's default.
        weights: Path of a local weights file; empty for the extractor's own. Not part of the identity: its hash is.
        weights_sha256: SHA-256 of the weights file that was used, filled in when the suite is resolved.
        n_generated: How many images each method generates.
        reference: The split of the target domain against which is measured.
        metrics: Names of metrics or of sets of them (`graftbench ls metrics`); written out when the suite is resolved.
        blur: Standard deviation, in pixels, of the Gaussian blur that images on both sides get before the features. In
            a suite, left out: the extractor's default. A record without it: none.
        dither: Likewise of the noise that they get then, in levels of 255.
        determinism: `portable`: cells are fitted so that the CPU's instruction set does not matter, at a cost in time
            (docs/protocols.md); left out: as fast as the CPU can.
        second: A second extractor, whose FID and KID stand beside the first's. Left out: none.
    """

    extractor: str = "lite0"
    size: Side | None = None
    resize: str = ""
    weights: str = ""
    weights_sha256: str = ""
    n_generated: AtLeastTwo = 600
    reference: str = "reference"
    metrics: list[str] = msgspec.field(default_factory=lambda: ["default", "memorization", "diversity"])
    blur: BlurPixels | msgspec.UnsetType = msgspec.UNSET  # unset: in no hash, so that ids stay
    dither: Levels | msgspec.UnsetType = msgspec.UNSET  # likewise
    determinism: Literal["portable"] | msgspec.UnsetType = msgspec.UNSET  # likewise
    second: SecondExtractor | msgspec.UnsetType = msgspec.UNSET  # likewise

    @property
    def under_second(self) -> Protocol | None:
        """Return how the second extractor scores: FID and KID of the same images; None without one."""
        if self.second is msgspec.UNSET:
            return None
        fields = msgspec.structs.asdict(self.second)
        return msgspec.structs.replace(self, **fields, metrics=list(SECOND_METRICS), second=msgspec.UNSET)

    def with_weights_at(self, place: Callable[[str], str]) -> Protocol:
        """Return the protocol with other paths of weights: each as `place` makes it of the one that is there."""
        second = self.second
        if second is not msgspec.UNSET:
            second = msgspec.structs.replace(second, weights=place(second.weights))
        return msgspec.structs.replace(self, weights=place(self.weights), second=second)

    @property
    def portable(self) -> bool:
        """Return whether the CPU's instruction set must not matter."""
        return self.determinism == "portable"

    @property
    def label(self) -> str:
        """Return the short name that metric names end in: `lite0@96+blur0.7+dither8`."""
        return protocol_label(self.extractor, self.size, self.blur or 0, self.dither or 0)


def protocol_label(extractor: str, size: int | None, blur: float, dither: float) -> str:
    """Return the short name of what features depend on: `lite0@96+blur0.7+dither8`, without what is not done."""
    softening = (f"+blur{blur:g}" if blur else "") + (f"+dither{dither:g}" if dither else "")
    return f"{extractor}{'' if size is None else f'@{size}'}{softening}"


class CellSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One cell: all that determines its result. Its id is the hash of these fields.

    Attributes:
        method: Registered name of the method.
        family: The method's family.
        parameters: The method's configuration as resolved, defaults included.
        task: Source, target, resolution.
        data_budget: Number of target training images.
        compute_budget: What the fit may spend.
        seed: Seed of the data subset, the initialisation, the training and the sampling.
        protocol: How it is scored.
        source_model: Recipe id of the source model that it starts from; empty where it needs none.
        manifests: Domain name -> hash over the ids, splits and pixels of the domain at this resolution.
        code: SHA-256 over the method's file, the local modules it imports, and the evaluation's.
        variant_of: The registered method that a variant is one of, `samples` for images that were handed in; empty for
            a method under its own name.
        files: Parameter that is a path -> SHA-256 of what lies there, empty for one that is a mere place on a machine;
            `samples` -> that of the images handed in.
    """

    method: str
    family: str
    parameters: dict[str, Any]
    task: TaskSpec
    data_budget: int
    compute_budget: ComputeBudget
    seed: int
    protocol: Protocol
    source_model: str = ""
    manifests: dict[str, str] = {}
    code: str = ""
    variant_of: str = ""
    files: dict[str, str] = {}

    @property
    def id(self) -> str:
        """Return 16 hexadecimal digits; equal specs have equal ids on every machine.

        Where files lie does not matter, what they are does: paths of weights and parameters that are paths are left
        out and those of domains cut to their last part, for the hashes of all are in the spec. Neither do the digits
        matter that tell two domains of one name apart: they are the manifest's.
        """
        fields = msgspec.to_builtins(self)
        del fields["protocol"]["weights"]
        if "second" in fields["protocol"]:
            del fields["protocol"]["second"]["weights"]
        for name in ("variant_of", "files"):  # cells without them keep the ids that they had before there were any
            if not fields[name]:
                del fields[name]
        fields["parameters"] = {name: value for name, value in self.parameters.items() if name not in self.files}
        for side in ("source", "target"):
            name = fields["task"][side]
            fields["task"][side] = bare_name(name, self.manifests.get(name, ""))
        fields["manifests"] = sorted([bare_name(name, sha256), sha256] for name, sha256 in self.manifests.items())
        return content_hash(fields)[:16]

    @property
    def domains(self) -> tuple[DomainKey, DomainKey]:
        """Return what its source and its target are, equal on every machine."""
        task, manifests = self.task, self.manifests
        return (
            domain_key(task.source, task.resolution, manifests.get(task.source, "")),
            domain_key(task.target, task.resolution, manifests.get(task.target, "")),
        )

    @property
    def shown_parameters(self) -> dict[str, Any]:
        """Return the parameters with what lies at a path in place of the path: `sha256:` and 12 digits; no places."""
        return {
            name: f"sha256:{self.files[name][:12]}" if name in self.files else value
            for name, value in self.parameters.items()
            if self.files.get(name) != ""
        }

    def __str__(self) -> str:
        return f"{self.method} {self.task} n={self.data_budget} seed={self.seed}"


class DomainKey(NamedTuple):
    """A domain at a resolution: its name, and the hash of what it holds (empty where a record does not know it)."""

    name: str
    resolution: int
    manifest: str


def without_path(domain: str) -> str:
    """Cut a path to its last part: `folder:/data/cats` -> `folder:cats`."""
    base, colon, argument = domain.partition(":")
    return base + colon + argument.replace("\\", "/").rstrip("/").rpartition("/")[2]


def with_digits(domain: str, manifest: str) -> str:
    """Return a domain's name as it is written where another one has it too: `folder:cats#1a2b3c4d`."""
    return f"{domain}#{manifest[:8]}" if manifest else domain


def without_digits(domain: str, manifest: str) -> str:
    """Take the manifest's first digits from a name that ends in them: `folder:cats#1a2b3c4d` -> `folder:cats`."""
    return domain.removesuffix(with_digits("", manifest))


def bare_name(domain: str, manifest: str) -> str:
    """Take path and digits from a name: `folder:/data/cats`, `folder:cats#1a2b3c4d` -> `folder:cats`."""
    return without_path(without_digits(domain, manifest))


@lru_cache(maxsize=4096)  # ten thousand records are about a few domains
def domain_key(name: str, resolution: int, manifest: str) -> DomainKey:
    """Return what a domain is that is written under some name."""
    return DomainKey(bare_name(name, manifest), resolution, manifest)


def content_hash(value: object) -> str:
    """Return the SHA-256 (hex) of a value's canonical JSON: keys sorted, no spaces, the same on every machine."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
