"""`graftbench plan`."""

from __future__ import annotations

from pathlib import Path

from graftbench.cli.run import Plugins


def plan(
    suite: str,
    *,
    out: Path | None = None,
    plugin: Plugins = [],  # noqa: B006 - never changed
    json: bool = False,
) -> int:
    """List the cells of a suite, and which of them a run folder has already.

    Args:
        suite: A packaged suite or a TOML file.
        out: Run folder to compare with.
        plugin: File or folder with more methods and domains.
        json: Print a list of objects.
    """
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from graftbench.cache import cache_folder
    from graftbench.plan import make_plan
    from graftbench.record import latest, read
    from graftbench.suite import load_suite

    planned = make_plan(load_suite(suite), cache_folder(), plugins=plugin)
    done = latest(read(out / "records.jsonl")[0]) if out else {}
    states = {cell.id: str(done[cell.id].status) if cell.id in done else "new" for cell in planned.cells}
    if json:
        rows = [msgspec.to_builtins(cell) | {"id": cell.id, "state": states[cell.id]} for cell in planned.cells]
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return 0
    table = Table("cell", "method", "task", "images", "compute", "seed", "state")
    for cell in planned.cells:
        table.add_row(
            cell.id,
            cell.method,
            str(cell.task),
            str(cell.data_budget),
            str(cell.compute_budget),
            str(cell.seed),
            states[cell.id],
        )
    Console().print(table)
    new = sum(state == "new" for state in states.values())
    models = ", ".join(planned.recipes) or "none"
    print(f"{len(planned.cells)} cells, {new} new. Source models: {models}.")
    return 0
