"""Trials of this machine, against imagined machines whose numbers are known."""

from __future__ import annotations

import pytest

from dropclust.core import calibration
from dropclust.core.cost import curve_steps
from dropclust.core.mnist import Data
from dropclust.core.spec import PRECISIONS, RunSpec
from dropclust.core.training import Trained


@pytest.mark.parametrize(("ratio", "expected"), [(0.7, "bfloat16"), (0.95, "float32"), (8.0, "float32")])
def test_a_trial_picks_the_reference_unless_bfloat16_saves_a_tenth(
    ratio: float, expected: str, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []

    def imagined(specs: list[RunSpec], **_: object) -> list[Trained]:
        [precision] = {spec.precision for spec in specs}
        first = precision not in runs  # first times count for nothing
        runs.append(precision)
        seconds = (ratio if precision == "bfloat16" else 1.0) * (1 if not first else 0.01 if ratio > 1 else 100)
        return [Trained(spec, None, (), spec.steps, seconds, "done") for spec in specs]

    monkeypatch.setattr(calibration, "fit", imagined)
    assert calibration.faster_precision(data) == expected
    assert runs == ["float32", "bfloat16"] * (len(runs) // 2)  # taking turns


def test_a_trial_trains(data: Data) -> None:
    assert calibration.faster_precision(data) in PRECISIONS


def test_a_calibration_finds_the_two_numbers_of_a_machine_that_has_them(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def imagined(specs: list[RunSpec], **_: object) -> list[Trained]:
        return [Trained(spec, None, (), spec.steps, spec.flops / 50e9 + spec.steps * 2e-4, "done") for spec in specs]

    monkeypatch.setattr(calibration, "fit", imagined)
    found = calibration.calibrate(data)
    assert found.flops_per_second == pytest.approx(50e9, rel=1e-6)
    assert found.step_seconds == pytest.approx(2e-4, rel=1e-6)
    spec = RunSpec()
    curve = len(curve_steps(spec)) * 2_000 * 2 * 99_400
    assert found.seconds(spec) == pytest.approx((spec.flops + curve) / 50e9 + 2_500 * 2e-4, rel=1e-6)
