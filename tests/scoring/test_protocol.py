"""A protocol made whole: defaults, hashes, keys, and in what two of them differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from graftbench.errors import GraftbenchError
from graftbench.extractors.load import weights_sha256
from graftbench.metrics.catalogue import SETS
from graftbench.records.cell_spec import Protocol
from graftbench.scoring.protocol import Extraction, differences, key_of, resolve_protocol

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = "ab" * 32


def test_defaults_are_filled_in() -> None:
    """The extractor's size, first resize rule and weights' hash are written out, and sets of metrics too."""
    whole = resolve_protocol(Protocol(metrics=["prdc", "kid"]))
    assert (whole.extractor, whole.size, whole.resize) == ("lite0", 96, "bicubic-antialias")
    assert whole.weights_sha256 == weights_sha256("lite0")
    assert whole.metrics == ["kid", "precision", "recall", "f_score", "density", "coverage", "null_coverage"]


def test_what_is_given_stays() -> None:
    """Size and rule as asked for; counts and split are not touched."""
    whole = resolve_protocol(Protocol(size=64, resize="bilinear-antialias", n_generated=7, reference="validation"))
    assert (whole.size, whole.resize, whole.n_generated, whole.reference) == (64, "bilinear-antialias", 7, "validation")


def test_resolving_twice_changes_nothing() -> None:
    """A resolved protocol is whole."""
    whole = resolve_protocol(Protocol(metrics=["all"]))
    assert whole.metrics == list(SETS["all"])
    assert resolve_protocol(whole) == whole


def test_an_extractor_with_its_own_rule_has_no_size() -> None:
    """Inception resizes by itself; its hash is known without the file."""
    whole = resolve_protocol(Protocol(extractor="inception-v3-compat"))
    assert (whole.size, whole.resize, whole.label) == (None, "extractor", "inception-v3-compat")
    assert len(whole.weights_sha256) == 64


def test_other_weights_have_another_hash(tmp_path: Path) -> None:
    """The hash is of the file's content."""
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"one")
    first = resolve_protocol(Protocol(weights=str(weights)))
    weights.write_bytes(b"two")
    second = resolve_protocol(Protocol(weights=str(weights)))
    assert len({first.weights_sha256, second.weights_sha256, weights_sha256("lite0")}) == 3


def test_a_script_is_named_without_its_folders(tmp_path: Path) -> None:
    """One TorchScript file under two paths is one extractor: the name tells the file, the weights where it lies."""
    protocols = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.pt").write_bytes(b"one")
        script = Protocol(extractor=f"torchscript:{tmp_path / folder / 'net.pt'}", resize="extractor")
        protocols.append(resolve_protocol(script))
    here, there = protocols
    assert (here.extractor, here.label, here.weights) == ("torchscript:net.pt",) * 2 + (str(tmp_path / "here/net.pt"),)
    assert Extraction.of(here) == Extraction.of(there)
    assert resolve_protocol(here) == here
    with pytest.raises(GraftbenchError, match=r"TorchScript file '/no/net\.pt' .* is missing"):
        resolve_protocol(Protocol(extractor="torchscript:/no/net.pt", resize="extractor"))


@pytest.mark.parametrize(
    ("protocol", "sentence"),
    [
        (Protocol(extractor="lite"), "Did you mean 'lite2'"),
        (Protocol(resize="bicubic"), "Did you mean 'bicubic-antialias'"),
        (Protocol(size=8), "needs a size of 32 or more; found 8"),
        (Protocol(extractor="inception-v3-compat", size=299), "takes no size"),
        (Protocol(weights="no/such.pth"), r"no/such.pth' for the extractor 'lite0' is missing"),
        (Protocol(metrics=["kidd"]), "Unknown metric 'kidd' in the protocol. Did you mean 'kid'"),
        (Protocol(metrics=[]), "No metric was asked for in the protocol"),
    ],
)
def test_mistakes_are_named(protocol: Protocol, sentence: str) -> None:
    """Before anything is loaded, with the nearest valid name."""
    with pytest.raises(GraftbenchError, match=sentence):
        resolve_protocol(protocol)


def test_the_key_depends_on_extraction_alone() -> None:
    """Images and each field of the extraction change it; counts, metrics and the weights' path do not."""
    whole = resolve_protocol(Protocol())
    others: dict[str, object] = {
        "extractor": "vgg16",
        "size": 64,
        "resize": "bilinear-antialias",
        "weights_sha256": "0" * 64,
        "blur": 0.0,
        "dither": 0.0,
    }
    assert set(others) == set(Extraction.__struct_fields__)
    keys = {key_of(msgspec.structs.replace(whole, **{name: value}), IMAGES) for name, value in others.items()}
    assert len(keys | {key_of(whole, IMAGES), key_of(whole, "cd" * 32)}) == 8
    same = msgspec.structs.replace(whole, n_generated=5, metrics=["kid"], reference="train", weights="moved.pth")
    assert key_of(same, IMAGES) == key_of(whole, IMAGES)


def test_differences_name_both_sides() -> None:
    """Field by field, ours first; what extraction does not depend on is no difference."""
    protocol = resolve_protocol(Protocol())
    here = Extraction.of(protocol)
    assert Extraction.of(msgspec.structs.replace(protocol, n_generated=5, metrics=["kid"])) == here
    assert differences(here, here) == []
    there = msgspec.structs.replace(here, size=64, resize="bilinear-antialias")
    assert differences(here, there) == [
        "size: 96 here, 64 there",
        "resize: 'bicubic-antialias' here, 'bilinear-antialias' there",
    ]
