"""What is said of one image under a network's masks: the answers, and where the doubt is; and how one digit becomes another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropclust.core.spec import OUTPUTS
from dropclust.core.uncertainty import MIXES, Image, Reading, mixed
from dropclust.findings import words
from dropclust.findings.meaning import Meaning
from dropclust.findings.series import Curves, Series


@dataclass(frozen=True)
class Answers:
    """A reading and what is said of it."""

    reading: Reading
    sentence: str

    @property
    def numbers(self) -> tuple[words.Number, ...]:
        """The masks' votes, and the doubt in them."""
        reading = self.reading
        entropy = words.number(reading.entropy)
        doubt = words.Number("Entropy", entropy, "All the doubt of the masks' mean probabilities; at most 2.30.", "nats")
        voted, votes = tied(reading.votes), words.share(max(reading.votes))
        if reading.n_samples == 1:
            return words.Number("The mask votes", voted, "Its answer.", votes), doubt
        between = "Mutual information: the entropy's part between masks."
        return (
            words.Number("Masks vote", voted, "The share of masks whose answer it is.", votes),
            doubt,
            words.Number("Masks disagree", words.number(reading.mutual_information), between, "nats"),
        )

    def table(self) -> pd.DataFrame:
        """A row a class."""
        reading = self.reading
        columns = {
            "scaled": reading.scaled,
            "geometric mean": reading.geometric,
            "arithmetic mean": reading.mean,
            "votes": reading.votes,
            "standard error of votes": reading.votes_error,
        }
        return pd.DataFrame(columns).rename_axis("class").reset_index()


def answers(reading: Reading) -> Answers:
    """Say what every way to predict answers, and where the doubt is."""
    return Answers(reading, f"{_answers(reading)} {_doubt(reading)}")


def favourites(shares: Sequence[float]) -> tuple[int, ...]:
    """The class of the greatest share, and all whose share is written the same: more than one is a tie.

    Examples
    --------
    >>> favourites((0.1, 0.7, 0.2)), favourites((0.4, 0.2, 0.4))
    ((1,), (0, 2))
    """
    greatest = words.share(max(shares))
    return tuple(digit for digit, share in enumerate(shares) if words.share(share) == greatest)


def tied(shares: Sequence[float]) -> str:
    """The favourites as a viewer reads them: "7", or "3 or 8" where they are tied."""
    return " or ".join(map(str, favourites(shares)))


def votes_name(n: int, spread: str) -> str:
    """The name of the votes in a chart, with the spread they are drawn with; one mask has none."""
    return "vote of the one mask" if n == 1 else f"votes of {words.count(n, 'mask')} ({spread})"


def _answers(reading: Reading) -> str:
    n = reading.n_samples
    # Of one mask all means are what it says itself.
    ways = {"scaled": reading.scaled} | (
        {"the one mask": reading.mean}
        if n == 1
        else {"geometric mean": reading.geometric, "arithmetic mean": reading.mean, "masks": reading.votes}
    )
    classes = {name: favourites(values) for name, values in ways.items()}
    shares = {name: words.share(max(values)) for name, values in ways.items()}
    if n > 1:
        shares["masks"] += f" of {words.count(n, 'mask')}"
    if len(set(classes.values())) == 1:
        parts = [f"{name} {shares[name]}" if name != "masks" else f"and {shares[name]}" for name in ways]
        return f"{'Both ways read' if n == 1 else 'Every way reads'} {_named(classes['scaled'])}: {', '.join(parts)}."
    parts = [
        f"{name} {_named(classes[name])} ({shares[name]}{' each' if len(classes[name]) > 1 else ''})"
        for name in ways
        if name != "masks"
    ]
    voted = f"; {_named(classes['masks'])} for {shares['masks']}" if n > 1 else ""
    each = " each" if n > 1 and len(classes["masks"]) > 1 else ""
    return f"The ways differ: {', '.join(parts)}{voted}{each}."


def _named(digits: tuple[int, ...]) -> str:
    return words.a_digit(*digits) if len(digits) == 1 else f"a tie of {words.listed(digits)}"


