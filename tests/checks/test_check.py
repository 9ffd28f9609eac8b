"""`graftbench check`: each slip of a plugin is named by its check, and no plugin takes the command with it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from graftbench.checks import domain, method, report
from graftbench.checks.check import Check, Fault, Result, outcome, summary
from graftbench.checks.fixtures import World
from graftbench.checks.parent import check
from graftbench.checks.targets import plugins_of
from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.plugins import registry
from graftbench.plugins.scaffold import rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Make = Callable[..., Path]


@pytest.fixture
def plugin(tmp_path: Path) -> Make:
    """`plugin(kind, *(old, new))`: the template of a kind with some of its text replaced, as a file."""

    def make(kind: str, *changes: tuple[str, str]) -> Path:
        text = rendered(kind, f"my-{kind}", house=False)
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / f"my_{kind}.py"
        path.write_text(text, "utf-8")
        return path

    return make


def found_by(checks: tuple[Check, ...], name: str, subject: object) -> str:
    """What a check finds, as text; empty where it finds nothing."""
    (one,) = [one for one in checks if one.name == name]
    return "\n".join(map(str, outcome(one, subject).faults))


# --------------------------------------------------------------------------------------------------------- methods


@pytest.fixture(scope="module")
def small_world(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], World]:
    """Twemoji to itself at any side: drawn in a second."""
    folder = tmp_path_factory.mktemp("fits")

    def at(side: int) -> World:
        images = prepared.load(registry.make_domain("twemoji"), "twemoji", side, shared_cache)
        return World(images, images, folder)

    return at


@pytest.fixture
def subject(small_world: Callable[[int], World], tmp_path: Path) -> Callable[[Path], method.MethodSubject]:
    """The method in a file, with real images."""

    def of(file: Path) -> method.MethodSubject:
        ((_, cls, _, _),) = plugins_of(str(file)).classes
        return method.MethodSubject(cls, small_world, tmp_path)

    return of


FIT = "return train(task, budget, config, step, generator, sampler=GeneratorSampler)"
BEGIN = "config: Config = self.config"
REAL = "real = batches.draw(size)"

SLIPS: dict[str, tuple[str, tuple[str, str], str]] = {
    "a name in capitals": ("metadata", ('name = "my-method"', 'name = "MyMethod"'), 'write name = "mymethod"'),
    "a family that is none": ("metadata", ('= "scratch"', '= "gan"'), "family = 'gan'; expected: one of 'scratch'"),
    "a part that no source model has": (
        "metadata",
        ('title = "My method"', 'title = "My method"\n    source_parts = ("kernels",)'),
        "source_parts = ('kernels',); expected: some of network",
    ),
    "no title": ("metadata", ('title = "My method"', "pass"), "title is missing"),
    "a period": ("metadata", ('"the generator"', '"the generator."'), "without a final period"),
    "no paper": ("metadata", ("reference = Reference(", "paper = Reference("), "reference is missing"),
    "a year": ("metadata", ("year=2026", "year=18"), "reference.year = 18"),
    "code without licence": ("metadata", ("year=2026", 'year=2026, code="x"'), "code without reference.code_license"),
    "parameters that may be anything": (
        "parameters",
        ("forbid_unknown_fields=True", "forbid_unknown_fields=False"),
        "takes unknown",
    ),
    "a parameter without default": ("parameters", ("candidates: Count = 4", "candidates: Count"), "candidates"),
    "a leak of nothing": ("parameters", ("    def fit(", "    leaks = 'eyes'\n\n    def fit("), "leaks = 'eyes'"),
    "the suite's images": (
        "imports",
        ("import torch\n", "import torch\nfrom graftbench.images import prepared\n"),
        "line 14",
    ),
    "no sampler": ("fit", (FIT, FIT.removeprefix("return ")), "fit returned None"),
    "held-out images": ("fit", (BEGIN, f"task.held_out\n        {BEGIN}"), "'held_out', which it is not offered"),
    "hasattr": ("fit", (BEGIN, f"hasattr(task, 'pairs')\n        {BEGIN}"), "'pairs', which it is not offered"),
    "an exception": ("fit", ("descend(optimizer, distance)", "descend(optimiser, distance)"), "NameError: name 'opt"),
    "no end": ("fit", (FIT, "while True:\n            budget.spend(budget.grant(4))"), "granted nothing 1000 times"),
    "nothing spent": ("fit", (FIT, "while True:\n            budget.grant(4)"), "nothing of it was spent"),
    "no end, and no question": ("fit", (FIT, "while True:\n            budget.spend(4)"), "10004 images were spent"),
    "no budget asked": ("budget", (FIT, "return ImageBankSampler(task.images)"), "never asked its budget"),
    "too much": ("budget", (FIT, "budget.spend(12)\n        return ImageBankSampler(task.images)"), "12 images were"),
    "always the same images": (
        "samples",
        ("sampler=GeneratorSampler", "sampler=Stuck"),
        "different seeds are the same",
    ),
    "images by chance": ("samples", ("sampler=GeneratorSampler", "sampler=Chance"), "generators of one seed differ"),
    "floats": ("samples", ("sampler=GeneratorSampler", "sampler=Floats"), "torch.float32 7×3×32×32 on cpu"),
    "a sampler that forgets": ("saved and loaded", ("sampler=GeneratorSampler", "sampler=Forgetful"), "some differ"),
    "images overwritten": (
        "task left alone",
        (REAL, f"task.images.zero_()\n            {REAL}"),
        "task.images changed",
    ),
    "torch's own chances": (
        "one seed, one fit",
        ("=task.generator).to", "=None).to"),
        "global generator was drawn from",
    ),
    "one seed for all": (
        "another seed, another fit",
        (BEGIN, f"task.generator.manual_seed(0)\n        {BEGIN}"),
        "two",
    ),
    "nothing trained": ("what moves", ("descend(optimizer, distance)", "pass"), "did not change, though `moves`"),
    "too much promised": ("what moves", ('"generator.*",', '"generator.*", "judge.*"'), "judge.* match no parameter"),
    "too little promised": (
        "what moves",
        ('"generator.*",', '"generator.blocks*",'),
        "changed that `moves` does not name",
    ),
    "a network unnamed": ("what moves", ("prepare(task, generator=generator)", "generator.train()"), "no network was"),
    "a memory not kept": (
        "killed and gone on with",
        ("task.keep(adam=optimizer)", "pass"),
        "another sampler than that",
    ),
    "no curve": ("log", ("log.add(distance=distance)", "pass"), "no curve"),
    "a crowd needed": ("one image", (REAL, f"{REAL}\n            assert len(task.images) > 1"), "AssertionError"),
}
"""Slip -> the check that finds it, what is replaced in the template by what, and words of what is said."""

SAMPLERS = """

