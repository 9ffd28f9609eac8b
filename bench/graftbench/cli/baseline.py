"""`graftbench baseline save|ls|remove`."""

from __future__ import annotations

from pathlib import Path

from graftbench.cli.output import print_json

FOLDER = Path("baselines")


def save(name: str, run: Path, /, *, baselines: Path = FOLDER, replace: bool = False) -> int:
    """Keep a run's records under a name, to compare later runs with.

    Args:
        name: Letters, digits, '.', '_' and '-'.
        run: A run folder, or a records.jsonl.
        baselines: Folder of the baselines; commit it beside the code that it judges.
        replace: Put it where another of that name is.
    """
    from graftbench.regression import baselines as store

    saved = store.save(name, run, baselines, replace=replace)
    failed = f", {saved.failed} of which did not end well" if saved.failed else ""
    print(f"{baselines / name}: {saved.cells} cells of {saved.suite}{failed}, finished {saved.finished_at[:10]}")
    return 0


def ls(*, baselines: Path = FOLDER, json: bool = False) -> int:
    """List the baselines of a folder.

    Args:
        baselines: The folder.
        json: Print an array.
    """
    from graftbench.regression import baselines as store

    listed = store.listed(baselines)
    if json:
        print_json(listed)
        return 0
    if not listed:
        print(f"There are no baselines in '{baselines}'; graftbench baseline save NAME RUN makes one.")
    for baseline in listed:
        commits = ", ".join(commit[:8] for commit in baseline.commits)
        finished = baseline.finished_at[:10]
        print(f"{baseline.name}  {baseline.suite}, {baseline.cells} cells, finished {finished}, commit {commits}")
    return 0


def remove(name: str, /, *, baselines: Path = FOLDER) -> int:
    """Delete a baseline.

    Args:
        name: Its name.
        baselines: Folder of the baselines.
    """
    from graftbench.regression import baselines as store

    store.remove(name, baselines)
    print(f"removed {baselines / name}")
    return 0
