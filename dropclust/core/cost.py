"""How long a run will take on a machine that was calibrated, and when its curve is measured. It knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

from dropclust.core.spec import RunSpec

CURVE_IMAGES = 2_000  # held-out images behind a point of the curve


def curve_steps(spec: RunSpec) -> list[int]:
    """Steps after which a point of the curve is measured: the start, the end, and evenly between.

    Forty intervals for a short run and more for a long one, so that a viewer sees a point several times a second.
    """
    intervals = min(spec.steps, max(40, min(400, round(spec.flops / 1e10))))
    return [round(spec.steps * part / intervals) for part in range(intervals + 1)]


@dataclass(frozen=True)
class Calibration:
    """How fast one thread of a machine trains, as two numbers: a product's speed, and what a step costs whatever its size."""

    flops_per_second: float
    step_seconds: float

    def seconds(self, spec: RunSpec) -> float:
        """Expected seconds of one run alone on one thread, its curve included."""
        forward = 2.0 * sum(a * b for a, b in zip(spec.widths[:-1], spec.widths[1:], strict=True))
        curve = len(curve_steps(spec)) * CURVE_IMAGES * forward
        return (spec.flops + curve) / self.flops_per_second + spec.steps * self.step_seconds
