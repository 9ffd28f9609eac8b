"""Pictures of a cell: tiles in order, nearest training images, ways through the latent space; nothing else changes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
import torch
from made_cells import make_quick_cell
from PIL import Image
from random_inputs import rng

from graftbench.contracts import LatentSampler
from graftbench.errors import GraftbenchError
from graftbench.execution import cell, sheets
from graftbench.execution.job import CellJob
from graftbench.images import prepared
from graftbench.nn.build import seeded
from graftbench.nn.generator import Generator, GeneratorSpec
from graftbench.plugins import registry
from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Record, Status
from graftbench.scoring import neighbors
from graftbench.training.samplers import GeneratorSampler, ImageBankSampler, PcaGaussianSampler, principal_components

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graftbench.contracts import Sampler
    from graftbench.images.prepared import ImageSet


@pytest.fixture(scope="module")
def domain(shared_cache: Path) -> ImageSet:
    """A real domain at 32 px."""
    return prepared.load(registry.make_domain("openmoji"), "openmoji", 32, shared_cache)


@pytest.fixture(scope="module")
def emoji(domain: ImageSet) -> torch.Tensor:
    """Forty real images: uint8 40×3×32×32."""
    return torch.from_numpy(np.array(domain.pixels[:40]))


def tile(sheet: Image.Image, row: int, column: int, side: int = 32) -> torch.Tensor:
    """One tile of a sheet, uint8 3×side×side."""
    pixels = torch.from_numpy(np.array(sheet)).permute(2, 0, 1)
    return pixels[:, row * side : (row + 1) * side, column * side : (column + 1) * side]


def generator_sampler(seed: int = 0) -> GeneratorSampler:
    """An untrained generator of 32 px images."""
    return GeneratorSampler(seeded(lambda: Generator(GeneratorSpec(resolution=32, latent=6, channels=4)), rng(seed)))


# ----------------------------------------------------------------------------------------------------------- tiles


def test_tiles_stand_row_by_row(emoji: torch.Tensor) -> None:
    """Image 10 of 40 is the third of the second row; what does not fit is left out."""
    sheet = sheets.tiled(emoji)
    assert sheet.size == (8 * 32, 4 * 32)
    assert torch.equal(tile(sheet, 0, 0), emoji[0])
    assert torch.equal(tile(sheet, 1, 2), emoji[10])
    assert torch.equal(tile(sheet, 3, 7), emoji[31])


def test_missing_tiles_are_white(emoji: torch.Tensor) -> None:
    """Three images leave 29 white tiles."""
    sheet = sheets.tiled(emoji[:3])
    assert torch.equal(tile(sheet, 0, 2), emoji[2])
    assert tile(sheet, 0, 3).min() == 255
    assert tile(sheet, 3, 7).min() == 255


# ------------------------------------------------------------------------------------------------------- neighbours


def line(*values: float) -> np.ndarray:
    """Features on a line, N×2, float32."""
    return np.array([[value, 0.0] for value in values], dtype=np.float32)


def test_the_nearest_by_hand() -> None:
    """On a line: from 0 the training images at 1, −2 and 4; positions are those of the domain, distances exact."""
    found = neighbors.neighbors_of(line(0.0), line(4.0, 1.0, 9.0, -2.0), [7, 11, 13, 20])
    assert found is not None
    assert found.positions.tolist() == [[11, 20, 7]]
    assert found.distances.tolist() == [[1.0, 2.0, 4.0]]


def test_the_nearest_are_what_brute_force_says() -> None:
    """For the first 8 of 20 random images among 30: sorted Euclidean distances in float64."""
    chances = np.random.default_rng(0)
    x, t = chances.normal(size=(20, 5)).astype(np.float32), chances.normal(size=(30, 5)).astype(np.float32)
    found = neighbors.neighbors_of(x, t, range(100, 130))
    assert found is not None
    far = np.linalg.norm(x[:8, None].astype(float) - t[None].astype(float), axis=2)
    assert (found.positions - 100).tolist() == np.argsort(far, axis=1)[:, :3].tolist()
    # Differences of float32 numbers in float64: a few units in the last place.
    np.testing.assert_allclose(found.distances, np.sort(far, axis=1)[:, :3], rtol=1e-12)


def test_fewer_than_three_training_images() -> None:
    """Two give two neighbours, none gives None, and so do no generated images."""
    found = neighbors.neighbors_of(line(0.0, 5.0), line(1.0, 4.0), [3, 9])
    assert found is not None
    assert found.positions.tolist() == [[3, 9], [9, 3]]
    assert neighbors.neighbors_of(line(0.0), np.empty((0, 2), np.float32), []) is None
    assert neighbors.neighbors_of(np.empty((0, 2), np.float32), line(1.0), [1]) is None


def test_neighbours_stand_below_their_image(domain: ImageSet, emoji: torch.Tensor, tmp_path: Path) -> None:
    """First row generated, below each its nearest; the file's text has the distances, four digits each."""
    found = sheets.Neighbors(np.array([[5, 2], [30, 31]]), np.array([[0.0, 0.123456], [7.0, 12345.6]]))
    path = tmp_path / "neighbors.png"
    sheets.save_neighbors(found, sheets.neighbor_sheet(found, emoji, domain.pixels), path)
    with Image.open(path) as sheet:
        assert torch.equal(tile(sheet, 0, 1), emoji[1])
        assert torch.equal(tile(sheet, 1, 0), emoji[5])
        assert torch.equal(tile(sheet, 2, 1), emoji[31])
        assert tile(sheet, 0, 2).min() == tile(sheet, 3, 0).min() == 255
        assert isinstance(sheet, Image.Image)
        assert json.loads(sheet.info[sheets.DISTANCES]) == [[0.0, 0.1235], [7.0, 12350.0]]


