"""What is said of one image: sentences against literals, ties, one mask alone, and the way between two digits."""

import dataclasses

import numpy as np
import pytest

from dropclust.core.uncertainty import MIXES
from dropclust.findings.reading import TestImages as Images
from dropclust.findings.reading import answers, favourites, turning
from tests.findings.planted import reading_of


@pytest.mark.parametrize(
    ("masks", "scaled", "said"),
    [
        (
            [[0.992, 0.0]] * 4, [0.992, 0.0],
            "Every way reads a 0: scaled 99 %, geometric mean 99 %, arithmetic mean 99 %, and 100 % of 4 masks. "
            "Hardly any doubt: entropy 0.06 of at most 2.30 nats.",
        ),
        (
            [[0.52, 0.4]] * 4, [0.6, 0.3],
            "Every way reads a 0: scaled 60 %, geometric mean 52 %, arithmetic mean 52 %, and 100 % of 4 masks. "
            "Doubt: entropy 1.07 of at most 2.30 nats, 0.00 of it because masks disagree (mutual information): mostly within "
            "each mask.",
        ),
        (
            [[0.98, 0.012]] * 2 + [[0.012, 0.98]] * 3, [0.9, 0.05],
            "The ways differ: scaled a 0 (90 %), geometric mean a 1 (68 %), arithmetic mean a 1 (59 %); "
            "a 1 for 60 % of 5 masks. Doubt: entropy 0.73 of at most 2.30 nats, 0.60 of it because masks disagree "
            "(mutual information): mostly between the masks.",
        ),
        (
            [[0.9, 0.02]] * 3 + [[0.02, 0.9]] * 2, [0.5, 0.4],
            "Every way reads a 0: scaled 50 %, geometric mean 53 %, arithmetic mean 55 %, and 60 % of 5 masks. "
            "Doubt: entropy 1.07 of at most 2.30 nats, 0.52 of it because masks disagree (mutual information): about as much "
            "between the masks as within each.",
        ),
        (
            [[0.7, 0.2]], [0.7, 0.2],
            "Both ways read a 0: scaled 70 %, the one mask 70 %. "
            "Entropy 1.01 of at most 2.30 nats; one mask cannot disagree with another.",
        ),
        (
            [[0.4995, 0.4985]], [0.6, 0.3],
            "The ways differ: scaled a 0 (60 %), the one mask a tie of 0 and 1 (50 % each). "
            "Entropy 0.71 of at most 2.30 nats; one mask cannot disagree with another.",
        ),
        (
            [[0.9, 0.02], [0.02, 0.9]], [0.45, 0.45],
            "Every way reads a tie of 0 and 1: scaled 45 %, geometric mean 39 %, arithmetic mean 46 %, and 50 % of 2 masks. "
            "Doubt: entropy 1.08 of at most 2.30 nats, 0.54 of it because masks disagree (mutual information): about as much "
            "between the masks as within each.",
        ),
        (
            [[0.9, 0.02], [0.02, 0.9]], [0.6, 0.3],
            "The ways differ: scaled a 0 (60 %), geometric mean a tie of 0 and 1 (39 % each), arithmetic mean a tie of 0 and 1 "
            "(46 % each); a tie of 0 and 1 for 50 % of 2 masks each. "
            "Doubt: entropy 1.08 of at most 2.30 nats, 0.54 of it because masks disagree (mutual information): about as much "
            "between the masks as within each.",
        ),
    ],
)  # fmt: skip
def test_the_sentence_says_answers_and_where_the_doubt_is(masks, scaled, said):
    assert answers(reading_of(masks, scaled)).sentence == said


@pytest.mark.parametrize(
    ("shares", "found"),
    [((0.1, 0.7, 0.2), (1,)), ((0.4, 0.2, 0.4), (0, 2)), ((0.4951, 0.5049, 0.0), (0, 1)), ((0.25,) * 4, (0, 1, 2, 3))],
)
def test_shares_that_read_the_same_are_a_tie(shares, found):
    assert favourites(shares) == found


