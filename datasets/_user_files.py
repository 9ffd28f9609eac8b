"""Parts that domains of files on the user's disk share."""

from __future__ import annotations

from graftbench.contracts import Domain


class UserFiles(Domain):
    """Images that the user has, under a path."""

    license = "that of the images"
    attribution = "that of the images"
    source = "the user's disk"
    takes_argument = "PATH"
    curated_groups = False
