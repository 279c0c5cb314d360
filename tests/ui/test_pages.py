"""Every page as its viewer's first request makes it, with a good address, a bad one, and results that are missing."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dropclust.core.spec import RunSpec
from dropclust.experiments import results, table2
from dropclust.findings import tour
from dropclust.service.jobs import Jobs, Run
from dropclust.service.shared import forget
from dropclust.service.store import Store
from dropclust.service.stored import Stored
from dropclust.ui import explore, live
from dropclust.ui.explorer import SKIPPED, Seen

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.name for path in (ROOT / "pages").glob("*.py"))


class Still(Jobs):
    """A queue that never starts a cluster: what is submitted waits."""

    def start(self):
        """Nothing."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder with the shipped results and no run."""
    shutil.copytree(ROOT / "cache" / "results", tmp_path / "results")
    (tmp_path / "runs").mkdir()
    monkeypatch.setenv("DROPCLUST_CACHE", str(tmp_path))
    st.cache_data.clear()
    st.cache_resource.clear()
    forget()
    store = Store(tmp_path / "runs")
    monkeypatch.setattr(live, "store", lambda: store)
    queue = Still(store, workers=2)
    monkeypatch.setattr(live, "queue", lambda: queue)
    return tmp_path


@pytest.fixture
def shipped(cache):
    """The shipped runs too."""
    shutil.copytree(ROOT / "cache" / "runs", cache / "runs", dirs_exist_ok=True)
    shutil.copytree(ROOT / "cache" / "MNIST", cache / "MNIST")
    return cache


def open_page(name: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / name), default_timeout=120)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def said(app: AppTest) -> str:
    """All sentences of a page, those that charts and pictures say to a screen reader too."""
    assert not app.exception, app.exception
    kinds = app.markdown, app.caption, app.warning, app.error, app.info
    texts = [element.value for kind in kinds for element in kind]
    texts += [chart.proto.alt for chart in app.get("plotly_chart")]
    return " ".join([*texts, *(image.alt for images in app.get("image") for image in images.proto.imgs)])


def unfolded(app: AppTest) -> AppTest:
    """The page with every line opened behind which something is made when it is opened."""
    for each in app.expander:
        if each.proto.id:  # "$$ID-", a hash, "-", and its key
            app.session_state[each.proto.id.split("-", 2)[2]] = True
    return app.run()


def pick(app: AppTest, key: str, value: object) -> None:
    next(each for each in app.segmented_control if each.key == key).set_value(value).run()


def finished(hidden=(6, 5, 4), seed=0, status="done", **changes) -> Stored:
    spec = RunSpec(hidden=hidden, seed=seed, **changes)
    rng = np.random.default_rng(seed)
    pairs = list(zip(spec.widths[:-1], spec.widths[1:], strict=True))
    curve = [{"step": i, "examples": 128 * i, "loss": 2.0 - i / 2, "accuracy": 0.2 * i, "seconds": float(i)} for i in range(4)]
    return Stored(
        spec,
        tuple(rng.normal(size=pair).astype(np.float32) for pair in pairs),
        tuple(np.zeros(n, np.float32) for _, n in pairs),
        curve,
        {"test_accuracy": 0.9 + seed / 100, "test_cross_entropy": 0.3, "dead_1": 1.0, "dead_2": 0.0, "dead_3": 0.0},
        status,
        3,
        1.5,
        "2026-01-01T00:00:00+00:00",
        {"python": "3"},
    )


def test_the_router_opens_the_first_page_and_knows_the_others(shipped):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    titles = {"explore.py": app.title[0].value}
    for name in PAGES:
        app.switch_page(f"pages/{name}").run()
        assert not app.exception
        titles[name] = app.title[0].value
    # Afterwards: each app that a test opens takes the components' registry from the one before.
    assert titles == {name: open_page(name).title[0].value for name in titles}


@pytest.mark.parametrize("name", PAGES)
def test_a_first_look_shows_no_error(shipped, name):
    app = open_page(name)
    assert app.title
    assert not app.exception
    assert not app.error
    assert not app.warning


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("value", ["1", "-0.1", "abc", "nan", ""])
def test_a_wrong_rate_costs_one_sentence_and_the_page_works(shipped, name, value):
    if "RATE = Parameter" not in (ROOT / "pages" / name).read_text() and name != "train.py":  # whose rate is in ui/training
        return
    app = open_page(name, rate=value)
    [warning] = [warning.value for warning in app.warning if "Dropout rate" in warning.value]
    assert f"the address gave {value!r}. Shown instead: 0.4" in warning
    assert app.title
    assert not app.exception


