"""The interfaces of methods, domains, reports and samplers. A plugin imports this and nothing above it.

A plugin is one Python file in `methods/`, `datasets/` or `reports/` (or given by `--plugin`, or an entry point) with
one public class that derives from `Method`, `Domain` or `Report`. Nothing else needs to be edited.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import msgspec

from graftbench.digests import content_digest
from graftbench.errors import GraftbenchError
from graftbench.records.run import Run  # noqa: TC001 - reports import it from here

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import nn

    from graftbench.budget import Meter
    from graftbench.records.cell_spec import ComputeBudget, Kind, Origin

Family = Literal["scratch", "fine-tune", "frozen", "vae", "style", "submitted", "reference"]
"""`submitted` is for generators from elsewhere of which nobody said what they are."""

SourceNeed = Literal["", "gan", "vae", "diffusion", "flow", "stylegan2"]

PixelRange = Literal["-1..1", "0..1", "0..255"]
"""Ranges of a generator's pixels: the values of black and white."""

SourcePart = Literal["network", "layers", "norms", "stages", "blocks"]
"""What a source model's generating network may be to those who use it: `network`, a function that can be trained;
`layers`, with its linear and convolutional layers by name; `norms`, with batch norms; `stages`, with feature maps of
several sides; `blocks`, this suite's own architecture (`graftbench.nn`)."""


