"""What is made once for all viewers: once at a time, once an argument, and not what failed."""

from __future__ import annotations

import threading
import time

import pytest

from dropclust.service.shared import forget, shared


def test_equal_arguments_are_one_call_however_they_are_given():
    made = []

    @shared(most=10)
    def area(width, height=2, _unit="m", **more):
        made.append((width, height, more))
        return object()

    first = area(3)
    assert area(3, 2) is area(width=3) is area(3, height=2, _unit="km") is first
    assert area(3, 2, colour="red", shape="o") is area(3, shape="o", colour="red")
    assert area(3, 3) is not first
    assert made == [(3, 2, {}), (3, 2, {"colour": "red", "shape": "o"}), (3, 3, {})]
    forget()
    assert area(3) is not first


def test_a_crowd_that_asks_at_once_has_it_made_once_and_another_question_does_not_wait():
    began, go = threading.Event(), threading.Event()
    made = []

    @shared(most=10)
    def slow(name):
        made.append(name)
        if name == "slow":
            began.set()
            assert go.wait(60)
        return object()

    found = []
    crowd = [threading.Thread(target=lambda: found.append(slow("slow"))) for _ in range(20)]
    for thread in crowd:
        thread.start()
    assert began.wait(60)
    slow("quick")
    go.set()
    for thread in crowd:
        thread.join(60)
    assert made == ["slow", "quick"]
    assert len(found) == 20
    assert len(set(map(id, found))) == 1


def test_what_fails_is_asked_again_and_what_was_made_longest_ago_goes_first():
    made = []

    @shared(most=2)
    def even(number):
        made.append(number)
        if number % 2:
            raise ValueError(f"{number} is odd")
        return number

    for _ in range(2):
        with pytest.raises(ValueError, match="3 is odd"):
            even(3)
    for number in (0, 2, 0, 4, 2, 4, 0):
        assert even(number) == number
    assert made == [3, 3, 0, 2, 4, 0]


def test_threads_that_ask_and_forget_get_what_they_asked_for():
    @shared(most=3)
    def same(number):
        time.sleep(0)
        return number

    wrong = []

    def ask():
        for turn in range(300):
            wrong.extend(number for number in range(6) if same(number) != number)
            if turn % 50 == 0:
                forget()

    crowd = [threading.Thread(target=ask) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(60)
    assert not wrong
