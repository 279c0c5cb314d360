"""One image under a network, scaled and sampled: a digit drawn by hand, a hard test image, or one half-way between two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dropclust.core.spec import INPUTS, LIMITS, OUTPUTS, TEST_IMAGES, RunSpec
from dropclust.ui import charts, controls, runs, sampling, state
from dropclust.ui.drawing import draw
from dropclust.ui.state import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dropclust.core.mnist import Data
    from dropclust.core.network import Network
    from dropclust.service.stored import Stored

Image = npt.NDArray[np.float32]

MASKS = 200  # the paper's
HARD_MASKS = 100  # for each of the 10,000 test images
MIXES = tuple(round(0.05 * step, 2) for step in range(21))

DRAW, HARD_IMAGE, HALF_WAY = "draw", "hard image", "half-way"
SOURCE = Parameter("digit", "Which digit", DRAW, (DRAW, HARD_IMAGE, HALF_WAY))
MASK_COUNT = Parameter("digit_masks", "Masks that read the digit", MASKS, low=1, high=2_000, step=50)
RATE = Parameter("digit_rate", "Dropout rate of the masks", 0.4, low=0.05, high=LIMITS["dropout"][1], step=0.05)
HARD = Parameter("digit_image", "The images about which the masks disagree most", 1, tuple(range(1, 9)))
FROM = Parameter("digit_from", "From", 4, tuple(range(OUTPUTS)))
TO = Parameter("digit_to", "To", 9, tuple(range(OUTPUTS)))
MIX = Parameter("digit_mix", "How far", 0.5, MIXES, step=0.05, show="{:.2f}".format)
PARAMETERS = (SOURCE, MASK_COUNT, RATE, HARD, FROM, TO, MIX)


# ---- numbers ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a network says of one image; each row of numbers has one a class.

    ``scaled`` are the probabilities of the scaled network, ``mean`` and ``geometric`` the arithmetic and the renormalised
    geometric mean (paper 3.1) of the masks' probabilities, ``votes`` the share of masks whose answer it is and ``votes_error``
    its Monte Carlo standard error. ``entropy`` is that of ``mean``, ``mutual_information`` the part of it that is there because
    masks disagree, both in nats.
    """

    scaled: tuple[float, ...]
    mean: tuple[float, ...]
    geometric: tuple[float, ...]
    votes: tuple[float, ...]
    votes_error: tuple[float, ...]
    entropy: float
    mutual_information: float
    n_samples: int
    sentence: str

    def table(self) -> pd.DataFrame:
        """A row a class."""
        columns = {
            "scaled": self.scaled,
            "geometric mean": self.geometric,
            "arithmetic mean": self.mean,
            "votes": self.votes,
            "standard error of votes": self.votes_error,
        }
        return pd.DataFrame(columns).rename_axis("class").reset_index()


def reading(
    network: Network,
    image: npt.ArrayLike | None,
    n_samples: int = MASKS,
    dropout: Sequence[float] | float | None = None,
    noise: str | None = None,
    seed: int = 0,
) -> Reading:
    """Read one image in every way.

    Parameters
    ----------
    network
        The trained network.
    image
        784 numbers in [0, 1], ink is 1; None, an empty canvas, is refused.
    n_samples, dropout, noise, seed
        As `core.prediction.sample` takes them.

    Raises
    ------
    ValueError
        One sentence naming the argument, what is allowed and what was given.
    """
    from dropclust.core import metrics
    from dropclust.core.prediction import sample, scaled_logits

    x = _images(image, 1)
    sampled = sample(network, x, n_samples, seed, dropout, noise)
    probabilities = (scaled_logits(network, x).softmax(1), sampled.mean_probs, sampled.log_probs.exp(), sampled.votes)
    scaled, mean, geometric, votes = (tuple(each[0].double().tolist()) for each in probabilities)
    entropy = float(metrics.predictive_entropy(sampled.mean_probs.double()))
    information = float(metrics.mutual_information(sampled.mean_probs, sampled.mean_entropy))
    error = tuple(metrics.share_error(sampled.votes[0].double(), n_samples).tolist())
    sentence = f"{_answers(scaled, mean, geometric, votes, n_samples)} {_doubt(entropy, information, n_samples)}"
    return Reading(scaled, mean, geometric, votes, error, entropy, information, n_samples, sentence)


