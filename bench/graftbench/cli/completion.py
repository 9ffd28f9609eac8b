"""`graftbench completion`."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"]) -> int:
    """Print the script that completes commands, options and their choices in a shell.

    The script holds what this version has and starts nothing while you type; print it again after an update.

    Args:
        shell: bash, zsh or fish.
    """
    from graftbench.cli import make_app

    print(make_app().generate_completion(shell=shell))
    return 0
