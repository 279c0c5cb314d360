"""One look a meaning, and no look twice."""

import re

from dropclust.findings.meaning import Meaning
from dropclust.ui import style


def test_every_meaning_has_a_look_and_no_two_have_the_same():
    looks = [style.style(meaning) for meaning in Meaning]
    assert len(set(looks)) == len(looks)
    assert all(re.fullmatch("#[0-9A-F]{6}", look.colour) for look in looks)


def test_meanings_of_one_colour_differ_in_dash_or_marker_to_those_who_see_no_colour():
    shapes = [(look.dash, look.marker) for look in map(style.style, Meaning)]
    # Two lines of one dash and marker would be told apart by colour alone: only such that never share a chart may do so.
    same = {shape for shape in shapes if shapes.count(shape) > 1}
    assert {meaning for meaning in Meaning if (style.style(meaning).dash, style.style(meaning).marker) in same} <= {
        Meaning.MEASURED, Meaning.SCALED, Meaning.BEFORE, Meaning.PROPAGATED, Meaning.CONTROL, Meaning.LIVING,
        Meaning.MUTUAL_INFORMATION, Meaning.LEAST_SQUARES,
        Meaning.EXACT, Meaning.ELEMENT_CENTRIC,
    }  # fmt: skip


def test_the_palette_is_the_configurations():
    assert len(style.palette()) == 10
    assert style.tint("#102030", 0.5) == "rgba(16,32,48,0.5)"