from graftbench.training.samplers import ImageBankSampler


class Stuck(GeneratorSampler):
    kind = "stuck"

    def sample(self, n, generator):
        return super().sample(n, torch.Generator().manual_seed(0))


class Chance(GeneratorSampler):
    kind = "chance"

    def sample(self, n, generator):
        return super().sample(n, torch.Generator().manual_seed(int(torch.randint(2**62, ()))))


class Floats(GeneratorSampler):
    kind = "floats"

    def sample(self, n, generator):
        return super().sample(n, generator).float()


class Forgetful(GeneratorSampler):
    kind = "forgetful"
    shift = 1

    def sample(self, n, generator):
        return super().sample(n, generator).roll(self.shift, 3)

    @classmethod
    def from_state(cls, tensors, metadata):
        found = super().from_state(tensors, metadata)
        found.shift = 0
        return found
"""
"""What slips of samplers are made with."""


MORE = {
    *("an exception", "no end, and no question", "too much", "images by chance", "floats"),
    *("images overwritten", "one seed for all", "too much promised", "too little promised", "a network unnamed"),
    *("no curve", "a crowd needed", "a memory not kept", "always the same images", "hasattr", "no end"),
    *("ids by size", "a tab", "no group", "an id twice"),
    *("another ending", "a text", "a date", "a path", "no look at None", "the run changed"),
}
"""Slips that take long and are like others."""


def quick_first(slips: Iterable[str]) -> list[Any]:
    """Slips as parameters, those of `MORE` for `make test-all`."""
    return [pytest.param(slip, marks=pytest.mark.long if slip in MORE else ()) for slip in slips]


@pytest.mark.parametrize("slip", quick_first(SLIPS))
def test_slips_of_methods(slip: str, plugin: Make, subject: Callable[[Path], method.MethodSubject]) -> None:
    """Each is found by the check that it belongs to, and said in words."""
    name, change, words = SLIPS[slip]
    file = plugin("method", change)
    file.write_text(file.read_text("utf-8") + (SAMPLERS if "Sampler" in change[0] else ""), "utf-8")
    assert words in found_by(method.CHECKS, name, subject(file))


@pytest.mark.long
def test_the_template_has_no_slip(plugin: Make, subject: Callable[[Path], method.MethodSubject]) -> None:
    """What the slips are made of is whole: none of these checks finds anything in it."""
    whole = subject(plugin("method"))
    names = {name for name, _, _ in SLIPS.values()}
    found = {one.name: list(one.look(whole)) for one in method.CHECKS if one.name in names}
    assert found.keys() == names
    assert not any(found.values())


@pytest.mark.long
def test_a_training_that_goes_astray_in_silence(plugin: Make, subject: Callable[[Path], method.MethodSubject]) -> None:
    """Losses that nobody looks at: what is returned is no generator."""
    silent = plugin(
        "method",
        ("distance = (nearest - real).square().mean()", "distance = 1e38 * nearest.pow(3).sum()"),
        ("log.add(distance=distance)", "pass"),
    )
    assert "that are none (NaN)" in found_by(method.CHECKS, "divergence", subject(silent))


@pytest.mark.long
def test_a_method_that_refuses_a_side_is_checked_at_another(
    plugin: Make, subject: Callable[[Path], method.MethodSubject]
) -> None:
    """`check` refuses 32: the first fit is at 64, and there is no second; refusing both is a fault."""
    refuse = (
        "    def check(self, resolution):\n        if resolution in {}:\n            raise GraftbenchError('no')\n\n"
    )
    import_it = ("import torch\n", "import torch\nfrom graftbench.errors import GraftbenchError\n")
    one = subject(plugin("method", import_it, ("    def fit(", refuse.format("(32,)") + "    def fit(")))
    assert one.sides() == [64]
    assert found_by(method.CHECKS, "samples", one) == ""
    second = next(one for one in method.CHECKS if one.name == "fit at a second size")
    assert second.unless(one.cls) == "no"


def test_adapters_and_reference_rows_are_not_held_to_trainings() -> None:
    """Of an adapter only words and file are looked at; a reference row has no training to be gone on with."""
    methods = registry.methods().classes
    for name, cls in methods.items():
        made = {one.name for one in method.CHECKS if not one.unless(cls)}
        if cls.adapter:
            assert made == {"metadata", "parameters", "file", "imports"}, name
        if cls.family == "reference":
            assert made.isdisjoint({"another seed, another fit", "killed and gone on with", "divergence"}), name


# --------------------------------------------------------------------------------------------------------- domains


FEWER = ("for size in SIZES", "for size in SIZES[:1]")
"""A quarter of the template's 480 drawings are enough."""

