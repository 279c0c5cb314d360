"""Networks as Keras, scikit-learn, PyTorch and an ONNX export leave them: brought on the page, halved and taken home.

The model of Keras is written with h5py in the layout of Keras 3.15, the ONNX file by torch's own exporter.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from playwright.sync_api import Page, expect
from safetensors.torch import load_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch import nn

from dropclust.core import mnist
from dropclust.findings import table3
from dropclust.ui.compressing import AUTOMATIC
from tests.browser.test_compress import address, bring, drawn, page, visit  # noqa: F401
from tests.service.files import keras_files, zoo

pytestmark = pytest.mark.browser
METHOD = table3.NAMES["least_squares"].replace(" ", "+")


def keras() -> bytes:
    model = zoo.trained("tanh", hidden=(32, 16, 16))
    return keras_files.zipped(
        [(each.weight.detach().numpy().T, each.bias.detach().numpy()) for each in zoo.linears(model)], "tanh"
    )


def scikit_learn() -> bytes:
    data, model = mnist.load(), MLPClassifier((40,), max_iter=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data.train_x[:10_000].numpy(), data.train_y[:10_000].numpy())
    np.savez(file := io.BytesIO(), *model.coefs_, *model.intercepts_, activation=model.activation)
    return file.getvalue()


def lenet_300_100() -> bytes:
    return zoo.saved(zoo.trained("relu", "standardised", hidden=(300, 100)).state_dict())


def exported() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(zoo.trained("relu"), (torch.zeros(1, 784),), file, dynamo=False, dynamic_axes={"input": {0: "n"}},
                          input_names=["input"])  # fmt: skip
    return file.getvalue()


def by_safetensors(path: Path, x: torch.Tensor) -> torch.Tensor:
    tensors, value = load_file(path), x
    for layer in range(4):
        value = value @ tensors[f"weights.{layer}"] + tensors[f"biases.{layer}"]
        value = torch.tanh(value) if layer < 3 else value
    return value


def by_numpy(path: Path, x: torch.Tensor) -> torch.Tensor:
    with np.load(path) as file:
        arrays = dict(file)
    hidden = np.maximum(x.numpy() @ arrays["weights.0"] + arrays["biases.0"], 0)
    return torch.from_numpy(hidden @ arrays["weights.1"] + arrays["biases.1"])


def by_pytorch(path: Path, x: torch.Tensor) -> torch.Tensor:
    """As its owner runs it: on standardised pixels, in the module it came from but for the first layer's width."""
    module = nn.Sequential(nn.Linear(784, 150), nn.ReLU(), nn.Linear(150, 100), nn.ReLU(), nn.Linear(100, 10))
    module.load_state_dict(torch.load(path, weights_only=True))
    with torch.no_grad():
        return module((x - 0.1307) / 0.3081)


def by_onnxruntime(path: Path, x: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(np.asarray(session.run(None, {"x": x.numpy()})[0]))


@dataclass(frozen=True)
class Brought:
    name: str
    make: Callable[[], bytes]
    says: str  # in the report
    width: int
    home: str
    run: Callable[[Path, torch.Tensor], torch.Tensor]


NETWORKS = [
    Brought("model.keras", keras, "tanh (declared by the file)", 32, ".safetensors", by_safetensors),
    Brought("mlp.npz", scikit_learn, "relu (declared by the file)", 40, ".npz", by_numpy),
    Brought("lenet.pt", lenet_300_100, "standardised pixels, Normalize((0.1307,), (0.3081,))", 300, ".pt", by_pytorch),
    Brought("exported.onnx", exported, "the graph in the file", 16, ".onnx", by_onnxruntime),
]


@pytest.mark.parametrize("brought", NETWORKS, ids=lambda brought: brought.name)
def test_it_is_brought_halved_and_taken_home(brought: Brought, address: str, page: Page, tmp_path: Path) -> None:  # noqa: F811
    half = brought.width // 2
    visit(page, f"{address}?method={METHOD}&units={min(half, 100)}")
    bring(page, brought.name, brought.make())
    expect(page.get_by_text("Your file: hidden layers", exact=False)).to_be_visible(timeout=120_000)
    expect(page.get_by_text(brought.says, exact=False).first).to_be_visible()
    slider = page.get_by_role("slider", name="Units left")
    for _ in range(half - min(half, 100)):
        slider.press("ArrowRight")
    expect(page.get_by_text(f"{brought.width} neurons become {half}.", exact=False)).to_be_visible(timeout=120_000)
    pattern = re.compile(
        rf"^Hidden layer 1 keeps {half} of {brought.width} neurons\. Test accuracy goes from 0\.\d+ to (0\.\d+)"
    )
    if brought.width <= AUTOMATIC:  # a run of the page while a file is on its way takes it back
        drawn(page)
    page.locator(".st-key-compressed-numbers summary").click()
    said = pattern.match(page.get_by_text(pattern).inner_text())
    assert said is not None
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_role("button", name=brought.home).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == brought.home
    data = mnist.load()
    right = brought.run(path, data.test_x).argmax(1) == data.test_y
    assert float(said[1]) == pytest.approx(right.float().mean().item(), abs=1.5e-4)  # a picture on the edge may fall
    assert float(said[1]) > 0.85
    with page.expect_download() as download:
        page.get_by_role("button", name="Model card").click()
    card = tmp_path / "card.md"
    download.value.save_as(card)
    assert "## What is proved of it" in card.read_text()