# ---- Explore


@pytest.fixture
def hand(monkeypatch):
    """What the viewer does with the explorer: ``hand["seen"]`` changes what it shows; what it was given lies there too."""
    done = {}

    def follow(scene, start, key, question=None, present=False, network=""):
        done.update(start=start, question=question, scene=scene, network=network)
        return dataclasses.replace(start, **done.get("seen", {}))

    monkeypatch.setattr(explore, "explorer", follow)
    return done


def with_twin(rate, layer=2, recipe="modern"):
    rows = results.read(f"table2-neurons-{recipe}").table.query("layer == @layer and k == 10 and dropout == @rate")
    return int((rows["twin"] >= 0).sum())


def test_explore_asks_first_and_tells_afterwards(shipped, hand):
    answer = with_twin(0.6)
    app = open_page("explore.py")
    assert "How many will with dropout **0.6**?" in hand["question"].text
    assert str(answer) not in said(app)
    assert "Rand" not in said(app)
    hand["seen"] = {"index": 12, "guess": 30}
    app.run()
    assert f"You expected 30: {answer - 30} below the answer." in said(app)
    assert f"Neurons with a twin at dropout 0.6, modern recipe, layer 2: {answer}." in said(app)
    assert app.query_params["rate"] == "0.60"
    assert live.guesses("modern", 2).all() == (30,)
    app.run()
    assert live.guesses("modern", 2).all() == (30,)


def test_a_class_sees_what_others_guessed(shipped, hand):
    for value in (10, 30):
        live.guesses("modern", 2).add(value)
    live.guesses("paper", 2).add(60)
    app = open_page("explore.py")
    hand["seen"] = {"guess": 61}
    app.run()
    assert "You expected 61" in said(app)
    assert "2 guesses made here before lie around 20." in said(app)


def test_who_skips_the_question_sees_no_guess_and_is_asked_nothing_more(shipped, hand):
    app = open_page("explore.py")
    hand["seen"] = {"guess": SKIPPED}
    app.run()
    assert "You expected" not in said(app)
    assert "Dropout rate 0.40: Rand" in said(app)
    assert live.guesses("modern", 2).all() == ()
    assert app.session_state["asks no more"]


def test_a_link_can_leave_the_question_out(shipped, hand):
    open_page("explore.py", guess="off")
    assert hand["question"] is None


@pytest.mark.parametrize("shown", [{"rate": "0.60"}, {"rate": "0.40"}, {"view": "paper"}])
def test_a_link_that_says_what_is_shown_asks_for_no_guess(shipped, hand, shown):
    app = open_page("explore.py", **shown)
    assert hand["question"] is None
    assert dict(app.query_params).keys() <= shown.keys()
    open_page("explore.py", guess="on", **shown)
    assert hand["question"] is not None


def test_what_the_viewer_lets_go_at_stands_in_the_address(shipped, hand):
    hand["seen"] = {"index": 3, "view": "paper", "step": 4}
    app = open_page("explore.py", guess="off")
    assert (app.query_params["rate"], app.query_params["view"], app.query_params["step"]) == ("0.15", "paper", "4")
    hand["seen"] = {"index": 8, "view": "twins", "step": 0}
    app.run()
    assert not {"rate", "view", "step"} & set(app.query_params)


@pytest.mark.parametrize("step", range(1, 8))
def test_a_link_to_a_step_of_the_tour_sets_its_controls_and_asks_nothing(shipped, hand, step):
    open_page("explore.py", step=str(step))
    wanted = tour.STEPS[step - 1]
    assert hand["question"] is None
    assert hand["start"] == Seen(table2.RATES.index(wanted.rate), wanted.view, step)


def test_who_comes_back_from_another_page_finds_the_rate_as_it_was_left(shipped, hand):
    hand["seen"] = {"index": 14}
    app = open_page("explore.py", guess="off")
    hand.pop("seen")
    app.query_params.clear()
    app.query_params["guess"] = "off"
    app.run()
    assert hand["start"].index == 14


