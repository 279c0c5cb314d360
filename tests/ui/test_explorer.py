"""What the explorer is given to show: numbers, names of clusters, pictures, copies and places, against plainer versions."""

from __future__ import annotations

import ast
import base64
import gzip
import inspect
import itertools
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from streamlit.testing.v1 import AppTest

from dropclust.core import field
from dropclust.core.similarity import AGREEMENT_DRAWS, agreement_by_chance
from dropclust.experiments.paper import TABLE_2
from dropclust.findings.meaning import Meaning
from dropclust.ui.explorer import Scene, files, scene
from dropclust.ui.style import style
from tests.core.test_field import check_layout
from tests.ui import synthetic

RATES = (0.0, 0.2, 0.4, 0.6, 0.8)
# Bytes that a viewer fetches: when the number of clusters changes, for the first picture, and for the whole drag.
MOST_OF_CLUSTERS, MOST_AT_FIRST, MOST_IN_ALL = 45_000, 150_000, 900_000


@pytest.fixture(scope="module")
def made() -> tuple[pd.DataFrame, pd.DataFrame, dict[float, SimpleNamespace]]:
    return synthetic.make(rates=RATES)


@pytest.fixture(scope="module")
def built(made: tuple[pd.DataFrame, pd.DataFrame, dict[float, SimpleNamespace]]) -> Scene:
    return synthetic.scene(*made, layer=1, k=10)


def payload_of(shown: Scene) -> dict[str, Any]:
    """What the browser puts together of both parts."""
    return {**shown.layer_part, **shown.clusters_part}


def unpacked(payload: dict[str, Any], name: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(payload[name]), dtype=np.uint8)


# ---- numbers ----------------------------------------------------------------------------------------------------------------


def test_a_reading_is_the_mean_and_student_interval_over_the_seeds_of_its_rate(made, built):
    table = made[0]
    assert built.rates == RATES
    for reading in built.readings:
        rows = table[np.isclose(table["dropout"], reading.rate)]
        for name, column in (
            ("rand", "rand"),
            ("adjusted", "adjusted_rand"),
            ("scaled", "scaled_accuracy"),
            ("sampled", "sampled_accuracy"),
        ):
            interval = getattr(reading, name)
            low, high = scipy.stats.t.interval(0.95, len(rows) - 1, rows[column].mean(), scipy.stats.sem(rows[column]))
            np.testing.assert_allclose(
                (interval.mean, interval.low, interval.high), (rows[column].mean(), low, high), rtol=1e-9
            )
            assert interval.n == 20
        assert (reading.chance, reading.chance_low, reading.chance_high) == pytest.approx((0.75, 0.73, 0.77))


def test_other_widths_layers_and_numbers_of_clusters_are_left_out(made, built):
    table, neurons, networks = made
    strangers = [table.assign(**{name: value, "rand": 0.1}) for name, value in (("width", 500), ("layer", 2), ("k", 20))]
    aliens = [neurons.assign(**{name: value}) for name, value in (("layer", 2), ("k", 20))]
    mixed = synthetic.scene(pd.concat([*strangers, table]), pd.concat([*aliens, neurons]), networks, layer=1, k=10)
    assert payload_of(mixed) == payload_of(built)


def test_rows_and_networks_may_come_in_any_order_and_rates_as_a_csv_gives_them(made, built):
    table, neurons, networks = made
    shuffled = synthetic.scene(
        table.sample(frac=1, random_state=1).assign(dropout=lambda rows: rows["dropout"] + 1e-9),
        neurons.sample(frac=1, random_state=2),
        {rate + 1e-12: networks[rate] for rate in reversed(RATES)},
        layer=1,
        k=10,
    )
    assert shuffled.rates == RATES
    np.testing.assert_array_equal(shuffled.grouping.incoming, built.grouping.incoming)
    assert shuffled.neurons.pictures == built.neurons.pictures
    assert [r.rand.mean for r in shuffled.readings] == pytest.approx([r.rand.mean for r in built.readings])


