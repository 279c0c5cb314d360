"""Live runs: every transition, who may steer, what viewers are sent; the worker is played by the test."""

import itertools
import json
import time

import numpy as np
import pytest

from dropclust.core.spec import RunSpec
from dropclust.service import steered, steering
from dropclust.service.bounds import LIVE_RUNS, BoundReached
from dropclust.service.cluster import ClusterError
from dropclust.service.steering import ENDED, TRANSITIONS, NotAllowed, Steering

SPEC = RunSpec(hidden=(14, 12, 11), dropout=(0.0, 0.0, 0.0), seed=5)


class FakeFuture:
    def __init__(self):
        self.status, self.answer, self.error, self.then, self.released = "pending", None, None, None, False

    def done(self):
        return self.status != "pending"

    def result(self, timeout):
        return self.answer

    def exception(self, timeout):
        return self.error

    def release(self):
        self.released = True

    def add_done_callback(self, then):
        self.then = then

    def end(self, status, answer=None, error=None):
        self.answer, self.error, self.status = answer, error, status
        self.then(self)


class KilledWorker(Exception):
    pass


class FakeQueue:
    """Workers that do what the test says."""

    def __init__(self):
        self.failure, self.ready, self.waits, self.broken = None, True, False, False
        self.handed, self.told, self.killed = [], [], []

    def start(self):
        pass

    def ahead(self, function, *arguments, key, topic, hear):
        if self.broken:
            self.broken = False
            raise ClusterError("no worker is there")
        self.handed.append(Attempt(self, arguments, hear))
        return self.handed[-1].future

    def tell(self, address, function, argument):
        assert function is steered.steer
        self.told.append((address, json.loads(argument)))

    def end_worker(self, address, pid):
        self.killed.append((address, pid))


class Attempt:
    """A run as one worker has it."""

    def __init__(self, queue, arguments, hear):
        self.spec = RunSpec.from_json(arguments[0])
        self.done, self.paused, self.pace, self.heard, self.name = arguments[1:6]
        self.queue, self.hear, self.future = queue, hear, FakeFuture()
        self.life, self.round = f"life of {self.name}", 0

    def say(self, **update):
        said = {"attempt": self.name, "life": self.life, "address": "tls://w", "pid": 7, "heard": self.heard, **update}
        self.hear((None, said))

    def at(self, step, paused=False, rates=(0.0, 0.0, 0.0), pieces=(), look=None, **more):
        update = {
            "step": step, "rates": list(rates), "paused": paused, "finished": False, "pace": self.pace, "round": self.round,
            "speed": 1000, "dropout": list(self.spec.dropout), "pieces": [[at, list(to)] for at, to in pieces], **more,
        }  # fmt: skip
        self.say(**update, **({"look": look} if look else {}))

    def commands(self):
        """What it was told and has not followed yet."""
        told = {}
        for _, message in self.queue.told:
            if message["attempt"] == self.name:
                told.update({command["n"]: command for command in message["commands"] if command["n"] > self.heard})
        return [told[n] for n in sorted(told)]

    def outcome(self, steps=40, rates=(0.0, 0.0, 0.0)):
        spec = RunSpec(hidden=SPEC.hidden, dropout=rates, seed=SPEC.seed, examples=steps * SPEC.batch_size)
        return {
            "status": "ended",
            "spec": spec.to_json(),
            "weights": [np.full((a, b), 0.5, np.float32) for a, b in itertools.pairwise(spec.widths)],
            "biases": [np.zeros(b, np.float32) for b in spec.widths[1:]],
            "curve": [{"step": steps, "examples": steps * 128, "loss": 0.1, "accuracy": 0.9, "seconds": 1.0}],
            "metrics": {"test_accuracy": 0.9},
            "steps": steps,
            "seconds": 1.0,
            "versions": {"python": "3"},
        }


def a_look(twins=3, pictures=True):
    part = {"clusters": "AAE=", "twin": "AQA=", "flags": "AQE=", "adjusted": 0.2, "low": -0.1, "high": 0.1, "twins": twins}
    look = {"loss": 0.1, "accuracy": 0.9, "layers": [{**part, "dead": 0, "agree": 1, "of": layer} for layer in (1, 2, 3)]}
    return {**look, "pictures": ["one", "two", "three"]} if pictures else look


class MemoryStore:
    def __init__(self):
        self.runs, self.full = {}, False

    def put(self, stored):
        if self.full:
            raise OSError(28, "No space left on device")
        self.runs[stored.key] = stored


