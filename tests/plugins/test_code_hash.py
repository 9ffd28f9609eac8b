"""The hash of a method's code follows what the method really runs."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import graftbench
from graftbench.plugins import registry
from graftbench.plugins.code_hash import code_hash, code_of, files_of, hash_of
from graftbench.plugins.definitions import _definitions

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_edited_helper_changes_the_hash(tmp_path: Path) -> None:
    """A plugin's neighbour counts as much as the plugin: no stale result after an edit in a shared helper."""
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    (tmp_path / "other.py").write_text("VALUE = 1\n")
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import helper\n")
    before = code_hash([plugin])
    (tmp_path / "other.py").write_text("VALUE = 2\n")
    assert code_hash([plugin]) == before
    (tmp_path / "helper2.py").write_text("VALUE = 3\n")
    assert code_hash([plugin]) == before
    fresh = tmp_path / "again"
    fresh.mkdir()
    (fresh / "helper.py").write_text("VALUE = 2\n")
    (fresh / "plugin.py").write_text("import helper\n")
    assert code_hash([fresh / "plugin.py"]) != before


def test_an_import_added_in_a_running_session_is_seen(tmp_path: Path) -> None:
    """A notebook edits its plugin: the new neighbour counts from then on."""
    (tmp_path / "late.py").write_text("X = 1\n")
    plugin = tmp_path / "plugin.py"
    plugin.write_text("X = 0\n")
    code_hash([plugin])
    plugin.write_text("import late\n")
    before = code_hash([plugin])
    (tmp_path / "late.py").write_text("X = 2\n")
    assert code_hash([plugin]) != before


