"""A claim's intervals over one axis: all of them are there, inside the axis, beside the zone where the claim holds."""

import math

import pytest

from dropclust import experiments
from dropclust.core.intervals import Interval
from dropclust.experiments.claim import Judgement, Rule, Verdict
from dropclust.findings import forest, verdicts
from dropclust.findings.meaning import Meaning

CLAIMS = {claim.key: claim for name in experiments.NAMES for claim in experiments.get(name).claims}


def judgement(claim, mean, half, verdict=Verdict.HOLDS, control=None, why=""):
    interval = Interval(mean, mean - half, mean + half, 20, 0.95)
    return Judgement(claim, interval, control, 0.01, 0.02, 5, verdict, None, {0: mean}, why)


def finding(key, **changed):
    claim = CLAIMS[key]
    first = judgement(claim, 1.0, 0.25, control=Interval(0.5, 0.25, 0.75, 20, 0.95) if claim.control else None)
    return verdicts.Finding(claim, "modern", first, **{"fresh": None} | changed)


@pytest.mark.parametrize(
    ("rule", "zone"),
    [(Rule.MORE, ("margin", "high")), (Rule.AT_LEAST, ("-margin", "high")), (Rule.EQUAL, ("-margin", "margin"))],
)
def test_the_zone_is_where_the_claim_holds(rule, zone):
    key = next(key for key, claim in CLAIMS.items() if claim.rule is rule)
    info = forest.small(finding(key))
    ends = {"margin": CLAIMS[key].margin, "-margin": -CLAIMS[key].margin, "high": info.high}
    assert info.zone == (ends[zone[0]], ends[zone[1]])


def test_everything_lies_inside_the_axis_and_nothing_is_left_out():
    for row in verdicts.rows():
        for found in row.findings.values():
            info = forest.forest(found)
            assert info.low < 0 < info.high
            for mark in info.marks:
                for value in (mark.interval.mean, mark.interval.low, mark.interval.high):
                    assert math.isnan(value) or info.low < value < info.high
            assert len(info.marks) == (
                0
                if found.judged.why
                else 1  # what is derived is computed once
                if not found.seeded
                else 1
                + (found.fresh is not None and not found.fresh.why)
                + (found.judged.control is not None)
                + len(found.variations)
                + (found.coarse is not None)
            )
            assert len(info.table()) == len(info.marks)


def test_first_seeds_stand_above_fresh_ones_and_the_viewers_own():
    key = "table2.rand-rises"
    claim = CLAIMS[key]
    own = verdicts.Own(claim, 1000, True, judgement(claim, 3.0, 0.5, Verdict.NOT_SEEN), "again")
    fresh = judgement(claim, 2.0, 0.5, control=Interval(0.5, 0.25, 0.75, 20, 0.95))
    info = forest.forest(finding(key, fresh=fresh), [own])
    assert [mark.meaning for mark in info.marks] == [Meaning.MEASURED, Meaning.FRESH, Meaning.OWN_RUN, Meaning.CONTROL]
    assert info.marks[2].name == "your seeds 1000 to 1019, of the coarse grid"
    assert "Your seeds 1000 to 1019, of the coarse grid, say: not seen" in info.sentence
    assert info.text(info.marks[1]) == "fresh seeds: +2.000 (+1.500 to +2.500), holds"
    assert [mark.meaning for mark in forest.small(finding(key, fresh=fresh)).marks] == [Meaning.FRESH, Meaning.CONTROL]


def test_a_claim_without_a_result_is_an_empty_picture():
    claim = CLAIMS["table2.rand-rises"]
    nothing = Interval(math.nan, math.nan, math.nan, 0, 0.95)
    missing = Judgement(claim, nothing, None, math.nan, math.nan, 0, Verdict.NO_RESULT, None, {}, "the table is not there")
    info = forest.forest(verdicts.Finding(claim, "modern", missing, None))
    assert info.marks == ()
    assert info.table().empty
    assert "no result here, for the table is not there" in info.sentence