DOMAIN_SLIPS: dict[str, tuple[str, tuple[str, str], str]] = {
    "no licence": ("metadata", ('license = "CC0-1.0"', "pass"), "license is missing"),
    "a name with a colon": ("metadata", ('name = "my-domain"', 'name = "my:domain"'), "name = 'my:domain'"),
    "a clock": ("fingerprint", ("{VERSION}", "{__import__('time').perf_counter()}"), "two fingerprints of unchanged"),
    "decoded": ("fingerprint", ("        return f", "        opened()\n        return f"), "1 pictures were decoded"),
    "a hash of a text": ("fingerprint elsewhere", ("{VERSION}", "{hash('a')}"), "leave out hash"),
    "an id twice": ("ids", ("for turn in TURNS", "for turn in (*TURNS, 0)"), "id 'black-circle-0.45-0' twice"),
    "ids by size": ("ids", ('f"{colour}-{shape}-', 'f"{resolution}-{colour}-{shape}-'), "240 ids"),
    "a tab": ("ids", ('f"{colour}-{shape}-', 'f"{colour}\\t{shape}-'), "a printable text"),
    "no group": ("groups", ('f"{colour}-{shape}", ', '"", '), "group ''"),
    "one group": ("prepared", ('f"{colour}-{shape}", ', '"all", '), "120 images in 1 group"),
}
"""As `SLIPS`."""

