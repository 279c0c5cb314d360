"""Guess first: the comparison, and the class's memory."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from dropclust.findings import guess


@pytest.mark.parametrize(
    ("value", "others", "sentence"),
    [
        (0.9, (), "You expected 0.90: 0.07 above the answer. Rand: 0.83; by chance alone 0.77."),
        (0.7, (), "You expected 0.70: 0.13 below the answer. Rand: 0.83; by chance alone 0.77."),
        (0.84, (), "You expected 0.84: almost exactly. Rand: 0.83; by chance alone 0.77."),
        (None, (), "Rand: 0.83; by chance alone 0.77."),
        (None, (0.6,), "Rand: 0.83; by chance alone 0.77. 1 guess made here before lies around 0.60."),
        (None, (0.6, 0.8, 0.7), "Rand: 0.83; by chance alone 0.77. 3 guesses made here before lie around 0.70."),
    ],
)
def test_the_sentence_says_guess_answer_chance_and_class(value, others, sentence):
    info = guess.compare("Rand", value, 0.83, 0.77, others)
    assert info.sentence == sentence
    assert len(info.table()) == 2 + (value is not None) + len(others)


def test_a_class_is_remembered_up_to_a_limit():
    guesses = guess.Guesses()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(guesses.add, [i / 1000 for i in range(1000)]))
    assert len(guesses.all()) == guess.REMEMBERED
    guesses.add(0.123)
    assert guesses.all()[-1] == 0.123
    assert len(guesses.all()) == guess.REMEMBERED


def test_the_others_are_all_but_ones_own():
    guesses = guess.Guesses()
    assert guesses.others(3) == ()
    for value in (3, 1, 3, 2):
        guesses.add(value)
    assert sorted(guesses.others(3)) == [1, 2, 3]
    assert sorted(guesses.others(7)) == [1, 2, 3, 3]  # one's own is forgotten
