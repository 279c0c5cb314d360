"""The imagined device refuses what a GPU refuses, and computes what the processor computes."""

import pytest
import torch

from tests.core.imagined import imagined_gpu


def test_tensors_of_two_devices_do_not_meet():
    here = torch.arange(4.0)
    with imagined_gpu() as elsewhere:
        there = here.to(elsewhere)
        assert there.device == elsewhere
        assert (there + 1).sum().item() == 10
        assert torch.equal((there * 2).cpu(), here * 2)
        for call in (lambda: there + here, lambda: torch.stack([there, here]), lambda: here.view(2, 2) @ there.view(2, 2)):
            with pytest.raises(RuntimeError, match="two devices"):
                call()
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()