OPENED = """

def opened():
    from io import BytesIO

    stream = BytesIO()
    Image.new("L", (4, 4)).save(stream, "PNG")
    Image.open(stream).load()
"""


def domain_in(file: Path, folder: Path) -> domain.DomainSubject:
    """The domain in a file."""
    ((_, cls, _, given),) = plugins_of(str(file)).classes
    return domain.DomainSubject(cls, "", folder, given)


@pytest.mark.parametrize("slip", quick_first(DOMAIN_SLIPS))
def test_slips_of_domains(slip: str, plugin: Make, tmp_path: Path) -> None:
    """Likewise."""
    name, change, words = DOMAIN_SLIPS[slip]
    file = plugin("domain", change, FEWER)
    file.write_text(file.read_text("utf-8").replace("del resolution", "_ = resolution") + OPENED, "utf-8")
    assert words in found_by(domain.CHECKS, name, domain_in(file, tmp_path))


PIXEL_SLIPS = {
    "floats": ("pixels / 255", "float64 pixels of shape"),
    "channels last": ("pixels.transpose(0, 2, 3, 1)", "of shape (120, 32, 32, 3)"),
    "zero to one": ("(pixels > 127).astype('uint8')", "no value above 1"),
    "half of them": ("pixels[:60]", "of shape (60, 3, 32, 32)"),
    "a list": ("list(pixels)", "pixels are a list"),
}
"""Slip -> how the pixels are spoilt, and words of what is said."""


@pytest.mark.parametrize("slip", PIXEL_SLIPS)
def test_slips_of_pixels(slip: str, plugin: Make, tmp_path: Path) -> None:
    """What is expected is said with its shape; `items` that say otherwise are found too."""
    spoilt, words = PIXEL_SLIPS[slip]
    whole = 'return gathered(self.items(resolution), resolution, "drawings")'
    other = [whole.replace("return", "found ="), "pixels = found.pixels"]
    other.append(f"return DomainImages(found.ids, found.groups, {spoilt})")
    spoilt_domain = domain_in(plugin("domain", FEWER, (whole, "\n        ".join(other))), tmp_path)
    assert words in found_by(domain.CHECKS, "images", spoilt_domain)


def test_images_and_items_that_differ(plugin: Make, tmp_path: Path) -> None:
    """The suite would train on other pixels than those that the domain shows."""
    change = ('resolution, "drawings")', 'resolution, "drawings")\n        found.pixels[0] = 0\n        return found')
    file = plugin("domain", FEWER, change, ("return gathered(", "found = gathered("))
    assert "differ from those of `images`" in found_by(domain.CHECKS, "items", domain_in(file, tmp_path))


@pytest.mark.parametrize("name", registry.domains().classes)
def test_registered_domains_say_whose_images_they_are(name: str, tmp_path: Path) -> None:
    """The words of every domain of the package, also of those whose images are not here."""
    assert found_by(domain.CHECKS, "metadata", domain.DomainSubject(registry.domains()[name], "", tmp_path)) == ""


