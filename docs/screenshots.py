"""Take the pictures of the page in docs/page/ from the records of docs/results; needs chromium or google-chrome.

    python docs/screenshots.py

The samples are cut from docs/results/samples.png, where each tile of 32 px stands enlarged to 64 px.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from graftbench.errors import GraftbenchError
from graftbench.plugins.registry import reports
from graftbench.records.run import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

    from graftbench.records.record import Record

HERE = Path(__file__).parent
RESULTS = HERE / "results"
OUT = HERE / "page"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb"),
    "--remote-debugging-pipe",
)


def browser_path() -> str | None:
    """Return the first browser on the PATH that the pictures can be taken with."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


# ---------------------------------------------------------------------------------------------------------- browser


class Browser:
    """A headless browser with one tab, driven over a pipe by the Chrome DevTools Protocol.

    Attributes:
        console: Errors and warnings of the tab, and whatever it printed, since the last `open`.
    """

    def __init__(self, commands: int, answers: FileIO) -> None:
        self.console: list[str] = []
        self._commands = commands
        self._answers = answers
        self._rest = b""
        self._number = 0
        self._loaded = False
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - the protocol's values
        """Send one command of the protocol and return its result.

        Raises:
            GraftbenchError: The browser refuses it, or has ended.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        if "error" in answer:
            raise GraftbenchError(f"The browser refuses {method}: {answer['error']['message']}.")
        return answer["result"]

    def open(self, address: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.call("Page.navigate", url="about:blank")  # a page that differs in its fragment alone would not load again
        self._loaded = False
        self.console.clear()
        self.call("Page.navigate", url=address)
        while not self._loaded or self.evaluate("document.readyState") != "complete":
            if not self._loaded:
                self._note(self._next())

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - JavaScript's values
        """Return the value of an expression in the tab; promises are waited for.

        Raises:
            GraftbenchError: It throws.
        """
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise GraftbenchError(f"The page throws: {result['exceptionDetails']['exception'].get('description')}.")
        return result["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """Press a key where the focus is: `Enter` (its text is a carriage return), `Tab`, a space."""
        code = {"Enter": 13, "Tab": 9, " ": 32}[key]
        both = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **both)
        self.call("Input.dispatchKeyEvent", type="keyUp", **both)

    def window(self, width: int, height: int, *, scheme: str = "light", media: str = "screen") -> None:
        """Set the size in CSS pixels, `light` or `dark`, `screen` or `print`."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def picture(self) -> Image.Image:
        """Return what the window shows."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = self._answers.read(1 << 16)
            if not more:
                raise GraftbenchError("The browser ended.")
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.consoleAPICalled":
            words = [str(word.get("value", word.get("description"))) for word in parameters["args"]]
            self.console.append(" ".join(words))
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(parameters["exceptionDetails"]["exception"].get("description")))
        elif method == "Log.entryAdded":
            self.console.append(str(parameters["entry"]["text"]))


@contextmanager
def browser() -> Iterator[Browser]:
    """Give a browser with a profile of its own, ended afterwards.

    Raises:
        GraftbenchError: There is none on the PATH.
    """
    path = browser_path()
    if path is None:
        raise GraftbenchError(f"The pictures need a browser; none of {', '.join(BROWSERS)} is on the PATH.")
    commands_in, commands = os.pipe()
    answers, answers_out = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # The browser reads commands from descriptor 3 and writes answers to 4.
        words = ["sh", "-c", 'exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null', "sh", path, *FLAGS]
        words.append(f"--user-data-dir={profile}")
        process = subprocess.Popen(  # noqa: S603 - a browser found on the PATH, with our own flags
            words, stdin=commands_in, stdout=answers_out, stderr=subprocess.DEVNULL
        )
        os.close(commands_in)
        os.close(answers_out)
        try:
            with os.fdopen(answers, "rb", buffering=0) as read:
                yield Browser(commands, read)
        finally:
            os.close(commands)  # the end of the pipe ends the browser
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# ------------------------------------------------------------------------------------------------------ the pictures


def run_with_samples(folder: Path) -> Path:
    """Make a run of the records and suite of docs/results, with a sheet for each row of its picture of samples."""
    for name in ("records.jsonl", "suite.toml"):
        shutil.copy(RESULTS / name, folder / name)
    run = read_run(folder)
    rows = _shown(run.records)
    with Image.open(RESULTS / "samples.png") as grid:
        tile, gap, left, top = 64, 3, 190, 40  # as reports/_figures/samples.py lays the picture out
        for i, record in enumerate(rows):
            side = record.cell.task.resolution
            sheet = Image.new("RGB", (8 * side, side))
            for column in range(8):
                x, y = left + column * (tile + gap), top + i * (tile + 6)
                shrunk = grid.crop((x, y, x + tile, y + tile)).resize((side, side), Image.Resampling.NEAREST)
                sheet.paste(shrunk, (column * side, 0))
            path = folder / record.artifacts["samples"]
            path.parent.mkdir(parents=True)
            sheet.save(path)
    return folder


def _shown(records: Sequence[Record]) -> list[Record]:
    """Return one record a row of the picture: the oracle, the methods by name and budget, other reference rows."""
    first: dict[tuple[str, int], Record] = {}
    for record in sorted(records, key=lambda r: (r.cell.method, r.cell.data_budget, r.cell.seed)):
        reference = record.cell.family == "reference"
        first.setdefault((record.cell.method, 0 if reference else record.cell.data_budget), record)
    return sorted(first.values(), key=lambda r: (r.cell.method != "oracle", r.cell.family == "reference"))


def main() -> None:
    """Write light.png, dark.png, narrow.png and cell.png."""
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, browser() as tab:
        folder = run_with_samples(Path(temporary))
        (folder / "report").mkdir()
        run = read_run(folder)
        (page,) = reports()["page"]().write(run, folder / "report")
        cell = next(r.id for r in run.records if r.cell.method == "freezed" and r.cell.data_budget == 10)
        _take(tab, page, "light", (1280, 1500))
        _take(tab, page, "dark", (1280, 1100), scheme="dark")
        _take(tab, page, "narrow", (360, 1300))
        _take(tab, page, "cell", (1280, 1300), view=f"cell={cell}", scroll=".cells")


def _take(
    tab: Browser,
    page: Path,
    name: str,
    size: tuple[int, int],
    *,
    scheme: str = "light",
    view: str = "",
    scroll: str = "",
) -> None:
    tab.window(*size, scheme=scheme)
    tab.open(page.as_uri() + (f"#{view}" if view else ""))
    if scroll:
        tab.evaluate(f"document.querySelector({scroll!r}).scrollIntoView(); scrollBy(0, -60)")
    path = OUT / f"{name}.png"
    tab.picture().save(path, optimize=True)
    print(f"{path.relative_to(HERE.parent)} {path.stat().st_size / 1024:.0f} KiB")  # noqa: T201 - a command prints


if __name__ == "__main__":
    main()
