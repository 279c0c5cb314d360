"""Which stored runs belong on an experiment's chart."""

from types import SimpleNamespace

from dropclust.core.spec import RunSpec
from dropclust.findings.own import OwnRun, own_runs


def stored(spec: RunSpec, status: str = "done") -> SimpleNamespace:
    return SimpleNamespace(
        key=spec.key, spec=spec, status=status, metrics={"test_accuracy": 0.9, "test_cross_entropy": 0.3, "dead_1": 0.0}
    )


def test_a_run_belongs_where_only_free_fields_differ_and_it_was_trained_to_its_end():
    template = RunSpec(examples=64_000)
    fits = RunSpec(examples=64_000, seed=3, batch_size=64)
    others = [RunSpec(), RunSpec(examples=64_000, recipe="paper"), RunSpec(examples=64_000, noise="gaussian")]
    runs = [stored(fits), stored(template, "stopped"), *map(stored, others)]
    [own] = own_runs(runs, template, ("seed", "batch_size"), lambda spec: f"seed {spec.seed}")
    assert own == OwnRun("seed 3", fits.key, fits, 0.9, 0.3)
    assert (own.rate, own.batch_size) == (0.4, 64)


def test_without_dropout_the_noise_makes_no_difference():
    silent = RunSpec(dropout=(0, 0, 0), noise="gaussian")
    assert own_runs([stored(silent)], RunSpec(), ("dropout",), str)
    assert not own_runs([stored(silent)], RunSpec(), (), str)