PLACEHOLDER = "…"
"""Placeholder that `graftbench new` writes where the author must fill in words; `graftbench check` refuses it."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """The paper (or package) that something comes from; README, docs and bibliography are made from it.

    Attributes:
        authors: "Mo, Cho, Shin".
        title: Title of the paper.
        venue: "CVPR Workshops".
        year: Year of publication.
        arxiv: "2002.10964", or empty.
        code: Where the published code is, or empty.
        code_license: Its licence, or empty.
    """

    authors: str
    title: str
    venue: str
    year: int
    arxiv: str = ""
    code: str = ""
    code_license: str = ""


# --------------------------------------------------------------------------------------------------------- domains


@dataclass(frozen=True)
class SplitRule:
    """Options of a suite about the splits of a domain.

    Attributes:
        train: Number of training images; None for the shares of `graftbench.images.splitting`. All images but these and
            those for validation are the reference.
        validation: Number of validation images, where that of training images is stated.
        keep_near_duplicates: Whether images that are nearly the same are left apart where the suite would join them.
    """

    train: int | None = None
    validation: int = 0
    keep_near_duplicates: bool = False


@dataclass(frozen=True)
class DomainImages:
    """Decoded images of a domain.

    Attributes:
        ids: One stable id per image.
        groups: One group per image; near-duplicates share a group and stay on one side of every split.
        pixels: uint8, N×3×H×W, RGB.
        excluded: Id -> why the image could not be used (truncated, too small). Reported, never silent.
        factors: Where it is known what the images were made from: factor (`hair`) -> variant of each image, or "" for
            an image that does not have the factor. The truth against which `modes` and `factor_kl` are measured.
        splits: The split of each image, where the domain states it; empty where the suite splits.
    """

    ids: Sequence[str]
    groups: Sequence[str]
    pixels: NDArray[np.uint8]
    excluded: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    splits: Sequence[str] = ()


@dataclass(frozen=True)
class Item:
    """One picture of a domain, not yet decoded.

    Attributes:
        id: Stable, distinct in the domain, printable.
        group: As in `DomainImages`.
        open: The picture, upright and decoded in full, in any mode and size; called in threads, several at a time.
            Raises one of `graftbench.images.decoding.DAMAGE` where there is none: the picture is then excluded by name.
        factors: Factor -> variant, where it is known what the picture was made from (`DomainImages.factors`).
        split: train, validation or reference, where the domain states it for all its pictures; else empty.
    """

    id: str
    group: str
    open: Callable[[], Image]
    factors: Mapping[str, str] = field(default_factory=dict)
    split: str = ""


class Domain(ABC):
    """A set of images with a licence and a source, at any resolution asked for.

    `name` is what a suite writes; a domain with `takes_argument` is written `name:ARGUMENT`, and the constructor gets
    the argument.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    license: ClassVar[str]
    attribution: ClassVar[str]
    source: ClassVar[str]
    takes_argument: ClassVar[str] = ""
    """Placeholder of the argument ("PATH"), in brackets if it may be left out ("[KIND]"); empty if there is none."""
    curated_groups: ClassVar[bool] = True
    """Whether the domain's groups hold all that is nearly the same. Then only images of equal pixels are joined to
    them; else near-duplicates are looked for (`graftbench.images.near_duplicates`) and joined before the split."""
    file_digest: Callable[[Path], bytes] = staticmethod(content_digest)
    """SHA-256 of a file's contents, for `fingerprint`. While images are loaded it is one that remembers the digests of
    files that have not changed."""

    split_rule: SplitRule = SplitRule()
    """The suite's options about the splits, from behind the domain's name; `graftbench.plugins.registry` sets them."""

    def __init__(self, argument: str = "") -> None:
        self.argument = argument

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what the pixels depend on (package versions, file names and contents), without decoding anything.

        The decoded images are cached under its hash and the resolution.

        Raises:
            GraftbenchError: The images are not there.
        """

    @abstractmethod
    def images(self, resolution: int) -> DomainImages:
        """Decode and resize all images to resolution×resolution (antialiased; the docstring states the filter)."""

    def items(self, resolution: int) -> Sequence[Item] | None:
        """Return the pictures one by one, for the suite to decode in threads and to resize by the rule of its choice.

        Optional: a domain that draws its images itself, or has few, gives them by `images` alone, and then at
        `graftbench.images.resizing.DEFAULT` alone. `images` must give the same pixels as these items by the default
        rule (`graftbench.images.preparation.gathered` makes it so).

        Args:
            resolution: What they will be resized to, for a domain that draws larger than that.

        Raises:
            GraftbenchError: The images are not there.
        """
        del resolution
        return None


# --------------------------------------------------------------------------------------------------------- methods


class Sampler(ABC):
    """The result of a fit: it draws images, and is saved and loaded as safetensors.

    A subclass sets `kind`, a unique name that the file carries.
    """

    kind: ClassVar[str]

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Draw n images: uint8 n×3×H×W, on the CPU; the same for the same state of the (CPU) generator."""

    def to(self, device: torch.device) -> Sampler:
        """Compute on `device` from now on; nothing to do for a sampler that only replays."""
        del device
        return self

    @abstractmethod
    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Tensors and string metadata from which `from_state` makes the same sampler."""

    @classmethod
    @abstractmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> Sampler:
        """Make the sampler that `state` described."""


class LatentSampler(Sampler):
    """A sampler whose image is a function of a latent z ~ N(0, I) and of no other chance.

    Optional: a cell then leaves `interpolation.png`, ways from one latent to another. `sample` draws latents and
    decodes them.
    """

    @property
    @abstractmethod
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one z."""

    @abstractmethod
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode n latents, float32 n×`latent_shape` on the CPU, to images: uint8 n×3×H×W on the CPU."""


class DenoisingSampler(Sampler):
    """A sampler whose network was trained to take noise out of images.

    Optional: a protocol that asks for the set `denoising` then scores the network's loss on held-out images.

    Attributes:
        predicts: What the network predicts: the `noise` in an image, or the `velocity` from noise to image.
    """

    predicts: ClassVar[Literal["noise", "velocity"]]

    @abstractmethod
    def prediction_errors(self, images: torch.Tensor, times: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the squared error of the prediction for each image, the mean over its numbers.

        Args:
            images: uint8 n×3×H×W on the CPU.
            times: When each is looked at, float32 n in [0, 1), in the direction of the method's own time.
            noise: What is put into each, float32 n×3×H×W on the CPU.

        Returns:
            float32 n on the CPU.
        """