@pytest.mark.parametrize("layer", table2.LAYERS)
def test_explore_shows_rand_next_to_chance(shipped, layer):
    app = open_page("explore.py", guess="off", layer=str(layer), rate="0.6", k="20")
    table = results.read("table2-modern").table.query("layer == @layer and k == 20 and width == 100 and dropout == 0.6")
    text = said(app)
    assert f"Rand {table['rand'].mean():.2f}".replace("0.", ".") in text
    assert f"chance {table['chance_rand'].mean():.2f}".replace("0.", ".") in text


@pytest.mark.parametrize("recipe", ["modern", "paper"])
def test_the_tour_leads_to_the_network_that_is_shown(shipped, hand, recipe):
    open_page("explore.py", guess="off", recipe=recipe)
    assert hand["network"] == table2.shown_spec(0.5, recipe).key
    assert live.stored(hand["network"])


def test_networks_that_are_not_stored_are_one_click_away(cache):
    app = open_page("explore.py", guess="off", recipe="paper", shown_seed="3")
    text = said(app)
    assert "19 of the 19 networks of seed 3 under the paper recipe are not stored here." in text
    assert "Paper recipe, layer 2, 10 clusters, 20 seeds: the two clusterings agree" in text  # curves need no network of it
    next(button for button in app.button if button.label.startswith("Train them")).click().run()
    assert [run.spec for run in live.queue().runs()] == [table2.shown_spec(rate, "paper", 3) for rate in table2.RATES]


@pytest.mark.parametrize("seed", ["20", "-1", "77"])
def test_a_seed_that_was_not_trained_is_said_and_the_shipped_one_shown(shipped, seed):
    app = open_page("explore.py", guess="off", shown_seed=seed)
    assert f"Seed must be a whole number from 0 to 19; got {seed}. Shown instead: 0." in said(app)
    assert "Dropout rate 0.40: Rand" in said(app)


def test_what_the_other_recipe_gives_is_said_beside_the_chosen_one(shipped):
    text = said(open_page("explore.py", guess="off"))
    best = [
        results.read(f"table2-{recipe}").table.query("layer == 2 and k == 10 and width == 100").groupby("dropout")
        for recipe in ("modern", "paper")
    ]
    modern, paper = (f"{table['adjusted_rand'].mean().max():.2f}" for table in best)
    assert re.search(rf"Adjusted Rand at its greatest, modern recipe: {modern} .* paper recipe: {paper} ", text)
    (shipped / "results" / "table2-paper.csv").unlink()
    live.result.clear()
    live.table_2.clear()
    assert "paper recipe:" not in said(open_page("explore.py", guess="off"))


def test_a_seed_of_ones_own_is_shown_like_the_shipped_one(shipped):
    for rate in table2.RATES:
        spec = table2.shown_spec(rate, "modern", 4)
        live.store().put(finished(hidden=spec.hidden, seed=4, dropout=spec.dropout))
    app = open_page("explore.py", guess="off", shown_seed="4", plain="on")
    assert "100 neurons in 10 clusters by incoming weights" in said(app)


def test_what_is_drawn_of_a_layer_is_shipped_and_where_it_is_not_a_worker_draws_the_same(shipped, tasks):
    first = live.scene("paper", table2.SHOWN_SEED, 3, 20)
    assert not tasks.asked
    for file in (shipped / "results").glob("explorer-*"):
        file.unlink()
    forget()
    again = live.scene("paper", table2.SHOWN_SEED, 3, 20)
    assert [request.function for request in tasks.asked] == ["drawing"]
    assert again.files.clusters == first.files.clusters
    assert again.readings == first.readings


def test_many_neurons_are_two_pictures_that_a_phone_shows_one_below_the_other(shipped):
    alts = [image.alt for images in open_page("similar.py").get("image") for image in images.proto.imgs]
    assert alts.count("The rest of these tiles.") == 1
    assert "100 neurons" in alts[alts.index("The rest of these tiles.") - 1]


@pytest.mark.parametrize("recipe", ["modern", "paper"])
def test_both_recipes_can_be_explored(shipped, recipe):
    text = said(open_page("explore.py", guess="off", recipe=recipe))
    table = results.read(f"table2-{recipe}").table.query("layer == 2 and k == 10 and width == 100 and dropout == 0.4")
    assert f"Rand {table['rand'].mean():.2f}".replace("0.", ".") in text