def test_a_rate_that_one_of_the_three_lacks_is_not_shown(made):
    table, neurons, networks = made
    scene_of = synthetic.scene(
        table[table["dropout"] != 0.2],
        neurons[neurons["dropout"] != 0.4],
        {rate: network for rate, network in networks.items() if rate != 0.6},
        layer=1,
        k=10,
    )
    assert scene_of.rates == (0.0, 0.8)


def test_dead_and_agreeing_neurons_are_counted_in_the_network_that_is_shown(made, built):
    neurons = made[1]
    for i, reading in enumerate(built.readings):
        rows = neurons[neurons["dropout"] == reading.rate].sort_values("neuron")
        assert (reading.agree, reading.dead, reading.units) == (rows["agree"].sum(), rows["dead"].sum(), 100)
        np.testing.assert_array_equal(built.neurons.dead[i], rows["dead"] == 1)
        np.testing.assert_array_equal(built.grouping.agree[i], rows["agree"] == 1)


def test_one_seed_has_no_interval(made):
    table, neurons, networks = made
    payload = payload_of(synthetic.scene(table[table["seed"] == 3], neurons, networks, layer=1, k=10))
    assert payload["curves"]["rand"]["low"] == [None] * len(RATES)
    files.packed(payload)


def test_twins_are_counted_in_the_network_that_is_shown_and_averaged_over_seeds(made, built):
    table, neurons, _ = made
    for i, one in enumerate(built.readings):
        rows = neurons[neurons["dropout"] == one.rate].sort_values("neuron")
        assert one.with_twin == (rows["twin"] >= 0).sum()
        assert one.twins.mean == pytest.approx(table[table["dropout"] == one.rate]["twins"].mean())
        np.testing.assert_array_equal(built.neurons.twin[i], np.where(rows["twin"] < 0, rows["neuron"], rows["twin"]))
        groups = list(zip(rows["incoming"], rows["outgoing"], strict=True))
        assert one.both_groups == sum(groups[i] == groups[other] for i, other in enumerate(rows["twin"]) if other >= 0)
        pairs = list(itertools.combinations(groups, 2))
        assert one.both_groups_pairs == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
        another = [(groups.count(group) - 1) / (len(groups) - 1) for group in groups]  # picked at random, for each neuron
        assert one.both_groups_pairs == pytest.approx(np.mean(another))
        assert one.chance_twins <= one.chance_twins_digit <= 100
    payload = payload_of(built)
    np.testing.assert_array_equal(unpacked(payload, "twin").reshape(built.neurons.twin.shape), built.neurons.twin)
    assert payload["curves"]["twins"]["mean"] == pytest.approx([one.twins.mean for one in built.readings], abs=1e-5)


def test_tables_of_before_have_no_twins_and_everything_else_stands(made, built):
    table, neurons, networks = made
    old = synthetic.scene(
        table.drop(columns=["twins", "twins_80", "twins_95", "nearest_cosine", "effective_rank"]),
        neurons.drop(columns=["twin", "twin_correlation"]), networks, layer=1, k=10,
    )  # fmt: skip
    payload = payload_of(old)
    assert payload["curves"]["twins"] is payload["twin"] is None
    assert (old.neurons.families == field.LONER).all()
    assert all(one.with_twin is None for one in old.readings)
    assert all(one.texts["twins"] == "twins: no result here" for one in old.readings)
    assert payload["alts"]["twins"] == "Twins: no result here."
    assert payload["curves"]["rand"] == payload_of(built)["curves"]["rand"]


def test_curves_look_as_on_every_other_chart(built):
    looks = payload_of(built)["looks"]
    assert looks["scaled"]["colour"] == style(Meaning.SCALED).colour
    assert looks["sampled"] == {"colour": style(Meaning.SAMPLED).colour, "dash": style(Meaning.SAMPLED).dash}
    assert set(payload_of(built)["curves"]) < set(looks)
    for pair in (("rand", "chance"), ("scaled", "sampled")):  # lines of one small chart
        assert all(looks[pair[0]][name] != looks[pair[1]][name] for name in ("colour", "dash"))


