"""All looks at a device, the file that keeps what they found, and the page that shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.errors import GraftbenchError, unknown
from graftbench.resources.environment import describe, device_name
from graftbench.selftest.finding import SelftestFinding
from graftbench.selftest.runner import LOOKS, DeviceLook, LookResult, take

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

JSON, PAGE = "selftest.json", "selftest.html"

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


class Selftest(msgspec.Struct, frozen=True, kw_only=True):
    """What a selftest came to: `selftest.json`.

    Attributes:
        device: As in `--device`.
        device_name: As its maker names it.
        quick: Whether it was the short form.
        finished_at: UTC, ISO 8601.
        seconds: Look -> how long it took.
        findings: What was found, in the order of the looks.
        environment: Where it ran.
    """

    device: str
    device_name: str
    quick: bool
    finished_at: str
    seconds: dict[str, float]
    findings: list[SelftestFinding]
    environment: dict[str, Any]

    @property
    def failed(self) -> list[SelftestFinding]:
        """Return what failed."""
        return [finding for finding in self.findings if finding.outcome == "failed"]

    def count(self, outcome: str) -> int:
        """Return how many findings ended so."""
        return sum(finding.outcome == outcome for finding in self.findings)


def looks_named(names: Sequence[str]) -> tuple[DeviceLook, ...]:
    """Return the looks of these names, all of none, in their order.

    Raises:
        GraftbenchError: There is no such look.
    """
    known = {look.name: look for look in LOOKS}
    for name in names:
        if name not in known:
            raise unknown("look", name, known)
    return tuple(look for look in LOOKS if not names or look.name in names)


def selftest(
    device: str,
    out: Path,
    *,
    cache: Path,
    quick: bool = False,
    looks: Sequence[DeviceLook] = LOOKS,
    heard: Callable[[LookResult], None] = lambda _: None,
) -> Selftest:
    """Take looks at a device, and write selftest.json and selftest.html.

    Args:
        device: `cpu`, `cuda` or `cuda:INDEX`.
        out: Folder for both files and what the looks write.
        cache: The suite's cache folder.
        quick: Whether to take the short way.
        looks: Which.
        heard: Told what each look came to.

    Raises:
        GraftbenchError: The folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GraftbenchError(f"The folder '{out}' cannot be made ({error.strerror}).") from error
    results = []
    for look in looks:
        results.append(take(look, device, quick=quick, folder=out / "work" / look.name, cache=cache))
        heard(results[-1])
    whole = Selftest(
        device=device,
        device_name=device_name(device),
        quick=quick,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds={result.look.name: round(result.seconds, 1) for result in results},
        findings=[finding for result in results for finding in result.findings],
        environment=describe(device),
    )
    try:
        (out / JSON).write_bytes(msgspec.json.format(msgspec.json.encode(whole)))
        (out / PAGE).write_text(page(whole), encoding="utf-8")
    except OSError as error:
        raise GraftbenchError(f"The folder '{out}' cannot be written ({error.strerror}).") from error
    return whole


def page(whole: Selftest) -> str:
    """Render the page: no scripts, no network, light and dark; everything that was found is escaped."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only the page needs it

    groups = [
        (look, [finding for finding in whole.findings if finding.look == look.name], whole.seconds[look.name])
        for look in LOOKS
        if look.name in whole.seconds
    ]
    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return jinja.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(test=whole, groups=groups)