def test_where_a_file_lies_does_not_count(tmp_path: Path) -> None:
    """Two checkouts of one state have one hash, with either line ending."""
    for name, end in (("a", "\n"), ("b", "\r\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "method.py").write_bytes(f"import helper{end}".encode())
        (tmp_path / name / "helper.py").write_bytes(f"X = 1{end}".encode())
    assert code_hash([tmp_path / "a" / "method.py"]) == code_hash([tmp_path / "b" / "method.py"])


def test_type_checking_imports_do_not_count(tmp_path: Path) -> None:
    """What is imported for the type checker alone does not run."""
    (tmp_path / "types_only.py").write_text("X = 1\n")
    plugin = tmp_path / "plugin.py"
    plugin.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import types_only\n")
    before = code_hash([plugin])
    (tmp_path / "types_only.py").write_text("X = 2\n")
    assert code_hash([plugin]) == before


@pytest.mark.slow
def test_every_built_in_method_has_a_hash_of_its_own() -> None:
    """No two methods are the same code."""
    hashes = [code_of(cls) for cls in registry.methods().classes.values()]
    assert len(set(hashes)) == len(hashes)


def test_the_files_behind_a_hash_are_named_alike_everywhere() -> None:
    """Names are the package's, no path of this machine; the hash follows from the files alone."""
    dcgan = registry.methods()["dcgan"]
    files = files_of(dcgan)
    assert {"graftbench/methods/dcgan.py::Dcgan", "graftbench/scoring/score.py::score_sampler"} <= files.keys()
    assert not [name for name in files if name.startswith(("/", "..")) or not name.startswith("graftbench/")]
    assert not [name for name in files if name.startswith("graftbench/methods/vae.py")]
    assert hash_of(files) == code_of(dcgan)


PLUGIN = """
from helper import VALUE
from graftbench.contracts import Method, Reference
class {name}(Method):
    name = "{name}"
    family = "scratch"
    title = "T"
    reference = Reference(authors="A", title="T", venue="V", year=2026)
    trains = "nothing"
    def fit(self, task, budget):
        return VALUE
"""


def test_files_of_a_plugin_are_named_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edited helper is the one name whose hash differs; a linked file and the suite's own of that name stay two."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "helper.py").write_text("VALUE = 1\n")
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "planted_names.py").write_text(PLUGIN.format(name="planted_names"))
    (folder / "helper.py").symlink_to(elsewhere / "helper.py")
    monkeypatch.syspath_prepend(folder)
    method = registry.methods([folder / "planted_names.py"])["planted_names"]
    before = files_of(method)
    outside = {name for name in before if not name.startswith("graftbench/")}
    assert outside == {"planted_names.py::planted_names", "helper.py::VALUE"}
    (elsewhere / "helper.py").write_text("VALUE = 2\n")
    after = files_of(method)
    assert {name for name in after if before.get(name) != after[name]} == {"helper.py::VALUE"}
    assert hash_of(after) == code_of(method) != hash_of(before)


def test_imports_count_at_any_depth_but_not_for_the_type_checker(tmp_path: Path) -> None:
    """In functions, branches, handlers and cases; under `if typing.TYPE_CHECKING` only what else runs."""
    lines = [
        "import typing",
        "def f(x):",
        "    match x:",
        "        case 1:",
        "            import in_case",
        "    try:",
        "        with x:",
        "            import in_with",
        "    except ValueError:",
        "        import in_handler",
        "    finally:",
        "        import in_finally",
        "if typing.TYPE_CHECKING:",
        "    import types_only",
        "else:",
        "    import in_else",
    ]
    plugin = tmp_path / "plugin.py"
    plugin.write_text("\n".join(lines) + "\n")
    for name in ("in_case", "in_with", "in_handler", "in_finally", "in_else", "types_only"):
        before = code_hash([plugin])
        (tmp_path / f"{name}.py").write_text("X = 1\n")
        plugin.write_text(plugin.read_text() + "\n")  # what a file imports is remembered by its contents
        blank = code_hash([plugin])
        (tmp_path / f"{name}.py").write_text("X = 2\n")
        assert (code_hash([plugin]) != blank) == (name != "types_only"), name
        assert (blank != before) == (name != "types_only"), name


# ---------------------------------------------------------------------------- what an edit of the package does to ids

PACKAGE = Path(graftbench.__file__).parent


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    """Method -> the hash of its code, as the package is."""
    return {name: code_of(cls) for name, cls in registry.methods().classes.items()}


@pytest.fixture
def changed_by(monkeypatch: pytest.MonkeyPatch, hashes: dict[str, str]) -> Callable[..., set[str]]:
    """Give the methods whose hash an edit of a file of the package changes; nothing is written."""
    read = Path.read_bytes

    def changed(path: str, edit: Callable[[str], str]) -> set[str]:
        file = (PACKAGE / path if (PACKAGE / path).exists() else PACKAGE.parents[1] / path).resolve()
        text = file.read_text("utf-8")
        edited = edit(text)
        assert edited != text
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda self: edited.encode() if self == file else read(self))
            return {name for name, cls in registry.methods().classes.items() if code_of(cls) != hashes[name]}

    return changed


def with_other_words(text: str) -> str:
    """Add a comment to a file, and change its docstrings, its annotations and the texts of its errors and log lines."""

    class Words(ast.NodeTransformer):
        def visit_Expr(self, node: ast.Expr) -> ast.AST:
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                return ast.Expr(ast.Constant("Another docstring."))
            return self.generic_visit(node)

        def visit_arg(self, node: ast.arg) -> ast.AST:
            node.annotation = ast.Name("object") if node.annotation else None
            return node

        def visit_Raise(self, node: ast.Raise) -> ast.AST:
            if isinstance(node.exc, ast.Call) and node.exc.args and isinstance(node.exc.args[0], ast.JoinedStr):
                node.exc.args[0] = ast.Constant("Another message.")
            return node

    tree = ast.fix_missing_locations(Words().visit(ast.parse(text)))
    return f"# A comment.\n{ast.unparse(tree)}\n"


def counted_files() -> set[str]:
    """Name the files that any built-in method reaches, without `graftbench/`."""
    names = {name for cls in registry.methods().classes.values() for name in files_of(cls)}
    return {name.partition("::")[0].removeprefix("graftbench/") for name in names}