def _images(image: npt.ArrayLike | None, n: int) -> Any:
    """A tensor ``[n, 784]`` from one image or more."""
    import torch

    if image is None:
        raise ValueError(f"image must be {INPUTS} numbers from 0 to 1; got an empty canvas")
    try:
        values = np.atleast_2d(np.asarray(image, dtype=np.float32))
    except (TypeError, ValueError):
        values = np.empty((0, 0), np.float32)
    if values.shape != (n, INPUTS) or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"image must be {INPUTS} numbers from 0 to 1; got an array {list(values.shape)} or other numbers")
    return torch.from_numpy(values.copy())


def percent(share: float) -> str:
    """A share for people: what is not quite all or nothing does not read so."""
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %"


def _answers(
    scaled: tuple[float, ...], mean: tuple[float, ...], geometric: tuple[float, ...], votes: tuple[float, ...], n: int
) -> str:
    # Of one mask all means are what it says itself.
    ways = {"scaled": scaled} | (
        {"the one mask": mean} if n == 1 else {"geometric mean": geometric, "arithmetic mean": mean, "masks": votes}
    )
    answers = {name: favourites(values) for name, values in ways.items()}
    shares = {name: percent(max(values)) for name, values in ways.items()}
    if n > 1:
        shares["masks"] += f" of {n:,} masks"
    if len(set(answers.values())) == 1:
        told = [f"{name} {shares[name]}" if name != "masks" else f"and {shares[name]}" for name in ways]
        return f"{'Both ways read' if n == 1 else 'Every way reads'} {_named(answers['scaled'])}: {', '.join(told)}."
    told = [
        f"{name} {_named(answers[name])} ({shares[name]}{' each' if len(answers[name]) > 1 else ''})"
        for name in ways
        if name != "masks"
    ]
    voted = f"; {_named(answers['masks'])} for {shares['masks']}" if n > 1 else ""
    each = " each" if n > 1 and len(answers["masks"]) > 1 else ""
    return f"The ways differ: {', '.join(told)}{voted}{each}."


def favourites(shares: Sequence[float]) -> tuple[int, ...]:
    """The class of the greatest share, and all whose share reads the same: more than one is a tie."""
    greatest = percent(max(shares))
    return tuple(digit for digit, share in enumerate(shares) if percent(share) == greatest)


def _named(digits: tuple[int, ...]) -> str:
    *others, last = digits
    return f"a tie of {', '.join(map(str, others))} and {last}" if others else _a(last)


def _a(digit: int) -> str:
    return f"an {digit}" if digit == 8 else f"a {digit}"


def _doubt(entropy: float, information: float, n: int) -> str:
    """How unsure the sampled network is, and whether its masks contradict each other or are unsure each."""
    most = math.log(OUTPUTS)
    if n == 1:
        return f"Entropy {entropy:.2f} of at most {most:.2f} nats; one mask cannot disagree with another."
    if entropy < 0.05 * most:
        return f"Hardly any doubt: entropy {entropy:.2f} of at most {most:.2f} nats."
    share = information / entropy
    where = (
        "mostly between the masks"
        if share > 0.6
        else "mostly within each mask"
        if share < 0.4
        else "about as much between the masks as within each"
    )
    return (
        f"Doubt: entropy {entropy:.2f} of at most {most:.2f} nats, {information:.2f} of it because masks disagree "
        f"(mutual information): {where}."
    )


def _votes(n: int, spread: str) -> str:
    """The name of the votes in a chart, with the spread they are drawn with; one mask has none."""
    return "vote of the one mask" if n == 1 else f"votes of {n:,} masks ({spread})"


