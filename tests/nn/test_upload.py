"""What is drawn on the CPU reaches a device without a wait."""

from typing import cast
from unittest.mock import MagicMock

import torch

from graftbench.nn.upload import upload


def test_on_the_cpu_nothing_is_copied() -> None:
    """A tensor of the CPU is itself there."""
    drawn = torch.arange(3)
    assert upload(drawn, torch.device("cpu")) is drawn


def test_to_cuda_from_page_locked_memory_and_without_waiting() -> None:
    """The copy starts from pinned memory, for one from pageable memory waits whatever it is asked."""
    drawn = MagicMock(spec=torch.Tensor)
    sent = upload(cast("torch.Tensor", drawn), torch.device("cuda"))
    drawn.pin_memory.assert_called_once_with()
    drawn.pin_memory.return_value.to.assert_called_once_with(torch.device("cuda"), non_blocking=True)
    assert sent is drawn.pin_memory.return_value.to.return_value
    drawn.to.assert_not_called()
