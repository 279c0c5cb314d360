"""README's picture and film are there, small enough, and what README shows; none of this needs a browser."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from tests.browser import film
from tests.readme import README

IMAGE = re.compile(r'<img src="([^"]+)"[^>]* alt="([^"]+)">')


def shown() -> dict[str, str]:
    """Alternative text by file, of README's images."""
    return dict(IMAGE.findall(README.read_text(encoding="utf-8")))


def test_readme_shows_both_at_its_head_says_what_is_seen_and_how_they_are_made() -> None:
    text = README.read_text(encoding="utf-8")
    assert set(shown()) == {file.relative_to(film.ROOT).as_posix() for file in (film.FILM, film.PICTURE)}
    assert all(len(words.split()) > 15 for words in shown().values())
    assert len(re.findall(r"!\[|<img", text)) == len(shown())
    assert "python -m tests.browser.film" in text
    # The first command stands on the first screen: both images side by side, and few lines above it.
    assert text[: text.index("\n    python3 -m venv")].count("\n") < 12


@pytest.mark.parametrize(
    ("file", "most"), [(film.PICTURE, film.PICTURE_BYTES), (film.FILM, film.FILM_BYTES)], ids=["picture", "film"]
)
def test_a_file_is_small_enough(file, most) -> None:
    assert 10_000 < file.stat().st_size <= most


def test_the_picture_and_the_film_are_of_the_screens_they_were_made_on() -> None:
    with Image.open(film.PICTURE) as picture:
        assert picture.size == tuple(film.SCREEN.values())
    with Image.open(film.FILM) as filmed:
        assert filmed.size == tuple(film.FILMED.values())
        assert filmed.is_animated
        milliseconds = []
        for number in range(filmed.n_frames):
            filmed.seek(number)
            milliseconds.append(filmed.info["duration"])
    assert 8_000 <= sum(milliseconds) <= 12_000
    assert min(milliseconds) == 1000 / film.FRAMES_A_SECOND


def test_few_colours_keep_a_colour_that_fills_the_page() -> None:
    page = Image.new("RGB", (40, 30), "white")
    page.paste("#0072b2", (0, 0, 10, 10))
    [drawn] = film.few_colours([page], 8)
    assert drawn.convert("RGB").getpixel((39, 29)) == (255, 255, 255)
    assert drawn.convert("RGB").getpixel((0, 0)) == (0, 0x72, 0xB2)
