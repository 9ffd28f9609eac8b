"""index.html: the whole comparison on one self-contained page."""

from __future__ import annotations

from pathlib import Path

from graftbench.contracts import Report, Run

from ._groups import completeness, groups, mixed_protocols
from ._page import command, domains, environment, failures, sections, when
from ._quality import group_looks
from ._style import DARK_PALETTE, PALETTE

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


class Page(Report):
    """One page that opens from disk, mails and prints: no scripts, no network, light and dark, figures inline."""

    name = "page"
    title = "Page (HTML)"
    formats = (".html",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write index.html."""
        path = out / "index.html"
        path.write_text(render(run), encoding="utf-8", newline="")
        return [path]


def render(run: Run) -> str:
    """The page as text; everything that came from the records is escaped."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - other reports do not need it

    found = groups(run)
    ordered = [record for group in found for record in group.records]
    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = jinja.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        name=run.name,
        completeness=completeness(run),
        when=when(ordered),
        mixed=mixed_protocols(found),
        sections=sections(found, run.folder),
        colors={label: look.index for label, look in group_looks(found).items()},
        palettes=(PALETTE, DARK_PALETTE),
        failures=failures(found),
        environment=environment(ordered),
        domains=domains(ordered),
        command=command(run),
        version=str(ordered[0].environment.get("graftbench", "")),
    )