HERE = ("histology",)
LARGER = (
    "glyphs:cm-roman",
    "digits",
    "photos",
    "textures",
    "hubble",
    "retina",
    "twemoji",
    "openmoji",
    "icons:octicons",
    "glyphs:stix-italic",
)


@pytest.mark.parametrize("name", [*HERE, *(pytest.param(name, marks=pytest.mark.long) for name in LARGER)])
def test_registered_domains_keep_the_contract(name: str, tmp_path: Path) -> None:
    """Those whose images come with the dependencies, in full."""
    if name.startswith("icons"):
        pytest.importorskip("material", reason="the extra `icons` is not installed")
    base, _, argument = name.partition(":")
    found = domain.DomainSubject(registry.domains()[base], argument, tmp_path)
    for one in domain.CHECKS:
        if not one.unless(found.cls):
            assert list(one.look(found)) == [], one.name


# --------------------------------------------------------------------------------------------------------- reports


REPORT_SLIPS: dict[str, tuple[str, tuple[str, str], str]] = {
    "no title": ("metadata", ("title = ", "heading = "), "title is missing"),
    "an ending without dot": ("metadata", ('(".md",)', '("md",)'), "endings like"),
    "another ending": ("writes", ('(".md",)', '(".html",)'), "those of formats: .html"),
    "not returned": ("writes", ("return [path]", "return []"), "my_report.md was written and not returned"),
    "a text": ("writes", ("return [path]", "return [str(path)]"), "a list of paths"),
    "the run changed": ("writes", ("return [path]", '(run.folder / "x").touch()\n        return [path]'), "run folder"),
    "order of the records": (
        "order",
        ("sorted(comparable(run.records).items())", "comparable(run.records).items()"),
        "",
    ),
    "a path": ("private", ('"# {printed(run.name)}"', '"# {run.folder}"'), "holds the path"),
    "a date": ("private", ('"# {printed', "\"# {__import__('datetime').date.today()} {printed"), "today's date"),
    "an empty page": ("no records", ("if not run.records:", "if run is None:"), "it returned"),
    "markup": ("strange names", ("html.escape(line, quote=False)", "line"), "as markup"),
    "no dash": ("undefined scores", ('else "—"', 'else "nan"'), "prints 'nan'"),
    "no look at None": ("undefined scores", (" and one.value is not None", ""), "TypeError"),
}
"""As `SLIPS`."""


@pytest.mark.parametrize("slip", quick_first(REPORT_SLIPS))
def test_slips_of_reports(slip: str, plugin: Make, tmp_path: Path) -> None:
    """Likewise."""
    name, change, words = REPORT_SLIPS[slip]
    ((_, cls, _, given),) = plugins_of(str(plugin("report", change))).classes
    found = found_by(report.CHECKS, name, report.ReportSubject(cls, tmp_path, given))
    assert found
    assert words in found


@pytest.mark.long
def test_a_clock_in_a_report_is_found(plugin: Make, tmp_path: Path) -> None:
    """Another process, zone and second; and a file left in the working directory."""
    for code, words in (
        ("__import__('time').time()", "other bytes"),
        ("open('left', 'w').name", "left in the working"),
    ):
        file = plugin("report", ('"# {printed', f'"# {{{code}}} {{printed'))
        ((_, cls, _, given),) = plugins_of(str(file)).classes
        assert words in found_by(report.CHECKS, "elsewhere", report.ReportSubject(cls, tmp_path / words, given))
        del sys.modules[cls.__module__]


QUICK_REPORTS = ("table",)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK_REPORTS else pytest.mark.long)
        for name in registry.reports().classes
    ],
)
def test_registered_reports_keep_the_contract(name: str, tmp_path: Path) -> None:
    """Every report of the package; another process is tried where there is time, and in tests/reports/test_pure.py."""
    found = report.ReportSubject(registry.reports()[name], tmp_path)
    for one in report.CHECKS:
        if one.name != "elsewhere" or name not in QUICK_REPORTS:
            assert list(one.look(found)) == [], one.name


