"""One look a meaning, told from all others without colour, and seen on white and on black."""

import re

import pytest

from dropclust.findings.meaning import Meaning
from dropclust.ui import style

BACKGROUNDS = {"light": "#FFFFFF", "dark": "#171614"}  # Streamlit's own

TEXTS = {"light": "#2F2D2B", "dark": "#EDEBE8"}


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``, as WCAG 2.2 defines it."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio, as WCAG 2.2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_meaning_has_a_look_and_no_two_have_the_same():
    looks = [style.style(meaning) for meaning in Meaning]
    assert len(set(looks)) == len(looks)
    assert all(re.fullmatch("#[0-9A-F]{6}", look.colour) for look in looks)


def test_in_grey_dash_and_marker_together_tell_each_meaning_from_all_others():
    shapes = [(style.style(meaning).dash, style.style(meaning).marker) for meaning in Meaning]
    assert len(set(shapes)) == len(shapes)


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_what_is_drawn_is_seen(theme: str):
    assert {colour: contrast(colour, BACKGROUNDS[theme]) >= 3 for colour in style.palette()} == dict.fromkeys(
        style.palette(), True
    )


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_what_is_written_in_a_colour_is_read(theme: str):
    for colour in style.palette():
        share = int(re.fullmatch(rf"color-mix\(in srgb, {colour} (\d+)%, currentColor\)", style.ink(colour))[1]) / 100
        mixed = [
            round(share * int(colour[at : at + 2], 16) + (1 - share) * int(TEXTS[theme][at : at + 2], 16)) for at in (1, 3, 5)
        ]
        assert contrast("#" + bytes(mixed).hex(), BACKGROUNDS[theme]) >= 4.5


def test_the_palette_is_the_configurations():
    assert len(style.palette()) == 10
    assert style.tint("#102030", 0.5) == "rgba(16,32,48,0.5)"
