"""A live run seen from its worker, without Dask: commands are followed, and what was done is its schedule."""

import base64
import io
import itertools
import json
import threading
import time

import distributed
import numpy as np
import pytest
from PIL import Image

from dropclust.core import training
from dropclust.core.spec import RunSpec
from dropclust.service import steered

SPEC = RunSpec(hidden=(14, 12, 11), dropout=(0.0, 0.0, 0.0), batch_size=20, seed=3)


class FakeWorker:
    """As much of a Dask worker as a live run needs."""

    address = "tls://127.0.0.1:1"

    def __init__(self):
        self.said = []

    def log_event(self, topic, message):
        json.dumps(message)  # which is how it travels, more or less
        self.said.append(message)


class Driven:
    """A live run on a thread of its own, and a hand on its helm."""

    def __init__(self, worker, spec=SPEC, done=0, paused=True, pace=None, heard=0):
        self.worker, self.sent = worker, heard
        self.result = None

        def work():
            arguments = (steered.longest(spec).to_json(), done, paused, pace, heard, "attempt", "topic")
            self.result = steered.live(*arguments)

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()
        until(lambda: "attempt" in steered._HELMS or self.result)

    def do(self, what, **more):
        self.sent += 1
        assert steered.steer(json.dumps({"attempt": "attempt", "commands": [{"n": self.sent, "do": what, **more}]}))
        until(lambda: self.worker.said[-1]["heard"] >= self.sent or self.result)

    def latest(self, name):
        return next((said[name] for said in reversed(self.worker.said) if name in said), 0)

    def end(self):
        self.do("end")
        self.thread.join(60)
        return self.result


def until(predicate, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := predicate()):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return value


@pytest.fixture
def worker(monkeypatch):
    fake = FakeWorker()
    monkeypatch.setattr(distributed, "get_worker", lambda: fake)
    monkeypatch.setattr(distributed, "secede", lambda: None)
    return fake


def equal(result, network):
    return all(
        np.array_equal(array, tensor.numpy())
        for arrays, tensors in ((result["weights"], network.weights), (result["biases"], network.biases))
        for array, tensor in zip(arrays, tensors, strict=True)
    )


def test_thirty_random_actions_train_again_to_the_same_bits(worker):
    rng = np.random.default_rng(7)
    live = Driven(worker, paused=False, pace=4_000.0)
    for _ in range(30):
        what = rng.choice(["rates", "play", "pause", "step", "pace", "restart"], p=[0.6, 0.1, 0.1, 0.1, 0.08, 0.02])
        more = {
            "rates": {"rates": [round(float(rate), 2) for rate in rng.choice([0, 0.2, 0.5, 0.8], 3)]},
            "step": {"steps": int(rng.integers(1, 40))},
            "pace": {"pace": float(rng.integers(2_000, 20_000))},
        }.get(str(what), {})
        live.do(str(what), **more)
        time.sleep(float(rng.uniform(0, 0.03)))
    live.do("step", steps=5)
    until(lambda: live.latest("paused"))
    result = live.end()
    spec = RunSpec.from_json(result["spec"])
    assert len(spec.schedule) >= 5
    assert spec.steps == result["steps"]
    [again] = training.fit([spec], curve=False, threads=1)
    assert equal(result, again.network)


def test_a_lost_run_catches_up_to_the_same_bits(worker):
    live = Driven(worker)
    live.do("step", steps=40)
    until(lambda: live.latest("step") == 40)
    live.do("rates", rates=[0.5, 0.5, 0.5])
    live.do("step", steps=30)
    until(lambda: live.latest("step") == 70)
    first = live.end()
    known = RunSpec.from_json(first["spec"])
    second = Driven(worker, known, done=70, heard=9)
    until(lambda: second.worker.said[-1].get("step") == 70)
    assert any("catching" in said for said in worker.said)
    again = second.end()
    assert again["spec"] == first["spec"]
    assert all(np.array_equal(a, b) for a, b in zip(first["weights"], again["weights"], strict=True))


def test_pause_makes_no_step_and_a_step_makes_one(worker):
    live = Driven(worker, paused=False)
    until(lambda: live.latest("step") > 0)
    live.do("pause")
    done = live.latest("step")
    time.sleep(0.2)
    assert live.latest("step") == done
    live.do("step", steps=1)
    until(lambda: live.latest("step") == done + 1)
    time.sleep(0.1)
    assert live.latest("step") == done + 1
    assert live.latest("paused")
    live.end()


