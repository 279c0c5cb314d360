"""How fast this machine trains: short trials, from which precisions are chosen and times are promised."""

from __future__ import annotations

from dropclust.core import mnist
from dropclust.core.cost import Calibration
from dropclust.core.spec import PRECISIONS, RunSpec
from dropclust.core.training import fit


def faster_precision(data: mnist.Data | None = None) -> str:
    """Which of `PRECISIONS` trains twenty networks faster on one thread: a trial of a second, longer where bfloat16 is slow.

    "float32" unless bfloat16 products save a tenth of the time: the reference, where nothing is to be gained.
    """
    data = data or mnist.load()
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for _ in range(4):
        for precision, times in seconds.items():
            specs = [RunSpec(dropout=(0.02 * i,) * 3, examples=128 * 10, precision=precision) for i in range(20)]
            times.append(fit(specs, data=data, curve=False, threads=1, device="cpu")[0].seconds)
    # The first time includes first times.
    return "bfloat16" if min(seconds["bfloat16"][1:]) < 0.9 * min(seconds["float32"][1:]) else "float32"


def calibrate(data: mnist.Data | None = None) -> Calibration:
    """Train two short runs on one thread, small steps and large ones, and solve for the two numbers; about a second."""
    data = data or mnist.load()
    trials = [RunSpec(batch_size=16, examples=16 * 400), RunSpec(hidden=(400, 200, 200), examples=128 * 60)]
    times = []
    for spec in trials:
        fit([spec], data=data, curve=False, threads=1, device="cpu")  # the first time includes first times
        times.append(min(fit([spec], data=data, curve=False, threads=1, device="cpu")[0].seconds for _ in range(3)))
    # seconds = flops / speed + steps * step_seconds, for both trials
    (f1, s1), (f2, s2) = ((spec.flops, spec.steps) for spec in trials)
    determinant = f1 * s2 - f2 * s1
    per_flop = (times[0] * s2 - times[1] * s1) / determinant
    per_step = (f1 * times[1] - f2 * times[0]) / determinant
    # A disturbed trial must not promise a negative time.
    return Calibration(1 / max(per_flop, 1e-13), max(per_step, 0.0))
