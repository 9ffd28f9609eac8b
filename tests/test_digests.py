"""A sealed file tells whether its contents are those that were written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import load_file, save, save_file

from graftbench.digests import UNSEALED, is_damaged, write_sealed

if TYPE_CHECKING:
    from pathlib import Path

TENSORS = {"weight": np.arange(6, dtype=np.float32)}


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A sealed file."""
    with (tmp_path / "a.safetensors").open("wb") as file:
        write_sealed(file, save(TENSORS, {"id": "a"} | UNSEALED))
    return tmp_path / "a.safetensors"


def test_it_is_read_like_any_other(sealed: Path) -> None:
    """By safetensors itself."""
    assert np.array_equal(load_file(sealed)["weight"], TENSORS["weight"])
    assert not is_damaged(sealed)


def test_every_byte_is_covered(sealed: Path) -> None:
    """But for the seal's own name: without that the file is one that cannot be checked."""
    data = sealed.read_bytes()
    name = data.index(b'"sha256"')
    for i in range(len(data)):
        sealed.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        assert is_damaged(sealed) or name <= i < name + len('"sha256":')
    for length in range(len(data)):
        sealed.write_bytes(data[:length])
        assert is_damaged(sealed)


def test_other_files_cannot_be_checked(tmp_path: Path) -> None:
    """Those of earlier versions and of others have no seal."""
    save_file(TENSORS, tmp_path / "b.safetensors")
    assert not is_damaged(tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="no 'sha256'"), (tmp_path / "c").open("wb") as file:
        write_sealed(file, save(TENSORS))


def test_the_file_is_as_public_as_any_other(tmp_path: Path) -> None:
    """A sampler has the mode that the user's umask gives, not 0600."""
    import torch

    from graftbench.training.samplers import ImageBankSampler, save_sampler

    before = os.umask(0o022)
    try:
        save_sampler(ImageBankSampler(torch.zeros(2, 3, 4, 4, dtype=torch.uint8)), tmp_path / "s.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "s.safetensors").stat().st_mode & 0o777 == 0o644
