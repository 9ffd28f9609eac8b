"""When scores of memorisation are said to speak of near copies."""

from __future__ import annotations

import math

import pytest

from graftbench.metrics.near_copies import near_copies

BEGIN = "near copies: the images lie nearer to the training images than new real images do "
SIZES = {"n_generated": 600, "n_reference": 600}


def test_c_t_below_minus_three() -> None:
    """At −3 nothing is said; below it the value is, with a true minus sign."""
    assert near_copies(-3.0, None, None, **SIZES) == ""
    assert near_copies(-12.54, None, None, **SIZES) == (
        f"{BEGIN}(C_T −12.5, where new images have about 0 and chance ends at −3)"
    )


def test_authpct_below_that_of_real_images() -> None:
    """By hand: 41 against 50 of 600 each is z = −9/√(45.5·54.5·2/600) = −3.13; 42 is −2.78."""
    assert -9 / math.sqrt(45.5 * 54.5 * 2 / 600) == pytest.approx(-3.13, abs=0.005)
    assert near_copies(None, 41.0, 50.0, **SIZES) == f"{BEGIN}(AuthPct 41, where new images have 50)"
    assert near_copies(None, 42.0, 50.0, **SIZES) == ""
    assert near_copies(None, 41.0, 50.0, n_generated=60, n_reference=60) == ""


def test_a_share_of_copies_that_another_sign_agrees_with() -> None:
    """Its interval has to lie above 1 %; without such a share the other signs are smears."""
    assert near_copies(-5.0, None, None, **SIZES, copies=0.03, least_copies=0.01) == ""
    assert near_copies(-5.0, 0.0, 60.0, **SIZES, copies=0.0) == ""
    assert near_copies(-5.0, None, None, **SIZES, copies=0.124, least_copies=0.09) == (
        f"{BEGIN}(12 % of them are training images, as they are or changed a little, "
        "C_T −5.0, where new images have about 0 and chance ends at −3)"
    )


def test_a_large_share_of_copies_speaks_alone() -> None:
    """Copies with other hues: C_T and AuthPct are those of new images. Up to 10 % at the lower end nothing is said."""
    alone = f"{BEGIN}(100 % of them are training images, as they are or changed a little)"
    for others in ((6.5, 60.0, 60.0), (None, None, None)):
        assert near_copies(*others, **SIZES, copies=0.998, least_copies=0.96) == alone
        assert near_copies(*others, **SIZES, copies=0.13, least_copies=0.10) == ""
        assert near_copies(*others, **SIZES, copies=0.43) == ""  # without an interval


def test_what_is_not_known_says_nothing() -> None:
    """Without a floor, without images, or where both shares are 0 or 100 AuthPct is silent."""
    assert near_copies(None, None, None, **SIZES) == ""
    assert near_copies(5.0, 0.0, None, **SIZES) == ""
    assert near_copies(None, 0.0, 50.0, n_generated=600, n_reference=0) == ""
    assert near_copies(None, 0.0, 0.0, **SIZES) == ""


def test_both_are_named() -> None:
    """One sentence for the two."""
    said = near_copies(-36.0, 0.0, 60.5, **SIZES)
    assert "C_T −36.0" in said
    assert "; " not in said
    assert said.endswith("AuthPct 0, where new images have 60)")