def reading_figure(info: Reading, height: int = 400) -> go.Figure:
    """Draw a bar a class for each way of reading, told apart by colour and by pattern."""
    figure, colours = go.Figure(), charts.palette()
    spread = {"array": [error or None for error in info.votes_error], "thickness": 2, "width": 3}
    error = None if info.n_samples == 1 else spread
    bars = (
        ("scaled network", info.scaled, charts.MEASURED, "", None),
        ("geometric mean", info.geometric, charts.PAPER, ".", None),
        ("arithmetic mean", info.mean, charts.SECOND, "x", None),
        (_votes(info.n_samples, "± standard error"), info.votes, sampling.TRAIN, "/", error),
    )
    for name, values, role, shape, error_y in bars:
        marker = {"color": colours[role], "pattern": {"shape": shape, "fillmode": "overlay", "size": 6, "fgcolor": "white"}}
        x = list(range(OUTPUTS))
        figure.add_bar(x=x, y=values, name=name, marker=marker, error_y=error_y, hovertemplate="%{y:.3f}")
    charts.lay_out(figure, "What is it? Scaled, and sampled", "digit", "probability, share of votes", height)
    figure.update_layout(barmode="group", bargap=0.15, bargroupgap=0)
    figure.update_xaxes(tickvals=list(range(OUTPUTS)), range=[-0.6, OUTPUTS - 0.4])
    figure.update_yaxes(range=[0, 1.05], tickvals=[0, 0.25, 0.5, 0.75, 1])
    return figure


def hard_images(
    network: Network,
    data: Data,
    n: int = len(HARD.options),
    dropout: Sequence[float] | float | None = None,
    noise: str | None = None,
    seed: int = 0,
) -> tuple[int, ...]:
    """Indices of the test images about which a network's masks disagree most: of greatest mutual information, hardest first.

    Raises
    ------
    ValueError
        As `core.prediction.sample`.
    """
    from dropclust.core import metrics
    from dropclust.core.prediction import sample

    sampled = sample(network, data.test_x, HARD_MASKS, seed, dropout, noise)
    information = metrics.mutual_information(sampled.mean_probs, sampled.mean_entropy)
    return tuple(information.argsort(descending=True, stable=True)[:n].tolist())


def typical_images(data: Data) -> tuple[int, ...]:
    """For each digit the index of the test image that is nearest to the mean of its class."""
    found = []
    for digit in range(OUTPUTS):
        members = (data.test_y == digit).nonzero().flatten()
        images = data.test_x[members]
        found.append(int(members[(images - images.mean(0)).square().sum(1).argmin()]))
    return tuple(found)


def mixed(first: Image, second: Image, share: float) -> Image:
    """An image ``[784]`` that is ``share`` of the way from the first to the second, pixel by pixel."""
    image: Image = ((1 - share) * first + share * second).astype(np.float32)
    return image.clip(0, 1)