def test_Rand_never_stands_without_chance(built):
    for one in built.readings:
        assert "Rand" in one.texts["rand"]
        assert "chance" in one.texts["rand"]
    assert "chance gives .75 to .75" in payload_of(built)["alts"]["rand"]
    assert "chance gives 0" in payload_of(built)["alts"]["adjusted"]


def test_colours_do_not_jump_where_only_the_names_were_dealt_anew(made, built):
    moved = (np.diff(built.grouping.incoming, axis=0) != 0).mean(axis=1)
    raw = made[1].pivot(index="dropout", columns="neuron", values="incoming").to_numpy()
    assert (np.diff(raw, axis=0) != 0).mean() > 0.8
    assert moved.max() < 0.3


# ---- neurons ---------------------------------------------------------------------------------------------------------------


def test_a_neuron_is_shown_beside_its_twin_and_else_beside_the_one_most_like_it(built):
    own = np.arange(100)
    has = built.neurons.twin != own
    np.testing.assert_array_equal(built.neurons.partner[has], built.neurons.twin[has])
    np.testing.assert_allclose(built.neurons.correlation[has], 0.95)
    payload = payload_of(built)
    np.testing.assert_array_equal(unpacked(payload, "partner").reshape(built.neurons.partner.shape), built.neurons.partner)
    np.testing.assert_array_equal(unpacked(payload, "families").reshape(built.neurons.families.shape), built.neurons.families)


def test_the_nearest_copies_are_those_of_largest_cosine(made, built):
    networks = made[2]
    for side, vectors in enumerate((networks[0.4].weights[0].T, networks[0.4].weights[1])):
        for neuron in (0, 41, 99):
            cosines = {
                other: float(vectors[neuron] @ vectors[other])
                / float(np.linalg.norm(vectors[neuron]) * np.linalg.norm(vectors[other]))
                for other in range(100)
                if other != neuron
            }
            nearest = sorted(cosines, key=lambda other: -cosines[other])[:3]
            assert built.neurons.copies[side, 2, neuron].tolist() == nearest
            np.testing.assert_allclose(built.neurons.cosines[side, 2, neuron], [cosines[other] for other in nearest], atol=1e-5)


def test_agreement_by_chance_is_the_mean_over_permuted_labels():
    # Halves of 2 m neurons against halves: of m pairs i agree with C(m, i)^2 / C(2 m, m), and matching takes the larger side.
    m = 6
    shares = np.array([math.comb(m, i) ** 2 for i in range(m + 1)]) / math.comb(2 * m, m)
    agreeing = np.array([2 * max(i, m - i) for i in range(m + 1)])
    mean = float(shares @ agreeing)
    spread = math.sqrt(float(shares @ agreeing**2) - mean**2)
    halves = np.repeat([0, 1], m)
    found = agreement_by_chance(halves, halves)
    assert abs(found - mean) < 4 * spread / math.sqrt(AGREEMENT_DRAWS)
    assert found == agreement_by_chance(halves, halves)
    assert agreement_by_chance(np.zeros(9, int), np.zeros(9, int)) == 9
    assert agreement_by_chance(np.arange(9), np.arange(9)) == 9  # clusters of one neuron can be matched too


def test_a_reading_holds_what_chance_gives_of_its_agreement(built):
    for i, one in enumerate(built.readings):
        assert one.agree_chance == agreement_by_chance(built.grouping.incoming[i], built.grouping.outgoing[i])


