"""What records, suite.toml and pages hold of a command: names, and values only where the user lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tiny_suites import suite_toml

import graftbench
from graftbench.errors import GraftbenchError
from graftbench.records.run import read_run
from graftbench.report import FORMATS
from graftbench.suites import plan
from graftbench.suites.suite import parse_suite

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.suites.plan import ResolvedMethod
    from graftbench.suites.suite import Suite

TOKEN, KEY = "tok-7f3a91", "sk-55aa0c"
SUITE = suite_toml(
    "ours",
    tasks=["none->openmoji@32"],
    images=10,
    n_generated=20,
    more="""
[variants.ours]
method = "command"
[variants.ours.parameters]
train = "TRAIN"
env = { API_KEY = "KEY", LR = "0.1" }
record = RECORD
""",
)
TRAIN = (
    "{python} it.py --data {data} --token tok-7f3a91 --key=tok-7f3a91 -ptok-7f3a91 https://me:tok-7f3a91@host "
    "--to {samples} --n={n} [--kimg {kimg}]"
)


def suite_of(train: str = TRAIN, key: str = KEY, record: str = "[]") -> Suite:
    """A suite of one command."""
    text = SUITE.replace("TRAIN", train).replace('"KEY"', f'"{key}"').replace("RECORD", record)
    return parse_suite(text, "secrets.toml")


@pytest.fixture(autouse=True)
def _unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans of commands whose script does not exist."""
    monkeypatch.setattr(plan, "_check_method", lambda *_: None)


def resolved(suite: Suite) -> tuple[ResolvedMethod, str]:
    """The command as a plan has it, and the suite's text as a run writes it."""
    whole = plan.resolve_suite(suite, [])
    return whole.methods[0], msgspec.json.encode(plan._public(suite, whole)).decode()


def identity(method: ResolvedMethod) -> Any:
    """What of it a cell's id covers."""
    kept = {name: value for name, value in method.parameters.items() if name not in method.file_digests}
    return kept, method.file_digests


def test_values_stand_nowhere_and_names_do() -> None:
    """Options, placeholders, the script and the names of variables are kept; the process that fits gets the whole."""
    method, text = resolved(suite_of())
    recorded = method.parameters
    assert recorded["train"][:-1] == [
        *("{python}", "it.py", "--data", "{data}", "--token", "…", "--key=…", "…", "…"),
        *("--to", "{samples}", "--n={n}", ["--kimg", "{kimg}"]),
    ]
    assert recorded["env"] == {"API_KEY": "…", "LR": "…"}
    assert not any(secret in str(recorded) + text for secret in (TOKEN, KEY))
    assert method.secret == {"train": TRAIN, "env": {"API_KEY": KEY, "LR": "0.1"}}


def test_what_is_listed_stands_there() -> None:
    """A variable by its name, a command as it is; a name that is none is refused with the nearest."""
    method, text = resolved(suite_of(record='["LR", "train"]'))
    assert method.parameters["env"] == {"API_KEY": "…", "LR": "0.1"}
    assert method.parameters["train"] == TRAIN
    assert KEY not in text
    with pytest.raises(GraftbenchError, match="API_KEY"):
        resolved(suite_of(record='["API_KEI"]'))


def test_identity_is_that_of_the_whole_command_and_not_of_unlisted_values() -> None:
    """Another option's value is another cell, another key of a service is not; a listed variable is."""
    whole = identity(resolved(suite_of())[0])
    assert identity(resolved(suite_of(key="another"))[0]) == whole
    assert identity(resolved(suite_of(train=TRAIN.replace("tok-7f3a91@", "tok-2@")))[0]) != whole
    listed = [identity(resolved(suite_of(key=key, record='["API_KEY"]'))[0]) for key in ("a", "b")]
    assert listed[0] != listed[1]


def test_the_suite_of_a_run_has_the_same_cells() -> None:
    """Read back, what was cut has the identity of the whole; it is no command to run, and says so."""
    suite = suite_of()
    whole = plan.resolve_suite(suite, [])
    again = plan.resolve_suite(plan._public(suite, whole), [])
    assert identity(again.methods[0]) == identity(whole.methods[0])
    cls, parameters = again.methods[0].cls, again.methods[0].parameters
    method = cls(msgspec.convert(parameters, cls.Config))
    method.check(32)
    from graftbench.budget import Meter
    from graftbench.records.cell_spec import ComputeBudget

    with pytest.raises(GraftbenchError, match="run the suite file"):
        method.fit(None, Meter(ComputeBudget(kimg=1)))  # type: ignore[arg-type]


SCRIPT = """
import os, pathlib, shutil, sys
assert os.environ["API_KEY"] == "sk-55aa0c" and sys.argv[1] == "tok-7f3a91"
source, target, n = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4])
images = sorted(source.rglob("*.png"))
for i in range(n):
    shutil.copy(images[i % len(images)], target / f"{i:03}.png")
if len(sys.argv) > 5:
    raise SystemExit("failed in " + os.path.abspath(__file__))
"""


@pytest.mark.long
@pytest.mark.parametrize("fails", [False, True])
def test_no_file_of_a_run_holds_them(tmp_path: Path, shared_cache: Path, *, fails: bool) -> None:
    """The program gets its secrets; records, suite.toml, the page and the account do not."""
    del shared_cache
    (tmp_path / "it.py").write_text(SCRIPT)
    train = "{python} it.py tok-7f3a91 {data} {samples} {n}" + (" fail" if fails else "")
    text = SUITE.replace("TRAIN", train).replace('"KEY"', f'"{KEY}"').replace("RECORD", '[]\ncode = ["it.py"]')
    (tmp_path / "suite.toml").write_text(text)
    graftbench.run(tmp_path / "suite.toml", tmp_path / "run")
    (record,) = read_run(tmp_path / "run").records
    assert str(record.status) == ("error" if fails else "ok"), record.log_tail
    assert str(tmp_path) not in record.log_tail
    graftbench.write_report(tmp_path / "run", tmp_path / "report", formats=list(FORMATS))
    files = [file for folder in ("run", "report") for file in (tmp_path / folder).rglob("*") if file.is_file()]
    leaking = [file.name for file in files if any(word.encode() in file.read_bytes() for word in (TOKEN, KEY))]
    assert leaking == []
