"""Which cells answer to which, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from graftbench.errors import GraftbenchError
from graftbench.records.cell_spec import ComputeBudget, Protocol, TaskSpec
from graftbench.records.record import Record, Status
from graftbench.regression.matching import match


def seeds(pairs: Any) -> list[tuple[int, int]]:
    """(seed of the base, seed of the new run) of each pair."""
    return [(pair.seed, pair.new[0].cell.seed) for pair in pairs]


def test_cells_match_by_method_task_budget_and_seed(make: Any) -> None:
    """What only one side has appeared or vanished."""
    common = [make.record("a"), make.record("a", images=100)]
    base = [*common, make.record("a", 1), make.record("b")]
    new = [*common, make.record("a", 2), make.record("a", target="material")]
    found = match([base], [new])
    assert [str(pair) for pair in found.pairs] == [
        "a twemoji->openmoji@32 n=25 seed=0",
        "a twemoji->openmoji@32 n=100 seed=0",
    ]
    assert found.vanished == ("a twemoji->openmoji@32 n=25 seed=1", "b twemoji->openmoji@32 n=25 seed=0")
    assert found.appeared == ("a twemoji->openmoji@32 n=25 seed=2", "a twemoji->material@32 n=25 seed=0")


def test_disjoint_seeds_pair_in_their_order(make: Any) -> None:
    """That is told, and what has no partner has vanished."""
    found = match([make.run_of("a", "kid", [1.0] * 3)], [make.run_of("a", "kid", [1.0] * 2, first=7)])
    assert seeds(found.pairs) == [(0, 7), (1, 8)]
    assert found.vanished == ("a twemoji->openmoji@32 n=25 seed=2",)
    assert found.notes == ("Seeds of base and new run differ; they are paired in their order.",)


def test_seeds_in_common_pair_alone(make: Any) -> None:
    """Where some seeds are shared, the others have vanished or appeared."""
    found = match([make.run_of("a", "kid", [1.0] * 3)], [make.run_of("a", "kid", [1.0] * 3, first=2)])
    assert (seeds(found.pairs), len(found.vanished), len(found.appeared)) == ([(2, 2)], 2, 2)


def test_a_changed_default_is_judged(make: Any) -> None:
    """One set of parameters on each side matches whatever they are, and the change is told; another code hash too."""
    base, new = (
        make.record("a", parameters={"lr": 0.1, "n": 1}),
        make.record("a", parameters={"lr": 0.2, "n": 1}, code="x"),
    )
    found = match([[base]], [[new]])
    assert len(found.pairs) == 1
    assert found.notes == ("Parameters of a differ: lr 0.1 → 0.2.",)


def test_variants_match_their_equals(make: Any) -> None:
    """Of two variants in a run each finds its own; a third has appeared."""
    base = [make.record("a", parameters={"lr": lr, "n": 1}) for lr in (0.1, 0.2)]
    new = [make.record("a", parameters={"lr": lr, "n": 1}) for lr in (0.2, 0.3, 0.1)]
    found = match([base], [new])
    assert [pair.method for pair in found.pairs] == ["a (lr=0.1)", "a (lr=0.2)"]
    assert all(pair.base[0].cell.parameters == pair.new[0].cell.parameters for pair in found.pairs)
    assert found.appeared == ("a (lr=0.3) twemoji->openmoji@32 n=25 seed=0",)


def test_a_replaced_record_is_left_out(make: Any) -> None:
    """A run folder keeps the record of the code before: the later one counts, and is no second repeat."""
    old = make.record("a", scores={"kid": 9.0}, code="old", finished_at="2026-01-01")
    late = make.record("a", scores={"kid": 1.0}, code="new", finished_at="2026-01-02")
    found = match([[late, old]], [[late]])
    assert found.pairs[0].base == (late,)
    assert "1 records were left out" in found.notes[0]


def test_repeats_are_one_pair(make: Any) -> None:
    """Two runs of the same cells: one pair with two records a side."""
    run = [make.record("a")]
    assert [(len(pair.base), len(pair.new)) for pair in match([run, run], [run, run]).pairs] == [(2, 2)]


def test_fates(make: Any) -> None:
    """Newly failing, mended, failing on both sides; a repeat that fails makes its cell fail."""
    fine, broken = make.record("a"), make.record("a", status=Status.OOM)
    assert len(match([[fine]], [[broken]]).failing) == 1
    assert len(match([[broken]], [[fine]]).mended) == 1
    assert len(match([[broken]], [[broken]]).still_failing) == 1
    assert len(match([[fine], [fine]], [[fine], [broken]]).failing) == 1


@pytest.mark.parametrize(("base", "new", "name"), [(0, 1, "base"), (1, 0, "new run"), (0, 0, "base")])
def test_nothing_is_refused(make: Any, base: int, new: int, name: str) -> None:
    """An empty side is no success."""
    with pytest.raises(GraftbenchError, match=f"The {name} has no records"):
        match([[make.record()] * base], [[make.record()] * new])


def test_other_protocols_are_refused_naming_the_difference(make: Any) -> None:
    """Every field that differs; but not which metrics are computed, nor where the weights lie."""
    base = make.record()
    protocol = base.cell.protocol
    for fields, told in (
        ({"n_generated": 60}, "n_generated: base 600, new 60"),
        ({"size": 64, "extractor": "dino"}, "extractor: base 'lite0', new 'dino'; size: base 96, new 64"),
    ):
        other = make.record(protocol=msgspec.structs.replace(protocol, **fields))
        with pytest.raises(GraftbenchError, match=told):
            match([[base]], [[other]])
        with pytest.raises(GraftbenchError, match="which the base has not"):
            match([[base]], [[base, other]])
    moved = msgspec.structs.replace(protocol, metrics=["kid"], weights="/elsewhere")
    assert len(match([[base]], [[make.record(protocol=moved)]]).pairs) == 1


def test_two_protocols_on_both_sides_stay_apart(make: Any) -> None:
    """Cells match within a protocol."""
    run = [make.record(), make.record(protocol=Protocol(n_generated=60))]
    assert [len(pair.base) for pair in match([run], [run]).pairs] == [1, 1]


def in_folder(make: Any, path: str, digit: str, **fields: Any) -> Record:
    """A record of images in a folder, as a version with paths wrote it."""
    return make.record(target=f"folder:{path}", manifests={f"folder:{path}": digit * 64}, **fields)


def test_one_folder_under_two_paths_is_one_task(make: Any) -> None:
    """Where a machine keeps the images does not matter, what they are does."""
    pairs = match([[in_folder(make, "/here/cats", "1")]], [[in_folder(make, "/there/cats", "1")]]).pairs
    assert [pair.task for pair in pairs] == ["twemoji->folder:cats@32"]


def test_two_folders_of_one_name_are_two_tasks(make: Any) -> None:
    """Each is paired with itself, under a name with digits; one that a side does not have is said."""
    base = [in_folder(make, "/d/retina/train", "1"), in_folder(make, "/d/textures/train", "2")]
    matched = match([base], [[in_folder(make, "/m/retina/train", "1")]])
    assert [pair.task for pair in matched.pairs] == ["twemoji->folder:train#11111111@32"]
    assert matched.vanished == ("finetune twemoji->folder:train#22222222@32 n=25 seed=0",)
    assert len(match([base], [base]).pairs) == 2


def variant(make: Any, name: str, seed: int, **parameters: Any) -> Record:
    """A record of a variant of finetune."""
    record = make.record(name, seed, parameters=parameters)
    return msgspec.structs.replace(record, cell=msgspec.structs.replace(record.cell, variant_of="finetune"))


def test_a_renamed_variant_is_told(make: Any) -> None:
    """Beside the cells that vanished and appeared, and where nothing else is in common."""
    base = [variant(make, "slow", seed, lr=0.001) for seed in range(3)]
    new = [variant(make, "careful", seed, lr=0.001) for seed in range(3)]
    hint = "slow of the base and careful of the new run are the same method with the same parameters"
    with pytest.raises(GraftbenchError, match=hint):
        match([base], [new])
    matched = match([[*base, make.record("dcgan")]], [[*new, make.record("dcgan")]])
    assert (len(matched.vanished), len(matched.appeared)) == (3, 3)
    assert any(hint in note for note in matched.notes)
    other = [variant(make, "careful", 0, lr=0.002), make.record("dcgan")]
    assert not any("renamed" in note for note in match([[*base, make.record("dcgan")]], [other]).notes)


def test_other_images_are_refused(make: Any) -> None:
    """Of the same domain at the same resolution; a folder goes by its name, and two resolutions do not mix."""
    base = make.record(manifests={"folder:/here/cats": "1" * 64})
    assert match([[base]], [[make.record(manifests={"folder:/there/cats": "1" * 64})]]).pairs
    with pytest.raises(GraftbenchError, match="images of folder:cats at 32 px are not the same"):
        match([[base]], [[make.record(manifests={"folder:/here/cats": "2" * 64})]])
    large = msgspec.structs.replace(
        base, cell=msgspec.structs.replace(base.cell, task=TaskSpec("a", "b", 64), manifests={"folder:/here/cats": "3"})
    )
    assert len(match([[base, large]], [[large, base]]).pairs) == 2


def test_no_cell_in_common_names_what_differs(make: Any) -> None:
    """Which coordinate has nothing in common; or that none alone is to blame."""
    with pytest.raises(GraftbenchError, match=r"no cell in common. They differ in methods: base a; new b\."):
        match([[make.record("a")]], [[make.record("b")]])
    with pytest.raises(GraftbenchError, match="data budgets: base 25; new 100"):
        match([[make.record("a")]], [[make.record("a", images=100)]])
    other = make.record("a")
    cell = msgspec.structs.replace(other.cell, compute_budget=ComputeBudget(kimg=16))
    with pytest.raises(GraftbenchError, match="compute budgets: base 8 kimg; new 16 kimg"):
        match([[make.record("a")]], [[msgspec.structs.replace(other, cell=cell)]])
    base, new = (make.record("a"), make.record("b", images=9)), (make.record("b"), make.record("a", images=9))
    with pytest.raises(GraftbenchError, match="but no combination"):
        match([base], [new])


def test_other_source_models_are_told(make: Any) -> None:
    """They may be why scores change."""
    base = make.record("a")
    new = msgspec.structs.replace(base, cell=msgspec.structs.replace(base.cell, source_model="other"))
    assert match([[base]], [[new]]).notes == ("Source models differ, of a.",)
