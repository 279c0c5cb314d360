"""What a neuron answers to: against plainer versions, image by image."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from dropclust.core import receptive
from dropclust.core.receptive import Images, activations, answers
from dropclust.core.twins import twins_of


@pytest.fixture(scope="module")
def images() -> Images:
    rng = np.random.default_rng(0)
    return Images(rng.random((60, 784), dtype=np.float32), (np.arange(60) % 10).astype(np.uint8))


@pytest.fixture(scope="module")
def active(images: Images) -> np.ndarray:
    rng = np.random.default_rng(1)
    made = np.maximum(images.pixels[:, :12] - 0.5, 0).astype(np.float32)
    made[:, 3] = 0
    made[:, 4] = 2 * made[:, 5] + 0.01 * rng.random(60, dtype=np.float32)
    return made


def test_ink_is_the_mean_image_weighted_by_activation_less_the_mean_of_all(images, active):
    found = answers(active, images)
    for neuron in (0, 5, 11):
        weighted = sum(active[n, neuron] * images.pixels[n] for n in range(60)) / active[:, neuron].sum()
        np.testing.assert_allclose(found.ink[neuron], weighted - images.pixels.mean(axis=0), atol=1e-5)
    assert not found.ink[3].any()


def test_a_picture_of_what_excites_has_each_neurons_own_most_ink_at_255_and_no_less_than_none(images, active):
    ink, drawn = receptive.ink_of(active, images.pixels), receptive.exciting(active, images.pixels)
    assert drawn.shape == (12, 28, 28)
    for neuron in (0, 5, 11):
        np.testing.assert_array_equal(
            drawn[neuron].ravel(), np.rint(255 * np.clip(ink[neuron], 0, None) / ink[neuron].max()).astype(np.uint8)
        )
        assert drawn[neuron].max() == 255
    assert not drawn[3].any()


def test_multiplying_a_neuron_changes_neither_its_ink_nor_its_nearest(images, active):
    twice = active * np.float32(2)
    np.testing.assert_allclose(answers(twice, images).ink, answers(active, images).ink, atol=1e-5)
    np.testing.assert_array_equal(answers(twice, images).nearest, answers(active, images).nearest)


def test_by_digit_is_the_mean_over_the_images_of_that_digit(images, active):
    found = answers(active, images)
    for digit in range(10):
        np.testing.assert_allclose(found.by_digit[:, digit], active[images.digits == digit].mean(axis=0), atol=1e-6)


def test_the_nearest_neuron_is_the_one_that_twins_are_found_by(images, active):
    found, other = answers(active, images), twins_of(active)
    living = other.nearest >= 0
    np.testing.assert_array_equal(found.nearest[living], other.nearest[living])
    np.testing.assert_allclose(found.correlation[living], other.correlation[living], atol=1e-4)
    assert (found.nearest[3], found.correlation[3]) == (3, 0)


def test_activations_are_a_plain_loop_over_layers(images):
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=shape) for shape in ((784, 5), (5, 4), (4, 10))]
    biases = [rng.normal(size=n) for n in (5, 4, 10)]
    first = np.maximum(images.pixels @ weights[0] + biases[0], 0)
    np.testing.assert_allclose(activations(weights, biases, 1, images.pixels), first, rtol=1e-3, atol=1e-4)
    second = np.maximum(first @ weights[1] + biases[1], 0)
    np.testing.assert_allclose(activations(weights, biases, 2, images.pixels), second, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="layer must be"):
        activations(weights, biases, 3, images.pixels)


def test_the_held_out_images_are_those_that_twins_are_measured_on():
    from dropclust.core import mnist

    found, data = receptive.held_out(), mnist.load()
    np.testing.assert_allclose(found.pixels, data.held_x.numpy(), atol=1e-7)
    np.testing.assert_array_equal(found.digits, data.held_y.numpy())


def test_a_missing_or_damaged_file_is_said(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte\.gz is missing or damaged"):
        receptive.held_out(tmp_path)
    raw = tmp_path / "other" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(3000))[:20])
    with pytest.raises(FileNotFoundError, match="is missing or damaged"):
        receptive.held_out(tmp_path / "other")