class TranslatingSampler(Sampler):
    """A sampler that makes images out of images: what tasks of every kind but `generate` ask for.

    What `sample` draws on such a task are translations of inputs that the fit has seen; scores rest on `translate`.
    """

    @abstractmethod
    def translate(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """One image for each input, in their order.

        Args:
            inputs: uint8 n×3×h×w on the CPU, as the task's kind has them.
            generator: Of chances, on the CPU; a translator without any leaves it alone.

        Returns:
            uint8 n×3×H×W on the CPU. What one input becomes does not depend on the others.
        """


class Stateful(Protocol):
    """State of a fit that a checkpoint keeps: a network, an optimiser, a method's own memory.

    A state is made of dicts, lists, tuples, tensors, numbers, strings, booleans and None. Keys of dicts are strings or
    whole numbers.
    """

    def state_dict(self) -> dict[str, Any]:
        """All that has changed since the object was made."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> object:
        """Become what `state_dict` described. The object was made as that one was made."""
        ...


@dataclass
class FitLog:
    """The log of a fit: losses and notes beside its sampler; the shared loop fills most of it.

    Attributes:
        parameters_total: Numbers in all networks that take part, frozen ones included.
        parameters_trained: Those that move.
        curve: (images seen, seconds, losses) at intervals.
        notes: Sentences that a reader of the scores should know.
        measured: Costs (fields of `Resources`) that the method measured better than the suite can: those of a program
            in another process. None for what the suite measured and what is not the generator's cost at all.
        declared: Costs that nobody measured here; the record names them.
    """

    parameters_total: int = 0
    parameters_trained: int = 0
    curve: list[tuple[int, float, dict[str, float]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    measured: dict[str, float | str | None] = field(default_factory=dict)
    declared: dict[str, float | str] = field(default_factory=dict)
    _networks: dict[str, nn.Module] = field(default_factory=dict)
    _moved: set[str] = field(default_factory=set)

    def state_dict(self) -> dict[str, Any]:
        """Curve and notes; parameters are counted again when the networks are made again."""
        return {"curve": [list(point) for point in self.curve], "notes": list(self.notes)}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Replace curve and notes."""
        self.curve = [(seen, seconds, losses) for seen, seconds, losses in state["curve"]]
        self.notes = list(state["notes"])

    def watch(self, **networks: nn.Module) -> None:
        """Count the parameters of the networks that take part, by name; called again when others join or thaw.

        A parameter that is trained in one stage and frozen in another counts as trained.
        """
        self._networks |= networks
        parameters = {
            f"{name}.{key}": parameter
            for name, network in self._networks.items()
            for key, parameter in network.named_parameters()
        }
        self._moved |= {key for key, parameter in parameters.items() if parameter.requires_grad}
        self.parameters_total = sum(p.numel() for p in parameters.values())
        self.parameters_trained = sum(p.numel() for key, p in parameters.items() if key in self._moved)


@dataclass(frozen=True)
class SourceModel:
    """A model pretrained on the source domain.

    Attributes:
        id: Its recipe's id.
        tensors: Flat state, keys prefixed by network ("generator.", "discriminator.").
        metadata: The id, the recipe, and each network's architecture under its name.
    """

    id: str
    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]


