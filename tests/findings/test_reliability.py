"""What is said of confidence, on planted predictions."""

import pytest
import torch
from scipy import stats

from dropclust.core.uncertainty import calibration
from dropclust.findings.reliability import reliability


def told(predictions, y):
    return reliability(calibration(predictions, y))


def test_reliability_counts_what_was_planted():
    """Ten images at confidence 0.95, nine right; ten at 0.55, five right."""
    probs = torch.full((20, 10), 0.05 / 9)
    probs[:, 0] = 0.95
    probs[10:] = 0.05
    probs[10:, 0] = 0.55
    y = torch.tensor([0] * 9 + [1] + [0] * 5 + [1] * 5)
    info = told({"scaled": probs, "sure": torch.eye(10)[y]}, y)
    low, high = info.calibration.bins[:2]
    assert (low.images, low.accuracy.mean, high.images, high.accuracy.mean) == (10, 0.5, 10, 0.9)
    assert high.confidence == pytest.approx(0.95)
    assert info.calibration.errors == pytest.approx({"scaled": 0.05, "sure": 0.0})
    assert info.sentence == (
        "Expected calibration error, percentage points: scaled 5.00, sure 0.00; sure is best calibrated. Of 20 test images 10 "
        "(scaled), 20 (sure) have a confidence above 93 %."
    )
    wilson = stats.binomtest(9, 10).proportion_ci(method="wilson")
    assert (high.accuracy.low, high.accuracy.high) == pytest.approx((wilson.low, wilson.high), rel=1e-6)
    assert info.table()["images"].tolist() == [10, 10, 20]


def test_one_way_to_predict_is_not_called_best():
    info = told({"scaled": torch.eye(10)}, torch.arange(10))
    assert "best" not in info.sentence
    [only] = info.calibration.bins
    assert (only.accuracy.mean, only.accuracy.high) == pytest.approx((1.0, 1.0))
    assert only.accuracy.low == pytest.approx(stats.binomtest(10, 10).proportion_ci(method="wilson").low)


def test_bins_of_a_few_images_are_counted_and_are_no_points():
    probs = torch.full((12, 10), 0.05 / 9)
    probs[:, 0] = 0.95
    probs[0] = 0.05
    probs[0, 0] = 0.55
    info = told({"scaled": probs}, torch.zeros(12, dtype=torch.int64))
    assert [point.confidence for point in info.points("scaled")] == pytest.approx([0.95])
    assert [one.images for one in info.calibration.of("scaled")] == [1, 11]