# --------------------------------------------------------------------------------- in a process of its own, by command


def graftbench_check(*arguments: str | Path, where: Path, code: int) -> str:
    """What the command prints; it ends with this exit code and without a traceback of its own."""
    command = [sys.executable, "-m", "graftbench", "check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=where)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_plugin_that_ends_its_process_hides_nothing(plugin: Make, tmp_path: Path) -> None:
    """`os._exit` within `images`: that check has failed, with the exit code and what was printed; others were made."""
    change = ("        del resolution", "        print('so long', flush=True)\n        __import__('os')._exit(7)")
    said = graftbench_check(plugin("domain", change), where=tmp_path, code=1)
    assert "FAILED  images\n            found     the process ended with exit code 7" in said
    assert "| so long" in said
    assert "ok      fingerprint elsewhere" in said
    assert "?       groups: it needs 'images', which failed" in said
    assert "my-domain: 1 of 4 checks failed: images (5 not made)" in said


@pytest.mark.slow
def test_a_check_that_hangs_is_ended(plugin: Make, left_over: Callable[[], list[str]]) -> None:
    """Within its time, with what it had started; what needs it is not made."""
    hang = [
        "if run.records:",
        "    __import__('subprocess').Popen(['sleep', '600'])",
        "    while True:",
        "        pass",
    ]
    begin = "        if not run.records:\n"
    file = plugin("report", (begin, "".join(f"        {line}\n" for line in hang) + begin))
    found = check(str(file), seconds=1.5)
    ((_, results),) = found.results.items()
    failed = {one.check: one for one in results if one.status == "failed"}
    assert list(failed) == ["writes"]
    assert failed["writes"].faults[0].found == "it had not ended after 1.5 s"
    assert {one.status for one in results if one.check in ("order", "private")} == {"not made"}
    assert next(one.status for one in results if one.check == "no records") == "passed"
    assert left_over() == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import a_module_that_is_not_there", "line 1: ModuleNotFoundError: No module named 'a_module_that_is_not_"),
        ("def f(:", "SyntaxError"),
        ("raise SystemExit(3)", "line 1: SystemExit: 3"),
        ("import os\nos._exit(3)", "while it was imported, the process ended with exit code 3"),
        ("x = 1", "it defines no class that derives from graftbench.contracts.Method, Domain or Report"),
        (
            "from graftbench.contracts import Report\nclass Mine(Report):\n    name = 'mine'",
            "class Mine derives from Report but does not define write",
        ),
        (
            "from graftbench.contracts import Report\nclass Mine(Report):\n    def write(self, run, out): ...",
            "class Mine has no `name`",
        ),
    ],
)
def test_files_without_a_plugin_that_can_be_checked(text: str, sentence: str, tmp_path: Path) -> None:
    """What is wrong with the file is said; nothing is called a failed check."""
    (tmp_path / "mine.py").write_text(text + "\n", "utf-8")
    found = check(str(tmp_path / "mine.py"))
    assert found.results == {}
    ((_, why),) = found.unusable.items()
    assert sentence in why


def test_what_is_not_there_is_refused() -> None:
    """A path, a module, a class."""
    for target, sentence in (
        ("nothing.py", "There is no plugin at .nothing.py."),
        ("no_such_module:Thing", "there is no module 'no_such_module'"),
        ("graftbench.contracts:Repot", "Unknown plugin class 'Repot'"),
    ):
        with pytest.raises(GraftbenchError, match=sentence):
            check(target)


