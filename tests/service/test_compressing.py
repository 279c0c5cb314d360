"""What is asked about a network to be made smaller: on its own pictures, and not of what is too large or does not fit."""

import dataclasses

import numpy as np
import pytest

from dropclust.service.bounds import UPLOAD_BYTES
from dropclust.service.compressing import Images, Source, check_outputs, read_images
from dropclust.service.plain import Plain
from tests.findings.test_compressing import made

NETWORK = Plain.of(made((6, 5, 4)))
IMAGES = Images("mine", b"pictures", "stamp", 55, 5, 10, 7, np.zeros((1, 784), np.uint8), np.zeros(1, np.int64))


def test_a_question_names_the_pictures_it_is_about():
    source = Source.of(NETWORK, "net.npz", "")
    own = dataclasses.replace(source, images=IMAGES)
    asked, asked_of_own = source.smaller(1, 3, "fold", 0), own.smaller(1, 3, "fold", 0)
    assert (asked.arguments["images"], asked.content) == ("MNIST", b"")
    assert (asked_of_own.arguments["images"], asked_of_own.content) == ("mine", b"pictures")
    assert asked.key != asked_of_own.key
    assert source.chosen_units(1, "fold", 1.0, 0).key != own.chosen_units(1, "fold", 1.0, 0).key


def test_a_network_must_tell_as_many_classes_as_the_pictures_have():
    check_outputs(NETWORK, "net.npz", None)
    check_outputs(NETWORK, "net.npz", dataclasses.replace(IMAGES, classes=10))
    with pytest.raises(ValueError, match=r"'net.npz' has 10 outputs and your pictures 7 labels"):
        check_outputs(NETWORK, "net.npz", IMAGES)


def test_pictures_beyond_the_bound_go_to_no_worker(monkeypatch):
    monkeypatch.setenv(UPLOAD_BYTES.variable, "1")
    with pytest.raises(ValueError, match=r"uploaded pictures must have at most 1 MiB; these have 1\.1"):
        read_images([("mine.npz", bytes(1_150_000))])
