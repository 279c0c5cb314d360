"""One image read in every way: against exact values of small networks, and the block on a page with good and bad input."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from dropclust.core import metrics
from dropclust.core.network import Network
from dropclust.core.prediction import sample, scaled_logits
from dropclust.core.spec import RunSpec
from dropclust.experiments import table2
from dropclust.service.store import Store
from dropclust.ui import charts, digit, live

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


def every_mask(network: Network, image: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a network under each of its Bernoulli masks, float64 ``[masks, 10]``, and the masks' chances."""
    weights = [weight.double().numpy() for weight in network.weights]
    biases = [bias.double().numpy() for bias in network.biases]
    outputs, chances = [], []
    for kept in itertools.product((0, 1), repeat=sum(network.hidden)):
        x, left = image.astype(np.float64), list(kept)
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            mask, left = np.array(left[: len(bias)]), left[len(bias) :]
            x = np.maximum(x @ weight + bias, 0) * mask / (1 - rate)
        logits = x @ weights[-1] + biases[-1]
        outputs.append(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
        chances.append((1 - rate) ** sum(kept) * rate ** (len(kept) - sum(kept)))
    return np.array(outputs), np.array(chances)


def entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(p)).sum(-1)


# ---- numbers


@pytest.mark.parametrize("seed", range(3))
def test_a_reading_tends_to_what_all_masks_together_say(seed):
    network, n = small(seed=seed), 5_000
    probabilities, chances = every_mask(network, IMAGE, 0.5)
    info = digit.reading(network, IMAGE, n, 0.5, seed=seed)

    def error(values: np.ndarray) -> np.ndarray:
        """Four standard errors of a mean over n masks."""
        mean = chances @ values
        return 4 * np.sqrt(chances @ (values - mean) ** 2 / n) + 1e-6

    votes = np.eye(10)[probabilities.argmax(1)]
    assert (abs(np.array(info.mean) - chances @ probabilities) <= error(probabilities)).all()
    assert (abs(np.array(info.votes) - chances @ votes) <= error(votes)).all()
    geometric = np.exp(chances @ np.log(probabilities))
    np.testing.assert_allclose(info.geometric, geometric / geometric.sum(), atol=0.02)
    np.testing.assert_allclose(info.votes_error, np.sqrt(np.array(info.votes) * (1 - np.array(info.votes)) / n), rtol=1e-6)
    total, within = entropy(chances @ probabilities), chances @ entropy(probabilities)
    assert info.entropy == pytest.approx(total, abs=0.02)
    assert info.mutual_information == pytest.approx(total - within, abs=0.02)
    assert info.scaled == pytest.approx(scaled_logits(network, torch.from_numpy(IMAGE)[None]).softmax(1)[0].tolist())
    assert info.n_samples == n


def test_a_reading_is_what_core_says_of_the_image_with_the_networks_own_rates_and_noise():
    network = small((5, 4, 3), spec=RunSpec(hidden=(5, 4, 3), dropout=(0.2, 0.0, 0.6), noise="gaussian"))
    x = torch.from_numpy(IMAGE)[None]
    sampled = sample(network, x, 150, 7)
    info = digit.reading(network, IMAGE, 150, seed=7)
    assert info.votes == pytest.approx(sampled.votes[0].tolist())
    assert info.mean == pytest.approx(sampled.mean_probs[0].tolist())
    assert info.geometric == pytest.approx(sampled.log_probs.exp()[0].tolist())
    assert info.entropy == pytest.approx(float(metrics.predictive_entropy(sampled.mean_probs)))
    assert info.mutual_information == pytest.approx(float(metrics.mutual_information(sampled.mean_probs, sampled.mean_entropy)))
    assert info.votes != digit.reading(network, IMAGE, 150, seed=8).votes
    assert info.votes != digit.reading(network, IMAGE, 150, 0.5, seed=7).votes
    assert info.votes != digit.reading(network, IMAGE, 150, noise="bernoulli", seed=7).votes