def test_a_damaged_result_costs_one_sentence(shipped):
    path = shipped / "results" / "table2-modern.csv"
    path.write_bytes(path.read_bytes()[:-100])
    app = open_page("explore.py")
    assert "The table table2-modern is damaged" in said(app)
    assert "python -m dropclust reproduce table2" in said(app)


def test_a_missing_result_costs_one_sentence(shipped):
    (shipped / "results" / "table2-neurons-modern.csv").unlink()
    assert "The table table2-neurons-modern is not there" in said(open_page("explore.py"))


# ---- Train


def test_train_submits_what_was_chosen_and_the_address_carries_it(cache):
    app = open_page("train.py", width1="7", width2="6", width3="5", rate="0.25", seeds="3", noise="Gaussian", examples="12800")
    [button] = [button for button in app.button if button.label == "Train"]
    button.click().run()
    waiting = live.queue().runs()
    assert [run.spec for run in waiting] == [
        RunSpec(hidden=(7, 6, 5), dropout=(0.25,) * 3, noise="gaussian", examples=12_800, seed=seed) for seed in range(3)
    ]
    assert app.query_params["run"] == [run.key for run in waiting]


def test_a_rate_for_each_layer(cache):
    app = open_page("train.py", each="true", rate1="0.1", rate2="0", rate3="0.5")
    next(button for button in app.button if button.label == "Train").click().run()
    assert live.queue().runs()[0].spec.dropout == (0.1, 0.0, 0.5)


def test_what_would_take_too_long_is_said_and_cannot_be_started(cache):
    app = open_page("train.py", width1="2000", width2="2000", width3="2000")
    assert "A run must take less than about 120 seconds on two cores" in said(app)
    assert next(button for button in app.button if button.label == "Train").disabled


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"width2": "0"}, "Units must be a whole number from 1 to 2,000; got 0."),
        ({"batch": "5000"}, "Batch size must be a whole number from 1 to 4,096; got 5000."),
        ({"examples": "1"}, "Batch size must be at most examples shown (1); got 128."),
        ({"seeds": "9"}, "Seeds must be a whole number from 1 to 8; got 9"),
        ({"seed": "2147483647", "seeds": "2"}, "First seed must be a whole number from 0 to 2,147,483,647; got 2147483648."),
        ({"images": "99999"}, "Training images must be a whole number from"),
    ],
)
def test_what_is_typed_and_not_allowed_is_said_in_the_pages_words_and_cannot_be_started(cache, wrong, sentence):
    app = open_page("train.py", **wrong)
    assert sentence in said(app)
    assert "Shown instead" not in said(app)
    assert next(button for button in app.button if button.label == "Train").disabled


@pytest.mark.parametrize("key", ["zz", "0" * 64, "../../etc/passwd"])
def test_an_unknown_run_costs_one_sentence(cache, key):
    app = open_page("train.py", run=key)
    assert f"No run {key[:12]} is known here" in said(app)


def test_a_key_from_the_address_may_be_anything(cache):
    one = finished()
    live.store().put(one)
    assert live.stored(one.key).spec == one.spec
    assert live.stored(one.key) is live.stored(one.key)  # read once
    assert [live.stored(key) for key in ("", "zz", "../../etc", "0" * 64)] == [None] * 4


def test_a_reload_finds_a_finished_run_by_its_key(cache):
    one = finished()
    live.store().put(one)
    app = open_page("train.py", layer=1, run=one.key)
    assert "Test accuracy 0.9000 (one seed: no interval)" in said(app)
    assert "It classifies 90.0 % of the test images correctly." in said(app)
    assert "Adjusted Rand" in said(app)
    assert "Never active on the held-out images: 1." in said(app)


def test_what_was_trained_before_is_shown_at_once_and_nothing_else_is(cache):
    one = finished()
    live.store().put(one)
    settings = {f"width{layer}": str(width) for layer, width in enumerate(one.spec.hidden, start=1)}
    settings |= {"rate": f"{one.spec.dropout[0]:g}", "examples": str(one.spec.examples), "batch": str(one.spec.batch_size)}
    app = open_page("train.py", **settings)
    assert "Test accuracy 0.9000" in said(app)
    assert not app.query_params.get("run")
    other = open_page("train.py", **settings | {"seed": "1"})
    assert "Press **Train**" in said(other)
    assert "Test accuracy" not in said(other)


