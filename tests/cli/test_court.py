"""`graftbench court` as a user meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import graftbench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("shared_cache")
def test_images_without_known_factors_are_refused(tmp_path: Path) -> None:
    """A sentence says what is needed; nothing is written."""
    done = graftbench("court", "--quick", "--domain", "digits", "--out", str(tmp_path / "court"))
    assert done.code == 2
    assert "avatars:STYLE" in done.err
    assert not (tmp_path / "court").exists()


def test_an_unknown_metric_is_named(tmp_path: Path) -> None:
    """With the nearest name."""
    done = graftbench("court", "--metrics", "kidd", "--out", str(tmp_path))
    assert done.code == 2
    assert "'kid'" in done.err


@pytest.mark.long
@pytest.mark.usefixtures("shared_cache")
def test_a_small_trial(tmp_path: Path) -> None:
    """It writes results, tables and figures, and goes on from them at once."""
    given = ("court", "--quick", "--domain", "avatars:micah?images=400", "--out", str(tmp_path))
    done = graftbench(*given, "--metrics", "kid,clipped_density")
    assert done.code == 0
    assert "clipped density" in done.out
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "court.md", "told.svg", "shares.svg"}
    again = graftbench(*given, "--metrics", "kid,clipped_density")
    assert again.code == 0
    assert not again.err