def test_table_and_figure_hold_the_same_numbers():
    info = digit.reading(small(), IMAGE, 60, 0.5)
    table = info.table()
    assert table["class"].tolist() == list(range(10))
    bars = {bar.name: list(bar.y) for bar in digit.reading_figure(info).data}
    assert bars == {
        "scaled network": list(info.scaled),
        "geometric mean": list(info.geometric),
        "arithmetic mean": list(info.mean),
        "votes of 60 masks (± standard error)": list(info.votes),
    }
    for name, column in (
        ("scaled network", "scaled"),
        ("geometric mean", "geometric mean"),
        ("arithmetic mean", "arithmetic mean"),
    ):
        assert table[column].tolist() == bars[name]
    assert table["votes"].tolist() == list(info.votes)
    patterns = [bar.marker.pattern.shape for bar in digit.reading_figure(info).data]
    assert len(set(patterns)) == 4  # told apart without colours too


def answered(monkeypatch, masks: list[list[float]], scaled: list[float]) -> str:
    """The sentence where the masks' probabilities of classes 0 and 1, and the scaled network's, are these."""

    def whole(p: list[float]) -> torch.Tensor:
        rest = (1 - sum(p)) / 8
        return torch.tensor([*p, *[rest] * 8])

    all_masks = torch.stack([whole(p) for p in masks])
    mean = all_masks.mean(0, keepdim=True)
    log_p = all_masks.clamp_min(1e-30).log().mean(0, keepdim=True).log_softmax(1)
    votes = torch.nn.functional.one_hot(all_masks.argmax(1), 10).float().mean(0, keepdim=True)
    known = type(sample(small(), torch.zeros(1, 784), 2, dropout=0.5))(
        log_p, mean, mean, mean, votes, metrics.predictive_entropy(all_masks).mean().reshape(1), len(masks)
    )
    monkeypatch.setattr("dropclust.core.prediction.sample", lambda *_: known)
    monkeypatch.setattr("dropclust.core.prediction.scaled_logits", lambda *_: whole(scaled).log()[None])
    return digit.reading(small(), IMAGE, len(masks)).sentence


@pytest.mark.parametrize(
    ("masks", "scaled", "said"),
    [
        (
            [[0.992, 0.0]] * 4, [0.992, 0.0],
            "Every way reads a 0: scaled 99 %, geometric mean 99 %, arithmetic mean 99 %, and 100 % of 4 masks. "
            "Hardly any doubt: entropy 0.06 of at most 2.30 nats.",
        ),
        (
            [[0.52, 0.4]] * 4, [0.6, 0.3],
            "Every way reads a 0: scaled 60 %, geometric mean 52 %, arithmetic mean 52 %, and 100 % of 4 masks. "
            "Doubt: entropy 1.07 of at most 2.30 nats, 0.00 of it because masks disagree (mutual information): mostly within "
            "each mask.",
        ),
        (
            [[0.98, 0.012]] * 2 + [[0.012, 0.98]] * 3, [0.9, 0.05],
            "The ways differ: scaled a 0 (90 %), geometric mean a 1 (68 %), arithmetic mean a 1 (59 %); "
            "a 1 for 60 % of 5 masks. Doubt: entropy 0.73 of at most 2.30 nats, 0.60 of it because masks disagree "
            "(mutual information): mostly between the masks.",
        ),
        (
            [[0.9, 0.02]] * 3 + [[0.02, 0.9]] * 2, [0.5, 0.4],
            "Every way reads a 0: scaled 50 %, geometric mean 53 %, arithmetic mean 55 %, and 60 % of 5 masks. "
            "Doubt: entropy 1.07 of at most 2.30 nats, 0.52 of it because masks disagree (mutual information): about as much "
            "between the masks as within each.",
        ),
        (
            [[0.7, 0.2]], [0.7, 0.2],
            "Both ways read a 0: scaled 70 %, the one mask 70 %. "
            "Entropy 1.01 of at most 2.30 nats; one mask cannot disagree with another.",
        ),
        (
            [[0.4995, 0.4985]], [0.6, 0.3],
            "The ways differ: scaled a 0 (60 %), the one mask a tie of 0 and 1 (50 % each). "
            "Entropy 0.71 of at most 2.30 nats; one mask cannot disagree with another.",
        ),
        (
            [[0.9, 0.02], [0.02, 0.9]], [0.45, 0.45],
            "Every way reads a tie of 0 and 1: scaled 45 %, geometric mean 39 %, arithmetic mean 46 %, and 50 % of 2 masks. "
            "Doubt: entropy 1.08 of at most 2.30 nats, 0.54 of it because masks disagree (mutual information): about as much "
            "between the masks as within each.",
        ),
        (
            [[0.9, 0.02], [0.02, 0.9]], [0.6, 0.3],
            "The ways differ: scaled a 0 (60 %), geometric mean a tie of 0 and 1 (39 % each), arithmetic mean a tie of 0 and 1 "
            "(46 % each); a tie of 0 and 1 for 50 % of 2 masks each. "
            "Doubt: entropy 1.08 of at most 2.30 nats, 0.54 of it because masks disagree (mutual information): about as much "
            "between the masks as within each.",
        ),
    ],
)  # fmt: skip
def test_the_sentence_says_answers_and_where_the_doubt_is(monkeypatch, masks, scaled, said):
    sentence = answered(monkeypatch, masks, scaled)
    assert sentence == said


