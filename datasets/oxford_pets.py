"""Oxford-IIIT Pet: photographs of cats and dogs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from graftbench.contracts import Reference

from ._torchvision import TorchvisionDomain

if TYPE_CHECKING:
    from collections.abc import Sequence


class OxfordPets(TorchvisionDomain):
    """7,349 photographs of 37 breeds (`oxford-pets:beagle`), or of all cats or dogs (`oxford-pets:cat`)."""

    name = "oxford-pets"
    title = "Oxford-IIIT Pet"
    description = "7,349 photographs of cats (12 breeds) and dogs (25 breeds)."
    license = "CC-BY-SA-4.0, as mirrors of it say"
    attribution = "The Oxford-IIIT Pet Dataset by Omkar Parkhi, Andrea Vedaldi, Andrew Zisserman and C. V. Jawahar."
    source = "https://www.robots.ox.ac.uk/~vgg/data/pets/"
    loader = "OxfordIIITPet"
    parts: ClassVar = {"trainval": {"split": "trainval"}, "test": {"split": "test"}}
    folder = "oxford-iiit-pet"
    count = 7_349
    size = "811 MB"
    paper = Reference(
        authors="Parkhi, Vedaldi, Zisserman, Jawahar",
        title="Cats and Dogs",
        venue="CVPR",
        year=2012,
    )

    def labels(self, data: Any) -> Sequence[tuple[str, ...]]:  # noqa: ANN401 - torchvision's class
        """Return the breed of each image, and `cat` or `dog`."""
        return [
            (data.classes[breed], data.bin_classes[kind])
            for breed, kind in zip(data._labels, data._bin_labels, strict=True)  # noqa: SLF001 - no public list
        ]