class Recorded(Steering):
    """The live runs, with every state that one was in written down."""

    def __init__(self, *args, **kwargs):
        self.path = []
        super().__init__(*args, **kwargs)

    def _change(self, record, state, message=""):
        before = record.state
        super()._change(record, state, message)
        self.path.append((before, state))


class Scene:
    """One live run and everything about it."""

    def __init__(self, **kwargs):
        self.queue, self.store = FakeQueue(), MemoryStore()
        self.live = Recorded(self.queue, self.store, **kwargs)
        self.name = self.token = ""

    def start(self, **kwargs):
        self.name, self.token = self.live.start(SPEC, **kwargs)
        return self

    def attempt(self, number=1):
        until(lambda: len(self.queue.handed) >= number and self.live._attempts)
        attempt = self.queue.handed[number - 1]
        attempt.say()
        return attempt

    def running(self, **kwargs):
        attempt = self.attempt() if self.name else self.start(**kwargs).attempt()
        attempt.at(10)
        assert self.state == "running"
        return attempt

    def act(self, what, **more):
        self.live.act(self.name, self.token, {"do": what, **more})

    def become(self, state):
        until(lambda: self.state == state)
        return self.seen()["message"]

    @property
    def state(self):
        return self.live.state(self.name)

    def seen(self, layer=1):
        _, [text] = self.live.frames(self.name, layer, 0)
        return json.loads(text)


def until(predicate, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := predicate()):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return value


@pytest.fixture
def scene():
    made = Scene()
    yield made
    made.live.close()


# ---- transitions, each by its name


def test_waiting_running(scene):
    scene.running(pace=5_000.0)
    [attempt] = scene.queue.handed
    assert (attempt.done, attempt.paused, attempt.pace, attempt.heard) == (0, False, 5_000.0, 0)
    assert attempt.spec == steered.longest(SPEC)
    assert scene.live.path == [("waiting", "running")]


def test_waiting_stopped(scene):
    scene.queue.ready = False
    scene.start()
    scene.act("end")
    assert scene.become("stopped") == "It was ended by whoever steers it."


def test_a_run_stopped_before_its_worker_said_a_word_is_ended_there(scene):
    scene.start()
    until(lambda: scene.queue.handed)
    scene.act("end")
    scene.become("stopped")
    scene.queue.handed[0].say()
    assert scene.queue.told[-1][1]["commands"] == [{"n": 1, "do": "end"}]


def test_waiting_failed(scene):
    scene.queue.failure = "Training is not possible now: no worker starts."
    scene.start()
    assert scene.become("failed") == "Training is not possible now: no worker starts."


def test_running_paused_running(scene):
    attempt = scene.running()
    scene.act("pause")
    until(lambda: attempt.commands() == [{"n": 1, "do": "pause"}])
    attempt.heard = 1
    attempt.at(12, paused=True)
    assert scene.state == "paused"
    scene.act("play")
    until(lambda: attempt.commands() == [{"n": 2, "do": "play"}])
    attempt.heard = 2
    attempt.at(12)
    assert scene.state == "running"


def test_running_paused_at_its_last_step(scene):
    attempt = scene.running()
    attempt.at(23_437, paused=True, finished=True)
    assert scene.become("paused").startswith("It has seen 3,000,000 images, the most that a run may")


@pytest.mark.parametrize("paused", [False, True])
def test_running_or_paused_stopped(scene, paused):
    attempt = scene.running()
    attempt.at(12, paused=paused)
    scene.act("end")
    until(lambda: attempt.commands() == [{"n": 1, "do": "end"}])
    attempt.future.end("finished", attempt.outcome())
    assert scene.become("stopped") == "It was ended by whoever steers it."
    assert scene.seen()["savable"]
    assert not scene.store.runs


@pytest.mark.parametrize("paused", [False, True])
def test_running_or_paused_waiting_when_the_worker_is_killed(scene, paused):
    attempt = scene.running()
    changed = ((4, (0.5, 0.5, 0.5)), (9, (0.2, 0.5, 0.5)))
    attempt.heard = 3
    attempt.at(20, paused=paused, rates=changed[-1][1], pieces=changed)
    attempt.future.end("error", error=KilledWorker())
    again = scene.attempt(2)
    assert "The worker was lost." in scene.seen()["message"]
    assert again.spec.schedule == changed
    assert (again.done, again.paused, again.heard) == (20, paused, 3)
    again.say(catching=[8, 20])
    assert scene.state == "waiting"
    assert "step 8 of 20" in scene.seen()["message"]
    again.at(20, paused=paused, rates=changed[-1][1], pieces=changed)
    assert scene.state == ("paused" if paused else "running")
    assert "it goes on where it was" in scene.seen()["message"]


