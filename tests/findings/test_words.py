"""Numbers as text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropclust.core.intervals import Interval
from dropclust.findings import words

ONE = Interval(1.5, math.nan, math.nan, 1, 0.95)
MANY = Interval(-0.004, -0.02, 0.012, 20, 0.95)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (words.number(-0.0004, 2), "0.00"),
        (words.number(-0.0004, 2, signed=True), "0.00"),
        (words.number(math.nan), "no number"),
        (words.count(1, "seed"), "1 seed"),
        (words.count(0, "rate"), "0 rates"),
        (words.listed([]), "none"),
        (words.listed(["a"]), "a"),
        (words.listed("abc"), "a, b and c"),
        (words.which([0.1, 0.2, 0.3]), "3 (0.1, 0.2 and 0.3)"),
        (words.ends(ONE), "no interval"),
        (words.ends(MANY, signed=True), "-0.02 to +0.01"),
        (words.brief(ONE), "1.50"),
        (words.brief(MANY), "0.00 (-0.02 to 0.01)"),
        (words.plus_minus(MANY, 3), "-0.004 ± 0.016"),
        (words.plus_minus(ONE), "1.50"),
        (words.full(ONE, 1), "1.5 (one seed: no interval)"),
        (words.full(MANY, 2, "model", unit="nats"), "0.00 nats (95 % interval -0.02 to 0.01, 20 models)"),
        (words.sides([MANY, ONE]), "lower at 0 of 2, higher at 0, no significant difference at 2"),
        (words.p_value(0.0004), "p < .001"),
        (words.p_value(0.05), "p = .050"),
        (words.share(0), "0 %"),
        (words.share(0.001), "under 1 %"),
        (words.share(0.0051), "1 %"),
        (words.share(0.016), "2 %"),
        (words.share(0.994), "99 %"),
        (words.share(0.9951), "over 99 %"),
        (words.share(1), "100 %"),
        (words.percent(-0.5, 1, signed=True), "-50.0 %"),
        (words.give_or_take(0.0001, 0.0, signed=True), "0.00 ± 0.00"),
        (words.give_or_take(2.1, 0.2, 3), "2.100 ± 0.200"),
        (words.a_digit(8), "an 8"),
        (words.a_digit(0), "a 0"),
        (words.p_value(1.0), "p = 1.000"),
        (words.percent(0.5), "50 %"),
        (words.capital("modern recipe"), "Modern recipe"),
    ],
)
def test_written(text, written):
    assert text == written


@given(st.floats(-1e6, 1e6), st.integers(0, 6), st.booleans())
def test_a_number_reads_back_within_its_digits_and_zero_has_no_sign(value, digits, signed):
    text = words.number(value, digits, signed)
    assert float(text) == pytest.approx(value, abs=0.51 * 10.0**-digits)
    assert float(text) != 0 or text[0] not in "+-"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.79, 2, ".79"),
        (0.951, 3, ".951"),
        (1.0, 2, "1.00"),
        (0.999, 2, "1.00"),
        (0.0, 2, ".00"),
        (-0.014, 2, "−.01"),
        (-0.004, 2, ".00"),
        (-1.0, 2, "−1.00"),
    ],
)
def test_numbers_are_written_as_the_paper_writes_them(value: float, digits: int, text: str):
    assert words.bare(value, digits) == text