def test_the_table_holds_the_reading():
    reading = reading_of([[0.9, 0.02]] * 3 + [[0.02, 0.9]] * 2, [0.5, 0.4])
    table = answers(reading).table()
    assert table["class"].tolist() == list(range(10))
    columns = (("scaled", reading.scaled), ("geometric mean", reading.geometric), ("arithmetic mean", reading.mean))
    for name, values in (*columns, ("votes", reading.votes), ("standard error of votes", reading.votes_error)):
        assert tuple(table[name]) == values


def way(turn: float, votes_turn: float, n: int = 5):
    """Readings on the way from a 0 to a 1: both answers turn at their place."""

    def at(share, limit):
        return [0.1, 0.85] if share >= limit else [0.85, 0.1]

    readings = [reading_of([at(share, votes_turn)] * n, at(share, turn)) for share in MIXES]
    disputed = MIXES.index(0.4)
    readings[disputed] = dataclasses.replace(readings[disputed], mutual_information=0.31)
    return readings


def test_the_way_says_where_each_answer_turns_and_where_masks_disagree():
    info = turning(way(0.45, 0.6), (0, 1))
    assert info.title == "A 0 becomes a 1"
    assert info.sentence == (
        "The scaled network gives a 1 more than one half from 0.45 on; more than half of the masks vote for it from 0.60 on. "
        "Masks disagree most at 0.40: mutual information 0.31 nats, 0 % vote for a 1."
    )
    scaled, votes, mean = info.series
    assert scaled.x == votes.x == mean.x == MIXES
    assert (votes.low[0], votes.high[-1]) == (0.0, 1.0)


def test_votes_have_the_interval_of_their_monte_carlo_error():
    reading = reading_of([[0.9, 0.02]] * 3 + [[0.02, 0.9]] * 2, [0.5, 0.4])
    votes = turning([reading] * len(MIXES), (0, 1)).series[1]
    half = 1.96 * (0.4 * 0.6 / 5) ** 0.5
    assert votes.at(0.5).mean == pytest.approx(0.4)
    assert (votes.at(0.5).low, votes.at(0.5).high) == (0.0, pytest.approx(0.4 + half))


def test_a_way_that_never_turns_says_nowhere():
    info = turning(way(2, 2), (0, 1))
    assert "more than one half nowhere; more than half of the masks vote for it nowhere." in info.sentence
    assert turning(way(2, 2), (8, 9)).title == "An 8 becomes a 9"


def test_masks_that_agree_are_not_said_to_disagree():
    readings = [dataclasses.replace(reading, mutual_information=0.004) for reading in way(0.5, 0.5)]
    assert "disagree" not in turning(readings, (0, 1)).sentence


def test_one_mask_is_one_in_the_words():
    readings = [dataclasses.replace(reading, mutual_information=0.0) for reading in way(0.5, 0.5, n=1)]
    info = turning(readings, (0, 1))
    names = [line.name for line in info.series]
    assert names == ["scaled network", "vote of the one mask", "the one mask"]
    assert "; the one mask votes for it from 0.50 on." in info.sentence
    for text in (info.sentence, *names):
        assert "disagree" not in text
        assert "masks" not in text


def test_the_numbers_are_the_masks_votes_and_the_doubt_in_them():
    several = answers(reading_of([[0.9, 0.02]] * 3 + [[0.02, 0.9]] * 2, [0.5, 0.4])).numbers
    assert [(number.name, number.value, number.change) for number in several] == [
        ("Masks vote", "0", "60 %"), ("Entropy", "1.07", "nats"), ("Masks disagree", "0.52", "nats"),
    ]  # fmt: skip
    tie = answers(reading_of([[0.4995, 0.4985]], [0.6, 0.3])).numbers
    assert [(number.name, number.value, number.change) for number in tie] == [
        ("The mask votes", "0", "100 %"), ("Entropy", "0.71", "nats"),
    ]  # fmt: skip


def test_test_images_are_pixels_with_a_name():
    images = Images(np.array([[0] * 784, [255] * 784], np.uint8), np.array([5, 8], np.uint8), (1,) * 10)
    assert images.pixels(1).dtype == np.float32
    assert images.pixels(1).max() == 1
    assert images.name(0) == "test image 0, a 5"
    assert images.name(1) == "test image 1, an 8"
