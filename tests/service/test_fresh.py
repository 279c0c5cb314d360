"""Measuring again with seeds of one's own: seeds that no table has, behind the runs, stopped, lost, resumed, bounded."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from dropclust import experiments
from dropclust.core.spec import RunSpec
from dropclust.experiments import results
from dropclust.experiments.experiment import Experiment, Measured, Settings
from dropclust.service import fresh, tables
from dropclust.service.cluster import ClusterError
from dropclust.service.fresh import FreshRuns

PATIENCE = 60


class Remote:
    """A future as Dask's: ``status`` and a result with a time limit."""

    def __init__(self, future):
        self.future, self.cancelled = future, False

    def done(self):
        return self.future.done()

    @property
    def status(self):
        return "error" if self.future.exception() else "finished"

    def result(self, timeout):
        return self.future.result(timeout)

    def exception(self, timeout):
        return self.future.exception(timeout)

    def cancel(self):
        self.cancelled = True


class Queue:
    """The background queue, with threads of this process for workers."""

    def __init__(self, workers=3):
        self.ready, self.failure, self.waits, self.workers = True, None, False, workers
        self.started, self.remotes, self.most = 0, [], 0
        self._pool = ThreadPoolExecutor(8)

    def start(self):
        self.started += 1

    def behind(self, function, *arguments):
        self.remotes.append(Remote(self._pool.submit(function, *arguments)))
        self.most = max(self.most, sum(not remote.done() for remote in self.remotes))
        return self.remotes[-1]


class Tiny(Experiment):
    """One network a seed, which is not trained: what is measured is the seed."""

    name, title, question, section = "figure1", "Figure 1", "Is it so?", "0"

    def __init__(self):
        self.gate, self.errors, self.measured = threading.Event(), [], []
        self.gate.set()

    def specs(self, settings):
        return [RunSpec(hidden=(2, 2, 2), examples=256, seed=seed) for seed in settings.seed_range]

    def measure(self, networks, data, settings):
        raise NotImplementedError

    def measure_group(self, specs, settings, threads=None, device="cpu"):
        assert self.gate.wait(PATIENCE)
        if self.errors:
            raise self.errors.pop()
        self.measured.append(specs[0].seed)
        return Measured({"figure1": pd.DataFrame({"seed": [specs[0].seed]})}, ())


@pytest.fixture
def tiny(monkeypatch):
    experiment = Tiny()
    monkeypatch.setattr(experiments, "get", lambda name: experiment)
    return experiment


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(runs, run):
    until(lambda: runs.get(run.key).state in fresh.ENDED)
    return runs.get(run.key)


def test_it_is_measured_with_seeds_that_no_table_has_and_stands_beside_the_shipped_ones(tiny, tmp_path):
    queue, shipped = Queue(), tmp_path / "results"
    tables.write(shipped, "figure1-modern-quick", pd.DataFrame({"seed": [0]}), {"command": "shipped"})
    before = {path.name: path.read_bytes() for path in shipped.iterdir()}
    runs = FreshRuns(queue, shipped / fresh.FOLDER)
    run = runs.start("figure1", "modern", 3)
    done = ended(runs, run)
    assert (done.state, done.done, done.total, done.message) == ("done", 3, 3, "")
    assert results.read("figure1-modern-from-1000-quick", runs.root).table["seed"].tolist() == [1000, 1001, 1002]
    assert {path.name: path.read_bytes() for path in shipped.iterdir() if path.is_file()} == before
    assert ended(runs, runs.start("figure1", "modern", 3)).settings.first_seed == 1010
    assert ended(runs, runs.start("figure1", "paper", 2, quick=False)).settings.first_seed == 1000


def test_a_measurement_is_named_and_says_how_far_it_is():
    run = fresh.FreshRun("figure1", Settings("modern", 3, True, first_seed=1_000))
    assert run.standing == f"{run.name}: waiting for a worker"
    assert run.name.startswith("Figure 1, modern recipe, seeds 1000 to 1002, ")
    going = replace(run, state="measuring", done=1, total=3)
    assert going.standing == f"{run.name}: measuring, 1 of 3 groups of networks"


def test_what_a_measurement_takes_is_said_once_the_workers_speed_is_known(tiny):
    settings = Settings("modern", 3, True)
    assert fresh.expected("figure1", settings, None, 2) == "3 networks. The workers are starting; the expected time follows."
    speed = SimpleNamespace(seconds=lambda spec: 60.0)
    assert fresh.expected("figure1", settings, speed, 4).startswith("3 networks: about 60 s of training on this machine")


def test_one_worker_is_left_for_runs_and_none_is_taken_while_a_run_waits(tiny, tmp_path):
    queue = Queue(workers=3)
    queue.waits = True
    tiny.gate.clear()
    runs = FreshRuns(queue, tmp_path)
    run = runs.start("figure1", "modern", 6)
    time.sleep(0.5)
    assert not queue.remotes
    assert runs.get(run.key).state == "waiting"
    queue.waits = False
    until(lambda: len(queue.remotes) == 2)
    assert runs.get(run.key).state == "measuring"
    tiny.gate.set()
    assert ended(runs, run).state == "done"
    assert queue.most == 2


