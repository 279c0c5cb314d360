"""A run in words."""

import shlex

import numpy as np
import pytest

from dropclust import __main__ as command_line
from dropclust.core.spec import RunSpec
from dropclust.findings import network
from dropclust.service import runs
from dropclust.service.jobs import TRANSITIONS, Run
from dropclust.service.stored import Stored

SPECS = [
    RunSpec(),
    RunSpec(dropout=(0.1, 0.0, 0.25), hidden=(7, 8, 9), seed=5),
    RunSpec(noise="dropconnect", batch_size=16, examples=1_000, train_size=500, recipe="paper", precision="bfloat16"),
    RunSpec(train_size=500, subset_seed=3),
    RunSpec(dropout=(0, 0, 0), schedule=((1250, (0.5, 0.5, 0.5)), (1500, (0.2, 0, 0)))),
    RunSpec(noise="gaussian", schedule=tuple((step, (step % 2 / 2, 0.25, 0.25)) for step in range(1, 1001))),
]


def stored(spec: RunSpec, accuracy: float, status: str = "done") -> Stored:
    pairs = list(zip(spec.widths[:-1], spec.widths[1:], strict=True))
    return Stored(
        spec,
        tuple(np.zeros(pair, np.float32) for pair in pairs),
        tuple(np.zeros(n, np.float32) for _, n in pairs),
        [],
        {"test_accuracy": accuracy, "test_cross_entropy": 0.1},
        status,
        1,
        1.0,
        "2026-01-01T00:00:00+00:00",
        {"python": "3"},
    )


def test_a_name_says_what_is_not_as_usual():
    assert [runs.label(spec) for spec in SPECS] == [
        "dropout 0.4, 100-100-100, seed 0",
        "dropout 0.1 / 0 / 0.25, 7-8-9, seed 5",
        "dropout 0.4, 100-100-100, DropConnect, batch 16, paper recipe, 1,000 examples, 500 images, bfloat16, seed 0",
        "dropout 0.4, 100-100-100, 500 images, images of seed 3, seed 0",
        "dropout 0, then 0.5 from step 1,250, then 0.2 / 0 / 0 from step 1,500, 100-100-100, seed 0",
        "dropout 0.4, changed 1,000 times, 100-100-100, Gaussian, seed 0",
    ]


def test_runs_that_differ_in_their_seed_alone_go_together():
    of = [stored(RunSpec(seed=1), 0.9), stored(SPECS[1], 0.9), stored(RunSpec(seed=2), 0.9), stored(RunSpec(), 0.8, "stopped")]
    groups = runs.alike(of)
    assert [[each.spec.seed for each in group] for group in groups.values()] == [[1, 2], [5], [0]]
    assert list(groups)[2] == "dropout 0.4, 100-100-100, stopped after 128 examples"  # one step was made


def test_a_stopped_run_says_where():
    assert runs.title(stored(RunSpec(), 0.9)) == runs.label(RunSpec())
    assert runs.title(stored(RunSpec(), 0.9, "stopped")) == runs.label(RunSpec()) + ", stopped after 128 examples"


@pytest.mark.parametrize("spec", SPECS)
def test_the_command_under_a_run_makes_that_run(spec):
    words = shlex.split(runs.command(spec))
    assert words[:3] == ["python", "-m", "dropclust"]
    assert command_line._spec(command_line._parser().parse_args(words[3:])) == spec


def test_every_state_has_words():
    assert set(network.STATES) == set(TRANSITIONS)


def test_what_is_said_of_a_run_on_its_way():
    spec = RunSpec(examples=12_800)
    waiting = Run(spec.key, spec, "waiting", position=3)
    assert runs.standing(waiting, None) == (f"**{runs.label(spec)}**: waiting, number 3 in the queue", 0.0)
    training = Run(spec.key, spec, "training", position=0, steps=25, message="The worker was lost; training started again.")
    text, share = runs.standing(training, 8.0)
    assert share == 0.25
    assert text.endswith("training, step 25 of 100, about 6 s left. The worker was lost; training started again.")


def test_durations_as_people_say_them():
    assert [runs.duration(s) for s in (0.1, 3.2, 89.5, 90, 240)] == ["1 s", "4 s", "90 s", "1.5 min", "4.0 min"]