# ----------------------------------------------------------------------------------------------------- latent space


def test_slerp_by_hand() -> None:
    """A quarter turn: (1, 0) to (0, 1) passes (√½, √½) half way and keeps its length all along."""
    way = sheets.slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.linspace(0, 1, 5))
    assert way[0].tolist() == [1.0, 0.0]
    torch.testing.assert_close(way[2], torch.full((2,), math.sqrt(0.5)))
    torch.testing.assert_close(way.norm(dim=1), torch.ones(5))


def test_slerp_turns_evenly_between_its_ends() -> None:
    """Of two draws of 64 numbers made equally long: both ends are met, and each step turns by the same angle.

    Angles come from float32 vectors: the cosine is good to about 64·2⁻²⁴ = 4e-6, the angle to 1e-4 at these sizes.
    """
    start, end = torch.randn(2, 4, 4, 4, generator=rng())
    end = end * start.norm() / end.norm()
    way = sheets.slerp(start, end, torch.linspace(0, 1, 8))
    torch.testing.assert_close(way[0], start)
    torch.testing.assert_close(way[-1], end)
    flat = way.flatten(1).double()
    angles = torch.cosine_similarity(flat[:-1], flat[1:]).acos()
    torch.testing.assert_close(angles, angles.mean().expand(7), atol=1e-4, rtol=0)