def test_waiting_waiting_when_the_next_worker_is_gone_before_it_began(scene):
    """As when all workers are killed at once: the run is handed to the second before its death is known."""
    attempt = scene.running()
    attempt.at(20)
    attempt.future.end("error", error=KilledWorker())
    until(lambda: len(scene.queue.handed) == 2 and scene.queue.handed[1].future.then)
    scene.queue.handed[1].future.end("error", error=KilledWorker())
    again = scene.attempt(3)
    assert ("waiting", "waiting") in scene.live.path
    assert scene.queue.handed[1].future.released
    assert "up to step 20" in scene.seen()["message"]
    again.at(20)
    assert scene.state == "running"


def test_the_first_worker_is_gone_before_it_began(scene):
    scene.start()
    until(lambda: len(scene.queue.handed) == 1 and scene.queue.handed[0].future.then)
    scene.queue.handed[0].future.end("error", error=KilledWorker())
    again = scene.attempt(2)
    assert scene.seen()["message"] == "The worker was lost. Another begins."
    assert again.done == 0


def test_what_was_asked_for_while_the_worker_died_is_done_by_the_next(scene):
    attempt = scene.running()
    scene.act("rates", rates=[0.5, 0.5, 0.5])
    attempt.future.end("error", error=KilledWorker())
    again = scene.attempt(2)
    until(lambda: again.commands() == [{"n": 1, "do": "rates", "rates": [0.5, 0.5, 0.5]}])


def test_a_run_that_dask_began_again_by_itself_is_begun_anew(scene):
    attempt = scene.running()
    attempt.life = "another"
    attempt.say()
    scene.attempt(2)
    assert ("running", "waiting") in scene.live.path


def test_running_failed_when_its_worker_dies_again_and_again(scene):
    scene.running()
    for number in range(1, 5):
        attempt = scene.attempt(number)
        attempt.at(10 * number)
        attempt.future.end("error", error=KilledWorker())
    assert scene.become("failed") == "Its worker died 4 times, so it was given up."


@pytest.mark.parametrize("paused", [False, True])
def test_running_or_paused_failed_when_it_diverged(scene, paused):
    attempt = scene.running()
    attempt.at(12, paused=paused)
    attempt.future.end("finished", {"status": "failed", "message": "Diverged: run 1234 diverged within 12 steps"})
    assert scene.become("failed") == "Diverged: run 1234 diverged within 12 steps."


def test_stopped_saved(scene):
    attempt = scene.running()
    scene.act("end")
    attempt.future.end("finished", attempt.outcome())
    scene.become("stopped")
    scene.act("save")
    scene.become("saved")
    [stored] = scene.store.runs.values()
    assert stored.status == "done"
    assert scene.seen()["key"] == stored.key


def test_save_ends_a_run_and_keeps_it(scene):
    attempt = scene.running()
    scene.act("save")
    until(attempt.commands)
    attempt.future.end("finished", attempt.outcome())
    scene.become("saved")
    assert scene.live.path[-2:] == [("running", "stopped"), ("stopped", "saved")]
    assert list(scene.store.runs) == [scene.seen()["key"]]
    scene.act("save")  # once more is of no effect


def test_a_full_disk_is_a_sentence_and_the_run_can_be_saved_later(scene):
    attempt = scene.running()
    scene.store.full = True
    scene.act("save")
    attempt.future.end("finished", attempt.outcome())
    until(lambda: scene.state == "stopped" and "could not be stored" in scene.seen()["message"])
    scene.store.full = False
    scene.act("save")
    scene.become("saved")


def test_a_run_without_a_step_is_not_saved(scene):
    attempt = scene.start().attempt()
    attempt.at(0, paused=True)
    with pytest.raises(NotAllowed, match="Nothing was learnt yet"):
        scene.act("save")


@pytest.mark.parametrize("how", ["stopped", "saved", "failed"])
def test_ended_waiting(scene, how):
    attempt = scene.running()
    attempt.at(30, rates=(0.5, 0.5, 0.5), pieces=((20, (0.5, 0.5, 0.5)),))
    if how == "failed":
        attempt.future.end("finished", {"status": "failed", "message": "it diverged"})
    else:
        scene.act("save" if how == "saved" else "end")
        attempt.future.end("finished", attempt.outcome())
    scene.become(how)
    scene.act("restart")
    again = scene.attempt(2)
    assert again.spec == steered.longest(RunSpec(hidden=SPEC.hidden, dropout=(0.5, 0.5, 0.5), seed=SPEC.seed))
    assert again.done == 0
    assert scene.seen()["history"] == []