class Task(ABC):
    """The task that `fit` is given: target training images, source images and source model on demand. Nothing else.

    Validation and reference images are not in it.

    The last four methods make a fit watchable and let it go on after its process was killed. The shared loop
    (`graftbench.training.train`) calls them. A method with a loop of its own may leave them out, and has then no
    snapshots and starts anew; or it calls, in this order, `keep` for all that changes, `resume` before its first step,
    and `snapshot` and `checkpoint` at the top of each step, before it draws or changes anything. `budget` is what
    `fit` was given: a step counts when it is over, so one that was not finished is taken again.

    Attributes:
        resolution: Side of the images in pixels.
        device: Where to compute.
        generator: Seeded CPU generator; the only source of randomness a method needs.
        log: Where a method leaves its parameter counts, curve and notes.
        kind: What the task asks for; one of the kinds that the method says it serves.
        folder: Where the method may write files, the cell's own folder: into `folder / "scratch"`, which is removed
            at its end, and into `folder / "output"`, which is kept with the cell.
        n_generated: How many images the sampler will be asked for, for programs that draw them when they train; 0
            where nobody knows. No reason to be another generator.
    """

    resolution: int
    device: torch.device
    generator: torch.Generator
    log: FitLog
    kind: Kind = "generate"
    folder: Path = Path()
    n_generated: int = 0

    @property
    @abstractmethod
    def images(self) -> torch.Tensor:
        """The cell's target training images: uint8 N×3×H×W on `device`, N the data budget."""

    @property
    @abstractmethod
    def source_images(self) -> torch.Tensor:
        """Training images of the source domain: uint8 M×3×H×W on `device`."""

    @property
    @abstractmethod
    def source_model(self) -> SourceModel:
        """The pretrained model that the method's `source_model` asks for."""

    @property
    def pairs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and what they should become, row by row: uint8 K×3×h×w and K×3×H×W on `device`.

        The truths are training images of the cell. For `stylize` they are those whose source image is known.

        Raises:
            GraftbenchError: The task's kind has no pairs, or there is none in this cell.
        """
        raise GraftbenchError(f"A task of the kind '{self.kind}' has no pairs of input and truth.")

    def keep(self, **parts: Stateful) -> None:
        """Name what changes in the fit beside `generator`, `log` and budget, so that checkpoints hold it.

        What follows from the task's seed and does not change after the first step need not be kept. A name that is
        given again stands for the newer object alone. Here nothing is kept.
        """
        del parts

    def resume(self, budget: Meter) -> None:
        """Bring all that was kept, the budget and `generator` to where a checkpoint left them, if there is one."""
        del budget

    def snapshot(self, budget: Meter, sampler: Callable[[], Sampler]) -> None:
        """Sample and score what there is, if a snapshot is due; the time does not count.

        Args:
            budget: Says what is due.
            sampler: Makes the sampler that the fit would return if it ended now. What is trained must not change by
                it; an average may be shared.
        """
        del budget, sampler

    def checkpoint(self, budget: Meter) -> None:
        """Write a checkpoint, if one is due; the time does not count."""
        del budget


class ReferenceTask(Task):
    """The task of methods of the family `reference`, which mark the floor and ceilings and do not compete."""

    @property
    @abstractmethod
    def held_out(self) -> torch.Tensor:
        """Real target images outside the data budget and outside the reference split: uint8 K×3×H×W on the CPU."""


class Method(ABC):
    """A way to get from a source model and n target images to a generator of the target domain.

    The file of a method holds what makes it different; loop, EMA, precision, augmentation, logging and budget are
    shared (`graftbench.training.loop`). `Config` is a frozen msgspec.Struct: each default has its unit and its source.
    """

    name: ClassVar[str]
    family: ClassVar[Family]
    title: ClassVar[str]
    reference: ClassVar[Reference]
    trains: ClassVar[str]
    """In words: what is trained."""
    frozen: ClassVar[str] = "nothing"
    """In words: what stays as the source model has it."""
    differs: ClassVar[str] = "nothing"
    """In words: what differs from the published method, and why."""
    moves: ClassVar[tuple[str, ...]] = ()
    """The promise behind `trains`: patterns (fnmatch) of "network.parameter" names, as the fit's log names the
    networks. Exactly the parameters that match move, with their modules' buffers; the contract test looks."""
    source_model: ClassVar[SourceNeed] = ""
    source_parts: ClassVar[tuple[SourcePart, ...]] = ("blocks",)
    """What the fit needs of the source model's network. A source model that was trained here has all of it; where one
    from elsewhere lacks some, the cells are `skipped`."""
    needs_source_images: ClassVar[bool] = False
    """Whether the fit looks at images of the source domain."""
    replays_held_out: ClassVar[bool] = False
    """Whether it replays the real images outside data budget and reference (`ReferenceTask.held_out`). It has no cells
    where they are fewer than `graftbench.comparison.too_few.LEAST_ORACLE`."""
    needs_pairs: ClassVar[bool] = False
    """Whether the fit looks at pairs of input and truth."""
    kinds: ClassVar[tuple[Kind, ...]] = ("generate",)
    """The kinds of task that it serves. Its cells on tasks of other kinds are not planned. For a kind other than
    `generate` the fit returns a `TranslatingSampler`."""
    resumable: ClassVar[bool] = False
    """Whether a fit may go on from a checkpoint, and then leaves what it would have left undisturbed, to the bit on a
    CPU; the contract test looks. Everything that changes must be kept (`Task.keep`). An interrupted fit that does not
    promise it starts anew: a memory that nobody kept would be a wrong result without a warning."""
    adapter: ClassVar[bool] = False
    """Whether it stands for something from elsewhere and needs parameters: it is used as a variant, under a name of
    its own (`graftbench.plugins.variants`)."""
    origin: ClassVar[Origin] = ""
    """Who makes the generator, for the record; reports mark what the suite did not train itself."""
    paths: ClassVar[tuple[str, ...]] = ()
    """Names of parameters that are paths of files or folders. What lies there is part of a cell's identity, where it
    lies is not. A value at which nothing lies is passed on as it is: `check` says what it thinks of it."""
    places: ClassVar[tuple[str, ...]] = ()
    """Names of parameters that say where something is on this machine (an interpreter): seen from the file that
    declares them as `paths` are, links not followed, and no part of a cell's identity, neither place nor contents."""
    secret: ClassVar[tuple[str, ...]] = ()
    """Names of parameters that may hold secrets: only the process that fits gets them whole, all else gets what
    `recorded` makes of them."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Parameters that differ from Config's defaults: those of a variant."""
    variant_of: ClassVar[str] = ""
    """The registered method that a variant is one of."""
    Config: ClassVar[type[msgspec.Struct]] = msgspec.defstruct(
        "NoParameters", [], frozen=True, forbid_unknown_fields=True
    )

    @classmethod
    def recorded(cls, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that are given as records, suite.toml and pages may hold them."""
        return dict(parameters)

    @classmethod
    def secret_digests(cls, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Return secret parameter -> SHA-256 of the whole of it, for those by which a cell is another one."""
        del parameters
        return {}

    def __init__(self, config: Any = None) -> None:  # noqa: ANN401 - each method has its own Config
        self.config: Any = msgspec.convert(dict(self.defaults), self.Config) if config is None else config

    @property
    def leaks(self) -> str:
        """Name of the extractor whose network the method itself looks at, or empty; scores under it are marked."""
        return ""

    def check(self, resolution: int) -> None:  # noqa: B027 - most methods take every resolution
        """Refuse what cannot be fitted at a resolution, when a run is planned: before anything is trained.

        Raises:
            GraftbenchError: A parameter or a backbone does not go with images of this side.
        """

    def check_budget(self, budget: ComputeBudget) -> None:  # noqa: B027 - most methods take every budget
        """Refuse a compute budget that the method cannot keep, when a run is planned.

        Raises:
            GraftbenchError: It says which it can keep.
        """

    @abstractmethod
    def fit(self, task: Task, budget: Meter) -> Sampler:
        """Learn from the task's images until the budget says that it is spent.

        Raises:
            Diverged: The training left the finite numbers, or collapsed.
        """


class Diverged(Exception):  # noqa: N818 - it is a status, not an error of the program
    """A training that left the finite numbers; becomes the status `diverged`."""


class OverBudget(Exception):  # noqa: N818 - likewise
    """A fit went on after its budget was spent; becomes the status `timeout`."""


# --------------------------------------------------------------------------------------------------------- reports


class Report(ABC):
    """Records -> files. A pure function: the same records give the same bytes, anywhere."""

    name: ClassVar[str]
    title: ClassVar[str]
    formats: ClassVar[tuple[str, ...]] = ()
    """Endings of the files that it writes (".svg"); with it, `graftbench report --format` need not run it in vain."""
    on_request: ClassVar[tuple[str, ...]] = ()
    """Patterns (fnmatch) of the names of files that are written only where `--format` or `--figure` asks for them;
    ("*",) for all of the report."""
    for_paper: ClassVar[bool] = False
    """Whether `graftbench report --paper` writes it: LaTeX, or figures in the widths of a paper's columns."""

    @abstractmethod
    def write(self, run: Run, out: Path) -> list[Path]:
        """Write this report's files into the folder `out` (it exists) and return their paths."""