def test_shuffled_weights_are_alike_as_random_ones_are_and_copies_stay_apart_from_that(made, built):
    assert built.neurons.shuffled.shape == (2, len(RATES))
    vectors = made[2][0.6].weights[0].T
    rng = np.random.default_rng(5)
    means = []
    for _ in range(20):
        drawn = np.stack([rng.permutation(row) for row in vectors])
        unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        cosines = unit @ unit.T - 2 * np.eye(100)
        means.append(cosines.max(axis=1).mean())
    assert abs(built.neurons.shuffled[0, 3] - np.mean(means)) < 4 * np.std(means, ddof=1)
    assert built.neurons.cosines[0, 3, :, 0].mean() > built.neurons.shuffled[0, 3] + 10 * np.std(means, ddof=1)


def test_tiles_lie_in_their_regions_and_nothing_covers_anything(built):
    for layout in built.grouping.layouts:
        check_layout(layout, built.grouping.incoming, built.grouping.agree)
    assert [layout.aspect for layout in built.grouping.layouts] == list(field.ASPECTS)
    assert all(layout.tile.min() > 0.05 for layout in built.grouping.layouts)


def test_clusters_keep_their_row_and_their_order_at_every_rate(built):
    for layout in built.grouping.layouts:
        rows, _ = field._rows(np.stack([np.bincount(row, minlength=built.k) for row in built.grouping.incoming]), layout.aspect)
        assert sorted(np.concatenate(rows)) == list(range(built.k))
        for regions in layout.regions:
            tops = []
            for row in rows:
                present = [label for label in row if regions[label, 2]]
                assert len(set(regions[present, 1].round(9))) <= 1
                assert regions[present, 0].tolist() == sorted(regions[present, 0])
                tops += regions[present[:1], 1].tolist()
            assert tops == sorted(tops)


# ---- what is sent -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "k"), [(1, 5), (1, 40), (2, 40), (3, 20)])
def test_the_files_are_small_enough_and_equal_however_often_they_are_made(layer: int, k: int):
    built = synthetic.scene(*synthetic.make(layer, k, seeds=2), layer=layer, k=k)
    assert len(built.rates) == len(built.files.pictures) == 19
    assert len(built.files.clusters) <= MOST_OF_CLUSTERS
    assert len(built.files.layer) + len(built.files.clusters) + max(map(len, built.files.pictures)) <= MOST_AT_FIRST
    assert len(built.files.layer) + len(built.files.clusters) + sum(map(len, built.files.pictures)) <= MOST_IN_ALL
    assert built.files is built.files
    assert synthetic.scene(*synthetic.make(layer, k, seeds=2), layer=layer, k=k).files == built.files


def test_another_number_of_clusters_changes_one_file_alone():
    made = synthetic.make(1, 10, RATES, seeds=2)
    ten, five = synthetic.scene(*made, layer=1, k=10).files, synthetic.scene(*synthetic.coarser(*made), layer=1, k=5).files
    assert (five.layer, five.pictures) == (ten.layer, ten.pictures)
    assert five.clusters != ten.clusters


def test_the_message_says_what_the_scene_holds(built):
    payload = {**json.loads(gzip.decompress(built.files.layer)), **json.loads(gzip.decompress(built.files.clusters))}
    shape = (len(RATES), 100)
    for name in ("incoming", "outgoing", "agree"):
        np.testing.assert_array_equal(unpacked(payload, name).reshape(shape), getattr(built.grouping, name))
    np.testing.assert_array_equal(unpacked(payload, "dead").reshape(shape), built.neurons.dead)
    assert payload["picture"] == {"rows": 28, "columns": 28, "across": 10}
    np.testing.assert_array_equal(unpacked(payload, "copies").reshape(built.neurons.copies.shape), built.neurons.copies)
    told = (unpacked(payload, "cosines").astype(float).reshape(built.neurons.cosines.shape) - 100) / 100
    np.testing.assert_allclose(told, built.neurons.cosines, atol=0.005 + 1e-9)
    assert payload["paper"] == [[rate, rand] for rate, rand in TABLE_2.items()]
    assert payload["texts"] == [one.texts for one in built.readings]
    np.testing.assert_allclose(payload["shuffled"], built.neurons.shuffled, atol=5.1e-5)
    for layout, sent in zip(
        (*built.grouping.layouts, *built.neurons.layouts), (*payload["layouts"], *payload["twinLayouts"]), strict=True
    ):
        np.testing.assert_allclose(np.reshape(sent["tiles"], layout.tiles.shape), layout.tiles, atol=5.1e-5)
        np.testing.assert_allclose(np.reshape(sent["regions"], layout.regions.shape), layout.regions, atol=5.1e-5)
    np.testing.assert_allclose(payload["curves"]["scaled"]["high"], [r.scaled.high for r in built.readings], atol=5.1e-6)
    np.testing.assert_allclose(payload["curves"]["chance"]["low"], [0.73] * len(RATES))