def half_way(
    network: Network,
    images: tuple[Image, Image],
    digits: tuple[int, int],
    n_samples: int = MASKS,
    dropout: Sequence[float] | float | None = None,
    noise: str | None = None,
    seed: int = 0,
) -> charts.Curves:
    """How the answer turns from one digit to another while the picture does, the same masks all the way.

    Raises
    ------
    ValueError
        As `reading`.
    """
    from dropclust.core import metrics
    from dropclust.core.prediction import sample, scaled_logits

    x = _images(np.stack([mixed(*images, share) for share in MIXES]), len(MIXES))
    sampled = sample(network, x, n_samples, seed, dropout, noise)
    to = digits[1]
    scaled, mean, votes = (
        each[:, to].double().numpy() for each in (scaled_logits(network, x).softmax(1), sampled.mean_probs, sampled.votes)
    )
    error = 1.96 * metrics.share_error(sampled.votes[:, to].double(), n_samples).numpy()
    unknown = np.full(len(MIXES), math.nan)
    lines = (
        ("scaled network", scaled, unknown, charts.MEASURED),
        (_votes(n_samples, "band: 95 % Monte Carlo error"), votes, error, sampling.TRAIN),
        ("the one mask" if n_samples == 1 else "arithmetic mean of the masks", mean, unknown, charts.SECOND),
    )
    series = []
    for name, y, e, role in lines:
        shares, low, high = (tuple(values.tolist()) for values in (y, (y - e).clip(0), (y + e).clip(None, 1)))
        series.append(charts.Series(name, MIXES, shares, low, high, n_samples, role))
    turns = {name: next((at for at, p in zip(MIXES, y, strict=True) if p > 0.5), None) for name, y, _, _ in lines[:2]}
    said = [f"{'nowhere' if at is None else f'from {at:.2f} on'}" for at in turns.values()]
    who = "the one mask votes" if n_samples == 1 else "more than half of the masks vote"
    sentence = f"The scaled network gives {_a(to)} more than one half {said[0]}; {who} for it {said[1]}."
    information = metrics.mutual_information(sampled.mean_probs, sampled.mean_entropy).numpy()
    worst = int(information.argmax())
    if information[worst] >= 0.005:  # less reads as 0.00
        sentence += (
            f" Masks disagree most at {MIXES[worst]:.2f}: mutual information {information[worst]:.2f} nats, "
            f"{percent(votes[worst])} vote for {_a(to)}."
        )
    return charts.Curves(
        f"A {digits[0]} becomes {_a(to)}".replace("A 8", "An 8"), f"way from the {digits[0]} to the {to}",
        f"probability of {_a(to)}", tuple(series), sentence, y_range=(-0.03, 1.03),
    )  # fmt: skip


# ---- the block on a page ---------------------------------------------------------------------------------------------------


def section(stored: Stored) -> None:
    """Show the whole block for a stored run: the image on the left, what the network says on the right.

    It declares and checks its own address parameters, which all begin with ``digit``, and reruns alone while it is used.
    """
    block(stored.network(), stored.key)


@st.fragment
def block(network: Network, key: str) -> None:
    """The same for a network that need not be stored; ``key`` names it, so that nothing is computed twice.

    Whatever is wrong (an empty canvas, a rate or a number of masks that cannot be, missing images) costs one sentence.
    """
    state.check(PARAMETERS)
    first, second, third = st.columns([2, 1, 1])
    with first:
        source = controls.choose(SOURCE)
    with second:
        n_samples = controls.number(MASK_COUNT)
    rate = None  # the network's own
    if network.spec is None or not any(network.spec.dropout):
        with third:
            rate = controls.drag(RATE)
    left, right = st.columns([1, 2], gap="large")
    try:
        with left:
            image = _SOURCES[source](network, key, rate)
        with right:
            if image is not None:
                info = _read(key, network, image, n_samples, rate)
                _summary(image, info)
                controls.chart(info, reading_figure(info), "digit-reading", _command(network.spec))
            if source == HALF_WAY:
                _turning(network, key, n_samples, rate)
    except FileNotFoundError as error:
        st.warning(f"No test image can be shown: {error}.", icon=":material/image_not_supported:")
    except ValueError as error:
        st.error(f"{str(error)[:1].upper()}{str(error)[1:]}.")


def _summary(image: Image, info: Reading) -> None:
    """The image and the numbers of its reading, large; side by side as far as the screen allows."""
    scaled, voted = (" or ".join(map(str, favourites(shares))) for shares in (info.scaled, info.votes))
    one = info.n_samples == 1
    numbers = [
        ("Scaled reads", scaled, percent(max(info.scaled)), "The network without masks: each replaced by its mean."),
        (
            "The mask votes" if one else "Masks vote",
            voted,
            percent(max(info.votes)),
            "Its answer." if one else "The share of masks whose answer it is.",
        ),
        ("Entropy", f"{info.entropy:.2f}", "nats", "All the doubt of the masks' mean probabilities; at most 2.30."),
    ]
    if not one:
        between = "Mutual information: the entropy's part between masks."
        numbers.append(("Masks disagree", f"{info.mutual_information:.2f}", "nats", between))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        # True of every source: drawings are moved and scaled as MNIST's images were, and the others are MNIST's images.
        caption = "what it sees, sized and centred as MNIST's images were"
        st.image(_picture(image), caption, width=140, alt="The 28 by 28 pixels given to the network")
        for label, number, note, about in numbers:
            st.metric(label, number, note, delta_color="off", delta_arrow="off", help=about, width=140)