def _doubt(reading: Reading) -> str:
    """How unsure the sampled network is, and whether its masks contradict each other or are unsure each."""
    most, information = math.log(OUTPUTS), reading.mutual_information
    entropy = f"ntropy {words.number(reading.entropy)} of at most {words.number(most)} nats"
    if reading.n_samples == 1:
        return f"E{entropy}; one mask cannot disagree with another."
    if reading.entropy < 0.05 * most:
        return f"Hardly any doubt: e{entropy}."
    between = information / reading.entropy
    where = (
        "mostly between the masks"
        if between > 0.6
        else "mostly within each mask"
        if between < 0.4
        else "about as much between the masks as within each"
    )
    return f"Doubt: e{entropy}, {words.number(information)} of it because masks disagree (mutual information): {where}."


@dataclass(frozen=True, eq=False)
class TestImages:
    """MNIST's test images: ``levels`` uint8 ``[n, 784]``, ``digits`` uint8 ``[n]``, ``typical``: an index for each digit."""

    levels: npt.NDArray[np.uint8]
    digits: npt.NDArray[np.uint8]
    typical: tuple[int, ...]

    def pixels(self, index: int) -> Image:
        """One image, float32 ``[784]`` in [0, 1]."""
        return pixels(self.levels[index])

    def name(self, index: int) -> str:
        """What people call it: "test image 1,234, a 5"."""
        return f"test image {index:,}, {words.a_digit(int(self.digits[index]))}"

    def between(self, digits: tuple[int, int], share: float) -> Image:
        """The image on the way between two typical digits."""
        first, second = (self.pixels(self.typical[digit]) for digit in digits)
        return mixed(first, second, share)


def pixels(levels: npt.NDArray[np.uint8]) -> Image:
    """An image of levels uint8 ``[784]``, as networks take it: float32 in [0, 1]."""
    image: Image = levels.astype(np.float32) / np.float32(255)
    return image


def turning(readings: Sequence[Reading], digits: tuple[int, int]) -> Curves:
    """How the answer turns from one digit to another while the picture does.

    Parameters
    ----------
    readings
        Of the images `dropclust.core.uncertainty.MIXES` of the way, the same masks all the way.
    digits
        From which to which.
    """
    start, to = digits
    n, name = readings[0].n_samples, words.a_digit(to)
    scaled, mean, votes, error = (
        [getattr(reading, field)[to] for reading in readings] for field in ("scaled", "mean", "votes", "votes_error")
    )
    low = tuple(max(0.0, vote - 1.96 * half) for vote, half in zip(votes, error, strict=True))
    high = tuple(min(1.0, vote + 1.96 * half) for vote, half in zip(votes, error, strict=True))
    series = (
        Series.plain("scaled network", dict(zip(MIXES, scaled, strict=True)), Meaning.SCALED),
        Series(votes_name(n, "band: 95 % Monte Carlo error"), MIXES, tuple(votes), low, high, n, Meaning.VOTES),
        Series.plain(
            "the one mask" if n == 1 else Meaning.ARITHMETIC.value, dict(zip(MIXES, mean, strict=True)), Meaning.ARITHMETIC
        ),
    )
    who = "the one mask votes" if n == 1 else "more than half of the masks vote"
    sentence = f"The scaled network gives {name} more than one half {_from(scaled)}; {who} for it {_from(votes)}."
    worst = max(range(len(MIXES)), key=lambda at: readings[at].mutual_information)
    information = readings[worst].mutual_information
    if information >= 0.005:  # less is written 0.00
        sentence += (
            f" Masks disagree most at {MIXES[worst]:.2f}: mutual information {words.number(information)} nats, "
            f"{words.share(votes[worst])} vote for {name}."
        )
    title = f"{words.capital(words.a_digit(start))} becomes {name}"
    axes = f"way from the {start} to the {to}", f"probability of {name}"
    return Curves(title, *axes, series, sentence, y_range=(-0.03, 1.03))


def _from(shares: Sequence[float]) -> str:
    """From where on a share is more than one half."""
    at = next((at for at, share in zip(MIXES, shares, strict=True) if share > 0.5), None)
    return "nowhere" if at is None else f"from {at:.2f} on"
