"""The tour: seven steps, each with its numbers from the readings and links that lead to pages."""

from dataclasses import replace

import pytest

from dropclust.experiments.table2 import RATES
from dropclust.findings import tour
from tests.findings.test_explorer import reading


@pytest.fixture
def readings():
    return [replace(reading(with_twin=round(100 * rate)), rate=rate) for rate in RATES]


def test_there_are_seven_steps_each_of_one_sentence_and_one_thing_to_do(readings):
    steps = tour.told(readings)
    assert len(steps) == 7
    assert all(step["title"] and step["sentence"].endswith(".") and step["do"][-1] in ".?" for step in steps)
    assert [step["view"] for step in steps].count("paper") == 1


def test_the_numbers_are_those_of_the_readings(readings):
    without, half, too_much, chance, *_ = tour.told(readings)
    assert "none of 100 neurons have a twin" in without["sentence"]
    assert "50 of 100 neurons have a twin" in half["sentence"]
    assert [RATES[step["index"]] for step in (without, half, too_much, chance)] == [0.0, 0.5, 0.8, 0.5]
    assert "95 % of the digits right" in too_much["sentence"]
    said = "Of all pairs .79 are treated alike (Rand index), .75 by chance at 0.5, never more than .04 apart;"
    assert said in chance["sentence"]
    assert "adjusted Rand .18 (0: chance, 1: perfect)." in chance["sentence"]


@pytest.mark.parametrize(("rand", "said"), [(0.85, ".10"), (0.8501, ".11"), (0.64, ".11"), (0.7532, ".04")])
def test_how_far_rand_is_from_chance_at_most_is_of_all_rates_and_never_too_little(readings, rand, said):
    at = RATES.index(0.7)
    readings[at] = replace(readings[at], rand=replace(readings[at].rand, mean=rand))
    assert f"never more than {said} apart" in tour.told(readings)[3]["sentence"]


def test_digits_that_are_read_again_are_said_to_be_once_the_rate_is_low_enough(readings):
    lost = [one if one.rate < 0.7 else replace(one, scaled=replace(one.scaled, mean=tour.READ_AGAIN)) for one in readings]
    steps = tour.told(lost)
    read_again = "\N{CHECK MARK} Read again: more than 90 % of the digits."
    assert steps[2]["done"] == [read_again if rate < 0.7 else "" for rate in RATES]
    assert not any(text for step in (*steps[:2], *steps[3:]) for text in step["done"])


def test_the_last_steps_lead_on(readings):
    links = [address for step in tour.told(readings) for _, address in step["links"]]
    assert links == [
        "live?layer={layer}", "compress?run={network}&compressed_layer={layer}", "claims", "train?rate=0.5",
    ]  # fmt: skip


def test_without_its_rates_there_is_no_tour(readings):
    assert tour.told([one for one in readings if one.rate != 0.8]) == []