def test_commands_are_followed_once_and_in_order(worker):
    live = Driven(worker)
    later = [{"n": 2, "do": "step", "steps": 3}, {"n": 3, "do": "rates", "rates": [0.1, 0.2, 0.3]}]
    steered.steer(json.dumps({"attempt": "attempt", "commands": later}))
    time.sleep(0.1)
    assert worker.said[-1]["heard"] == 0
    for _ in range(3):
        steered.steer(json.dumps({"attempt": "attempt", "commands": [{"n": 1, "do": "step", "steps": 2}, *later]}))
    until(lambda: worker.said[-1]["heard"] == 3)
    until(lambda: live.latest("step") >= 3)
    live.sent = 3
    assert live.latest("rates") == [0.1, 0.2, 0.3]
    result = live.end()
    assert result["steps"] == 3  # the second wish for steps replaced the first before any was made


def test_restart_begins_at_the_same_weights_with_the_rates_that_hold(worker):
    live = Driven(worker)
    live.do("step", steps=20)
    until(lambda: live.latest("step") == 20)
    live.do("rates", rates=[0.5, 0.5, 0.5])
    live.do("restart")
    assert live.latest("step") == 0
    assert live.latest("round") == 1
    assert live.latest("pieces") == []
    live.do("step", steps=10)
    until(lambda: live.latest("step") == 10)
    result = live.end()
    assert RunSpec.from_json(result["spec"]) == RunSpec.from_json(
        json.dumps({**json.loads(SPEC.to_json()), "dropout": [0.5] * 3, "examples": 200})
    )


def test_a_look_tells_of_every_layer_and_brings_pictures(worker):
    live = Driven(worker)
    live.do("step", steps=10)
    until(lambda: any(said.get("step") == 10 and "look" in said for said in worker.said))
    look = live.latest("look")
    assert 0 <= look["accuracy"] <= 1
    for part, width in zip(look["layers"], SPEC.hidden, strict=True):
        clusters = np.frombuffer(base64.b64decode(part["clusters"]), np.uint8)
        assert clusters.shape == (width,)
        assert clusters.max() < steered.CLUSTERS
        assert part["low"] <= 0 <= part["high"]
        twin = np.frombuffer(base64.b64decode(part["twin"]), np.uint8)
        assert part["twins"] == (twin != np.arange(width)).sum()
    sizes = [Image.open(io.BytesIO(base64.b64decode(each))).size for each in look["pictures"]]
    assert sizes == [(140, 28)] * 3  # a neuron in 14 x 14 of what excites it
    live.end()


def test_a_run_without_a_step_leaves_nothing(worker):
    live = Driven(worker)
    assert live.end() == {"status": "unlearnt"}


def test_a_run_at_its_longest_pauses_and_says_so(worker, monkeypatch):
    monkeypatch.setattr(steered, "longest", lambda spec: spec)
    live = Driven(worker, RunSpec(hidden=(12, 12, 12), batch_size=20, examples=400), paused=False)
    until(lambda: live.latest("finished"))
    assert live.latest("step") == 20
    live.do("rates", rates=[0.2, 0.2, 0.2])
    assert "refused" in str(worker.said)
    assert live.end()["steps"] == 20


def test_an_app_that_is_gone_ends_the_run(worker, monkeypatch):
    monkeypatch.setattr(steered, "SILENCE_SECONDS", 0.2)
    live = Driven(worker)
    live.thread.join(30)
    assert live.result == {"status": "unlearnt"}


def test_what_cannot_be_trained_is_a_sentence(worker):
    result = steered.live('{"hidden": 1}', 0, True, None, 0, "attempt", "topic")
    assert result == {"status": "failed", "message": "hidden must be three numbers, one a hidden layer; got 1"}


def test_looks_leave_three_quarters_of_the_time_to_training(worker, monkeypatch):
    from dropclust.core import glance

    times, seen = [], glance.look

    def slow(*args):
        times.append([time.monotonic()])
        time.sleep(0.2)
        result = seen(*args)
        times[-1].append(time.monotonic())
        return result

    monkeypatch.setattr(glance, "look", slow)
    live = Driven(worker, paused=False)
    until(lambda: len(times) >= 4)
    live.end()
    for (begun, ended), (following, *_) in itertools.pairwise(times[:4]):
        assert following - ended >= (1 / steered.LOOK_SHARE - 1) * (ended - begun)
