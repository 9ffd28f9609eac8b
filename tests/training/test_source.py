"""Source models: found by what they are, trained where they are not, refused where they do not fit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.suites.suite import load_suite, parse_task
from graftbench.training import source
from graftbench.training.source import SourceModelSpec


@pytest.fixture(scope="module")
def twemoji(shared_cache: Path) -> prepared.ImageSet:
    """Twemoji at 32 px."""
    return prepared.load(registry.make_domain("twemoji"), "twemoji", 32, shared_cache)


def shipped() -> list[Path]:
    """Provenance files that come with the package."""
    folder = Path(str(files("graftbench.training.source_models")))
    return sorted(folder.glob("*.json"))


def test_the_suites_source_models_come_with_the_package() -> None:
    """Of every source domain of `quick` and `standard` there are a GAN and a VAE of 32 px, of some megabytes."""
    recipes = [facts["recipe"] for facts in source.shipped_provenance()]
    known = {(recipe["kind"], recipe["domain"]) for recipe in recipes if recipe["resolution"] == 32}
    domains = {parse_task(task).source for name in ("quick", "standard") for task in load_suite(name).tasks}
    assert known >= {(kind, domain) for kind in ("gan", "vae") for domain in domains}
    assert all(path.with_suffix(".safetensors").stat().st_size < 5.5e6 for path in shipped())


@pytest.mark.long
def test_the_model_of_quick_is_that_of_its_images(shared_cache: Path, tmp_path: Path) -> None:
    """The avatars that the installed packages draw are those on which the shipped model was trained."""
    images = prepared.load(registry.make_domain("avatars:micah"), "avatars:micah", 32, shared_cache)
    recipe = source.recipe_for(load_suite("quick").source_models["gan"], "gan", images)
    found = source.find(recipe, tmp_path)
    assert found is not None
    assert source.load(found, recipe.id).id == recipe.id


@pytest.mark.parametrize("provenance", shipped(), ids=lambda path: path.stem)
def test_a_shipped_model_has_its_provenance(provenance: Path) -> None:
    """Command, recipe, versions, data manifest, its own scores, and a hash that is the file's."""
    facts = json.loads(provenance.read_text())
    weights = provenance.with_suffix(".safetensors")
    assert facts["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert facts["command"].startswith("graftbench source train ")
    assert msgspec.convert(facts["recipe"], source.Recipe).id == facts["id"] == provenance.stem
    assert any(name.startswith("fid_") and value > 0 for name, value in facts["scores"].items())
    assert facts["environment"]


def test_without_a_model_it_is_trained_once_and_is_the_same(twemoji: prepared.ImageSet, tmp_path: Path) -> None:
    """Nothing shipped, nothing cached: trained, cached, and equal weights from an equal recipe."""
    recipe = source.recipe_for(SourceModelSpec(kimg=0.064, seed=3), "gan", twemoji)
    assert source.find(recipe, tmp_path / "a") is None
    said: list[str] = []
    paths = [source.obtain(recipe, twemoji, tmp_path / name, say=said.append) for name in ("a", "a", "b")]
    assert sum("trained source model" in sentence for sentence in said) == 2
    models = [source.load(path, recipe.id) for path in paths]
    assert models[0].tensors.keys() == models[2].tensors.keys()
    assert all(tensor.equal(models[2].tensors[name]) for name, tensor in models[0].tensors.items())


def test_a_recipe_is_its_content(twemoji: prepared.ImageSet) -> None:
    """Seed, kimg and settings change the id; a setting written at its default does not."""
    base = SourceModelSpec(kimg=1, seed=0)
    ids = {
        source.recipe_for(spec, "gan", twemoji).id
        for spec in (
            base,
            SourceModelSpec(kimg=2, seed=0),
            SourceModelSpec(kimg=1, seed=1),
            SourceModelSpec(kimg=1, seed=0, parameters={"loss": "non-saturating"}),
        )
    }
    assert len(ids) == 4
    same = SourceModelSpec(kimg=1, seed=0, parameters={"loss": "hinge", "batch_size": 32})
    assert source.recipe_for(same, "gan", twemoji).id == source.recipe_for(base, "gan", twemoji).id


def test_a_damaged_model_of_the_cache_is_made_again(twemoji: prepared.ImageSet, tmp_path: Path) -> None:
    """One flipped bit, a file cut off, a folder: no score may come of it; the new one is what the old one was."""
    recipe = source.recipe_for(SourceModelSpec(kimg=0.064, seed=3), "gan", twemoji)
    path = source.obtain(recipe, twemoji, tmp_path)
    good, digest = path.read_bytes(), source.digest_of(source.load(path, recipe.id))
    flipped = bytearray(good)
    flipped[-1000] ^= 1
    for bad in (bytes(flipped), good[:-1], b""):
        path.write_bytes(bad)
        assert source.find(recipe, tmp_path) is None
        with pytest.raises(GraftbenchError, match=r"is damaged|cannot be read"):
            source.load(path, recipe.id)
    assert source.digest_of(source.load(source.obtain(recipe, twemoji, tmp_path), recipe.id)) == digest


def test_the_digest_of_a_model_is_that_of_its_numbers(twemoji: prepared.ImageSet, tmp_path: Path) -> None:
    """It changes with one number, a name, a type or a shape, and not with the order of anything."""
    recipe = source.recipe_for(SourceModelSpec(kimg=0.064, seed=3), "gan", twemoji)
    model = source.load(source.obtain(recipe, twemoji, tmp_path), recipe.id)
    tensors = model.tensors
    name, tensor = next((name, tensor) for name, tensor in tensors.items() if tensor.ndim > 1)
    changed = [
        tensors | {name: tensor + 1},
        tensors | {name: tensor.double()},
        tensors | {name: tensor.flatten()},
        {other: value for other, value in tensors.items() if other != name} | {f"{name}_": tensor},
    ]
    digests = {source.digest_of(replace(model, tensors=each)) for each in [tensors, *changed]}
    assert len(digests) == 1 + len(changed)
    assert source.digest_of(replace(model, tensors=dict(reversed(tensors.items())))) in digests


def test_a_damaged_model_of_the_package_is_refused(
    twemoji: prepared.ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its provenance holds its SHA-256."""
    recipe = source.shipped_recipe("gan", twemoji)
    assert recipe is not None
    monkeypatch.setattr(source, "content_digest", lambda _: b"other")
    with pytest.raises(GraftbenchError, match="Reinstall graftbench"):
        source.find(recipe, tmp_path)


def test_wrong_files_are_refused(twemoji: prepared.ImageSet, tmp_path: Path) -> None:
    """Another model under the name, a damaged file, a kind that nobody trains, an unknown setting."""
    recipe = source.recipe_for(SourceModelSpec(kimg=0.064, seed=3), "gan", twemoji)
    path = source.obtain(recipe, twemoji, tmp_path)
    with pytest.raises(GraftbenchError, match="expected 'gan-other'"):
        source.load(path, "gan-other")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(GraftbenchError, match=r"is damaged|cannot be read as safetensors"):
        source.load(path, recipe.id)
    with pytest.raises(GraftbenchError, match=r"Unknown kind of source model 'flows'.*Did you mean 'flow'"):
        source.recipe_for(SourceModelSpec(), "flows", twemoji)
    with pytest.raises(GraftbenchError, match=r"Did you mean 'augment'\?"):
        source.recipe_for(SourceModelSpec(parameters={"augmen": ""}), "gan", twemoji)


def test_a_shipped_model_is_found_by_its_domain(twemoji: prepared.ImageSet) -> None:
    """Of the kinds that are shipped for it; none for images that are others, or for a kind that nobody shipped."""
    for kind in ("gan", "vae", "diffusion"):
        recipe = source.shipped_recipe(kind, twemoji)
        assert recipe is not None
        assert (recipe.kind, recipe.domain, recipe.resolution) == (kind, "twemoji", 32)
        assert source.find(recipe, Path("nowhere")) is not None
    assert source.shipped_recipe("flow", twemoji) is None
    assert source.shipped_recipe("gan", dataclasses.replace(twemoji, manifest="0" * 64)) is None


def test_a_training_s_length_is_that_of_a_shipped_one() -> None:
    """In proportion to images and pixels; nothing is known of a kind that nobody timed."""
    facts = max(
        (f for f in source.shipped_provenance() if f["recipe"]["kind"] == "gan" and f["recipe"]["resolution"] == 32),
        key=lambda f: f["recipe"]["kimg"],
    )
    recipe = msgspec.convert(facts["recipe"], source.Recipe)
    seconds = source.training_seconds(recipe)
    assert seconds is not None
    assert seconds == pytest.approx(facts["fit_seconds"])
    shorter = msgspec.structs.replace(recipe, kimg=recipe.kimg / 4)
    assert source.training_seconds(shorter) == pytest.approx(seconds / 4)
    assert source.training_seconds(msgspec.structs.replace(recipe, resolution=8)) == pytest.approx(
        seconds * (8 / recipe.resolution) ** 2
    )
    assert source.training_seconds(msgspec.structs.replace(recipe, kind="a kind that nobody timed")) is None


def test_a_training_says_how_far_it_is() -> None:
    """Every ten seconds at most, at tenths of the budget, with the time left; one that goes on begins where it is."""
    said: list[str] = []
    now = 0.0
    report = source.TrainingReport("gan-x", said.append, clock=lambda: now)
    for step in range(101):
        now = float(step)
        report.hear(step / 100)
    assert said[0] == "source model gan-x: 10% trained, about 2 min left"
    assert said[1:3] == [
        "source model gan-x: 20% trained, about 80 s left",
        "source model gan-x: 30% trained, about 70 s left",
    ]
    assert len(said) == 9
    said.clear()
    report = source.TrainingReport("gan-x", said.append, clock=lambda: now)
    for share in (0.5, 0.6):
        report.hear(share)
        now += 20
    assert said == ["source model gan-x: 60% trained, about 80 s left"]


def test_a_recipe_of_ours_keeps_its_id_and_its_words(twemoji: prepared.ImageSet) -> None:
    """What a recipe of a source model from elsewhere has beside changes nothing for those that were trained here."""
    recipe = source.recipe_for(SourceModelSpec(kimg=1), "gan", twemoji)
    assert "foreign" not in json.loads(source.encoded(recipe))
    shipped_ids = {facts["id"] for facts in source.shipped_provenance()}
    assert shipped_ids == {msgspec.convert(facts["recipe"], source.Recipe).id for facts in source.shipped_provenance()}
