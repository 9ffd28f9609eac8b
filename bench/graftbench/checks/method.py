"""The contract of methods. Its fits are tiny: twelve real images, a budget of ten, a method's smallest settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from graftbench.checks import method_fits, method_parameters, method_resuming, method_text
from graftbench.checks.check import Check
from graftbench.checks.method_subject import SIDES, MethodSubject, refusal

if TYPE_CHECKING:
    from graftbench.contracts import Method

__all__ = ["CHECKS", "SIDES", "MethodSubject"]


def _adapter(cls: type[Method]) -> str:
    return "an adapter needs parameters; check a TOML file with a variant of it" if cls.adapter else ""


def _own(cls: type[Method]) -> str:
    return _adapter(cls) or ("the generator is made by another program" if cls.origin else "")


def _trained(cls: type[Method]) -> str:
    """Return why rules of trainings do not apply; empty if they do."""
    return _own(cls) or ("reference rows stand outside the compute budget" if cls.family == "reference" else "")


def _second_side(cls: type[Method]) -> str:
    refused = [refusal(cls, side) for side in SIDES] if not cls.adapter else []
    return next(filter(None, refused), "")


def _second(cls: type[Method]) -> str:
    return _own(cls) or _second_side(cls)


def _resumable(cls: type[Method]) -> str:
    return _trained(cls) or ("" if cls.resumable else "the method does not promise it (resumable = True)")


def _diverges(cls: type[Method]) -> str:
    return _trained(cls) or ("" if method_resuming.rates_of(cls) else "no parameter is a learning rate (lr…)")


def _translates(cls: type[Method]) -> str:
    return _adapter(cls) or ("" if cls.kinds[0] != "generate" else "it generates out of nothing")


_FIT, _FIT_2 = ("fit",), ("fit at a second size",)

CHECKS: tuple[Check[MethodSubject], ...] = (
    *method_text.CHECKS,
    Check("fit", method_fits.fit, unless=_adapter),
    Check("budget", method_fits.budget, _FIT, _own),
    Check("samples", method_fits.samples, _FIT, _adapter),
    Check("log", method_fits.log, _FIT, _own),
    Check("task left alone", method_fits.left_alone, _FIT, _adapter),
    Check("saved and loaded", method_fits.comes_back, _FIT, _adapter),
    Check("what moves", method_parameters.moves, _FIT, _own),
    Check("parameters counted", method_parameters.counted, _FIT, _trained),
    Check("translation", method_fits.translation, _FIT, _translates),
    Check("one seed, one fit", method_fits.one_seed, _FIT, _own),
    Check("another seed, another fit", method_fits.another_seed, _FIT, _trained),
    Check("one image", method_fits.one_image, _FIT, _adapter),
    Check("killed and gone on with", method_resuming.resumed, _FIT, _resumable),
    Check("divergence", method_resuming.diverging, _FIT, _diverges),
    Check("fit at a second size", partial(method_fits.fit, side_index=1), _FIT, _second),
    Check(
        "budget at a second size",
        partial(method_fits.budget, side_index=1),
        _FIT_2,
        lambda cls: _trained(cls) or _second_side(cls),
    ),
    Check("samples at a second size", partial(method_fits.samples, side_index=1), _FIT_2, _second),
    Check("saved and loaded at a second size", partial(method_fits.comes_back, side_index=1), _FIT_2, _second),
    Check("what moves at a second size", partial(method_parameters.moves, side_index=1), _FIT_2, _second),
)