def test_runs_of_several_seeds_have_an_interval(cache):
    runs = [finished(seed=seed) for seed in (0, 1, 2)]
    for run in runs:
        live.store().put(run)
    app = open_page("train.py", run=[run.key for run in runs])
    assert "Test accuracy 0.9100 (95 % interval 0.8852 to 0.9348, 3 seeds)" in said(app)


def test_a_corrupt_run_is_set_aside_and_said(cache):
    one = finished()
    path = live.store().put(one)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    app = open_page("train.py", run=one.key)
    assert f"No run {one.key[:12]} is known here" in said(app)
    assert "damaged" in said(app)
    assert not path.exists()


def damage_weights(path):
    """Flip a bit of the last weight: the header stays sound, so that the run is still listed."""
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("page", ["similar.py", "train.py"])
def test_a_run_with_damaged_weights_costs_one_sentence_and_can_be_trained_again(shipped, page):
    one = finished(hidden=(30, 20, 15))
    path = live.store().put(one)
    assert not open_page(page, run=one.key).exception
    damage_weights(path)
    text = said(open_page(page, run=one.key))
    assert text.count("do not match their checksum") == 1
    assert f"No run {one.key[:12]} is known here" in text
    live.store().put(one)
    app = open_page(page, run=one.key)
    assert "is known here" not in said(app)
    assert "Both clusterings agree on" in said(app)


def test_a_run_that_ended_here_and_was_damaged_later_is_said(cache, monkeypatch):
    one = finished()
    run = live.queue()._found(one)
    monkeypatch.setattr(live.queue(), "get", lambda key: run if key == one.key else None)
    path = live.store().put(one)
    damage_weights(path)
    app = open_page("train.py", run=one.key)
    assert said(app).count("do not match their checksum") == 1
    assert not app.metric


def test_a_network_that_could_not_be_stored_is_taken_home_or_stored_again(cache, monkeypatch):
    one, queue = finished(), live.queue()
    failed = dataclasses.replace(queue._found(one), state="failed", message="It was trained but could not be stored: no space.")
    known = queue.runs
    monkeypatch.setattr(queue, "runs", lambda: [failed, *known()])
    queue._unstored[one.key] = one
    app = open_page("train.py", run=one.key)
    assert "could not be stored" in said(app)
    assert "no space" in said(app)
    assert "is in memory until the app ends" in said(app)
    assert any(button.label == "Download it" for button in app.get("download_button"))
    next(button for button in app.button if button.label == "Store it again").click().run()
    assert live.store().get(one.key) is not None
    assert queue.unstored(one.key) is None
    assert "is in memory until the app ends" not in said(app)


@pytest.mark.parametrize(("state", "message", "told"), [
    ("failed", "diverged at step 7", "Failed: diverged at step 7, its weights grew beyond all numbers. Choose another recipe,"),
    ("failed", "The memory is full.", "Failed: the memory is full. Press Train to try it again."),
    ("stopped", "It was stopped by you.", "Stopped early: it was stopped by you. What it had learnt is kept; Train starts it"),
])  # fmt: skip
def test_of_a_run_that_ended_before_its_end_the_page_says_why_and_what_to_do(cache, monkeypatch, state, message, told):
    queue = live.queue()
    ended = dataclasses.replace(queue._found(finished()), state=state, message=message)
    known = queue.runs
    monkeypatch.setattr(queue, "runs", lambda: [ended, *known()])
    app = open_page("train.py", run=ended.key)
    [warning] = [warning.value for warning in app.warning if told in warning.value]
    assert warning.startswith("Dropout ")


def test_without_workers_the_page_says_how_to_try_again(cache, monkeypatch):
    monkeypatch.setattr(type(live.queue()), "failure", "Training is not possible now: no scheduler.")
    app = open_page("train.py")
    assert [error.value for error in app.error] == [
        "Nothing can be trained now: Training is not possible now: no scheduler. Press **Train** to try again."
    ]