def test_every_transition_is_tested_and_no_other_is_possible(scene):
    scene.running()
    for state, others in itertools.product(TRANSITIONS, TRANSITIONS):
        if others in TRANSITIONS[state]:
            continue
        record = scene.live._records[scene.name]
        record.state = state
        with pytest.raises(RuntimeError, match=f"{state} cannot become {others}"):
            scene.live._change(record, others)
    record.state = "running"
    assert {state for state, after in TRANSITIONS.items() if after <= {"waiting", "saved"}} == ENDED


# ---- who watches, who waits


def test_nobody_watches(scene):
    scene.live._unwatched = 0.3
    attempt = scene.start().attempt()
    scene.live.enter(scene.name)
    attempt.at(10)
    time.sleep(0.6)
    assert scene.state == "running"
    assert not attempt.commands()
    scene.live.leave(scene.name)
    until(lambda: attempt.commands() == [{"n": 1, "do": "end"}])
    attempt.future.end("finished", attempt.outcome())
    assert scene.become("stopped").startswith("Nobody watched it for")
    scene.act("save")
    assert scene.state == "saved"


def test_others_wait(scene):
    scene.live._yielding = 65.0
    attempt = scene.running()
    scene.live.enter(scene.name)
    scene.queue.waits = True
    until(lambda: scene.seen()["notice"] == "Others wait for a worker: this run makes room in 1 min 10 s.")
    scene.queue.waits = False
    until(lambda: scene.seen()["notice"] == "")
    scene.live._yielding = 0.1
    scene.queue.waits = True
    until(lambda: attempt.commands() == [{"n": 1, "do": "end"}])
    attempt.future.end("finished", attempt.outcome())
    assert scene.become("stopped") == "Others waited for a worker, so it made room."


def test_whoever_runs_the_app_ends_all(scene):
    attempt = scene.running()
    scene.start()
    assert scene.live.end_all() == 2
    until(lambda: attempt.commands() == [{"n": 1, "do": "end"}])
    attempt.future.end("finished", attempt.outcome())
    until(lambda: scene.live.end_all() == 0)
    assert scene.seen()["message"] == "It was ended by whoever runs this app."


def test_a_worker_that_does_not_end_is_ended(scene, monkeypatch):
    monkeypatch.setattr(steering, "_END_SECONDS", 0.1)
    attempt = scene.running()
    scene.act("end")
    until(lambda: scene.queue.killed == [("tls://w", 7)])
    attempt.future.end("error", error=KilledWorker())
    assert scene.become("stopped") == "Its worker was lost while it ended, and with it what was learnt."


def test_a_cluster_that_is_gone_for_a_moment_is_asked_again(scene):
    scene.queue.broken = True
    scene.running()


def test_so_many_live_runs_at_once(scene, monkeypatch):
    monkeypatch.setenv(LIVE_RUNS.variable, "2")
    scene.queue.ready = False
    for _ in range(2):
        scene.start()
    with pytest.raises(BoundReached, match="At most 2 live runs may be under way"):
        scene.start()
    scene.act("end")
    ended = scene.name, scene.token
    scene.start()
    with pytest.raises(BoundReached, match="At most 2 live runs"):
        scene.live.act(*ended, {"do": "restart"})


# ---- who steers


def test_whoever_started_it_steers_and_others_do_when_it_is_open(scene):
    attempt = scene.running()
    other = Scene.act
    scene.token, owner = "another", scene.token
    for action in ("play", "end", "open"):
        with pytest.raises(NotAllowed, match="Whoever started this run steers it"):
            other(scene, action, open=True)
    scene.token = owner
    scene.act("open", open=True)
    scene.token = "another"
    scene.act("pause")
    until(lambda: attempt.commands() == [{"n": 1, "do": "pause"}])
    with pytest.raises(NotAllowed, match="Whoever started"):
        scene.act("open", open=False)


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ({"do": "rates", "rates": [0.5, 0.5]}, "dropout must be three numbers"),
        ({"do": "rates", "rates": [0.5, 0.5, 2]}, "dropout must be rates from 0 to 0.95; got 2"),
        ({"do": "rates", "rates": [0.5, 0.5, float("nan")]}, "dropout must be rates from 0 to 0.95; got nan"),
        ({"do": "rates"}, "dropout must be three numbers"),
        ({"do": "pace", "pace": 1}, "The pace must be from 100 to 1,000,000 examples a second; got 1"),
        ({"do": "pace", "pace": "fast"}, "The pace must be"),
        ({"do": "pace", "pace": True}, "The pace must be"),
        ({"do": "dance"}, "A live run can be told to play"),
        ({"do": ["play"]}, "A live run can be told to play"),
        ({}, "A live run can be told to play"),
    ],
)
def test_what_is_not_allowed_is_a_sentence(scene, action, sentence):
    scene.running()
    with pytest.raises(NotAllowed, match=sentence):
        scene.live.act(scene.name, scene.token, action)


