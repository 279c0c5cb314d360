"""Which device a piece of work gets, on machines that are imagined."""

import pytest
import torch

from dropclust.core import device
from dropclust.core.device import choose


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU that nobody has spoken to yet."""
    monkeypatch.delenv(device.VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


def test_without_a_gpu_everything_is_done_on_the_processor(monkeypatch):
    monkeypatch.delenv(device.VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose("auto", 1e18) == choose("cpu", 1e18) == torch.device("cpu")
    with pytest.raises(ValueError, match=r"^device must be auto or cpu where torch finds no GPU; got 'cuda'$"):
        choose("cuda", 0)


def test_auto_takes_the_gpu_where_it_pays(gpu, monkeypatch):
    assert choose("auto", 1e11).type == "cpu"
    assert choose("auto", 1e13) == choose("cuda", 0) == torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # what was slow is behind us
    assert choose("auto", 1e11).type == "cuda"
    assert choose("auto", 1e9).type == "cpu"


@pytest.mark.parametrize(("value", "expected"), [("cpu", "cpu"), ("cuda", "cuda"), ("", "cuda"), ("auto", "cuda")])
def test_the_environment_says_what_auto_means(value, expected, gpu, monkeypatch):
    monkeypatch.setenv(device.VARIABLE, value)
    assert choose("auto", 1e13).type == expected
    assert choose("cpu", 1e13).type == "cpu"


def test_a_wrong_word_in_the_environment_is_named(gpu, monkeypatch):
    monkeypatch.setenv(device.VARIABLE, "gpu")
    with pytest.raises(ValueError, match=r"^DROPCLUST_DEVICE must be one of auto, cpu, cuda; got 'gpu'$"):
        choose("auto", 1e13)
    assert choose("cpu", 1e13).type == "cpu"


def test_the_processors_products_stay_exact_in_training():
    before = torch.get_float32_matmul_precision()
    with device.tensor_cores(torch.device("cpu")):
        assert torch.get_float32_matmul_precision() == before
    with device.tensor_cores(torch.device("cuda", 0)):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before
