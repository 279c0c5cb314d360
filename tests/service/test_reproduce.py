"""Reproducing an experiment: complete, resumed after an interruption, stopped in the middle without harm."""

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path

import pandas as pd
import pytest

from dropclust import experiments
from dropclust.core.spec import PRECISIONS
from dropclust.experiments import results
from dropclust.experiments.experiment import Experiment, Measured, Settings
from dropclust.service import reproduce
from dropclust.service.pool import processes
from dropclust.service.store import Store

ROOT = Path(__file__).resolve().parents[2]


class Here(Executor):
    """Runs what is submitted at once, in this thread."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Counted(Experiment):
    """One tiny network a seed; counts what it measures and fails on demand."""

    name, title, question, section = "counted", "Counted", "How often?", "0"

    def __init__(self):
        self.measured, self.broken, self.sizes = [], None, None

    def specs(self, settings):
        from dropclust.core.spec import RunSpec

        return [
            RunSpec(hidden=(2, 2, 2), examples=256 * (self.sizes[seed] if self.sizes else 1), seed=seed)
            for seed in range(settings.seeds)
        ]

    def kept(self, settings):
        return frozenset(spec.key for spec in self.specs(settings) if spec.seed == 0)

    def measure(self, networks, data, settings):
        [seed] = [network.spec.seed for network in networks]
        if seed == self.broken:
            raise RuntimeError("interrupted")
        self.measured.append(seed)
        return pd.DataFrame({"seed": [seed], "value": [seed / 3]})

    def details(self, networks, data, settings):
        return {"counted-more": pd.DataFrame({"first": [1]})} if networks[0].spec.seed == 0 else {}


@pytest.fixture
def counted(monkeypatch):
    experiment = Counted()
    monkeypatch.setattr(experiments, "get", lambda name: experiment)
    return experiment


def test_tables_conditions_and_kept_runs_are_written(counted, tmp_path):
    store, heard = Store(tmp_path / "runs"), []
    settings = Settings(seeds=3)
    paths = reproduce.reproduce(["counted"], settings, Here(), tmp_path, store, lambda *progress: heard.append(progress))
    assert {path.name for path in paths} == {"counted-more-modern.csv", "counted-modern.csv"}
    found = results.read("counted-modern", tmp_path)
    assert found.table["seed"].tolist() == [0, 1, 2]
    assert found.conditions["networks"] == 3
    assert found.conditions["precision"] == "float32"
    assert found.conditions["seeds"] == "0 to 2"
    assert found.conditions["masks"] is None
    assert found.command == "python -m dropclust reproduce counted --recipe modern --seeds 3 --precision bfloat16"
    assert heard == [("counted, modern", done, 3) for done in range(4)]
    [kept] = store.list()
    assert kept.spec == counted.specs(settings)[0]
    assert kept.metrics["test_accuracy"] >= 0
    assert not list((tmp_path / "parts").glob("*"))


def test_an_interruption_costs_only_the_group_under_way(counted, tmp_path):
    counted.broken = 2
    with pytest.raises(RuntimeError, match="interrupted"):
        reproduce.reproduce(["counted"], Settings(seeds=4), Here(), tmp_path)
    assert not list(tmp_path.glob("*.csv"))
    first, counted.broken, counted.measured = set(counted.measured), None, []
    reproduce.reproduce(["counted"], Settings(seeds=4), Here(), tmp_path)
    assert first == {0, 1, 3}
    assert counted.measured == [2]
    assert results.read("counted-modern", tmp_path).table["seed"].tolist() == [0, 1, 2, 3]


def test_the_longest_group_comes_first_and_each_experiment_is_written_when_it_is_complete(monkeypatch, tmp_path):
    long, short = Counted(), Counted()
    long.name, long.sizes = "long", [1, 3, 2]
    experiments_by_name = {"long": long, "counted": short}
    monkeypatch.setattr(experiments, "get", experiments_by_name.__getitem__)
    heard = []
    paths = reproduce.reproduce(
        ["long", "counted"], Settings(seeds=3), Here(), tmp_path, progress=lambda name, done, total: heard.append((name, done))
    )
    assert long.measured == [1, 2, 0]
    assert {path.name for path in paths} == {"long-modern.csv", "counted-modern.csv", "counted-more-modern.csv"}
    assert results.read("long-modern", tmp_path).table["seed"].tolist() == [0, 1, 2]  # in its own order
    assert [heard.count((f"{name}, modern", done)) for name in experiments_by_name for done in range(4)] == [1] * 8
    assert not list((tmp_path / "parts").glob("*"))


def test_several_recipes_are_run_together_and_what_takes_longest_to_measure_is_trained_first(monkeypatch, tmp_path):
    from dropclust.core import training

    long, short = Counted(), Counted()
    long.name, long.measuring = "long", lambda spec, settings: 1.0 + spec.seed
    monkeypatch.setattr(experiments, "get", {"long": long, "counted": short}.__getitem__)
    fit, trained = training.fit, []

    def on_an_imagined_gpu(specs, *, curve, device):
        trained.extend((spec.recipe, spec.seed) for spec in specs if not curve)
        return fit(specs, curve=curve, device="cpu")

    monkeypatch.setattr(training, "fit", on_an_imagined_gpu)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    of_recipe = [Settings(recipe, seeds=3) for recipe in ("modern", "paper")]
    paths = reproduce.reproduce(["counted", "long"], of_recipe, Here(), tmp_path, device="cuda")
    tables = {f"{name}-{recipe}.csv" for name in ("counted", "counted-more", "long") for recipe in ("modern", "paper")}
    assert {path.name for path in paths} == tables
    assert long.measured == [0, 0, 2, 2, 1, 1]  # the first has a curve
    assert trained[:4] == [("modern", 2), ("modern", 2), ("modern", 1), ("modern", 1)]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_where_settings_are_tried_a_group_that_diverges_has_no_rows(device, counted, monkeypatch, tmp_path):
    from dropclust.core import training

    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda specs, curve=True, device="", threads=1: fit(specs, curve=curve, device="cpu"))
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    measure = counted.measure

    def diverging(networks, data, settings):
        if networks[0].spec.seed == 1:
            raise training.Diverged("it diverged")
        return measure(networks, data, settings)

    monkeypatch.setattr(counted, "measure", diverging)
    wanted = [("counted", Settings(recipe, seeds=3), tmp_path / recipe) for recipe in ("modern", "paper")]
    heard = []
    reproduce.reproduce_all(wanted, Here(), lambda *progress: heard.append(progress), device)
    assert heard == [(done, 6) for done in range(1, 7)]
    for recipe in ("modern", "paper"):
        assert results.read(f"counted-{recipe}", tmp_path / recipe).table["seed"].tolist() == [0, 2]
    with pytest.raises(training.Diverged, match="it diverged"):
        reproduce.reproduce(["counted"], Settings(seeds=3), Here(), tmp_path, device=device)


def test_networks_that_a_gpu_trained_in_waves_are_measured_as_if_trained_group_by_group(counted, monkeypatch, tmp_path):
    from dropclust.core import training

    fit, asked = training.fit, []

    def on_an_imagined_gpu(specs, *, curve, device):
        asked.append(([spec.seed for spec in specs], curve, device))
        return fit(specs, curve=curve, device="cpu")

    reproduce.reproduce(["counted"], Settings(seeds=5), Here(), tmp_path / "here")
    monkeypatch.setattr(training, "fit", on_an_imagined_gpu)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    monkeypatch.setattr(reproduce, "_WAVE", 2)
    store = Store(tmp_path / "runs")
    reproduce.reproduce(["counted"], Settings(seeds=5), Here(), tmp_path / "there", store, device="cuda")
    assert asked == [([0], True, "cuda"), ([1, 2], False, "cuda"), ([3, 4], False, "cuda")]  # the kept one with its curve
    assert [stored.spec.seed for stored in store.list()] == [0]
    assert results.read("counted-modern", tmp_path / "there").conditions["machine"].endswith(", a GPU")
    here, there = (results.read("counted-modern", tmp_path / place).table for place in ("here", "there"))
    pd.testing.assert_frame_equal(here, there)


def test_what_is_measured_on_the_way_is_trained_where_it_is_measured_also_beside_a_gpu(counted, monkeypatch, tmp_path):
    from dropclust.core import training

    devices, measure_group = [], counted.measure_group

    def on_the_way(specs, settings, threads, device):
        devices.append(device)
        return measure_group(specs, settings, threads, device)

    monkeypatch.setattr(counted, "on_the_way", True, raising=False)
    monkeypatch.setattr(counted, "measure_group", on_the_way)
    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda specs, *, device, **options: fit(specs, device="cpu", **options))
    reproduce.reproduce(["counted"], Settings(seeds=2), Here(), tmp_path, device="cuda")
    assert devices == ["cpu", "cpu"]
    found = results.read("counted-modern", tmp_path)
    assert found.table["seed"].tolist() == [0, 1]
    assert "GPU" not in found.conditions["machine"]


def test_a_network_that_travels_is_the_same_and_one_that_diverged_is_none():
    from dropclust.core import training
    from dropclust.core.spec import RunSpec

    [trained] = training.fit([RunSpec(hidden=(2, 2, 2), examples=256)], device="cpu")
    same = pickle.loads(pickle.dumps(reproduce._Packed(trained))).unpack()
    assert dataclasses.replace(same, network=None) == dataclasses.replace(trained, network=None)
    assert all((a == b).all() for a, b in zip(same.network.weights, trained.network.weights, strict=True))
    assert reproduce._Packed(dataclasses.replace(trained, network=None)).unpack().network is None


def test_half_written_parts_are_not_taken_for_whole_ones(counted, tmp_path):
    settings = Settings(seeds=1)
    [group] = counted.groups(settings)
    folder = tmp_path / "parts" / f"counted-{reproduce._digest(counted, settings)}"
    (folder / f"{reproduce._group_digest(group)}.123.half").mkdir(parents=True)
    reproduce.reproduce(["counted"], settings, Here(), tmp_path)
    assert counted.measured == [0]


def test_fewer_seeds_replace_a_table_of_more_only_when_told_to(counted, tmp_path):
    reproduce.reproduce(["counted"], Settings(seeds=3), Here(), tmp_path)
    before, counted.measured = (tmp_path / "counted-modern.csv").read_bytes(), []
    with pytest.raises(
        ValueError, match="seeds must be 3 or more, for the table counted-modern has 3, or --replace be given; got 2"
    ):
        reproduce.reproduce(["counted"], Settings(seeds=2), Here(), tmp_path)
    assert counted.measured == []
    assert (tmp_path / "counted-modern.csv").read_bytes() == before
    for settings in (Settings(seeds=2, quick=True), Settings("paper", seeds=2), Settings(seeds=3), Settings(seeds=4)):
        reproduce.reproduce(["counted"], settings, Here(), tmp_path)
    reproduce.reproduce(["counted"], Settings(seeds=1), Here(), tmp_path, replace_more=True)
    assert results.read("counted-modern", tmp_path).table["seed"].tolist() == [0]


def test_a_damaged_table_stands_in_nobodys_way(counted, tmp_path):
    reproduce.reproduce(["counted"], Settings(seeds=3), Here(), tmp_path)
    (tmp_path / "counted-modern.csv").write_text("seed\n")
    reproduce.reproduce(["counted"], Settings(seeds=1), Here(), tmp_path)
    assert results.read("counted-modern", tmp_path).table["seed"].tolist() == [0]


def test_the_trial_is_made_where_the_networks_are_trained(monkeypatch):
    from dropclust.core import calibration

    monkeypatch.setattr(calibration, "faster_precision", lambda: "from here")
    assert reproduce.faster_precision(Here()) == "from here"
    with processes(1) as pool:  # a process of its own knows nothing of this one's
        assert reproduce.faster_precision(pool) in PRECISIONS


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_or_terminated_it_ends_its_processes_and_says_so(tmp_path, subprocess_environment, number, code):
    (tmp_path / "MNIST").symlink_to(ROOT / "cache" / "MNIST")  # without images the first group would fail before the signal
    environment = subprocess_environment | {"DROPCLUST_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "dropclust", "reproduce", "table2", "--quick", "--seeds", "2", "--workers", "1"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs pass on that they ignore it
    try:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "table2" in process.stderr.readline()  # nothing is done yet, and the pool is being filled
    time.sleep(1)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.rstrip().endswith("dropclust: stopped")
    assert "Traceback" not in errors
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and group_lives(process.pid):
        time.sleep(0.05)
    assert not group_lives(process.pid)


def group_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_measured_is_what_a_worker_sends_back(counted):
    settings = Settings(seeds=1)
    assert isinstance(counted.measure_group(counted.groups(settings)[0], settings), Measured)