def test_a_run_that_has_ended_or_is_unknown_is_a_sentence(scene):
    attempt = scene.running()
    scene.act("end")
    attempt.future.end("finished", attempt.outcome())
    scene.become("stopped")
    with pytest.raises(NotAllowed, match="This run has ended"):
        scene.act("play")
    for call in (lambda: scene.live.act("x", "", {}), lambda: scene.live.frames("x", 1, 0), lambda: scene.live.enter("x")):
        with pytest.raises(LookupError, match="No live run of that name"):
            call()


def test_a_layer_too_wide_to_show_is_a_sentence(scene):
    with pytest.raises(NotAllowed, match="layers of at most 256 units; got 300"):
        scene.live.start(RunSpec(hidden=(100, 300, 100)))


def test_what_a_worker_refuses_is_said(scene):
    attempt = scene.running()
    attempt.say(refused="schedule must have at most 1,000 pieces; got more")
    assert scene.seen()["message"] == "Schedule must have at most 1,000 pieces; got more."


# ---- what viewers are sent


def replayed(scene, layer, version, known):
    """What a browser has after a few more frames."""
    version, texts = scene.live.frames(scene.name, layer, version)
    for text in texts:
        part = json.loads(text)
        if known and part["round"] != known["round"]:
            known |= {"pieces": [], "history": []}
        pieces = known.get("pieces", [])[: part["from"]] + part["pieces"] if "pieces" in part else known.get("pieces", [])
        history = part.get("history", known.get("history", []))
        if "moment" in part:
            history = [*history[: -1 if history and history[-1][0] >= part["moment"][0] else None], part["moment"]]
        known |= {**part, "pieces": pieces, "history": history}
    return version, known


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_frame_by_frame_a_viewer_has_what_a_late_one_gets_at_once(scene, layer):
    attempt = scene.running()
    version, known = replayed(scene, layer, 0, {})
    pieces = []
    for step in range(20, 60):
        if step % 7 == 0:
            pieces = [*pieces, (step, (0.1 * (step % 5), 0.5, 0.0))]
        attempt.at(step, pieces=pieces, look=a_look(step, pictures=step % 3 == 0) if step % 2 else None)
        if step == 40:
            attempt.round, pieces = 1, []
        if step % 5 == 0:
            version, known = replayed(scene, layer, version, known)
    version, known = replayed(scene, layer, version, known)
    late = scene.seen(layer)
    for name in ("step", "pieces", "history", "look", "state", "round", "v"):
        assert known[name] == late[name], name
    assert known["look"]["of"] == layer
    assert known["picture"] == ["one", "two", "three"][layer - 1]


def test_viewers_of_one_version_get_the_very_same_text(scene):
    attempt = scene.running()
    version, _ = scene.live.frames(scene.name, 2, 0)
    attempt.at(11, look=a_look())
    first, second = (scene.live.frames(scene.name, 2, version)[1][0] for _ in range(2))
    assert first is second
    assert scene.live.frames(scene.name, 2, version + 1) == (version + 1, [])


def test_a_viewer_far_behind_gets_everything_at_once(scene):
    attempt = scene.running()
    version, _ = scene.live.frames(scene.name, 1, 0)
    for step in range(20, 80):
        attempt.at(step, look=a_look())
    now, texts = scene.live.frames(scene.name, 1, version)
    assert len(texts) == 1
    assert json.loads(texts[0])["history"][-1][0] == 79
    assert now == scene.seen()["v"]


def test_history_is_thinned_and_keeps_its_ends(scene):
    attempt = scene.running()
    for step in range(20, 1000):
        attempt.at(step, look=a_look())
    history = scene.seen()["history"]
    assert len(history) <= 241
    assert (history[0][0], history[-1][0]) == (20, 999)