@pytest.mark.slow
def test_words_change_no_id() -> None:
    """Comments, docstrings, layout, annotations and messages, in every file that any method reaches."""
    files = counted_files()
    assert len(files) > 100
    for path in sorted(files):
        file = PACKAGE / path if (PACKAGE / path).exists() else PACKAGE.parents[1] / path
        text = file.read_text("utf-8")
        edited = with_other_words(text)
        assert edited != text
        assert _definitions(file, edited.encode()) == _definitions(file, text.encode()), path


@pytest.mark.parametrize(
    "path", ["execution/cell.py", "records/record.py", "cli/run.py", "images/writers.py", "regression/gate.py"]
)
def test_edits_outside_of_what_is_computed_change_no_id(path: str, changed_by: Callable[..., set[str]]) -> None:
    """Orchestration, records, command line and pictures are another matter than a cell's numbers."""
    assert changed_by(path, lambda text: text + "\nANOTHER = 1\n\n\ndef another():\n    return 2\n") == set()
    folder = path.partition("/")[0]
    prefix = path if folder == "images" else f"{folder}/"
    assert not [file for file in counted_files() if file.startswith(prefix)]


def number(before: str, after: str) -> Callable[[str], str]:
    """Give an edit of a piece of code that stands once in a file."""

    def edit(text: str) -> str:
        assert text.count(before) == 1, (before, text.count(before))
        return text.replace(before, after)

    return edit


EDITS = {
    "a network": (
        "nn/generator.py",
        "scale_factor=2,",
        "scale_factor=4,",
        "dcgan finetune freezed",
        "gaussian pix2pix",
    ),
    "a loss": ("nn/penalties.py", "images) - 1)", "images) - 2)", "wgan-gp", "dcgan sngan gaussian gatys"),
    "an average": ("nn/ema.py", "/ (10 + self", "/ (11 + self", "dcgan vae ddpm", "gaussian memorizer gatys"),
    "a method": ("methods/freezed.py", ": CountOrZero = 3", ": CountOrZero = 2", "freezed", "finetune dcgan"),
    "a step": ("training/diffusion.py", "now)).clamp(-1, 1)", "now)).clamp(-2, 2)", "ddpm ddpm-pa", "dcgan vae flow"),
    "a path": ("training/flow_matching.py", "(1 - share)", "(2 - share)", "flow flow-finetune", "dcgan vae ddpm"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_changed_number_changes_the_ids_that_use_it(edit: str, changed_by: Callable[..., set[str]]) -> None:
    """Of a network, a loss, a schedule, a method: the methods that compute with it, and no others."""
    path, before, after, users, others = EDITS[edit]
    changed = changed_by(path, number(before, after))
    assert set(users.split()) <= changed
    assert not set(others.split()) & changed


@pytest.mark.parametrize(("path", "before", "after"), [("metrics/kernel.py", "base += 1.0", "base += 2.0")])
def test_a_changed_number_of_a_metric_changes_every_id(
    path: str, before: str, after: str, changed_by: Callable[..., set[str]], hashes: dict[str, str]
) -> None:
    """All cells of a suite are scored by the protocol's metrics."""
    assert changed_by(path, number(before, after)) == set(hashes)


def test_optional_scores_count_where_they_are_asked_for() -> None:
    """A second extractor and the set `forgetting` add the code that scores them; every cell without stays as it is."""
    dcgan = registry.methods()["dcgan"]
    plain, second, forgetting = files_of(dcgan), files_of(dcgan, second=True), files_of(dcgan, ["drift"])
    assert {name for name in second if name not in plain} >= {"graftbench/scoring/second.py::second_scores"}
    assert {name for name in forgetting if name not in plain} >= {
        "graftbench/scoring/drift.py::forgetting_scores",
        "graftbench/metrics/drift.py::drift",
    }
    assert plain.items() <= second.items()
    assert plain.items() <= forgetting.items()
    assert not [name for name in plain if "second" in name or "drift" in name]
