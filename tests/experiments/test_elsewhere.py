"""Networks and images that lie on a device are measured there, and give the rows that they give on the processor."""

import pandas as pd
import pytest
import torch

from dropclust import experiments
from dropclust.core.mnist import Data
from dropclust.core.network import Network
from dropclust.core.stack import initial_weights
from dropclust.experiments.experiment import Settings
from tests.core.imagined import imagined_gpu

SETTINGS = Settings(seeds=3, quick=True)


@pytest.fixture(scope="module")
def images() -> Data:
    stream = torch.Generator().manual_seed(1)
    x, y = torch.rand(120, 784, generator=stream), torch.arange(120) % 10
    return Data(x, y, x[:60], y[:60], x[60:], y[60:])


def untrained(name: str) -> list[Network]:
    """The shortest group to measure, as it starts."""
    experiment = experiments.get(name)
    groups = experiment.groups(SETTINGS)
    specs = min(groups, key=lambda group: (sum(spec.n_parameters for spec in group[:3]), max(group[0].dropout) == 0))
    weights = [initial_weights(spec) for spec in specs[:3]]
    return [Network(w, [torch.zeros(t.shape[1]) for t in w], spec) for w, spec in zip(weights, specs, strict=False)]


@pytest.mark.parametrize("name", experiments.NAMES)
def test_rows_do_not_depend_on_where_networks_and_images_lie(name, images):
    experiment, networks = experiments.get(name), untrained(name)
    assert experiment.on_device
    here = experiment.measure(networks, images, SETTINGS), experiment.details(networks, images, SETTINGS)
    with imagined_gpu() as elsewhere:
        networks, images = [network.to(elsewhere) for network in networks], images.on(elsewhere)
        assert networks[0].device == images.test_x.device == elsewhere
        there = experiment.measure(networks, images, SETTINGS), experiment.details(networks, images, SETTINGS)
    pd.testing.assert_frame_equal(here[0], there[0], atol=1e-5)
    assert here[1].keys() == there[1].keys()
    for table in here[1]:
        pd.testing.assert_frame_equal(here[1][table], there[1][table], atol=1e-5)
