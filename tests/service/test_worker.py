"""A run seen from its worker: what it returns, what it tells, how it hears a stop, how it fails; without Dask."""

import distributed
import numpy as np
import pytest
import torch

from dropclust.core import metrics, mnist, training
from dropclust.core.network import Network
from dropclust.core.prediction import hidden_activations, scaled_logits
from dropclust.core.spec import RunSpec
from dropclust.service import worker
from dropclust.service.stored import Stored

SPEC = RunSpec(hidden=(12, 10, 8), dropout=(0.1, 0.1, 0.1), examples=12_800)


class FakeWorker:
    """As much of a Dask worker as an attempt needs."""

    address = "tls://127.0.0.1:1"

    def __init__(self):
        self.said = []

    def log_event(self, topic, message):
        self.said.append((topic, message))


@pytest.fixture
def here(monkeypatch):
    fake = FakeWorker()
    monkeypatch.setattr(distributed, "get_worker", lambda: fake)
    return fake


def test_a_run_returns_everything_that_is_stored(here):
    result = worker.run(SPEC.to_json(), "attempt", "topic")
    assert result["status"] == "done"
    assert result["message"] == ""
    assert result["steps"] == 100
    assert all(type(array) is np.ndarray and array.dtype == np.float32 for array in result["weights"] + result["biases"])
    facts = {name: value for name, value in result.items() if name not in ("message", "weights", "biases")}
    stored = Stored(
        spec=SPEC,
        weights=tuple(result["weights"]),
        biases=tuple(result["biases"]),
        created="2026-01-01T00:00:00+00:00",
        **facts,
    )
    network, data = stored.network(), mnist.load()
    for part, x, y in (("test", data.test_x, data.test_y), ("held_out", data.held_x, data.held_y)):
        logits = scaled_logits(network, x)
        assert result["metrics"][f"{part}_accuracy"] == metrics.accuracy(logits, y)
        assert result["metrics"][f"{part}_cross_entropy"] == metrics.cross_entropy(logits, y)
    dead = [result["metrics"][f"dead_{layer}"] for layer in (1, 2, 3)]
    assert dead == [float((a <= 0).all(0).sum()) for a in hidden_activations(network, data.held_x)]
    assert len(result["metrics"]) == 7


def test_a_run_is_the_same_as_in_the_library(here):
    result = worker.run(SPEC.to_json(), "attempt", "topic")
    [direct] = training.fit([SPEC], threads=1)
    for array, tensor in zip(result["weights"], direct.network.weights, strict=True):
        assert np.array_equal(array, tensor.numpy())


def test_a_run_tells_when_it_begins_and_every_point(here):
    result = worker.run(SPEC.to_json(), "attempt", "topic")
    assert {topic for topic, _ in here.said} == {"topic"}
    messages = [message for _, message in here.said]
    assert {message["attempt"] for message in messages} == {"attempt"}
    assert len({message["life"] for message in messages}) == 1
    assert messages[0]["point"] is None
    assert messages[0]["steps"] == 0
    points = [message["point"] for message in messages if message["point"] is not None]
    assert points == result["curve"]
    assert all(message["steps"] == message["point"]["step"] for message in messages if message["point"] is not None)


def test_two_lives_of_an_attempt_can_be_told_apart(here):
    for _ in range(2):
        with worker.Attempt("attempt", "topic"):
            pass
    assert here.said[0][1]["life"] != here.said[1][1]["life"]


def test_stop_reaches_the_attempt_that_runs_and_no_other(here):
    with worker.Attempt("one", "topic") as one, worker.Attempt("two", "topic") as two:
        assert not one.should_stop()
        assert worker.stop("one")
        assert not worker.stop("three")
        assert one.should_stop()
        assert one.should_stop()
        assert not two.should_stop()
    assert [message["heard"] for _, message in here.said] == [False, False, True]
    assert not worker.stop("one")
    with worker.Attempt("one", "topic") as again:
        assert not again.should_stop()


def test_a_stopped_run_returns_what_it_learnt(here, monkeypatch):
    """Somebody stops it when it tells its second point."""
    log_event = here.log_event

    def stopping(topic, message):
        log_event(topic, message)
        if sum(said["point"] is not None for _, said in here.said) == 2:
            worker.stop("attempt")

    monkeypatch.setattr(here, "log_event", stopping)
    spec = RunSpec(hidden=(12, 10, 8), examples=1_280_000)
    result = worker.run(spec.to_json(), "attempt", "topic")
    assert result["status"] == "stopped"
    assert 0 < result["steps"] < spec.steps
    assert result["metrics"]["test_accuracy"] > 0
    assert here.said[-1][1]["heard"] or any(message["heard"] for _, message in here.said)


def test_words_about_steps_alone_are_few(here):
    with worker.Attempt("attempt", "topic") as attempt:
        for step in range(1000):
            attempt.steps(step)
    assert len(here.said) < 20


def test_a_diverged_run_says_at_which_step(here, monkeypatch):
    monkeypatch.setattr(
        training, "fit", lambda specs, **_: [training.Trained(SPEC, None, (), 811, 1.0, "diverged", diverged_at=812)]
    )
    result = worker.run(SPEC.to_json(), "attempt", "topic")
    assert (result["status"], result["message"]) == ("diverged", "diverged at step 812")
    assert result["weights"] == result["biases"] == []
    assert result["metrics"] == {}


def test_missing_images_are_one_sentence(here, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    result = worker.run(SPEC.to_json(), "attempt", "topic")
    assert result.keys() == {"status", "message"}
    assert result["status"] == "failed"
    assert "the MNIST file train-images-idx3-ubyte.gz is missing" in result["message"]
    assert "\n" not in result["message"]
    assert "Traceback" in capsys.readouterr().err


def test_a_bad_spec_is_one_sentence(here, capsys):
    result = worker.run('{"seed": -1}', "attempt", "topic")
    assert result == {"status": "failed", "message": "seed must be a whole number from 0 to 2,147,483,647; got -1"}
    capsys.readouterr()


def test_an_exception_becomes_one_line():
    assert worker.sentence(ValueError("seed must be\n  small")) == "seed must be small"
    assert worker.sentence(RuntimeError("out of memory")) == "RuntimeError: out of memory"
    assert worker.sentence(ValueError()) == "ValueError"
    assert worker.sentence(MemoryError()) == "MemoryError"


def test_weights_are_those_of_a_network(here):
    result = worker.run(SPEC.to_json(), "attempt", "topic")
    network = Network([torch.from_numpy(w) for w in result["weights"]], [torch.from_numpy(b) for b in result["biases"]])
    assert network.hidden == SPEC.hidden
