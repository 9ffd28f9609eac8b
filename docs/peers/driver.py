"""Train one of three packages from PyPI for so many CPU seconds on one thread, and draw images.

    python driver.py lightweight-gan --data images --samples drawn --out made --seconds 60 --n 600 --seed 0

The packages' own classes do the work; what had to be changed for a machine without a GPU is in `without_cuda` and
`stubbed`, and all settings are in SETTINGS. The clock is that of the process's CPU time and starts before the first
step: imports, the making of the networks and the drawing of images are not in it.
"""

from __future__ import annotations

import importlib
import random
import sys
import time
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from handover import folders_of_mark, given_options, write_images, write_report
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAMPLING_BATCH = 50

SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "lightweight-gan": {
        # The command line's defaults but for the side of 32 px.
        "own": {"batch_size": 10, "gradient_accumulate_every": 4, "attn_res_layers": [32], "disc_output_size": 1},
        "small": {
            "batch_size": 8,
            "gradient_accumulate_every": 1,
            "attn_res_layers": [],
            "disc_output_size": 1,
            "fmap_max": 64,
        },
    },
    "stylegan2-pytorch": {
        # The command line's defaults but for the side of 32 px.
        "own": {"batch_size": 5, "gradient_accumulate_every": 6, "ttur_mult": 1.5},
        # Its documentation asks for augmentation where images are few.
        "small": {
            "batch_size": 32,
            "gradient_accumulate_every": 1,
            "ttur_mult": 1.5,
            "network_capacity": 4,
            "aug_prob": 0.3,
        },
    },
    "denoising-diffusion-pytorch": {
        # The example of its documentation but for the side.
        "own": {"dim": 64, "dim_mults": (1, 2, 4, 8), "batch_size": 32, "accumulate": 2, "lr": 8e-5},
        "small": {"dim": 16, "dim_mults": (1, 2, 4), "batch_size": 16, "accumulate": 1, "lr": 1e-3},
    },
}
"""Package -> name -> what its classes are given."""


class Peer(Protocol):
    """A package's model in training."""

    def step(self) -> int:
        """Take a step and return how many training images it showed."""
        ...

    def draw(self, n: int) -> Tensor:
        """Draw n images: float n×3×H×W in [0, 1], or a little beyond."""
        ...

    def numbers(self) -> int:
        """Count the numbers in all trained networks."""
        ...


# ---------------------------------------------------------------------------------------------------- without a GPU


class OnCpu(ModuleType):
    """torch, with `torch.device` giving the CPU whatever is asked for."""

    def __getattr__(self, name: str) -> object:
        """Look everything else up in torch."""
        return getattr(torch, name)

    @staticmethod
    def device(_name: str) -> torch.device:
        """Return the CPU."""
        return torch.device("cpu")


def stay(thing: Any, *_: object, **__: object) -> Any:  # noqa: ANN401 - a tensor or a network
    """Return a tensor or a network as it is."""
    return thing


@contextmanager
def without_cuda() -> Iterator[None]:
    """Say that CUDA is there while a package is imported, and let `.cuda()` leave everything where it is."""
    asserted = torch.cuda.is_available
    torch.cuda.is_available = lambda: True
    for kind in (Tensor, nn.Module):
        setattr(kind, "cuda", stay)  # noqa: B010 - it has another signature
    try:
        yield
    finally:
        torch.cuda.is_available = asserted


def stubbed(*names: str) -> None:
    """Put empty modules in the place of packages that are imported and not used here."""
    for name in names:
        sys.modules[name] = ModuleType(name)


def quiet(trainer: Any) -> Any:  # noqa: ANN401 - the packages have no types
    """Take away what a trainer does beside training: grids every 100 steps, checkpoints."""
    trainer.evaluate = trainer.save = lambda *_, **__: None
    return trainer


# ----------------------------------------------------------------------------------------------------------- peers


class GanTrainer:
    """The trainer of lightweight-gan or stylegan2-pytorch, which are alike, step by step."""

    trainer: Any

    def begin(self, trainer: Any, data: Path) -> None:  # noqa: ANN401 - the packages have no types
        """Give it the images, and let it make its networks."""
        self.trainer = quiet(trainer)
        self.trainer.set_data_src(data)
        self.trainer.init_GAN()

    def step(self) -> int:
        """Take a step of both networks; return the images shown."""
        self.trainer.train()
        return self.trainer.batch_size * self.trainer.gradient_accumulate_every


class LightweightGan(GanTrainer):
    """lightweight-gan's Trainer, step by step; images are drawn from the generator itself.

    Its averaged generator is set to the plain one at steps 2, 1002, … and averages nothing before step 20,000.
    """

    def __init__(self, data: Path, out: Path, size: int, settings: dict[str, Any]) -> None:
        with without_cuda():
            package = importlib.import_module("lightweight_gan.lightweight_gan")
        vars(package)["torch"] = OnCpu("torch")
        shared = {"num_workers": 0, "use_aim": False, "aug_types": ["cutout", "translation"]}
        self.begin(package.Trainer(base_dir=out, image_size=size, **shared, **settings), data)

    def draw(self, n: int) -> Tensor:
        """Draw from the plain generator in eval mode."""
        gan = self.trainer.GAN.eval()
        return gan.G(torch.randn(n, gan.latent_dim))

    def numbers(self) -> int:
        """Count those of generator and discriminator."""
        return numbers(self.trainer.GAN.G, self.trainer.GAN.D)


