"""The neurons of four courses over time: each moment of each course is there, and says what its rows say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dropclust.core.similarity import adjusted_rand
from dropclust.core.tiles import SHADES
from dropclust.experiments import onset, results
from dropclust.experiments.experiment import Settings
from dropclust.experiments.onset import OFF, OFF_ON, ON, ON_OFF
from dropclust.findings import moments
from tests.findings.test_onset import write

LETTERS = "abcdefghijk"
HERE = (500, 1250, 1310, 2500)


def neurons() -> pd.DataFrame:
    """Twelve neurons a layer; the pairs of a course are twins from the switch on, where dropout is on."""
    rng, rows = np.random.default_rng(0), []
    for course in onset.COURSES:
        for step in HERE if course in (OFF, ON) else HERE[2:]:
            for layer, size in ((1, 196), (2, 100)):
                alike = course == ON or (course == OFF_ON and step == HERE[-1])
                rows += [
                    {
                        "course": course, "step": step, "layer": layer, "neuron": neuron, "incoming": neuron % 10,
                        "outgoing": (neuron + (not alike)) % 10 if neuron % 3 else neuron % 10, "agree": int(alike),
                        "dead": int(neuron == 11), "twin": neuron ^ 1 if alike and neuron < 6 else -1,
                        "picture": "".join(rng.choice(list(LETTERS), size)),
                    }
                    for neuron in range(12)
                ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


@pytest.fixture
def table() -> pd.DataFrame:
    return neurons()


def test_every_course_is_there_at_every_moment(table):
    said = moments.moments(table, "modern", 2)
    assert said.examples == tuple(128 * step for step in HERE)
    assert said.switch == 160_000
    assert {course: len(shown) for course, shown in said.courses.items()} == dict.fromkeys(onset.COURSES, 4)
    for switched, until in ((OFF_ON, OFF), (ON_OFF, ON)):
        for at in (0, 1):
            ours, theirs = said.courses[switched][at], said.courses[until][at]
            assert (ours.clusters == theirs.clusters).all()
            assert (ours.shades == theirs.shades).all()


def test_a_snapshot_is_what_its_rows_say(table):
    said = moments.moments(table, "modern", 1)
    for course, shown in said.courses.items():
        rows = table[(table["course"] == course) & (table["step"] == 2500) & (table["layer"] == 1)].sort_values("neuron")
        last = shown[-1]
        assert last.twins == (rows["twin"] >= 0).sum() == (6 if course in (ON, OFF_ON) else 0)
        assert last.dead.tolist() == (rows["dead"] == 1).tolist()
        assert last.adjusted_rand == adjusted_rand(rows["incoming"], rows["outgoing"])
        assert adjusted_rand(last.clusters, rows["incoming"]) == 1  # other names, the same clusters
        assert last.shades.shape == (12, 14, 14)
        assert last.shades[3].ravel().tolist() == [LETTERS.index(letter) - SHADES for letter in rows["picture"].iloc[3]]
    found = said.table().set_index(["course", "images shown"])
    assert found.loc[("switched on at half", 320_000), "neurons with a twin"] == 6
    assert "Switched on at half: 0 neurons have a twin at the switch, 6 at the end." in said.sentence


def test_clusters_keep_their_names_over_time(table):
    renamed = table.copy()
    late = renamed["step"] > 1250
    renamed.loc[late, "incoming"] = 9 - renamed.loc[late, "incoming"]
    for shown in moments.moments(renamed, "modern", 2).courses.values():
        assert all((snapshot.clusters == shown[0].clusters).all() for snapshot in shown)


def test_a_moment_that_is_lacking_is_named(table):
    torn = table[(table["course"] != ON) | (table["step"] != 1310)]
    with pytest.raises(ValueError, match="dropout throughout lacks step 1,310"):
        moments.moments(torn, "modern", 2)


def test_a_missing_table_names_its_command(tmp_path):
    with pytest.raises(results.ResultError, match="python -m dropclust reproduce onset"):
        moments.read(root=tmp_path)


def test_a_stored_table_is_read(tmp_path, table):
    write(tmp_path, table, "onset-neurons-modern")
    assert moments.read(root=tmp_path).layer == 2


@pytest.mark.parametrize("layer", onset.LAYERS)
def test_what_is_shipped_is_the_seed_of_the_shipped_table(layer):
    said = moments.read(layer=layer)
    assert said.examples == tuple(round(share * 1250) * 128 for share in onset.SHOWN)
    rows = results.read("onset-modern").table.query("width == 100 and seed == @onset.SHOWN_SEED and layer == @layer")
    for course, rate in ((OFF, 0.0), (ON, 0.5), (OFF_ON, 0.5), (ON_OFF, 0.5)):
        own = rows[(rows["course"] == course) & (rows["rate"] == rate) & (rows["gaussian"] == 0)].set_index("step")
        for shown, snapshot in zip(said.examples, said.courses[course], strict=True):
            if shown // 128 in own.index:
                there = own.loc[shown // 128]
                assert snapshot.adjusted_rand == pytest.approx(there["adjusted_rand_10"], abs=5e-4)
                assert snapshot.dead.sum() == there["dead"]
                living = len(snapshot.dead) - snapshot.dead.sum()
                assert snapshot.twins / living == pytest.approx(there["twins"], abs=5e-4)


def test_what_is_shipped_is_small():
    sizes = [results.place(f"onset-neurons-modern.{kind}").stat().st_size for kind in ("csv", "json")]
    assert sum(sizes) < 2_000_000
    assert set(results.read("onset-neurons-modern").conditions["settings"]) == set(vars(Settings()))
