"""The block in which one image is put to a network: its sources, its answers, and what cannot be."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from dropclust.core import uncertainty
from dropclust.core.network import Network
from dropclust.core.uncertainty import MIXES, hard_images, mixed, read_images, typical_images
from dropclust.experiments import table2
from dropclust.findings.reading import answers, turning
from dropclust.service.shared import forget
from dropclust.service.store import Store
from dropclust.ui import digit, live

ROOT = Path(__file__).resolve().parents[2]
IMAGE = np.random.default_rng(0).random(784).astype(np.float32)


def small(hidden=(4, 3), seed=0, spec=None, gain=3.0) -> Network:
    rng = np.random.default_rng(seed)
    widths = [784, *hidden, 10]
    weights = [
        torch.from_numpy((gain * rng.normal(size=pair) / math.sqrt(pair[0])).astype(np.float32))
        for pair in itertools.pairwise(widths)
    ]
    return Network(weights, [torch.from_numpy(rng.normal(size=n).astype(np.float32)) for n in widths[1:]], spec)


def said_of(network: Network, image, *arguments, **named) -> str:
    return answers(*read_images(network, [image], *arguments, **named)).sentence


@pytest.fixture(scope="module")
def stored():
    found = Store(ROOT / "cache" / "runs").get(table2.shown_spec(0.4).key)
    assert found is not None
    return found


def page() -> None:
    """Show the block for the run that the session names."""
    import streamlit as st

    from dropclust.ui import digit, live

    digit.section(live.store().get(st.session_state["shown"]))


def brought() -> None:
    """Show the block for a network from elsewhere."""
    import streamlit as st

    from dropclust.service.plain import Plain
    from dropclust.service.requests import Origin
    from dropclust.ui import digit

    digit.block(Origin.brought(Plain.of(st.session_state["network"])), None)


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A page over a copy of two shipped runs, and images."""
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    monkeypatch.setattr(uncertainty, "HARD_MASKS", 4)  # of all test images at every first look
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()
    (tmp_path / "MNIST").symlink_to(ROOT / "cache" / "MNIST")
    store, shipped = Store(tmp_path / "runs"), Store(ROOT / "cache" / "runs")
    for rate in (0.0, 0.4):
        store.put(shipped.get(table2.shown_spec(rate).key))
    monkeypatch.setattr(live, "store", lambda: store)

    def start(rate: float = 0.4, **query: str) -> AppTest:
        opened = AppTest.from_function(page, default_timeout=120)
        opened.session_state["shown"] = table2.shown_spec(rate).key
        for key, value in query.items():
            opened.query_params[key] = value
        return opened.run()

    return start


def said(opened: AppTest) -> str:
    assert not opened.exception
    kinds = (opened.markdown, opened.caption, opened.info, opened.warning, opened.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_a_first_look_shows_the_hardest_image_until_something_is_drawn(app, stored, data):
    opened = app()
    [hardest, *_] = hard_images(stored.network(), data, len(digit.HARD.options))
    number = int(data.test_y[hardest])
    name = f"test image {hardest:,}, {'an' if number == 8 else 'a'} {number}"
    assert f"Nothing is drawn yet. Until then: {name}, of all 10,000 the one about which" in said(opened)
    assert said_of(stored.network(), data.test_x[hardest].numpy()) in said(opened)
    assert not opened.slider
    assert not opened.warning
    opened.session_state["digit-canvas-kept"] = data.test_x[0].numpy()
    text = said(opened.run())
    assert "Nothing is drawn" not in text
    assert said_of(stored.network(), data.test_x[0].numpy()) in text
    assert ">7</p>" in opened.get("html")[0].proto.body
    assert [metric.value for metric in opened.metric if metric.label == "Masks vote"] == ["7"]


def test_hard_images_and_half_way_digits_are_a_link_away(app, stored, data):
    third = hard_images(stored.network(), data, len(digit.HARD.options))[2]
    opened = app(digit="hard image", digit_image="3", digit_masks="50")
    assert f"est image {third:,}," in said(opened)
    assert "number 3 of 10,000" in said(opened)
    assert said_of(stored.network(), data.test_x[third].numpy(), 50) in said(opened)
    opened = app(digit="half-way", digit_from="3", digit_to="8", digit_mix="0.30")
    typical = typical_images(data)
    three, eight = (data.test_x[typical[number]].numpy() for number in (3, 8))
    assert "70 % of a typical 3 and 30 % of a typical 8" in said(opened)
    assert said_of(stored.network(), mixed(three, eight, 0.3)) in said(opened)
    way = [mixed(three, eight, share) for share in MIXES]
    assert turning(read_images(stored.network(), way), (3, 8)).sentence in said(opened)
    assert "Choose two different digits." in said(app(digit="half-way", digit_from="3", digit_to="3"))


def test_with_one_mask_nothing_is_said_of_others(app):
    opened = app(digit_masks="1", digit="half-way")
    assert [metric.label for metric in opened.metric] == ["Sure of it", "The mask votes", "Entropy"]
    text = said(opened)
    assert "1 masks" not in text
    assert "disagree most" not in text
    assert [metric.label for metric in app(digit="half-way").metric][1::2] == ["Masks vote", "Masks disagree"]


def test_a_network_without_dropout_is_sampled_at_a_rate_of_ones_own(app, data):
    network = live.store().get(table2.shown_spec(0.0).key).network()
    opened = app(rate=0.0, digit_rate="0.25", digit="half-way")
    typical = typical_images(data)
    four, nine = (data.test_x[typical[number]].numpy() for number in (4, 9))
    assert said_of(network, mixed(four, nine, 0.5), dropout=0.25) in said(opened)
    assert opened.slider[0].label == "Dropout rate of the masks"


def test_a_network_from_elsewhere_has_the_slider_too(app):
    opened = AppTest.from_function(brought, default_timeout=120)
    opened.session_state["network"] = small((6, 5))
    opened.session_state["digit-canvas-kept"] = IMAGE
    opened.run()
    assert said_of(small((6, 5)), IMAGE, dropout=0.4) in said(opened)
    assert len(opened.slider) == 1


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"digit_masks": "0"}, "Masks that read the digit must be from 1 to 2,000; the address gave '0'. Shown instead: 200."),
        (
            {"digit_masks": "1000000"},
            "Masks that read the digit must be from 1 to 2,000; the address gave '1000000'. Shown instead: 200.",
        ),
        ({"digit_rate": "1"}, "Dropout rate of the masks must be from 0.05 to 0.95; the address gave '1'. Shown instead: 0.4."),
        (
            {"digit": "paint"},
            "Which digit must be one of draw, hard image, half-way; the address gave 'paint'. Shown instead: draw.",
        ),
    ],
)
def test_a_wrong_address_costs_one_sentence_and_the_block_works(app, query, sentence):
    opened = app(rate=0.0, **query)
    assert [warning.value for warning in opened.warning] == [sentence]
    assert "Nothing is drawn yet." in said(opened)


def test_without_images_a_drawing_is_still_read(app, tmp_path, data, stored):
    image = data.test_x[0].numpy()
    (tmp_path / "MNIST").unlink()
    opened = app()
    [warning] = opened.warning
    assert warning.value.startswith("No test image can be shown: the MNIST file train-images-idx3-ubyte.gz is missing")
    opened.session_state["digit-canvas-kept"] = image
    opened.run()
    assert not opened.warning
    assert said_of(stored.network(), image) in said(opened)
