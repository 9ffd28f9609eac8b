"""Precision is as asked; `auto` asks the hardware."""

from __future__ import annotations

import pytest
import torch

from graftbench.nn.precision import Precision, autocast, resolve

CPU = torch.device("cpu")


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_explicit(precision: Precision, dtype: torch.dtype) -> None:
    """A named precision is taken, and matrix products come out in it."""
    assert resolve(precision, CPU) == dtype
    with autocast(dtype, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize("native", [True, False])
def test_auto_on_a_cpu(monkeypatch: pytest.MonkeyPatch, *, native: bool) -> None:
    """bfloat16 where the processor multiplies it, else float32: emulation is slower."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert resolve("auto", CPU) == (torch.bfloat16 if native else torch.float32)
