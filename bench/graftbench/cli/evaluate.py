"""`graftbench evaluate`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from graftbench.cli.options import DEFAULT_EXTRACTION, ExtractionOptions, Seed, comma_separated
from graftbench.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.table import Table

    from graftbench.metrics.estimate import Estimate
    from graftbench.scoring.evaluate import Evaluation


def evaluate(
    generated: str,
    reference: str,
    *,
    metrics: str = "default",
    train: str | None = None,
    held_out: str | None = None,
    extraction: ExtractionOptions = DEFAULT_EXTRACTION,
    intervals: bool = True,
    floors: bool = True,
    seed: Seed = 0,
    json: bool = False,
) -> int:
    """Score generated images against reference images.

    Args:
        generated: A folder of images, a .zip, .npz or .npy file, or domain:NAME@RESOLUTION/SPLIT.
        reference: The same, or a statistics file of graftbench stats.
        metrics: Comma-separated names or sets (graftbench ls metrics); "all" for all.
        train: The images that the generator was trained on; adds the metrics of memorisation.
        held_out: Real images outside reference and training, for the floors; of a domain, its other splits are taken.
        extraction: Extractor, its input and its device.
        intervals: Estimate FID's interval too (up to 10,000 images).
        floors: Score held-out real images too, where they are known.
        seed: Seed of subsets, directions and splits.
        json: Print an object.
    """
    from rich.console import Console

    from graftbench.scoring.evaluate import evaluate as score

    with reading() as progress:
        result = score(
            generated,
            reference,
            metrics=comma_separated(metrics),
            train=train,
            held_out=held_out,
            intervals=intervals,
            floors=floors,
            seed=seed,
            **vars(extraction),
            progress=progress,
        )
    if json:
        print_json(as_json(result))
        return 0
    console = Console()
    console.print(scores_table(result))
    print_lines(console, _below(result))
    return 0


@contextmanager
def reading() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar for each set of images on a terminal's standard error, until all is read."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(name: str, done: int, count: int) -> None:
            if name not in tasks or not done:
                tasks[name] = bars.add_task(f"reading {name}", total=count)
            bars.update(tasks[name], completed=done)

        yield show


def scores_table(result: Evaluation) -> Table:
    """Make a table of value, interval and floor of each metric."""
    from rich.table import Table

    from graftbench.metrics.catalogue import METRICS

    table = Table("metric")
    for heading in ("value", "95 % interval", *(["floor"] if result.floors else [])):
        table.add_column(heading, justify="right")
    for score in result.scores:
        metric = METRICS[score.name]
        value = "undefined" if score.value is None else _number(score.value * metric.scale)
        interval = () if score.value is None or score.interval is None else score.interval
        cells = [metric.heading, value, " … ".join(_number(bound * metric.scale) for bound in interval)]
        if result.floors:
            floor = result.floors.get(score.name)
            cells.append("—" if floor is None or floor.value is None else _number(floor.value * metric.scale))
        table.add_row(*cells)
    return table


def _number(value: float) -> str:
    """Format with four significant digits; as a power of ten from ten million on and below a ten-thousandth."""
    size = abs(float(f"{value:.4g}"))  # as it is printed: 999.96 is 1,000
    if value == 0.0:
        text = "0"
    elif size >= 1e7 or size < 1e-4:
        text = f"{value:.3e}"
    else:
        text = f"{value:,.0f}" if size >= 1000 else f"{value:#.4g}".rstrip(".")
    return text.replace("-", "−")


def _subject(result: Evaluation) -> str:
    """Describe what was scored, against what, and how."""
    protocol = result.protocol
    n = result.scores[0].n_generated
    n_reference = max(score.n_reference for score in result.scores)
    reference = f" against {n_reference:,} of {result.reference}" if n_reference else ""
    train = f", training images {result.train}" if result.train else ""
    images = "1 image" if n == 1 else f"{n:,} images"
    return (
        f"{images} of {result.generated}{reference}{train}. {protocol.label}, {protocol.resize}, "
        f"weights {protocol.weights_sha256[:12]}."
    )


def _below(result: Evaluation) -> Iterator[str]:
    """Yield the lines below the table: sets and protocol, reasons, notes, time."""
    yield _subject(result)
    yield from _remarks(result.scores)
    if "inception_score" in result and result["inception_score"].value is not None:
        yield "IS: its ten parts follow the images' order (of files, their names); another order moves it a little."
    names = tuple(filter(None, (result.generated, result.reference, result.train)))
    for note in result.notes:
        yield f"{note}." if note.startswith(names) else f"{note[0].upper()}{note[1:]}."
    seconds = result.seconds
    share = seconds["forward"] / seconds["extract"]
    yield (
        f"Features took {seconds['extract']:.1f} s, of which the network {share:.0%}; "
        f"metrics {seconds['metrics']:.1f} s."
    )


def _remarks(scores: Sequence[Estimate]) -> Iterator[str]:
    """Yield reasons and notes of metrics, equal ones together."""
    from graftbench.metrics.catalogue import METRICS

    labels: dict[tuple[str, str], list[str]] = {}
    for score in scores:
        if score.undefined or score.note:
            labels.setdefault((score.undefined, score.note.rstrip(".")), []).append(METRICS[score.name].label)
    for (undefined, note), metrics in labels.items():
        names = " and ".join(part for part in (", ".join(metrics[:-1]), metrics[-1]) if part)
        verb = "are" if len(metrics) > 1 else "is"
        yield f"{names} {verb} undefined: {undefined}." if undefined else f"{names}: {note}."


def as_json(result: Evaluation) -> dict[str, Any]:
    """Return the result as plain values, the scores as they are (not scaled for print)."""
    import dataclasses

    import msgspec

    plain = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    protocol = msgspec.to_builtins(result.protocol)
    used = ("extractor", "size", "resize", "blur", "dither", "weights_sha256")
    scores = [
        dataclasses.asdict(score) | {"floor": floor.value if (floor := result.floors.get(score.name)) else None}
        for score in result.scores
    ]
    return plain | {
        "scores": scores,
        "protocol": {name: protocol[name] for name in used if name in protocol},
        "floors": {name: floor.value for name, floor in result.floors.items()},
    }
