"""A protocol made whole, and the keys and differences that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from graftbench.bounds import MOST_BLUR, MOST_DITHER
from graftbench.errors import GraftbenchError
from graftbench.extractors.load import check_input, describe, named_by_file, weights_sha256
from graftbench.metrics.catalogue import SETS, of_factors, resolve
from graftbench.metrics.features import features_key
from graftbench.records.cell_spec import Protocol, SecondExtractor, content_hash, protocol_label

if TYPE_CHECKING:
    from graftbench.images.prepared import ImageSet


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """What features depend on beside the images: part of a resolved protocol.

    Attributes:
        extractor: Name of the feature extractor.
        size: Side in pixels to which images are resized; None for the extractor's own rule.
        resize: Name of the resize filter.
        weights_sha256: Hash of the weights.
        blur: Standard deviation of the blur before it, in pixels.
        dither: Standard deviation of the noise after the blur, in levels of 255.
    """

    extractor: str
    size: int | None
    resize: str
    weights_sha256: str
    blur: float = 0
    dither: float = 0

    @property
    def label(self) -> str:
        """Return the short name, that of the protocol."""
        return protocol_label(self.extractor, self.size, self.blur, self.dither)

    @classmethod
    def of(cls, protocol: Protocol) -> Extraction:
        """Return that of a resolved protocol."""
        return cls(
            extractor=protocol.extractor,
            size=protocol.size,
            resize=protocol.resize,
            weights_sha256=protocol.weights_sha256,
            blur=protocol.blur or 0.0,
            dither=protocol.dither or 0.0,
        )


def resolve_protocol(protocol: Protocol) -> Protocol:
    """Return the protocol with the extractor's defaults, the hash of its weights, and its metrics written out.

    A TorchScript file's path goes from the extractor's name into `weights`, which is no part of any identity.

    Raises:
        GraftbenchError: Unknown extractor or resize rule, a size that does not fit, or a missing weights file.
    """
    info = describe(protocol.extractor)
    size = info.size if protocol.size is None else protocol.size
    resize = protocol.resize or info.resizes[0]
    check_input(protocol.extractor, size=size, resize=resize)
    metrics = list(resolve(protocol.metrics, where="in the protocol"))
    sha256 = weights_sha256(protocol.extractor, protocol.weights)
    extractor, weights = named_by_file(protocol.extractor, protocol.weights)
    blur = float(info.blur if protocol.blur is msgspec.UNSET else protocol.blur)
    dither = float(info.dither if protocol.dither is msgspec.UNSET else protocol.dither)
    _check_softening(blur, dither)
    whole = msgspec.structs.replace(
        protocol,
        extractor=extractor,
        weights=weights,
        size=size,
        resize=resize,
        weights_sha256=sha256,
        blur=blur,
        dither=dither,
        metrics=metrics,
    )
    under_second = protocol.under_second
    return whole if under_second is None else msgspec.structs.replace(whole, second=_second(under_second, whole))


def _second(under_second: Protocol, first: Protocol) -> SecondExtractor:
    """Return a protocol's second extractor made whole.

    Raises:
        GraftbenchError: As `resolve_protocol`, or it is the network of the first.
    """
    try:
        whole = resolve_protocol(under_second)
    except GraftbenchError as error:
        raise GraftbenchError(f"The protocol's second extractor: {error}") from error
    if (whole.extractor, whole.weights_sha256) == (first.extractor, first.weights_sha256):
        raise GraftbenchError(
            f"The protocol's second extractor {Extraction.of(whole).label} is the network of its first, {first.label}: "
            "the same weights are no second opinion. Name another network (`graftbench ls extractors`), or leave "
            "`second` out."
        )
    return SecondExtractor(**msgspec.structs.asdict(Extraction.of(whole)), weights=whole.weights)


def _check_softening(blur: float, dither: float) -> None:
    """Raise an error for a blur or a noise that leaves nothing to score."""
    for name, value, most, unit in (("blur", blur, MOST_BLUR, "pixels"), ("dither", dither, MOST_DITHER, "levels")):
        if not 0 <= value <= most:
            raise GraftbenchError(f"The protocol's {name} is {value:g}; expected 0 to {most} {unit}.")


def protocol_for(protocol: Protocol, target: ImageSet) -> Protocol:
    """Return a resolved protocol as it holds on a target domain.

    The metrics that need known factors are left out where the domain has none. Where it has, they are added to the
    default metrics, or to more; a protocol of fewer metrics means what it says.

    Raises:
        GraftbenchError: It asks for nothing but what the domain has not.
    """
    known_truth = of_factors(protocol.metrics)
    others = [name for name in protocol.metrics if name not in known_truth]
    if not target.factors and not others:
        raise GraftbenchError(
            f"The protocol asks for {' and '.join(known_truth)} alone, which {target.domain} has not: its images "
            "are not labelled with factors. Name other metrics as well (`graftbench ls metrics`)."
        )
    if not target.factors:
        return msgspec.structs.replace(protocol, metrics=others)
    if set(resolve(Protocol().metrics)) <= set(others):
        return msgspec.structs.replace(protocol, metrics=list(resolve([*others, *SETS["truth"]])))
    return protocol


def key_of(protocol: Protocol, images: str) -> str:
    """Return the key of images' features under a resolved protocol.

    Args:
        protocol: The protocol.
        images: Content hash of the images, in their order.
    """
    key = content_hash([images, protocol.determinism]) if protocol.portable else images
    return features_key(images=key, **msgspec.structs.asdict(Extraction.of(protocol)))


def differences(here: Extraction, other: Extraction) -> list[str]:
    """Say in what two extractions differ: `size: 96 here, 224 there`."""
    return [
        f"{name}: {getattr(here, name)!r} here, {getattr(other, name)!r} there"
        for name in Extraction.__struct_fields__
        if getattr(here, name) != getattr(other, name)
    ]
