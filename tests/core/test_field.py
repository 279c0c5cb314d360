"""Where neurons lie: all in the field, nothing over anything, and nothing moves that need not."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dropclust.core import field


def overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two boxes (left, top, width, height) share more than an edge."""
    return bool((np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2]) > 1e-9).all())


# ---- families ---------------------------------------------------------------------------------------------------------------

twin_tables = st.lists(st.lists(st.integers(0, 11), min_size=12, max_size=12), min_size=1, max_size=4).map(np.array)


@settings(max_examples=100, deadline=None)
@given(twin_tables)
def test_a_family_is_all_that_twins_join_and_who_has_none_is_alone(twin: np.ndarray):
    families = field.families_of(twin)
    for rate, row in enumerate(twin):
        joined = {neuron: {neuron} for neuron in range(12)}
        for neuron, other in enumerate(row):
            union = joined[neuron] | joined[other]
            for member in union:
                joined[member] = union
        for neuron in range(12):
            alone = len(joined[neuron]) == 1
            assert (families[rate, neuron] == field.LONER) == alone
            if not alone:
                assert set(np.flatnonzero(families[rate] == families[rate, neuron])) == joined[neuron]


def test_a_family_that_stays_keeps_its_number_and_so_its_colour():
    pair, more = np.arange(12), np.arange(12)
    pair[[4, 5]] = 5, 4
    more[[0, 1]] = 1, 0
    more[[4, 5, 6]] = 5, 4, 5
    families = field.families_of(np.stack([pair, more]))
    assert families[0, 4] == families[1, 4] == families[1, 6]
    assert families[1, 0] not in (families[1, 4], field.LONER)


def test_twins_stand_side_by_side_in_their_family():
    twin = np.array([1, 0, 1, 2, 5, 4])
    assert field._chain(np.array([0, 1, 2, 3]), twin).tolist() == [0, 1, 2, 3]
    assert field._chain(np.array([4, 5]), twin).tolist() == [4, 5]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.sampled_from(field.ASPECTS))
def test_families_and_loners_lie_in_the_field_and_nothing_covers_anything(seed: int, share: float, aspect: float):
    rng = np.random.default_rng(seed)
    twin = np.stack([np.where(rng.random(60) < share, rng.integers(0, 60, 60), np.arange(60)) for _ in range(2)])
    families, dead = field.families_of(twin), rng.random((2, 60)) < 0.1
    layout = field.family_layout(families, twin, dead, aspect)
    for rate in range(2):
        side = layout.tile[rate]
        boxes = np.column_stack([layout.tiles[rate], np.full((60, 2), side)])
        assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))
        assert boxes[:, :2].min() >= 0
        assert (boxes[:, 0] + side).max() <= 1 + 1e-9
        assert (boxes[:, 1] + side).max() <= 1 / aspect + 1e-9
        alone = families[rate] == field.LONER
        for neuron in np.flatnonzero(~alone):
            left, top, width, height = layout.regions[rate, families[rate, neuron]]
            assert left <= boxes[neuron, 0]
            assert boxes[neuron, 0] + side <= left + width + 1e-9
            assert top <= boxes[neuron, 1]
            assert boxes[neuron, 1] + side <= top + height + 1e-9
        if alone.any() and (~alone).any():
            assert boxes[alone, 1].min() > boxes[~alone, 1].max() + side
        gone = alone & dead[rate]
        if gone.any() and (alone & ~gone).any():  # the dead last, as one reads
            assert max(map(tuple, boxes[alone & ~gone, 1::-1])) < min(map(tuple, boxes[gone, 1::-1]))


# ---- clusters --------------------------------------------------------------------------------------------------------------


def check_layout(layout: field.Layout, labels: np.ndarray, agree: np.ndarray) -> None:
    for rate in range(len(labels)):
        regions = layout.regions[rate]
        present = np.unique(labels[rate])
        assert sorted(np.flatnonzero(regions[:, 2])) == present.tolist()
        assert not any(overlap(regions[a], regions[b]) for a, b in itertools.combinations(present, 2))
        # Above each region there is room for its number.
        side = layout.tile[rate]
        number = np.array([0, 0.4 * side, 0, 0.4 * side])
        assert not any(overlap(regions[a] - number * (1, 1, 1, -1), regions[b]) for a, b in itertools.permutations(present, 2))
        assert regions[present, 1].min() >= 0.4 * side
        boxes = np.column_stack([layout.tiles[rate], np.full((labels.shape[1], 2), side)])
        assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))
        own = regions[labels[rate]]
        assert (boxes[:, :2] >= own[:, :2]).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= own[:, :2] + own[:, 2:] + 1e-9).all()
        assert regions[present, :2].min() >= 0
        assert (regions[:, 0] + regions[:, 2]).max() <= 1 + 1e-9
        assert (regions[:, 1] + regions[:, 3]).max() <= 1 / layout.aspect + 1e-9
        for label in present:
            members = np.flatnonzero(labels[rate] == label)
            reading_order = members[np.lexsort(np.round(layout.tiles[rate, members], 6).T)]
            solid = agree[rate, reading_order]
            assert solid.tolist() == sorted(solid, reverse=True)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from(field.ASPECTS))
def test_any_sizes_of_clusters_fit(seed: int, k: int, aspect: float):
    rng = np.random.default_rng(seed)
    labels = np.stack([rng.choice(k, size=30, p=rng.dirichlet(np.full(k, 0.5))) for _ in range(3)])
    agree = rng.random(labels.shape) < 0.5
    check_layout(field.cluster_layout(labels, agree, k, aspect), labels, agree)


def test_where_nothing_changes_nothing_moves_and_where_one_neuron_changes_few_do():
    labels = np.repeat(np.arange(20) % 4, 2)
    agree = np.ones_like(labels, dtype=bool)
    changed = labels.copy()
    changed[7] = (labels[7] + 1) % 4
    layout = field.cluster_layout(np.stack([labels, labels, changed]), np.stack([agree] * 3), 4, 1.5)
    np.testing.assert_array_equal(layout.tiles[0], layout.tiles[1])
    regions = layout.regions[:, :, :2]
    inside = [layout.tiles[i] - regions[i][row] for i, row in ((1, labels), (2, changed))]
    moved = (np.abs(inside[0] - inside[1]) > layout.tile[0]).any(axis=1)
    assert moved.sum() <= 10