def test_what_is_computed_of_a_run_is_kept_while_its_file_stays_the_same(cache):
    one = finished(hidden=(30, 20, 15), status="stopped")
    with pytest.raises(LookupError, match="is not in the store"):
        live.similarity(one.key, 1, 5)
    live.store().put(one)
    first, _ = live.similarity(one.key, 1, 5)
    again, _ = live.similarity(one.key, 1, 5)
    np.testing.assert_array_equal(first.incoming_labels, again.incoming_labels)
    other = dataclasses.replace(one, status="done", weights=tuple(-weight[:, ::-1] for weight in one.weights))
    live.store().put(dataclasses.replace(other, weights=tuple(map(np.ascontiguousarray, other.weights))))
    changed, _ = live.similarity(one.key, 1, 5)
    assert not np.array_equal(first.incoming_labels, changed.incoming_labels)


def test_a_narrow_layer_is_not_clustered(cache):
    one = finished(hidden=(1, 5, 4))
    live.store().put(one)
    assert "One neuron alone cannot be clustered." in said(open_page("train.py", layer=1, run=one.key))


def test_two_viewers_share_one_run(cache):
    for _ in range(2):
        app = open_page("train.py", width1="9")
        next(button for button in app.button if button.label == "Train").click().run()
    [run] = live.queue().runs()
    assert isinstance(run, Run)


# ---- Similar neurons


def test_similar_neurons_works_for_the_viewers_own_run(shipped):
    one = finished(hidden=(30, 20, 15))
    live.store().put(one)
    app = open_page("similar.py", run=one.key, similar_layer="1", k="5")
    text = said(app)
    assert "30 neurons in 5 clusters by incoming weights" in text
    assert "The Rand index of" in said(unfolded(app))
    assert [metric.label for metric in app.metric] == [
        "Rand index", "Rand by chance", "Adjusted Rand", "Twins", "Never fire", "Correlation",
    ]  # fmt: skip
    assert "living neurons have a twin" in text
    assert one.key in app.query_params["run"]


def test_another_recipe_is_another_network_and_the_heading_names_it(shipped):
    def heads(app):
        return [head.value for head in app.header]

    app = open_page("similar.py", recipe="paper")
    assert app.selectbox[0].value == table2.shown_spec(0.55, "paper").key
    assert "run" not in app.query_params  # the usual network needs no word, and no step in the browser's history
    assert heads(app) == ["One network, paper recipe"]
    pick(app, "recipe", "modern")
    assert app.selectbox[0].value == table2.shown_spec(0.55).key
    assert heads(app) == ["One network, modern recipe"]


def test_a_network_that_the_other_recipe_lacks_stays_and_the_heading_says_whose_it_is(shipped):
    one = finished(hidden=(30, 20, 15))
    live.store().put(one)
    app = open_page("similar.py", run=one.key)
    pick(app, "recipe", "paper")
    assert one.key in app.query_params["run"]
    assert [head.value for head in app.header] == ["One network, modern recipe"]


def test_a_bias_is_one_of_the_incoming_weights_when_asked_for(shipped):
    run = finished(hidden=(30, 20, 15))
    bias = np.where(np.arange(30) % 2, 1000.0, -1000.0).astype(np.float32)
    one = dataclasses.replace(run, biases=(bias, *run.biases[1:]))
    live.store().put(one)
    without = said(open_page("similar.py", run=one.key, similar_layer="1", k="5"))
    assert "The bias moves" not in without
    text = said(open_page("similar.py", run=one.key, similar_layer="1", k="5", bias="with"))
    moved = int(re.search(r"The bias moves (\d+) of 30 neurons", text)[1])
    assert moved > 0


def test_more_clusters_than_neurons_are_not_asked_for(shipped):
    one = finished(hidden=(30, 20, 3))
    live.store().put(one)
    assert "3 neurons in" in said(open_page("similar.py", run=one.key, similar_layer="3", k="40"))


def test_without_its_images_similar_neurons_says_which_file_is_missing(shipped):
    (shipped / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz").unlink()
    text = said(unfolded(open_page("similar.py")))
    assert "the MNIST file train-labels-idx1-ubyte.gz is missing" in text
    assert "torchvision" in text
    assert "The Rand index of" in text


def test_an_unknown_run_is_said_and_another_shown(shipped):
    text = said(unfolded(open_page("similar.py", run="0" * 64)))
    assert "No run 000000000000 is known here. Shown instead: another." in text
    assert "The Rand index of" in text


def test_without_any_run_similar_neurons_points_to_training(cache):
    assert "No network is stored yet: train one on the Train page." in said(open_page("similar.py"))
