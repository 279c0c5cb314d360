"""What the Compress page asks for: one question for all that is said of a smaller network."""

from __future__ import annotations

import numpy as np
import pytest

from dropclust.service.bounds import UPLOAD_BYTES
from dropclust.service.compressing import Source, read_file
from dropclust.service.plain import Plain
from dropclust.ui import compressing, live
from tests.findings.test_compressing import made


def test_equal_questions_about_a_network_brought_along_are_asked_once(tasks):
    network = Plain.of(made((6, 5, 4)))
    again = Source.of(Plain.of(made((6, 5, 4))), "other.npz", "")
    first = compressing.compressed(Source.of(network, "net.npz", ""), 1, 3, "fold", 0)
    second = compressing.compressed(again, 1, 3, "fold", 0)
    assert [request.function for request in tasks.asked] == ["smaller"]
    assert first.network.digest == second.network.digest
    assert first.network.hidden == (3, 5, 4)
    assert first.proof["original_sha256"] == network.digest


def test_a_picture_has_ten_pixels_a_pixel():
    image = np.zeros(784, np.float32)
    assert compressing.picture(image).startswith(b"\x89PNG")


def test_a_file_beyond_the_bound_goes_to_no_worker(tasks, monkeypatch):
    monkeypatch.setenv(UPLOAD_BYTES.variable, "1")
    with pytest.raises(ValueError, match=r"an uploaded file must have at most 1 MiB; this one has 1\.1"):
        live.ask(read_file(bytes(1_150_000), "net.npz"))
    assert not tasks.asked
