"""What is drawn of a layer's neurons: names of clusters, pictures and likeness, and the files that hold it."""

from __future__ import annotations

import io
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dropclust.core import receptive
from dropclust.core.paths import cache_folder
from dropclust.core.similarity import agreement
from dropclust.core.spec import MAIN_RECIPES
from dropclust.experiments import results, table2
from dropclust.service import drawn
from dropclust.service.store import open_store
from tests.ui import synthetic

# ---- names of clusters ------------------------------------------------------------------------------------------------------

labellings = st.integers(1, 6).flatmap(
    lambda k: st.lists(
        st.tuples(*(st.lists(st.integers(0, k - 1), min_size=9, max_size=9) for _ in range(2))), min_size=1, max_size=4
    ).map(lambda pairs: (k, [np.array([pair[side] for pair in pairs]) for side in range(2)]))
)


def same_clustering(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(((a[:, None] == a) == (b[:, None] == b)).all())


@settings(max_examples=150, deadline=None)
@given(labellings)
def test_renaming_keeps_clusterings_and_agreement_and_follows_the_rate_before_as_far_as_any_names_could(case):
    k, (first, second) = case
    incoming, outgoing = drawn._match(first, second, k)
    for rate in range(len(first)):
        assert same_clustering(incoming[rate], first[rate])
        assert same_clustering(outgoing[rate], second[rate])
        for labels in (incoming[rate], outgoing[rate]):
            assert labels.min() >= 0
            assert labels.max() < k
        np.testing.assert_array_equal(incoming[rate] == outgoing[rate], agreement(first[rate], second[rate]))
        if rate:
            best = max((np.array(names)[first[rate]] == incoming[rate - 1]).sum() for names in itertools.permutations(range(k)))
            assert (incoming[rate] == incoming[rate - 1]).sum() == best


# ---- pictures and copies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_picture_is_the_ink_that_excites_a_neuron_to_half_a_level(layer: int):
    networks = synthetic.make(layer, 5, rates=(0.6,), seeds=2)[2]
    found = drawn.look(networks[0.6], layer, synthetic.IMAGES)
    active = receptive.activations(networks[0.6].weights, networks[0.6].biases, layer, synthetic.IMAGES.pixels)
    ink = receptive.answers(active, synthetic.IMAGES).ink.astype(float)
    assert found.picture.shape == (100, 28, 28)
    for neuron in (0, 17, 99):
        told = (found.picture[neuron].ravel().astype(float) - 128) / 127
        np.testing.assert_allclose(told, np.clip(ink[neuron] / ink[neuron].max(), -1, 1), atol=0.5 / 127 + 1e-6)
    assert found.by_digit.shape == (100, 10)
    assert found.by_digit.max(axis=1) == pytest.approx(np.ones(100))


def test_a_neuron_that_nothing_excites_has_an_empty_picture():
    np.testing.assert_array_equal(drawn._picture(np.zeros((5, 784), np.float32)), np.full((5, 28, 28), 128))


def test_a_neuron_without_weights_is_like_nobody_and_opposite_ones_have_cosine_minus_one():
    ids, cosines = drawn._nearest(np.array([[0.0, 0.0], [1.0, 0.0], [-2.0, 0.0], [3.0, 0.0]]), 2)
    assert cosines[0].tolist() == [0, 0]
    assert (ids[1].tolist(), cosines[1].tolist()) == ([3, 0], [1, 0])
    assert cosines[2].tolist() == [0, -1]


@pytest.mark.parametrize(("h", "rows", "columns"), [(100, 28, 28), (7, 4, 25), (1, 1, 10), (11, 1, 1)])
def test_a_picture_file_holds_every_weight_to_half_a_shade_ten_neurons_in_a_row(h: int, rows: int, columns: int):
    levels = np.random.default_rng(3).integers(1, 256, (h, rows, columns), dtype=np.uint8)
    levels[0] = 128
    sheet = np.asarray(Image.open(io.BytesIO(drawn.picture(levels))).convert("L")).astype(int)
    assert sheet.shape == (-(-h // 10) * rows, 10 * columns)
    for neuron in range(h):
        top, left = neuron // 10 * rows, neuron % 10 * columns
        tile = sheet[top : top + rows, left : left + columns]
        assert abs(tile - levels[neuron]).max() <= 127 / drawn.SHADES / 2 + 0.5
    assert (sheet[:rows, :columns] == 128).all()


# ---- files ------------------------------------------------------------------------------------------------------------------


def same(one: object, other: object) -> None:
    """Two drawings hold the same, but for what a browser does not get."""
    for name, value in vars(one).items():
        theirs = getattr(other, name)
        if name == "layouts":
            assert [layout.sent() for layout in value] == [layout.sent() for layout in theirs]
        elif name == "by_digit":
            np.testing.assert_array_equal(drawn.parts_of_255(value), drawn.parts_of_255(theirs))
        elif name in {"correlation", "cosines"}:
            np.testing.assert_array_equal(drawn.hundredths(value), drawn.hundredths(theirs))
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, theirs)
        else:
            assert value == theirs


@pytest.fixture(scope="module")
def made() -> tuple[drawn.Layer, drawn.Grouping]:
    _, neurons, networks = synthetic.make(rates=(0.0, 0.4, 0.6), seeds=2)
    looks = {rate: drawn.look(network, 1, synthetic.IMAGES) for rate, network in networks.items()}
    return drawn.draw(neurons, networks, looks, 1, 10)


def test_a_file_holds_what_a_browser_gets_and_says_of_which_table_it_was_made(made):
    layer, grouping = made
    content = drawn.packed(layer, [grouping], "ab" * 32)
    assert content == drawn.packed(layer, [grouping], "ab" * 32)
    found, groupings, table = drawn.unpacked(content)
    assert (list(groupings), table) == ([10], "ab" * 32)
    same(layer, found)
    same(grouping, groupings[10])


def test_neurons_whose_twins_were_not_measured_come_back_without(made):
    layer, grouping = made
    without = drawn.Layer(**{**vars(layer), "twin": None})
    assert drawn.unpacked(drawn.packed(without, [grouping], ""))[0].twin is None


@pytest.mark.parametrize("spoil", [lambda content: content[:-200], lambda content: b"no file", lambda content: b""])
def test_what_is_no_such_file_is_refused_in_one_sentence(made, spoil):
    content = drawn.packed(made[0], [made[1]], "")
    with pytest.raises(ValueError, match="a drawing must be a whole file that this version of dropclust wrote") as refusal:
        drawn.unpacked(spoil(content))
    assert "\n" not in str(refusal.value)


def test_a_file_with_a_flipped_bit_is_refused_wherever_it_is(made):
    content = drawn.packed(made[0], [made[1]], "")
    for at in [*range(0, len(content), len(content) // 25), len(content) - 1]:
        with pytest.raises(ValueError, match="whole file"):
            drawn.unpacked(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_what_another_version_wrote_is_refused(made, monkeypatch: pytest.MonkeyPatch):
    content = drawn.packed(made[0], [made[1]], "")
    monkeypatch.setattr(drawn, "FORMAT", drawn.FORMAT + 1)
    with pytest.raises(ValueError, match="this version of dropclust"):
        drawn.unpacked(content)


@pytest.mark.parametrize("recipe", MAIN_RECIPES)
@pytest.mark.parametrize("layer", table2.LAYERS)
def test_what_is_shipped_is_what_is_drawn_of_the_shipped_networks_and_table(recipe: str, layer: int):
    found = drawn.shipped(recipe, layer)
    assert found is not None
    stored, groupings = found
    assert sorted(groupings) == list(table2.CLUSTERS)
    store, table = open_store(), results.read(results.file_name("table2-neurons", recipe)).table
    networks = {rate: store.get(table2.shown_spec(rate, recipe).key) for rate in table2.RATES}
    looks = {rate: drawn.look(network, layer, receptive.held_out()) for rate, network in networks.items()}
    for k in table2.CLUSTERS:
        anew, grouping = drawn.draw(table, networks, looks, layer, k)
        same(grouping, groupings[k])
    alike(anew, stored)


def alike(anew: drawn.Layer, stored: drawn.Layer) -> None:
    """Another machine's products may round otherwise: what rests on them is the same but for a last step here and there."""
    for name in ("by_digit", "correlation", "cosines", "shuffled"):
        np.testing.assert_allclose(getattr(anew, name), getattr(stored, name), atol=0.011)
    for name in ("dead", "twin", "families"):
        np.testing.assert_array_equal(getattr(anew, name), getattr(stored, name))
    for name in ("partner", "copies"):
        assert (getattr(anew, name) == getattr(stored, name)).mean() > 0.99
    for mine, theirs in zip(anew.pictures, stored.pictures, strict=True):
        difference = levels(mine) - levels(theirs)
        assert (difference != 0).mean() < 0.001


def levels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("L")).astype(int)


def test_what_was_drawn_of_another_table_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("table2-neurons-modern.csv", "table2-neurons-modern.json", drawn.file_name("modern", 1)):
        shutil.copy(cache_folder() / "results" / name, folder / name)
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    assert drawn.shipped("modern", 1) is not None
    assert drawn.shipped("modern", 2) is None
    layer, groupings, _ = drawn.unpacked((folder / drawn.file_name("modern", 1)).read_bytes())
    (folder / drawn.file_name("modern", 1)).write_bytes(drawn.packed(layer, list(groupings.values()), "another"))
    assert drawn.shipped("modern", 1) is None


def test_networks_that_are_not_stored_are_said_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(cache_folder() / "results", tmp_path / "results")
    for file in (tmp_path / "results").glob("explorer-*"):
        file.unlink()
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="networks of the modern recipe must all be stored; 19 are missing"):
        drawn.make("modern", open_store())
    assert not list((tmp_path / "results").glob("explorer-*"))