@pytest.mark.parametrize(
    ("shares", "found"),
    [((0.1, 0.7, 0.2), (1,)), ((0.4, 0.2, 0.4), (0, 2)), ((0.4951, 0.5049, 0.0), (0, 1)), ((0.25,) * 4, (0, 1, 2, 3))],
)
def test_shares_that_read_the_same_are_a_tie(shares, found):
    assert digit.favourites(shares) == found


def test_one_mask_is_one_in_the_charts():
    bars = digit.reading_figure(digit.reading(small(), IMAGE, 1, 0.5)).data
    names = [bar.name for bar in bars]
    assert names[-1] == "vote of the one mask"
    assert bars[-1].error_y.array is None
    info = digit.half_way(small(), (IMAGE, IMAGE[::-1].copy()), (0, 1), 1, 0.5)
    assert [line.name for line in info.series] == ["scaled network", "vote of the one mask", "the one mask"]
    assert "; the one mask votes for it " in info.sentence
    for text in (info.sentence, *names):
        assert "disagree" not in text
        assert "masks" not in text


def test_masks_that_agree_are_not_said_to_disagree():
    alike = digit.half_way(small(), (IMAGE, IMAGE[::-1].copy()), (0, 1), 20, 0.0)
    assert "disagree" not in alike.sentence
    assert "Masks disagree most at " in digit.half_way(small(), (IMAGE, IMAGE[::-1].copy()), (0, 1), 20, 0.5).sentence


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0 %"), (0.001, "under 1 %"), (0.0051, "1 %"), (0.016, "2 %"), (0.994, "99 %"), (0.9951, "over 99 %"), (1, "100 %")],
)
def test_what_is_not_quite_all_or_nothing_does_not_read_so(share, said):
    assert digit.percent(share) == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"image": None}, "image must be 784 numbers from 0 to 1; got an empty canvas"),
        ({"image": np.zeros(783)}, r"image must be 784 numbers from 0 to 1; got an array \[1, 783\] or other numbers"),
        ({"image": np.full(784, np.nan)}, "image must be 784 numbers from 0 to 1"),
        ({"image": np.full(784, 1.1)}, "image must be 784 numbers from 0 to 1"),
        ({"image": ["a"] * 784}, "image must be 784 numbers from 0 to 1"),
        ({"image": [[0.0], [1.0, 2.0]]}, "image must be 784 numbers from 0 to 1"),
        ({"image": np.zeros((2, 784))}, r"image must be 784 numbers from 0 to 1; got an array \[2, 784\]"),
        ({"n_samples": 0}, "n_samples must be a whole number from 1 to 100,000; got 0"),
        ({"n_samples": 1_000_000}, "n_samples must be a whole number from 1 to 100,000; got 1000000"),
        ({"dropout": 1}, "dropout must be one rate from 0 to 0.95 or 2 of them"),
        ({"dropout": None}, "dropout must be given for a network that does not know the rates"),
        ({"noise": "salt"}, "noise must be one of"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_bad_input_costs_one_sentence(arguments, said):
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        digit.reading(small(), **{"image": IMAGE, "n_samples": 5, "dropout": 0.5, **arguments})
    assert "\n" not in str(caught.value)


# ---- ready-made images


@pytest.fixture(scope="module")
def stored():
    found = Store(ROOT / "cache" / "runs").get(table2.shown_spec(0.4).key)
    assert found is not None
    return found


class Few:
    """The first test images, as much of MNIST as these functions look at."""

    def __init__(self, data, n):
        self.test_x, self.test_y = data.test_x[:n], data.test_y[:n]


def test_hard_images_are_those_of_greatest_mutual_information(stored, data):
    few, network = Few(data, 100), stored.network()
    found = digit.hard_images(network, few, 5)
    disagreement = [
        digit.reading(network, few.test_x[i].numpy(), digit.HARD_MASKS).mutual_information for i in range(len(few.test_x))
    ]
    assert list(found) == sorted(range(100), key=lambda i: -disagreement[i])[:5]
    assert disagreement[found[0]] > 0.3 > np.median(disagreement)
    assert digit.hard_images(network, few, 5, dropout=0.1) != found


def test_a_typical_image_is_nearest_to_its_classs_mean(data):
    few = Few(data, 500)
    x, y = few.test_x.double().numpy(), few.test_y.numpy()
    for number, index in enumerate(digit.typical_images(few)):
        distances = {i: np.linalg.norm(x[i] - x[y == number].mean(0)) for i in np.flatnonzero(y == number)}
        assert index == min(distances, key=distances.get)


def test_half_way_turns_one_digit_into_another(stored, data):
    network = stored.network()
    four, nine = (data.test_x[index].numpy() for index in (int((data.test_y == number).nonzero()[0]) for number in (4, 9)))
    info = digit.half_way(network, (four, nine), (4, 9), 80, seed=3)
    scaled, votes, mean = info.series
    for at in (0.0, 0.35, 1.0):
        one = digit.reading(network, digit.mixed(four, nine, at), 80, seed=3)
        where = scaled.x.index(at)
        assert scaled.mean[where] == pytest.approx(one.scaled[9], abs=1e-5)
        assert votes.mean[where] == pytest.approx(one.votes[9])
        assert mean.mean[where] == pytest.approx(one.mean[9], abs=1e-5)
        half = 1.96 * one.votes_error[9]
        assert votes.low[where] == pytest.approx(max(0, one.votes[9] - half), abs=1e-6)
        assert votes.high[where] == pytest.approx(min(1, one.votes[9] + half), abs=1e-6)
    assert scaled.mean[0] < 0.5 < scaled.mean[-1]
    turn = next(x for x, p in zip(scaled.x, scaled.mean, strict=True) if p > 0.5)
    assert f"The scaled network gives a 9 more than one half from {turn:.2f} on;" in info.sentence
    assert charts.curves(info.marked(0.5)).layout.title.text == "A 4 becomes a 9"
    np.testing.assert_allclose(digit.mixed(four, nine, 0.25), 0.75 * four + 0.25 * nine, atol=1e-6)


def test_a_way_that_never_turns_says_nowhere():
    network = small()
    answer = int(scaled_logits(network, torch.zeros(1, 784)).argmax())
    other = (answer + 1) % 10
    black = np.zeros(784, np.float32)
    info = digit.half_way(network, (black, black), (answer, other), 20, 0.5)
    assert "more than one half nowhere; more than half of the masks vote for it nowhere." in info.sentence
    assert digit.half_way(network, (black, black), (8, 9), 2, 0.5).title == "An 8 becomes a 9"


# ---- on a page


def page() -> None:
    """Show the block for the run that the session names."""
    import streamlit as st

    from dropclust.ui import digit, live

    digit.section(live.store().get(st.session_state["shown"]))


def brought() -> None:
    """Show the block for a network from elsewhere."""
    import streamlit as st

    from dropclust.ui import digit

    digit.block(st.session_state["network"], "brought")


@pytest.fixture
def app(tmp_path, monkeypatch):
    """A page over a copy of two shipped runs, and images."""
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    monkeypatch.setattr(digit, "HARD_MASKS", 4)  # of all test images at every first look
    st.cache_data.clear()
    st.cache_resource.clear()
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
    [hardest, *_] = digit.hard_images(stored.network(), data)
    number = int(data.test_y[hardest])
    name = f"test image {hardest:,}, {'an' if number == 8 else 'a'} {number}"
    assert f"Nothing is drawn yet. Until then: {name}, of all 10,000 the one about which" in said(opened)
    assert digit.reading(stored.network(), data.test_x[hardest].numpy()).sentence in said(opened)
    assert not opened.slider
    assert not opened.warning
    opened.session_state["digit-canvas-kept"] = data.test_x[0].numpy()
    text = said(opened.run())
    assert "Nothing is drawn" not in text
    assert digit.reading(stored.network(), data.test_x[0].numpy()).sentence in text
    assert [metric.value for metric in opened.metric][:2] == ["7", "7"]


def test_hard_images_and_half_way_digits_are_a_link_away(app, stored, data):
    third = digit.hard_images(stored.network(), data)[2]
    opened = app(digit="hard image", digit_image="3", digit_masks="50")
    assert f"est image {third:,}," in said(opened)
    assert "number 3 of 10,000" in said(opened)
    assert digit.reading(stored.network(), data.test_x[third].numpy(), 50).sentence in said(opened)
    opened = app(digit="half-way", digit_from="3", digit_to="8", digit_mix="0.30")
    typical = digit.typical_images(data)
    three, eight = (data.test_x[typical[number]].numpy() for number in (3, 8))
    assert "70 % of a typical 3 and 30 % of a typical 8" in said(opened)
    assert digit.reading(stored.network(), digit.mixed(three, eight, 0.3)).sentence in said(opened)
    assert digit.half_way(stored.network(), (three, eight), (3, 8)).sentence in said(opened)
    assert "Choose two different digits." in said(app(digit="half-way", digit_from="3", digit_to="3"))


def test_with_one_mask_nothing_is_said_of_others(app):
    opened = app(digit_masks="1", digit="half-way")
    assert [metric.label for metric in opened.metric] == ["Scaled reads", "The mask votes", "Entropy"]
    text = said(opened)
    assert "1 masks" not in text
    assert "disagree most" not in text
    assert [metric.label for metric in app(digit="half-way").metric][1::2] == ["Masks vote", "Masks disagree"]


def test_a_network_without_dropout_is_sampled_at_a_rate_of_ones_own(app, data):
    network = live.store().get(table2.shown_spec(0.0).key).network()
    opened = app(rate=0.0, digit_rate="0.25", digit="half-way")
    typical = digit.typical_images(data)
    four, nine = (data.test_x[typical[number]].numpy() for number in (4, 9))
    assert digit.reading(network, digit.mixed(four, nine, 0.5), dropout=0.25).sentence in said(opened)
    assert opened.slider[0].label == "Dropout rate of the masks"


def test_a_network_from_elsewhere_has_the_slider_too(app):
    opened = AppTest.from_function(brought, default_timeout=120)
    opened.session_state["network"] = small((6, 5))
    opened.session_state["digit-canvas-kept"] = IMAGE
    opened.run()
    assert digit.reading(small((6, 5)), IMAGE, dropout=0.4).sentence in said(opened)
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
    assert digit.reading(stored.network(), image).sentence in said(opened)
