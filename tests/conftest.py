"""Fixtures that the tests of several floors share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dropclust.core.mnist import Data

ROOT = Path(__file__).resolve().parents[1]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("cuda"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch finds no GPU here")


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> Iterator[None]:
    """Sums then run in one order, whatever the machine's cores, and tests disturb nothing beside them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit leaves a page that it tested as ``__main__``, which a process started later would then run again."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def data() -> Iterator[Data]:
    """The real MNIST, read once a session."""
    from dropclust.core import mnist

    loaded = mnist.load()
    floats = loaded.train_x, loaded.held_x, loaded.test_x  # held: else each test that asks for them makes them anew
    yield loaded
    del floats


@pytest.fixture(scope="session")
def subprocess_environment() -> dict[str, str]:
    """The environment for a Python of its own that imports this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
