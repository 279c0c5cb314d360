"""Every bound: its default, its variable, what the variable may hold, and that the command line lists it."""

from __future__ import annotations

import pytest

from dropclust.__main__ import main
from dropclust.service import bounds
from dropclust.service.bounds import BOUNDS


@pytest.mark.parametrize("variable", BOUNDS)
def test_the_environment_sets_a_bound(variable, monkeypatch):
    bound = BOUNDS[variable]
    monkeypatch.delenv(variable, raising=False)
    assert bound.value() == bound.default * bound.unit
    monkeypatch.setenv(variable, " 7 ")
    assert bound.value() == 7 * bound.unit


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "1e9", "1000000001", "9" * 400, "\u0663"])
def test_what_is_no_bound_costs_one_sentence(text, monkeypatch):
    variable = bounds.WAITING_IN_ALL.variable
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValueError, match=f"{variable} must be a whole number from 1 to 1,000,000,000; got '{text[:40]}'"):
        bounds.check()


def test_the_command_line_lists_all(capsys):
    with pytest.raises(SystemExit):
        main(["dashboard", "--help"])
    shown = capsys.readouterr().out
    for line in bounds.listed().splitlines():
        assert line in shown
