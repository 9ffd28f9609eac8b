"""Names of domains as they are printed: no path, and no two sets of images under one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from made_cells import make_cell

from graftbench.records.cell_spec import CellSpec, TaskSpec
from graftbench.records.domain_names import PrintedNames, public_name, with_printed_names
from graftbench.records.heads import Head
from graftbench.records.record import Record, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

A, B = "a" * 64, "b" * 64


def cell(target: str, manifest: str = A, source: str = "none", **manifests: str) -> CellSpec:
    """A cell on a target."""
    return make_cell("dcgan", task=TaskSpec(source, target, 32), manifests={target: manifest} | manifests)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("folder:/home/maja/cats", "folder:cats"),
        ("folder:/home/maja/cats/", "folder:cats"),
        ("folder:~/cats", "folder:cats"),
        ("folder:../maja/cats", "folder:cats"),
        (r"zip:C:\maja\cats.zip", "zip:cats.zip"),
        ("hf:owner/name", "hf:owner/name"),
        ("cifar10:cat", "cifar10:cat"),
        ("twemoji", "twemoji"),
        ("none", "none"),
    ],
)
def test_a_path_is_cut_and_a_word_is_not(written: str, printed: str) -> None:
    """A home folder's name is private; the owner of a public set is part of its name."""
    assert public_name(written) == printed


@pytest.mark.parametrize(
    ("cells", "printed"),
    [
        ([cell("folder:/x/cats")], ["folder:cats"]),
        ([cell("folder:/x/cats"), cell("folder:/y/cats")], ["folder:cats"] * 2),
        ([cell("folder:d/cats"), cell("folder:/y/cats")], ["folder:cats"] * 2),
        ([cell("folder:/x/cats"), cell("folder:/y/cats", B)], ["folder:cats#aaaaaaaa", "folder:cats#bbbbbbbb"]),
        ([cell("folder:cats"), cell("folder:cats", B)], ["folder:cats#aaaaaaaa", "folder:cats#bbbbbbbb"]),
        ([cell("folder:cats#aaaaaaaa")], ["folder:cats#aaaaaaaa"]),
        ([cell("folder:cats#aaaaaaaa"), cell("folder:/x/cats")], ["folder:cats#aaaaaaaa"] * 2),
        ([cell("folder:cats#cccccccc")], ["folder:cats#cccccccc"]),
        ([cell("hf:ann/cats"), cell("hf:bob/cats", B)], ["hf:ann/cats", "hf:bob/cats"]),
        ([cell("openmoji"), cell("openmoji", B)], ["openmoji", "openmoji"]),
    ],
)
def test_each_set_of_images_has_one_name(cells: Sequence[CellSpec], printed: Sequence[str]) -> None:
    """Digits of the manifest where two would share a name, or where one had them; a registered name is the set's."""
    names = PrintedNames(cells)
    renamed = [names.cell(one) for one in cells]
    assert [one.task.target for one in renamed] == printed
    assert [one.id for one in renamed] == [one.id for one in cells]
    assert [one.manifests[one.task.target] for one in renamed] == [one.manifests[one.task.target] for one in cells]


def test_source_and_target_may_have_one_name() -> None:
    """Two folders of one name in one task keep their own manifests."""
    both = cell("folder:/b/train", B, source="folder:/a/train", **{"folder:/a/train": A})
    renamed = PrintedNames([both]).cell(both)
    assert str(renamed.task) == "folder:train#aaaaaaaa->folder:train#bbbbbbbb@32"
    assert renamed.manifests == {"folder:train#aaaaaaaa": A, "folder:train#bbbbbbbb": B}
    assert renamed.id == both.id


def test_facts_of_a_record_go_with_its_names() -> None:
    """Licences are recorded by name; a record that is named well already is not copied."""
    facts = {"domains": {"folder:cats": {"license": "mine"}}, "python": "3.11"}
    old = [cell("folder:/x/cats"), cell("folder:/y/cats", B)]
    records = [Record(id=one.id, cell=one, status=Status.OK, environment=facts) for one in old]
    first, _ = with_printed_names(records)
    assert first.environment == {"domains": {"folder:cats#aaaaaaaa": {"license": "mine"}}, "python": "3.11"}
    plain = Head(id="x", cell=cell("openmoji"), status=Status.OK)
    assert with_printed_names([plain])[0] is plain


def test_a_suite_means_what_its_own_cells_mean() -> None:
    """`folder:cats` is one set in the first run and another in the second; a task that nothing ran yet is guessed."""
    first, second = cell("folder:/x/cats"), cell("folder:/y/cats", B)
    names = PrintedNames([first, second])
    assert names.of_suite([first])(first.task).target == "folder:cats#aaaaaaaa"
    assert names.of_suite([second])(second.task).target == "folder:cats#bbbbbbbb"
    assert PrintedNames([first]).of_suite([])(TaskSpec("none", "folder:/z/cats", 32)).target == "folder:cats"
    assert PrintedNames([]).of_suite([])(TaskSpec("none", "folder:/z/cats", 32)).target == "folder:cats"