class StyleGan2(GanTrainer):
    """stylegan2-pytorch's Trainer, step by step; images are drawn from the plain networks, as of lightweight-gan."""

    def __init__(self, data: Path, out: Path, size: int, settings: dict[str, Any]) -> None:
        stubbed("aim")
        with without_cuda():
            self.package = importlib.import_module("stylegan2_pytorch.stylegan2_pytorch")
        self.begin(self.package.Trainer(base_dir=out, image_size=size, num_workers=0, **settings), data)

    def draw(self, n: int) -> Tensor:
        """Draw without truncation: its default of 0.75 trades variety for quality."""
        gan = self.trainer.GAN.eval()
        styles = [(gan.S(torch.randn(n, gan.G.latent_dim)), gan.G.num_layers)]
        noise = self.package.image_noise(n, self.trainer.image_size, device=0)
        return gan.G(self.package.styles_def_to_tensor(styles), noise)

    def numbers(self) -> int:
        """Count those of mapping network, generator and discriminator."""
        gan = self.trainer.GAN
        return numbers(gan.S, gan.G, gan.D)


class Diffusion:
    """denoising-diffusion-pytorch's U-Net and process, with the loop of its Trainer: Adam, clipping, average, flips.

    The Trainer itself runs to the end of a number of steps and loads images in other processes.
    """

    def __init__(self, data: Path, out: Path, size: int, settings: dict[str, Any]) -> None:
        del out
        stubbed("accelerate")
        vars(sys.modules["accelerate"])["Accelerator"] = None
        package = importlib.import_module("denoising_diffusion_pytorch.denoising_diffusion_pytorch")
        self.batch, self.accumulate = settings["batch_size"], settings["accumulate"]
        unet = package.Unet(dim=settings["dim"], dim_mults=settings["dim_mults"])
        self.process = package.GaussianDiffusion(unet, image_size=size, timesteps=1000, sampling_timesteps=12)
        images = package.Dataset(data, size, augment_horizontal_flip=True, convert_image_to="RGB")
        self.batches = package.cycle(torch.utils.data.DataLoader(images, batch_size=self.batch, shuffle=True))
        self.adam = torch.optim.Adam(self.process.parameters(), lr=settings["lr"], betas=(0.9, 0.99))
        self.average = package.EMA(self.process, beta=0.995, update_every=10)

    def step(self) -> int:
        """Take a step of the U-Net."""
        for _ in range(self.accumulate):
            (self.process(next(self.batches)) / self.accumulate).backward()
        nn.utils.clip_grad_norm_(self.process.parameters(), 1.0)
        self.adam.step()
        self.adam.zero_grad()
        self.average.update()
        return self.batch * self.accumulate

    def draw(self, n: int) -> Tensor:
        """Draw from the averaged U-Net by 12 steps of DDIM (its example: 250), or 600 images would take ten minutes."""
        return self.average.ema_model.eval().sample(batch_size=n)

    def numbers(self) -> int:
        """Count those of the U-Net."""
        return numbers(self.process.model)


PEERS = {
    "lightweight-gan": LightweightGan,
    "stylegan2-pytorch": StyleGan2,
    "denoising-diffusion-pytorch": Diffusion,
}


def numbers(*networks: nn.Module) -> int:
    """Count the numbers in the parameters of networks."""
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


# ------------------------------------------------------------------------------------------------------------- main


def main() -> None:
    """Train until the process has used its CPU seconds; at each mark and at the end draw, and say what was done."""
    given = given_options(settings="small", marks="")
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    np.random.seed(given.seed)  # noqa: NPY002 - the packages draw from the global generators
    random.seed(given.seed)
    settings = SETTINGS[given.name][given.settings]
    peer: Peer = PEERS[given.name](given.data, given.out, given.size, settings)

    # Drawing is not in the clock: what it takes moves the start.
    start, shown = time.process_time(), 0
    for seconds in [*(float(mark) for mark in given.marks.split(",") if mark), given.seconds]:
        while (spent := time.process_time() - start) < seconds:
            shown += peer.step()
        paused = time.process_time()
        folders = folders_of_mark(given, seconds)
        write_images(drawn_pixels(peer, given.n), folders.samples)
        write_report(folders, settings, training_cpu_seconds=spent, images_seen=shown, parameters_total=peer.numbers())
        start += time.process_time() - paused


@torch.no_grad()
def drawn_pixels(peer: Peer, n: int) -> Tensor:
    """Draw n images in batches: uint8 n×3×H×W."""
    drawn = [peer.draw(min(SAMPLING_BATCH, n - done)) for done in range(0, n, SAMPLING_BATCH)]
    return (torch.cat(drawn).clamp(0, 1) * 255).round().to(torch.uint8)


if __name__ == "__main__":
    main()
