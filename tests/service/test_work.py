"""What workers do for pages: each function answers in plain data, and errors are one sentence of a known kind."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest

from dropclust.core import receptive, similarity
from dropclust.service import files, work
from dropclust.service.files.images import packed
from dropclust.service.plain import Plain
from dropclust.service.requests import Origin, Request
from tests.findings.test_compressing import made

IMAGES = np.random.default_rng(0).random((21, 784)).astype(np.float32)
NETWORK = files.to_bytes(made((12, 5, 4)), ".npz")


def pictures() -> bytes:
    """240 and 100 pictures of one's own with their labels, as Keras keeps them in one .npz."""
    rng, file = np.random.default_rng(1), io.BytesIO()
    arrays = {}
    for part, n in (("train", 240), ("test", 100)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        arrays[f"y_{part}"] = np.arange(n, dtype=np.uint8) % 10
    np.savez(file, **arrays)
    return file.getvalue()


ASKED = {
    "test_images": ({}, b""),
    "hard_images": ({"n": 3, "rate": 0.4}, b""),
    "reading": ({"n_samples": 5, "rate": 0.4}, IMAGES[0].tobytes()),
    "turning": ({"digits": [4, 9], "n_samples": 5, "rate": [0.1, 0.2, 0.3]}, IMAGES.tobytes()),
    "similarity": ({"layer": 1, "k": 3, "bias": False}, b""),
    "shuffled": ({"layer": 1, "k": 3, "bias": True}, b""),
    "choices": ({"layer": 1, "candidates": [2, 3]}, b""),
    "firing": ({"layer": 1, "k": 3, "bias": False}, b""),
    "settling": ({"images": 20, "rates": [0.0, 0.0, 0.3], "noise": "bernoulli"}, b""),
    "confidence": ({"images": 100, "rates": [0.1, 0.1, 0.1], "n_samples": 3}, b""),
    "read_file": ({"name": "net.npz", "size": len(NETWORK)}, NETWORK),
    "read_images": ({}, packed([("pictures.npz", pictures())])),
    "smaller": ({"layer": 1, "units": 4, "method": "fold", "seed": 0}, b""),
    "chosen_units": ({"layer": 1, "method": "fold", "tolerance": 1.0, "seed": 0}, b""),
    "controls_of": ({"layer": 1, "method": "prune", "seed": 0, "widths": [3, 6]}, b""),
    "clusters_for": ({"layer": 1, "units": 4, "seed": 0}, b""),
}


def request(name: str) -> Request:
    arguments, content = ASKED[name]
    networks = () if name in ("test_images", "read_file", "read_images") else (Origin.brought(Plain.of(made((12, 5, 4)))),)
    return Request(name, arguments, networks, content=content)


def performed(asked: Request) -> dict:
    return work.perform(*asked.sent(same_machine=False), "", "")


@pytest.fixture(scope="module")
def answers(data):
    """Every answer, as it travels."""
    found = {name: performed(request(name)) for name in ASKED}
    assert not [result for result in found.values() if "error" in result]
    return {name: pickle.dumps(result["answer"]) for name, result in found.items()}


def test_every_function_is_tried_here():
    assert set(ASKED) | {"neurons", "drawing"} == set(work.FUNCTIONS)  # these need stored runs: tests/ui/test_pages.py


def test_no_answer_needs_torch_to_be_read(answers, subprocess_environment, tmp_path):
    """In the app it must not be loaded."""
    for name, content in answers.items():
        (tmp_path / name).write_bytes(content)
    program = (
        "import pathlib, pickle, sys\n"
        "from dropclust.service import work\n"
        "for file in pathlib.Path(sys.argv[1]).iterdir(): pickle.loads(file.read_bytes())\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=subprocess_environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_answer_says_its_size(answers):
    result = performed(request("read_file"))
    assert abs(result["bytes"] - len(answers["read_file"])) < 1_000
    network, said, _ = result["answer"]
    assert network.digest == files.digest(made((12, 5, 4)))
    assert said.sentence.startswith("A perceptron 784-12-5-4-10 with relu and ")


def test_it_answers_what_the_core_does():
    found, agree = performed(request("similarity"))["answer"]
    wanted = similarity.neuron_similarity(made((12, 5, 4)), 1, 3)
    assert (found.rand, found.p_value) == (wanted.rand, wanted.p_value)
    assert agree == similarity.agreement(wanted.incoming_labels, wanted.outgoing_labels).tolist()


def test_what_fires_comes_with_the_ink_that_excites_it(answers, data):
    found, network = pickle.loads(answers["firing"]), made((12, 5, 4))
    pixels = data.held_x.numpy()
    active = np.maximum(pixels @ np.asarray(network.weights[0]) + np.asarray(network.biases[0]), 0)
    assert found.ink.shape == (12, 28, 28)
    assert np.abs(found.ink.astype(int) - receptive.exciting(active, pixels)).max() <= 1  # of 255
    assert [not drawn.any() for drawn in found.ink] == [neuron in found.silent for neuron in range(12)]


def test_levels_of_test_images_are_exactly_their_pixels(answers, data):
    levels, digits, typical = pickle.loads(answers["test_images"])
    np.testing.assert_array_equal(levels.astype(np.float32) / np.float32(255), data.test_x.numpy())
    np.testing.assert_array_equal(digits, data.test_y.numpy())
    assert digits[list(typical)].tolist() == list(range(10))


def test_passes_are_timed_in_pairs_with_turns():
    calls = []
    found = work.timed(lambda: calls.append("a"), lambda: calls.append("b"), pairs=3)
    assert len(found) == 3
    assert "".join(calls) == "abba" + "abba"


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        (Request("read_file", {"name": "net.npz", "size": 2}, content=b"no"), "ValueError", "'net.npz' "),
        (
            Request("clusters_for", {"layer": 9, "units": 4, "seed": 0}, request("similarity").networks),
            "ValueError",
            "layer must",
        ),
        (Request("no_such", {}), "Exception", "KeyError: 'no_such'"),
    ],
)
def test_an_error_is_one_sentence_of_a_known_kind(asked, kind, message, capsys):
    result = performed(asked)
    assert result["error"] == kind
    assert result["message"].startswith(message)
    assert ("Traceback" in capsys.readouterr().err) == (kind == "Exception")


def test_a_run_that_is_gone_is_a_lookup_error(tmp_path):
    gone = Origin("stamp", None, "0" * 64, tmp_path)
    result = work.perform("similarity", {"layer": 1, "k": 2, "bias": False}, (gone,), b"", "", "")
    assert result == {"error": "LookupError", "message": "the run 000000000000 is not in the store"}
