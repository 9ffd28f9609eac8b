"""Tests that lack a program: skipped on somebody's machine, failed in continuous integration."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HOOK = Path(__file__).with_name("conftest.py")


@pytest.mark.parametrize(("ci", "outcome"), [("true", "errors"), ("", "skipped"), (None, "skipped")])
@pytest.mark.parametrize("reason", ["needs fish", "no chromium or google-chrome on the PATH", "pdflatex is missing"])
def test_a_missing_program_fails_where_ci_is_true(
    ci: str | None, outcome: str, reason: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same skip is a failure under CI=true alone, and says what to install."""
    monkeypatch.delenv("CI", raising=False)
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    pytester.makeconftest(HOOK.read_text("utf-8"))
    pytester.makepyfile(f"import pytest\n@pytest.mark.skipif(True, reason={reason!r})\ndef test_it(): pass\n")
    result = pytester.runpytest("-p", "no:cacheprovider", "-q")
    result.assert_outcomes(**{outcome: 1})
    if outcome == "errors":
        result.stdout.fnmatch_lines(["*CI is true: install*"])


def test_other_skips_stay(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is not there is no program that could be installed."""
    monkeypatch.setenv("CI", "true")
    pytester.makeconftest(HOOK.read_text("utf-8"))
    pytester.makepyfile("import pytest\n@pytest.mark.skipif(True, reason='needs a GPU')\ndef test_it(): pass\n")
    pytester.runpytest("-p", "no:cacheprovider", "-q").assert_outcomes(skipped=1)