def _drawn(network: Network, key: str, rate: float | None) -> Image | None:
    """The canvas; while it is empty the hardest test image stands in, so that there is something to see."""
    image = draw("digit-canvas")
    if image is None:
        index = _hard(key, network, rate)[0]
        st.info(
            f"Nothing is drawn yet. Until then: {_test_image(index)}, of all {TEST_IMAGES:,} the one about which this "
            "network's masks disagree most (mutual information).",
            icon=":material/draw:",
        )
        image = _pixels(index)
    return image


def _hardest(network: Network, key: str, rate: float | None) -> Image:
    rank = controls.choose(HARD)
    index = _hard(key, network, rate)[rank - 1]
    named = _test_image(index)
    place = f"number {rank} of {TEST_IMAGES:,} by how much the masks disagree (mutual information)"
    st.caption(f"{named[:1].upper()}{named[1:]}: {place}.")
    return _pixels(index)


def _between(network: Network, key: str, rate: float | None) -> Image | None:
    digits = controls.choose(FROM), controls.choose(TO)
    share = controls.slide(MIX)
    if digits[0] == digits[1]:
        st.info("Choose two different digits.")
        return None
    st.caption(f"{percent(1 - share)} of a typical {digits[0]} and {percent(share)} of a typical {digits[1]}, pixel by pixel.")
    first, second = (_pixels(_typical()[digit]) for digit in digits)
    return mixed(first, second, share)


_SOURCES: dict[str, Callable[[Network, str, float | None], Image | None]] = {
    DRAW: _drawn,
    HARD_IMAGE: _hardest,
    HALF_WAY: _between,
}


def _turning(network: Network, key: str, n_samples: int, rate: float | None) -> None:
    """The way between two digits as curves, with the viewer's place marked."""
    digits = state.value(FROM), state.value(TO)
    if digits[0] != digits[1]:
        info = _turned(key, network, digits, n_samples, rate).marked(state.value(MIX))
        controls.chart(info, sampling.curves_figure(info), "digit-half-way", _command(network.spec))


def _command(spec: RunSpec | None) -> str | None:
    return None if spec is None else runs.command(spec)


def _picture(image: Image) -> npt.NDArray[np.uint8]:
    """White on black, as the network sees it, each pixel eight times as large."""
    levels = (255 * image.reshape(28, 28)).round().astype(np.uint8)
    return np.kron(levels, np.ones((8, 8), np.uint8))


@st.cache_data(show_spinner=False, max_entries=500)
def _read(key: str, _network: Network, image: Image, n_samples: int, rate: float | None) -> Reading:
    return reading(_network, image, n_samples, rate)


@st.cache_data(show_spinner=False, max_entries=100)
def _turned(key: str, _network: Network, digits: tuple[int, int], n_samples: int, rate: float | None) -> charts.Curves:
    first, second = (_pixels(_typical()[digit]) for digit in digits)
    return half_way(_network, (first, second), digits, n_samples, rate)


@st.cache_data(show_spinner="Looking for the test images about which the masks disagree most", max_entries=100)
def _hard(key: str, _network: Network, rate: float | None) -> tuple[int, ...]:
    from dropclust.core import mnist

    return hard_images(_network, mnist.load(), dropout=rate)


@st.cache_data(show_spinner=False)
def _typical() -> tuple[int, ...]:
    from dropclust.core import mnist

    return typical_images(mnist.load())


def _pixels(index: int) -> Image:
    from dropclust.core import mnist

    image: Image = mnist.load().test_x[index].numpy()
    return image


def _test_image(index: int) -> str:
    from dropclust.core import mnist

    return f"test image {index:,}, {_a(int(mnist.load().test_y[index]))}"