@pytest.mark.parametrize("end", [[2.0], [-3.0], [0.0]])
def test_slerp_on_one_line_is_straight(end: list[float]) -> None:
    """One dimension has no angle to turn by: same direction, the opposite one, and from somewhere to zero."""
    way = sheets.slerp(torch.tensor([1.0]), torch.tensor(end), torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(way[:, 0], torch.tensor([1.0, (1 + end[0]) / 2, end[0]]))


@pytest.mark.parametrize("kind", ["generator", "gaussian"])
def test_ways_begin_and_end_at_the_images_of_their_latents(kind: str, emoji: torch.Tensor) -> None:
    """Row i goes from the image of draw 2i to that of draw 2i + 1; the same seed gives the same pictures."""
    mean, components, coordinates = principal_components(emoji, 12)
    gaussian = PcaGaussianSampler(mean, components, coordinates.std(dim=0))
    sampler: LatentSampler = generator_sampler() if kind == "generator" else gaussian
    images = sheets.interpolated(sampler, seed=3)
    assert images is not None
    ends = sampler.decode(torch.randn(8, *sampler.latent_shape, generator=rng(3)))
    rows = images.unflatten(0, (4, 8))
    # The batch size may change the last bits of a convolution, and with them a rounding: one grey level.
    assert (rows[:, 0].int() - ends[0::2].int()).abs().max() <= 1
    assert (rows[:, -1].int() - ends[1::2].int()).abs().max() <= 1
    again = sheets.interpolated(sampler, seed=3)
    assert again is not None
    assert torch.equal(images, again)


def test_decoding_drawn_latents_is_sampling() -> None:
    """What LatentSampler promises: `sample` is `decode` of latents drawn from the generator."""
    sampler = generator_sampler()
    drawn = torch.randn(5, *sampler.latent_shape, generator=rng(1))
    assert torch.equal(sampler.sample(5, rng(1)), sampler.decode(drawn))


def test_a_replayed_bank_has_no_latent_space(emoji: torch.Tensor) -> None:
    """None instead of a picture."""
    assert sheets.interpolated(ImageBankSampler(emoji), seed=0) is None


class Misshapen(LatentSampler):
    """Returns one image, whatever it is asked for."""

    kind: ClassVar[str] = "misshapen-for-a-test"

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Three numbers."""
        return (3,)

    def sample(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Black images."""
        del generator
        return torch.zeros(n, 3, 8, 8, dtype=torch.uint8)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Too few."""
        del latents
        return torch.zeros(1, 3, 8, 8)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Nothing."""
        return {}, {}

    @classmethod
    def from_state(cls, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> Sampler:
        """Another one."""
        del tensors, metadata
        return cls()


def test_a_wrong_decode_is_told_what_was_expected() -> None:
    """Dtype and shape that were found, and those that were expected."""
    with pytest.raises(GraftbenchError, match=r"uint8 32×3×R×R on the CPU; found torch.float32 1×3×8×8 on cpu"):
        sheets.interpolated(Misshapen(), seed=0)


# ----------------------------------------------------------------------------------------------------- whole cells


@pytest.fixture
def run(domain: ImageSet, shared_cache: Path, tmp_path: Path) -> Callable[..., tuple[Record, Path]]:
    """Runs a cell of a method on real images: 25 of them, 20 samples."""

    def make(method: str, keep: str = "sampler") -> tuple[Record, Path]:
        spec = make_quick_cell(method, domain, Protocol(size=32, resize="bicubic-antialias", n_generated=20))
        folder = tmp_path / f"{method}-{keep}"
        folder.mkdir()
        images = {"openmoji": str(domain.entry)}
        job = CellJob(cell=spec, images=images, cache=str(shared_cache), folder=str(folder), keep=keep)
        record = cell.run_cell(job)
        assert record.status == Status.OK, record.reason
        return record, folder

    return make


@pytest.mark.long
def test_a_copy_has_itself_as_neighbour(run: Callable[..., tuple[Record, Path]]) -> None:
    """The memorizer replays its training images: each is its own nearest, pixel for pixel."""
    record, folder = run("memorizer")
    assert record.artifacts["neighbors"] == f"cells/{record.id}/neighbors.png"
    assert "interpolation" not in record.artifacts
    with Image.open(folder / "neighbors.png") as sheet:
        for column in range(8):
            assert torch.equal(tile(sheet, 0, column), tile(sheet, 1, column))
        distances = json.loads(sheet.info[sheets.DISTANCES])
    # Features of one image in batches of two sizes differ in their last bits, those of two images in their first.
    assert all(row[0] < 1e-3 < row[1] <= row[2] for row in distances)
    with Image.open(folder / "samples.png") as samples, Image.open(folder / "neighbors.png") as sheet:
        assert torch.equal(tile(samples, 0, 3), tile(sheet, 0, 3))


@pytest.mark.long
def test_pictures_change_no_score(run: Callable[..., tuple[Record, Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    """With pictures, without, and with a decode that fails: the same scores; a failure is said in the log alone."""
    with_all, folder = run("gaussian")
    assert {"neighbors", "interpolation"} <= with_all.artifacts.keys()
    with Image.open(folder / "interpolation.png") as sheet:
        assert sheet.size == (8 * 32, 4 * 32)
    without, _ = run("gaussian", "nothing")
    assert without.artifacts.keys() == {"log"}
    assert with_all.scores == without.scores

    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError("no way")

    monkeypatch.setattr(cell, "interpolated", fail)
    failed, folder = run("gaussian", "samples")
    assert failed.artifacts.keys() == {"log", "samples", "neighbors"}
    assert failed.scores == with_all.scores
    assert not (folder / "interpolation.png").exists()