def test_every_rate_has_the_same_texts_so_that_none_is_left_standing(built):
    assert len({tuple(one.texts) for one in built.readings}) == 1
    marks = Counter(text.count("**") % 2 for one in built.readings for text in one.texts.values())
    assert set(marks) == {0}


# ---- what is refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t, n, w: (t, n, {0.15: w[0.0]}), "table, neurons and networks must share a rate for layer 1 and k 10"),
        (lambda t, n, w: (t.assign(width=500), n, w), "table must have rows of layer 1, 10 clusters and width 100; got none"),
        (lambda t, n, w: (pd.concat([t, t.assign(recipe="paper")]), n, w), "table must be of one recipe; got modern, paper"),
        (lambda t, n, w: (t, n[n["neuron"] != 3], w), "neurons must number those of the network at rate 0 from 0"),
        (lambda t, n, w: (t, pd.concat([n, n]), w), "neurons must number those of the network at rate 0 from 0"),
        (lambda t, n, w: (t, n.assign(incoming=n["neuron"]), w), "neurons must have at most k = 10 clusters; got 100"),
    ],
)
def test_what_does_not_belong_together_is_refused_in_one_sentence(made, spoil: Callable[..., Any], message: str):
    with pytest.raises(ValueError, match=message) as refusal:
        synthetic.scene(*spoil(*made), layer=1, k=10)
    assert "\n" not in str(refusal.value)


# ---- the component in a script ----------------------------------------------------------------------------------------------


def page() -> None:
    import streamlit as st

    from dropclust.ui.explorer import Seen, explorer
    from tests.ui import synthetic

    scene = st.cache_resource(
        lambda: synthetic.scene(*synthetic.make(3, 5, (0.0, 0.4, 0.8), 2), layer=3, k=5), show_spinner=False
    )()
    if not st.session_state.get("away"):
        try:
            st.text(str(explorer(scene, Seen(st.session_state.get("wanted", 1)), "drag").index))
        except ValueError as refusal:
            st.text(str(refusal))


def test_it_starts_where_told_and_later_starts_count_only_after_it_was_away():
    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception
    assert app.text[0].value == "1"
    app.session_state["wanted"] = 2
    assert app.run().text[0].value == "1"
    app.session_state["away"] = True
    assert len(app.run().text) == 0
    app.session_state["away"] = False
    assert app.run().text[0].value == "2"


@pytest.mark.parametrize("start", [-1, 3])
def test_a_start_that_is_no_rate_is_refused(start: int):
    app = AppTest.from_function(page, default_timeout=60)
    app.session_state["wanted"] = start
    assert app.run().text[0].value == f"start must have an index from 0 to 2; got {start}"


def test_the_scene_knows_no_streamlit_and_the_component_no_torch(subprocess_environment):
    imports = [node for node in ast.walk(ast.parse(inspect.getsource(scene))) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name for node in imports for name in (getattr(node, "module", None), *(alias.name for alias in node.names))}
    assert not {str(name).split(".")[0] for name in names} & {"streamlit", "torch"}
    code = "import dropclust.ui.explorer, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=subprocess_environment)