def test_who_asks_for_the_same_shares_it(tiny, tmp_path):
    tiny.gate.clear()
    runs = FreshRuns(Queue(), tmp_path)
    first, second = (runs.start("figure1", "modern", 3) for _ in range(2))
    other = runs.start("figure1", "modern", 4)
    assert first.key == second.key
    assert set(first.settings.seed_range).isdisjoint(other.settings.seed_range)
    tiny.gate.set()
    for run in (first, other):
        assert ended(runs, run).state == "done"
    assert sorted(tiny.measured) == [*range(1000, 1003), *range(1010, 1014)]


def test_a_stopped_one_keeps_what_was_measured_and_goes_on(tiny, tmp_path):
    queue = Queue(workers=2)
    runs = FreshRuns(queue, tmp_path)
    tiny.gate.clear()
    run = runs.start("figure1", "modern", 3)
    until(lambda: queue.remotes)
    tiny.gate.set()
    until(lambda: runs.get(run.key).done >= 1)
    tiny.gate.clear()
    runs.stop(run.key)
    stopped = ended(runs, run)
    assert stopped.state == "stopped"
    assert not list(tmp_path.glob("*.csv"))
    tiny.gate.set()
    again = runs.start("figure1", "modern", 3)
    assert again.key == run.key
    assert ended(runs, again).state == "done"
    assert results.read("figure1-modern-from-1000-quick", tmp_path).table["seed"].tolist() == [1000, 1001, 1002]


def test_an_error_is_one_sentence_and_the_next_try_goes_on(tiny, tmp_path):
    tiny.errors = [ValueError("the network is shy")]
    runs = FreshRuns(Queue(), tmp_path)
    failed = ended(runs, runs.start("figure1", "modern", 3))
    assert failed.state == "failed"
    assert failed.message.startswith("the network is shy. What was measured is kept")
    assert ended(runs, runs.start("figure1", "modern", 3)).state == "done"


def test_a_cluster_that_cannot_be_is_one_sentence(tiny, tmp_path):
    queue = Queue()
    queue.ready, queue.failure = False, "Training is not possible now: no scheduler."
    runs = FreshRuns(queue, tmp_path)
    failed = ended(runs, runs.start("figure1", "modern", 2))
    assert failed.state == "failed"
    assert "Training is not possible now: no scheduler. What was measured is kept" in failed.message


def test_a_lost_worker_is_tried_again_and_given_up_in_the_end(tiny, tmp_path):
    class KilledWorker(Exception):
        """As Dask's, which is known by its name."""

    runs = FreshRuns(Queue(), tmp_path)
    tiny.errors = [KilledWorker()] * 2
    assert ended(runs, runs.start("figure1", "modern", 2)).state == "done"
    tiny.errors = [KilledWorker()] * 100
    failed = ended(runs, runs.start("figure1", "modern", 2))
    assert failed.state == "failed"
    assert "its worker was lost 3 times" in failed.message


def test_a_cluster_that_is_gone_for_a_moment_is_waited_for(tiny, tmp_path):
    queue, behind = Queue(), Queue.behind
    calls = []

    def sometimes(*arguments):
        calls.append(1)
        if len(calls) < 3:
            raise ClusterError("no worker is there")
        return behind(queue, *arguments)

    queue.behind = sometimes
    runs = FreshRuns(queue, tmp_path)
    assert ended(runs, runs.start("figure1", "modern", 2)).state == "done"


def test_after_a_restart_of_the_server_a_finished_one_is_found_by_its_key_and_others_are_not(tiny, tmp_path):
    runs = FreshRuns(Queue(), tmp_path)
    run = ended(runs, runs.start("figure1", "modern", 2))
    later = FreshRuns(Queue(), tmp_path)
    assert later.get(run.key).state == "done"
    for key in (
        "",
        "..",
        "figure1-modern-1000-3-quick",
        "figure1-modern-1000-2",
        "figure9-modern-1000-2",
        "figure1-modern-1010-2",
    ):
        assert later.get(key) is None


def test_old_sets_of_tables_go(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(fresh, "KEPT", 2)
    runs = FreshRuns(Queue(), tmp_path)
    for _ in range(4):
        run = ended(runs, runs.start("figure1", "modern", 2))
    until(lambda: len(list(tmp_path.glob("*.csv"))) == 2)
    assert sorted(path.stem for path in tmp_path.glob("*.json")) == sorted(path.stem for path in tmp_path.glob("*.csv"))
    assert results.read(f"figure1-modern-from-{run.settings.first_seed}-quick", tmp_path)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("figure1", "modern", 1), "seeds must be a whole number from 2 to 10; got 1"),
        (("figure1", "modern", 11), "seeds must be a whole number from 2 to 10; got 11"),
        (("figure1", "modern", True), "seeds must be a whole number from 2 to 10; got True"),
        (("figure1", "bread", 2), "recipe must be one of modern, paper; got 'bread'"),
        (("figure9", "modern", 2), "an experiment must be one of .*; got 'figure9'"),
    ],
)
def test_what_is_not_allowed_is_said(asked, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        FreshRuns(Queue(), tmp_path).start(*asked)