@pytest.mark.long
def test_a_folder_with_good_and_bad(plugin: Make, tmp_path: Path) -> None:
    """Every plugin is checked, the file that cannot be imported is named, and the exit code is 2; as JSON, too."""
    plugin("domain")
    plugin("report", ("    title = ", "    heading = "))
    (tmp_path / "broken.py").write_text("1 / 0\n", "utf-8")
    (tmp_path / "helpers.py").write_text("x = 1\n", "utf-8")
    found = json.loads(graftbench_check(".", "--json", where=tmp_path, code=2))
    assert found["failed"]
    assert {one["name"] for one in found["plugins"]} == {"my-domain", "my-report"}
    assert list(found["unusable"]) == ["broken.py"]
    (tmp_path / "broken.py").unlink()
    said = graftbench_check(".", where=tmp_path, code=1)
    assert "my-domain: 9 checks, all passed" in said
    assert "my-report: 1 of 16 checks failed: metadata" in said


@pytest.mark.long
def test_methods_that_never_end(plugin: Make, tmp_path: Path, shared_cache: Path) -> None:
    """Told apart: one that does not ask its budget, one that is slow within it, one that goes on after its end."""
    assert shared_cache.is_dir()
    sleep = "__import__('time').sleep(600)"
    for code, words in (
        ("while True:\n            pass", "it had not ended after 12 s, and does not ask the budget"),
        (f"while budget.grant(4):\n            {sleep}", "after 12 s, with its budget not yet spent"),
        (f"while budget.grant(4):\n            budget.spend(4)\n        {sleep}", "does not heed the budget"),
    ):
        plugin("method", (FIT, code))
        said = graftbench_check("my_method.py", "--seconds", "12", where=tmp_path, code=1)
        assert words in said
        assert "?       samples: it needs 'fit', which failed" in said
        assert "ok      metadata" in said
        (tmp_path / "my_method.py").unlink()


@pytest.mark.long
def test_variants_are_checked(tmp_path: Path, shared_cache: Path) -> None:
    """A TOML file of variants of a registered method, under their own names and with their own parameters."""
    assert shared_cache.is_dir()
    text = '[variants.gentle]\nmethod = "vae"\nparameters = { lr = 1e-4 }\n[variants.rough]\nmethod = "vae"\n'
    (tmp_path / "variants.toml").write_text(text + "parameters = { latent = -1 }\n", "utf-8")
    said = graftbench_check("variants.toml", where=tmp_path, code=1)
    assert "gentle: 21 checks, all passed" in said
    assert "latent and channels must be positive" in said


@pytest.mark.long
def test_a_class_of_an_installed_package(tmp_path: Path) -> None:
    """`package.module:Class`; here one of the package's own, and one of its files by path."""
    said = graftbench_check("graftbench.reports.table:Table", where=tmp_path, code=0)
    assert "table: 16 checks, all passed" in said
    assert "histology: 8 checks, all passed" in graftbench_check(
        registry.file_of(registry.domains()["histology"]), where=tmp_path, code=0
    )


def test_a_domain_that_needs_an_argument(tmp_path: Path) -> None:
    """Without it a sentence; with it, it is checked."""
    from PIL import Image

    with pytest.raises(GraftbenchError, match="Domain 'folder' takes an argument; give --argument PATH"):
        check("graftbench.datasets.folder:Folder")
    (tmp_path / "pictures").mkdir()
    for shade in range(0, 250, 2):
        Image.new("L", (40, 40), shade).resize((48, 40)).save(tmp_path / "pictures" / f"{shade}.png")
    found = check("graftbench.datasets.folder:Folder", argument=str(tmp_path / "pictures"))
    ((_, results),) = found.results.items()
    assert {one.check for one in results if one.status == "passed"} >= {"metadata", "fingerprint elsewhere", "items"}


def test_a_summary_counts() -> None:
    """By hand: of four checks one does not apply, and one of the other two that were made failed."""
    fault = Fault("a", "b", "c")
    results = [
        Result(check="one", rule="", status="passed"),
        Result(check="two", rule="", status="failed", faults=[fault]),
        Result(check="three", rule="", status="does not apply"),
        Result(check="four", rule="", status="not made"),
    ]
    assert summary("mine", results) == "mine: 1 of 2 checks failed: two (1 does not apply; 1 not made)"
    assert summary("mine", results[:1]) == "mine: 1 check, all passed"
