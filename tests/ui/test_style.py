"""One look a meaning, and no look twice."""

import re

from dropclust.findings.meaning import Meaning
from dropclust.ui import style


def test_every_meaning_has_a_look_and_no_two_have_the_same():
    looks = [style.style(meaning) for meaning in Meaning]
    assert len(set(looks)) == len(looks)
    assert all(re.fullmatch("#[0-9A-F]{6}", look.colour) for look in looks)


def test_the_palette_is_the_configurations():
    assert len(style.palette()) == 10
    assert style.tint("#102030", 0.5) == "rgba(16,32,48,0.5)"
