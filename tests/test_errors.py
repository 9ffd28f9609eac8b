"""Errors that a user can mend name what was found and what would have been right."""

from __future__ import annotations

from graftbench.errors import GraftbenchError, unknown


def test_the_nearest_name_is_offered() -> None:
    """A slip of a letter is recognised; all names are listed in order, whatever the order they came in."""
    error = unknown("method", "freezd", ["vae", "freezed", "adain"], where="in suite.toml")
    assert isinstance(error, GraftbenchError)
    assert str(error) == (
        "Unknown method 'freezd' in suite.toml. Did you mean 'freezed'? Available: adain, freezed, vae."
    )


def test_nothing_near_nothing_offered() -> None:
    """A name that resembles none gets the list and no wild guess."""
    assert str(unknown("domain", "qqqq", ["twemoji"])) == "Unknown domain 'qqqq'. Available: twemoji."


def test_nothing_known() -> None:
    """An empty registry says so, and any iterable of names will do."""
    assert str(unknown("report", "html", iter(()))) == "Unknown report 'html'. Available: none."
