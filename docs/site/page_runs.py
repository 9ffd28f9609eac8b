"""Runs a page's blocks in order in one folder, as a reader would who copies them.

| block | what is done |
| --- | --- |
| `console` | each line after `$ ` is run by bash; output that stands below it is compared (`page_output`) |
| `python` | run, in one namespace a page; a block `text` right after it is what it prints |
| any with `title="FILE"` | written to that file; Python is compiled, TOML is checked as below |
| `toml` | must be a suite, or a part of one, with methods and domains that there are |
| `yaml`, `json` | must be valid |
| `text`, `bibtex` | nothing |

`graftbench run` into a folder that the page needs is not run, for it stands there already; its words are checked.

    python docs/site/page_runs.py docs/first-run.md FOLDER   # shows an author what each block of a page prints
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w
import yaml
from page_blocks import ConsoleCommand, FencedBlock, blocks, commands, needs, variables
from page_fixtures import PROVIDED
from page_output import difference

from graftbench.cli import make_app
from graftbench.errors import GraftbenchError
from graftbench.plugins.registry import methods as registered
from graftbench.suites.domains import domain_of
from graftbench.suites.suite import parse_suite, parse_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMAND_SECONDS = 300
BASE_SUITE = {
    "name": "a-part",
    "tasks": ["twemoji->openmoji@32"],
    "methods": ["dcgan", "vae", "finetune"],
    "data_budgets": [25],
    "compute_budget": {"kimg": 8},
}
"""What a block of TOML that is a part of a suite is joined with."""


class PageRun:
    """One page in its folder.

    Args:
        page: The Markdown file.
        folder: An empty folder.
        cache: Where prepared data are kept between pages.
        tell: Called with each command or block of Python that is run, and what it printed.
    """

    def __init__(
        self, page: Path, folder: Path, cache: Path, tell: Callable[[str, str], object] = lambda *_: None
    ) -> None:
        self.tell = tell
        self.name = page.name
        self.folder = folder
        self.blocks = list(blocks(page.read_text("utf-8")))
        self.provided = needs(page.read_text("utf-8"))
        scripts = str(Path(sys.executable).parent)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GRAFTBENCH", "PYTEST"))},
            "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
            "GRAFTBENCH_CACHE": str(cache),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "HOME": str(folder),
            "PYTHONWARNINGS": "",
            **variables(page.read_text("utf-8")),
        }
        self._session: subprocess.Popen[str] | None = None
        self._printed: str | None = None

    def problems(self) -> Iterator[str]:
        """Yield what does not hold, each with its line; later blocks are run all the same."""
        for name in self.provided:
            if name not in PROVIDED:
                yield f"{self.name} needs '{name}', which page_fixtures does not know"
                return
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            PROVIDED[name](self.folder / name)
        try:
            for block in self.blocks:
                for problem in self._problems_of(block):
                    yield f"{self.name}:{problem}"
        finally:
            if self._session is not None:
                self._session.communicate()

    def _problems_of(self, block: FencedBlock) -> Iterator[str]:
        printed, self._printed = self._printed, None
        if block.language == "console":
            yield from self._console(block)
        elif block.title:
            yield from self._file(block)
        elif block.language == "python" and not block.reason:
            yield from self._python(block)
        elif block.language == "text" and printed is not None:
            if departure := difference(block.text, printed):
                yield f"{block.line}: {departure}"
        else:
            yield from self._data(block)

    # ---------------------------------------------------------------------------------------------------------- console

    def _console(self, block: FencedBlock) -> Iterator[str]:
        block_commands = commands(block)
        for command in block_commands:
            if block.reason or self._stands_already(command.text):
                yield from misspelt(command)
                continue
            expected = block.code if command is block_commands[-1] else 0
            try:
                done = subprocess.run(  # noqa: S603 - the commands of our own pages
                    ["/bin/bash", "-o", "pipefail", "-c", command.text],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=COMMAND_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                yield f"{command.line}: {command.text!r} took more than {COMMAND_SECONDS} s"
                continue
            self.tell(f"$ {command.text}", done.stdout)
            if done.returncode != expected:
                end = done.stdout[-1500:]
                yield f"{command.line}: {command.text!r} ended with {done.returncode}, not {expected}: {end}"
            elif command.output is not None and (departure := difference(command.output, done.stdout)):
                yield f"{command.line}: {command.text!r}: {departure}"

    def _stands_already(self, text: str) -> bool:
        """Return whether it is `graftbench run` into a folder that the page needs."""
        words = shlex.split(text, comments=True)
        if words[:2] != ["graftbench", "run"] or "--out" not in words:
            return False
        return words[words.index("--out") + 1] in self.provided

    # ----------------------------------------------------------------------------------------------------------- python

    def _python(self, block: FencedBlock) -> Iterator[str]:
        if self._session is None:
            self._session = subprocess.Popen(  # noqa: S603 - this project's own script
                [sys.executable, str(Path(__file__).with_name("python_session.py"))],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._session.stdin is not None
        assert self._session.stdout is not None
        self._session.stdin.write(json.dumps({"code": block.text, "page": self.name, "line": block.line}) + "\n")
        self._session.stdin.flush()
        answer = json.loads(self._session.stdout.readline() or '{"printed": "", "failed": "the session ended"}')
        self._printed = answer["printed"]
        self.tell(f"# line {block.line}", answer["printed"] + answer["failed"])
        if answer["failed"]:
            yield f"{block.line}: {answer['failed']}"

    # ------------------------------------------------------------------------------------------------------------- data

    def _file(self, block: FencedBlock) -> Iterator[str]:
        path = self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
        if block.language == "python":
            try:
                compile(block.text, f"{self.name}:{block.line}", "exec")
            except SyntaxError as error:
                yield f"{block.line}: {error}"
        else:
            yield from self._data(block)

    def _data(self, block: FencedBlock) -> Iterator[str]:
        """Yield what is wrong with a block that is data."""
        readers = {"toml": self._toml, "yaml": yaml.safe_load, "json": json.loads}
        if block.language in readers:
            try:
                readers[block.language](block.text)
            except (GraftbenchError, ValueError, yaml.YAMLError) as error:
                yield f"{block.line}: {error}"
        elif block.language not in ("text", "bibtex") and not block.reason:
            yield f"{block.line}: nobody knows how to test a block '{block.language}'; text is not tested"

    def _toml(self, text: str) -> None:
        """Read a suite, or a part of one, as `graftbench run` does."""
        table = tomllib.loads(text)
        if "tool" in table or "project" in table:  # a pyproject.toml
            return
        whole: dict[str, Any] = {**BASE_SUITE, **table}
        for key in ("parameters", "variants"):
            whole["methods"] = [*dict.fromkeys([*whole["methods"], *table.get(key, {})])]
        for task in table.get("task_budgets", {}):
            whole["tasks"] = [*dict.fromkeys([*whole["tasks"], task])]
        suite = parse_suite(tomli_w.dumps(whole), self.name)
        plugins = [path for path in self.folder.glob("*.py") if not path.name.startswith("test_")]
        methods = registered(plugins)
        for name in suite.methods:
            if name not in table.get("variants", {}):
                methods[name]
        for task in map(parse_task, suite.tasks):
            for domain in {task.source, task.target} - {"none"}:
                domain_of(suite, domain, plugins)


def misspelt(command: ConsoleCommand) -> Iterator[str]:
    """Yield what the command line would refuse in a command that is not run."""
    words = shlex.split(command.text, comments=True)
    if words[:1] != ["graftbench"]:
        return
    ends = [index for index, word in enumerate(words) if word in ("|", ">", ">>", "||", "&&", ";", "&")]
    try:
        make_app().parse_args(words[1 : min(ends, default=len(words))], print_error=False, exit_on_error=False)
    except Exception as error:  # noqa: BLE001 - cyclopts has many
        yield f"{command.line}: {command.text!r} would be refused: {error}"


def main() -> None:
    """Show what the blocks of a page print, and where that is not what the page says."""
    page, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True)
    cache = Path(os.environ.get("GRAFTBENCH_CACHE", folder / ".cache"))
    run = PageRun(page, folder.resolve(), cache, lambda what, printed: print(f"{what}\n{printed}", flush=True))  # noqa: T201 - a command prints
    for problem in run.problems():
        print(f"### {problem}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
