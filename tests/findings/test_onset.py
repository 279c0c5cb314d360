"""What is said of dropout that is switched, against made-up rows whose answer is known."""

from __future__ import annotations

import json

import pytest

from dropclust.experiments.onset import OFF, OFF_ON, ON, ON_OFF, Setting
from dropclust.experiments.results import ResultError
from dropclust.findings import onset
from dropclust.service import tables
from tests.experiments.test_onset import made_up


@pytest.fixture(scope="module")
def table():
    return made_up()


def write(root, table, name="onset-modern"):
    tables.write(root, name, table, {"command": "python -m dropclust reproduce onset"})


def test_four_lines_share_the_network_until_the_switch(table):
    said = onset.findings(table, "modern", 2, Setting())
    lines = {line.name: line for line in said.charts["twins"].series}
    assert list(lines) == list(onset.NAMES.values())
    assert said.charts["twins"].marker == 160_000
    off, on, off_on, on_off = (lines[onset.NAMES[course]] for course in (OFF, ON, OFF_ON, ON_OFF))
    assert off_on.x[0] == on_off.x[0] == 160_000
    assert off_on.mean[0] == off.at(160_000).mean
    assert on_off.mean[0] == on.at(160_000).mean
    assert off.x[-1] == off_on.x[-1] == 320_000
    assert {line.n for line in lines.values()} == {6}


def test_before_a_guess_nothing_is_told_of_what_the_switch_does(table):
    said = onset.findings(table, "modern", 2, Setting())
    *courses, chance = said.before_switch.series
    assert [line.name for line in courses] == [onset.NAMES[OFF], onset.NAMES[ON]]
    whole = {line.name: line for line in said.charts["adjusted_rand_10"].series}
    for line in courses:
        assert line.x[-1] == 160_000
        assert [line.at(x) for x in line.x] == [whole[line.name].at(x) for x in line.x]
    assert chance == whole[chance.name]
    assert said.before_switch.sentence.endswith("What comes then?")


def test_the_chance_band_stands_beside_the_adjusted_rand_index(table):
    chance = onset.findings(table, "modern", 2, Setting()).charts["adjusted_rand_10"].series[-1]
    assert chance.mean == pytest.approx([0.1] * 24)  # (.73 - .7) / (1 - .7)


def test_changes_have_their_sign_and_the_time_that_half_of_them_takes(table):
    said = onset.findings(table, "modern", 2, Setting())
    on, off = said.changes["twins"]
    assert (on.course, off.course) == (OFF_ON, ON_OFF)
    assert on.change.mean == pytest.approx(0.4, abs=0.005)
    assert off.change.mean == pytest.approx(-0.3, abs=0.005)
    # The made-up change is done after a fifth of the second half, along a straight line: half of it after 125 steps of 128.
    assert on.half.mean == pytest.approx(16_000, rel=0.05)
    assert said.changes["adjusted_rand_10"][1].half is None  # nothing changes there
    assert "When dropout is switched on, the share of neurons with a twin rises" in said.sentence
    assert "When dropout is switched off, the adjusted Rand index is not shown to change" in said.sentence
    assert len(said.table()) == len(said.formatted()) == 2 * len(onset.QUANTITIES)


@pytest.mark.parametrize(("remembered", "answer"), [(0.3, 2), (0.1, 1), (0.6, 0)])
def test_the_right_guess_is_what_was_measured(remembered, answer):
    said = onset.findings(made_up(remembered=remembered), "modern", 2, Setting())
    assert onset.answer(said) == onset.ANSWERS[answer]


@pytest.mark.parametrize("setting", [Setting(rate=0.2), Setting(noise="gaussian"), Setting(width=200)], ids=str)
def test_other_settings_have_the_courses_that_they_have(table, setting):
    said = onset.findings(table, "modern", 1, setting)
    assert (onset.answer(said) == "") == (setting.width == 100)
    assert {each.course for each in said.changes["twins"]} == ({OFF_ON} if setting.width == 100 else {OFF_ON, ON_OFF})


def test_one_seed_has_no_interval_and_claims_nothing():
    said = onset.findings(made_up(1), "modern", 2, Setting())
    assert onset.answer(said) == onset.ANSWERS[2]
    assert "is not shown to change" in said.sentence
    assert "rises" not in said.sentence


def test_the_full_table_is_read_before_the_quick_one(tmp_path, monkeypatch, table):
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    results = tmp_path / "results"
    results.mkdir()
    with pytest.raises(ResultError, match=r"the table onset-modern is not there; make it again with: .*reproduce onset$"):
        onset.read()
    write(results, table, "onset-modern-quick")
    assert onset.read().quick
    write(results, table)
    said = onset.read()
    assert (said.quick, said.command) == (False, "python -m dropclust reproduce onset")
    assert said == onset.read("modern", results)


def test_what_the_table_does_not_have_is_said(table):
    with pytest.raises(onset.NothingOfIt, match=r"table must have rows of layer 3 and 100 units, rate 0\.5, bernoulli noise"):
        onset.findings(table, "modern", 3, Setting())
    json.dumps(onset.findings(table, "modern", 2, Setting()).table().to_dict())


def test_another_noise_is_named_and_so_are_the_courses_that_were_measured():
    noisy = onset.read("modern", setting=Setting(noise="gaussian"))
    assert "When Gaussian noise is switched on, the share of neurons with a twin rises" in noisy.sentence
    assert "When dropout" not in noisy.sentence
    assert onset.NAMES[OFF] in noisy.courses
    plain = onset.read("modern")
    assert plain.courses == ", ".join(onset.NAMES.values())
    assert len(noisy.measured) < len(plain.measured)
