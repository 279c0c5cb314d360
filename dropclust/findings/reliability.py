"""What is said of how far a network's confidence can be trusted: the reliability diagram's sentence, table and points."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dropclust.core.uncertainty import Bin, Calibration
from dropclust.findings import words
from dropclust.findings.meaning import Meaning

CALIBRATION_ERROR = (
    "how far the confidence of an answer lies from the share of such answers that is correct, on average over images. 0 would "
    "be as often correct as sure."
)
PREDICTIONS = {
    "scaled": Meaning.SCALED,
    "sampled (geometric mean)": Meaning.SAMPLED,
    "arithmetic mean": Meaning.ARITHMETIC,
}
DRAWN = 10  # images that a bin needs to be drawn as a point: the interval of fewer spans half the axis


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram and what is said of it."""

    calibration: Calibration
    sentence: str

    @property
    def brief(self) -> str:
        """Which way to predict is best calibrated, in at most 15 words."""
        errors = self.calibration.errors
        best = min(errors, key=lambda name: errors[name])
        most = f"{words.capital(best)} is" if len(errors) == 1 else f"{words.capital(best)} is best calibrated:"
        return f"{most} {words.number(100 * errors[best])} percentage points off, on average."

    def points(self, prediction: str) -> tuple[Bin, ...]:
        """The bins of one way to predict that hold enough images to be drawn as points."""
        return tuple(one for one in self.calibration.of(prediction) if one.images >= DRAWN)

    def table(self) -> pd.DataFrame:
        """A row a way and a bin that holds images."""
        return pd.DataFrame(
            [
                {
                    "prediction": one.prediction,
                    "confidence from": one.low,
                    "confidence to": one.high,
                    "images": one.images,
                    "confidence": one.confidence,
                    "accuracy": one.accuracy.mean,
                    "accuracy low": one.accuracy.low,
                    "accuracy high": one.accuracy.high,
                }
                for one in self.calibration.bins
            ]
        )


def reliability(calibration: Calibration) -> Reliability:
    """Say which way to predict is best calibrated, and how many images it is sure of."""
    errors = calibration.errors
    listed = ", ".join(f"{name} {words.number(100 * error)}" for name, error in errors.items())
    sentence = f"Expected calibration error, percentage points: {listed}"
    if len(errors) > 1:
        sentence += f"; {min(errors, key=lambda name: errors[name])} is best calibrated"
    surest = max(one.low for one in calibration.bins)
    sure = {name: sum(one.images for one in calibration.of(name) if one.low == surest) for name in errors}
    sentence += f". Of {words.count(calibration.images, 'test image')} " + ", ".join(
        f"{n:,} ({name})" for name, n in sure.items()
    )
    return Reliability(calibration, f"{sentence} have a confidence above {words.percent(surest)}.")
