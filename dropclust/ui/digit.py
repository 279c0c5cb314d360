"""The page Draw a digit: one image put to a network, drawn by hand, a hard test image, or one half-way between two digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import streamlit as st

from dropclust.core import uncertainty
from dropclust.core.spec import LIMITS, OUTPUTS, TEST_IMAGES, RunSpec
from dropclust.core.uncertainty import MIXES, Image
from dropclust.experiments import table2
from dropclust.findings import words
from dropclust.findings.outside import as_text
from dropclust.findings.reading import tied
from dropclust.service import asked, runs
from dropclust.service.parameter import Parameter
from dropclust.ui import controls, live, state
from dropclust.ui.drawing import draw
from dropclust.ui.figures import reading as figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.delta_generator import DeltaGenerator

    from dropclust.findings.reading import Answers, TestImages
    from dropclust.service.requests import Origin
    from dropclust.service.stored import Stored

PATIENCE = 0.4  # seconds that the page waits for the reading of an image before it says that it does
DRAW, HARD_IMAGE, HALF_WAY = "draw", "hard image", "half-way"
SOURCE = Parameter("digit", "Which digit", DRAW, (DRAW, HARD_IMAGE, HALF_WAY))
MASK_COUNT = Parameter("digit_masks", "Masks that read the digit", uncertainty.MASKS, low=1, high=2_000, step=50)
RATE = Parameter("digit_rate", "Dropout rate of the masks", 0.4, low=0.05, high=LIMITS["dropout"][1], step=0.05)
HARD = Parameter("digit_image", "The images about which the masks disagree most", 1, tuple(range(1, 9)))
FROM = Parameter("digit_from", "From", 4, tuple(range(OUTPUTS)))
TO = Parameter("digit_to", "To", 9, tuple(range(OUTPUTS)))
MIX = Parameter("digit_mix", "How far", 0.5, MIXES, step=0.05, show="{:.2f}".format)
ANSWER = 640  # pixels of the answer with its chart, and of what stands in its place
PARAMETERS = (SOURCE, MASK_COUNT, RATE, HARD, FROM, TO, MIX)


def forward() -> None:
    """Send an older link, to the block when it stood on another page, to the page it has now."""
    if any(parameter.name in st.query_params for parameter in PARAMETERS) and not st.session_state.get("digit_visited"):
        state.go("pages/digit.py", {name: st.query_params.get_all(name) for name in st.query_params})


def page() -> None:
    """The canvas and the answer first, then which network answers."""
    st.session_state["digit_visited"] = True
    first, below = st.container(), st.container()
    with below:
        run = controls.choose_run(live.store().list(), table2.shown_spec(0.4).key)
    if run is None:
        return
    if (stored := live.stored(run.key)) is None:
        st.warning(f"The run {run.key[:12]} cannot be read: choose another.", icon=":material/healing:")
        return
    with first:
        section(stored)


def section(stored: Stored) -> None:
    """Show the whole block for a stored run: the image on the left, what the network says on the right.

    It declares and checks its own address parameters, which all begin with ``digit``, and reruns alone while it is used.
    """
    block(live.origin(stored.key), stored.spec)


@st.fragment
def block(network: Origin, spec: RunSpec | None) -> None:
    """The same for a network that need not be stored; ``spec`` is the run that made it, None for one from elsewhere.

    Whatever is wrong (an empty canvas, a rate or a number of masks that cannot be, missing images) costs one sentence.
    """
    state.check(PARAMETERS)
    main, choices = st.container(), st.container()
    with choices:
        first, second, third = st.columns([2, 1, 1])
        with first:
            source = controls.choose(SOURCE)
        with second:
            n_samples = controls.number(MASK_COUNT)
        rate = None  # the network's own
        if spec is None or not any(spec.final_rates):
            with third:
                rate = controls.drag(RATE)
    with main:
        left, right = st.columns([1, 2], gap="medium")
    try:
        with left:
            shown = _SOURCES[source](network, rate, right)
        with right:
            if shown is not None and (info := live.ask(asked.reading(network, shown.image, n_samples, rate), ANSWER, PATIENCE)):
                _summary(shown, info)
                controls.chart(info, figures.answers, "digit-reading", _command(spec))
            if source == HALF_WAY:
                _turning(network, spec, n_samples, rate)
    except FileNotFoundError as error:
        main.warning(f"No test image can be shown: {error}.", icon=":material/image_not_supported:")
    except ValueError as error:
        main.error(as_text(f"{words.capital(str(error))}."))


@dataclass(frozen=True, eq=False)
class _Shown:
    """An image that is put to the network, and what it is, in a sentence."""

    image: Image
    what: str


def _summary(shown: _Shown, info: Answers) -> None:
    """The answer, large, beside what was seen; then the numbers of its reading."""
    reading = info.reading
    scaled = tied(reading.scaled)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.html(
            f'<p role="status" aria-label="It reads {scaled}" '
            f'style="margin:0;font-size:7rem;line-height:1;font-weight:700">{scaled}</p>',
            width="content",
        )
        # True of every source: drawings are moved and scaled as MNIST's images were, and the others are MNIST's images.
        st.image(_picture(shown.image), width=112, alt="The 28 by 28 pixels given to the network")
        st.metric(
            "Sure of it", words.share(max(reading.scaled)), help="The probability that the network gives, without masks: each "
            "replaced by its mean (scaled).", width="content",
        )  # fmt: skip
    st.caption(f"{shown.what} It sees what stands beside its answer, sized and centred as MNIST's images were.")
    controls.metrics(info.numbers, 140)


def _drawn(network: Origin, rate: float | None, answer: DeltaGenerator) -> _Shown | None:
    """The canvas; while it is empty the hardest test image stands in, so that there is something to see."""
    image = draw("digit-canvas")
    if image is not None:
        return _Shown(image, "Your drawing.")
    with answer:
        found = _hard(network, rate, ANSWER)
    if found is None:
        return None
    images, order = found
    what = (
        f"Nothing is drawn yet. Until then: {images.name(order[0])}, of all {TEST_IMAGES:,} the one about which this network's "
        "masks disagree most (mutual information)."
    )
    return _Shown(images.pixels(order[0]), what)


def _hardest(network: Origin, rate: float | None, _answer: DeltaGenerator) -> _Shown | None:
    rank = controls.choose(HARD)
    found = _hard(network, rate)
    if found is None:
        return None
    images, order = found
    place = f"number {rank} of {TEST_IMAGES:,} by how much the masks disagree (mutual information)"
    return _Shown(images.pixels(order[rank - 1]), f"{words.capital(images.name(order[rank - 1]))}: {place}.")


def _between(network: Origin, rate: float | None, _answer: DeltaGenerator) -> _Shown | None:
    digits = controls.choose(FROM), controls.choose(TO)
    share = controls.slide(MIX)
    if digits[0] == digits[1]:
        st.info("Choose two different digits.")
        return None
    images = live.test_images()
    if images is None:
        return None
    parts = (f"{words.share(part)} of a typical {digit}" for part, digit in zip((1 - share, share), digits, strict=True))
    return _Shown(images.between(digits, share), f"{' and '.join(parts)}, pixel by pixel.")


_SOURCES: dict[str, Callable[[Origin, float | None, DeltaGenerator], _Shown | None]] = {
    DRAW: _drawn,
    HARD_IMAGE: _hardest,
    HALF_WAY: _between,
}


def _turning(network: Origin, spec: RunSpec | None, n_samples: int, rate: float | None) -> None:
    """The way between two digits as curves, with the viewer's place marked."""
    digits = state.value(FROM), state.value(TO)
    if digits[0] == digits[1] or (images := live.test_images()) is None:
        return
    way = np.stack([images.between(digits, share) for share in MIXES])
    found = live.ask(asked.turning(network, way, digits, n_samples, rate), 480)
    if found is not None:
        info = found.marked(state.value(MIX))
        controls.chart(info, figures.turning, "digit-half-way", _command(spec))


def _command(spec: RunSpec | None) -> str | None:
    return None if spec is None else runs.command(spec)


def _picture(image: Image) -> npt.NDArray[np.uint8]:
    """White on black, as the network sees it, each pixel eight times as large."""
    levels = (255 * image.reshape(28, 28)).round().astype(np.uint8)
    return np.kron(levels, np.ones((8, 8), np.uint8))


def _hard(network: Origin, rate: float | None, height: int = 64) -> tuple[TestImages, tuple[int, ...]] | None:
    """The test images, and the places of those about which the masks disagree most."""
    order = live.ask(asked.hard_images(network, len(HARD.options), rate), height)
    if order is None:
        return None
    images = live.test_images()
    return None if images is None else (images, order)
