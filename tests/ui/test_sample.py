"""The page Sample or scale over planted results: the guess, Figure 1, one network's masks, its confidence, bad input."""

import re

import pytest

from dropclust.core import mnist, theory
from dropclust.core.spec import MAIN_RECIPES, RECIPES, RunSpec
from dropclust.findings.reliability import CALIBRATION_ERROR
from dropclust.service import asked, tables
from dropclust.ui import live, sample
from tests.findings.planted import PLANTED, SEEDS, figure1_table
from tests.ui.test_pages import cache, finished, open_page, said, shipped, unfolded  # noqa: F401


@pytest.mark.parametrize(
    ("drop", "rates"), [("as trained", (0.1, 0.0, 0.5)), ("all layers", (0.3, 0.3, 0.3)), ("last layer", (0.0, 0.0, 0.3))]
)
def test_where_masks_are_put(drop, rates):
    assert sample.rates_for(RunSpec(dropout=(0.1, 0.0, 0.5)), drop, 0.3) == rates


LOAD = mnist.load


@pytest.fixture
def page(shipped, monkeypatch, data):  # noqa: F811
    """The shipped results, a Figure 1 of planted differences, and few images, so that masks are drawn fast."""
    monkeypatch.setattr(mnist, "load", lambda root=None: data)
    for recipe in ("modern", "paper"):
        made_by = {"command": f"python -m dropclust reproduce figure1 --recipe {recipe}"}
        tables.write(shipped / "results", f"figure1-{recipe}", figure1_table(PLANTED if recipe == "modern" else FLAT), made_by)
    monkeypatch.setattr(asked, "images_for", lambda hidden: 20)
    return shipped


FLAT = {0.0: (0.0,) * SEEDS, 0.2: (0.0,) * SEEDS}


def button(app, label):
    return next(each for each in app.button if each.label.startswith(label))


def test_the_page_asks_first_and_tells_afterwards(page):
    app = open_page("sample.py")
    assert "Guess first." in said(app)
    assert "sampling is better at" not in said(app)
    assert "accuracy is 0.880" not in said(app)
    next(each for each in app.slider if each.label == "Rates at which sampling is better").set_value(3)
    button(app, "That is my guess").click().run()
    assert "Guess first." not in said(app)
    assert [each.value for each in app.success] == ["You expected 3 of 3 rates by accuracy with Bernoulli noise: 2 too many."]
    assert "by accuracy sampling is better at 1 (0.2), worse at 1 (0.4)" in said(app)
    assert "on average over 3 rates above 0: accuracy is 0.880 (0.860 to 0.900) with one mask, as in training" in said(app)


def choose(app, parameter, value):
    next(each for each in app.segmented_control if each.key == parameter).set_value(value).run()


def guess(app, value):
    next(each for each in app.slider if each.label == "Rates at which sampling is better").set_value(value)
    button(app, "That is my guess").click().run()


@pytest.mark.parametrize(
    ("parameter", "first", "other", "told"),
    [
        ("recipe", "modern", "paper", "0 of 1 rate by accuracy with Bernoulli noise"),
        ("noise", "bernoulli", "dropconnect", "0 of 3 rates by accuracy with DropConnect noise"),
        ("metric", "accuracy", "calibration_error", "0 of 3 rates by calibration error with Bernoulli noise"),
    ],
)
def test_a_guess_is_of_the_question_it_was_asked_for(page, parameter, first, other, told):
    app = open_page("sample.py")
    guess(app, 3)
    choose(app, parameter, other)
    assert "Guess first." in said(app)
    assert not app.success
    assert "sampling is better at" not in said(app)
    guess(app, 0)
    [answer] = [each.value for each in app.success]
    assert told in answer
    assert "before guessed" not in answer  # of this question there are none
    choose(app, parameter, first)
    [answer] = [each.value for each in app.success]
    assert "3 of 3 rates by accuracy with Bernoulli noise: 2 too many." in answer
    assert "before guessed" not in answer
    choose(app, parameter, other)
    assert told in app.success[0].value


def test_a_class_sees_the_others_guesses_of_the_same_question(page):
    app = open_page("sample.py")
    live.guesses("modern", "bernoulli", "accuracy").add(2)
    live.guesses("modern", "gaussian", "accuracy").add(0)
    guess(app, 3)
    live.guesses("modern", "bernoulli", "accuracy").add(1)  # of somebody who guesses later
    assert app.run().success[0].value.endswith("2 viewers before guessed 1.5 on average.")


def test_a_skipped_guess_is_not_answered_and_nothing_more_is_asked(page):
    app = open_page("sample.py")
    button(app, "Skip").click().run()
    assert not app.success
    assert "by accuracy sampling is better at 1 (0.2)" in said(app)
    assert app.session_state["asks no more"]
    choose(app, "recipe", "paper")
    assert "Guess first." not in said(app)
    assert not app.success


def test_a_link_that_says_not_to_ask_asks_no_question(page):
    app = open_page("sample.py", guess="off")
    for parameter, other in (("recipe", "paper"), ("noise", "gaussian"), ("metric", "cross_entropy")):
        choose(app, parameter, other)
        assert "Guess first." not in said(app)


def test_the_page_says_what_its_words_mean(page):
    app = open_page("sample.py", guess="off")
    text = said(app)
    assert "geometric mean of the probabilities that they give (section 3.1), which is meant by *sampled* on this page" in text
    labels = [each.label for kind in (app.select_slider, app.number_input) for each in kind]
    assert len(labels) == len(set(labels)) == 1
    [recipe] = [each for each in app.segmented_control if each.key == "recipe"]
    assert "README" not in recipe.help
    modern, paper = (recipe.help.partition(name)[2].partition(". ")[0] for name in ("Modern: ", "Paper: "))
    rates = [float(re.search(r"at (\de-\d)", text).group(1)) for text in (modern, paper)]
    assert rates == [RECIPES[name].learning_rate for name in MAIN_RECIPES]
    assert {each.label: each.help for each in app.metric}["Spread (MSTD)"].startswith("Mean sampling standard deviation")
    assert CALIBRATION_ERROR in said(unfolded(app))


def test_recipe_noise_and_metric_choose_what_is_shown(page):
    app = open_page("sample.py", guess="off", recipe="paper", noise="DropConnect", metric="cross-entropy")
    assert "DropConnect noise, 1 rate above 0: by cross-entropy sampling is better at none, worse at none" in said(app)


def test_the_number_of_masks_changes_the_numbers(page):
    app = open_page("sample.py", guess="off", masks="10")
    few = {each.label: each.value for each in app.metric}["Spread (MSTD)"]
    assert "From 10 masks" in said(unfolded(app))
    next(each for each in app.select_slider if each.label == "Masks in these charts").set_value(1000).run()
    many = {each.label: each.value for each in app.metric}["Spread (MSTD)"]
    assert "From 1,000 masks" in said(unfolded(app))
    assert float(many.split("±")[1]) == pytest.approx(float(few.split("±")[1]) / 10, abs=0.002)


def test_the_viewers_own_run_dropped_on_its_last_layer_has_exact_values(page, data):
    one = finished(hidden=(9, 8, 7), dropout=(0.0, 0.0, 0.5), noise="gaussian")
    live.store().put(one)
    app = open_page("sample.py", guess="off", run=one.key)
    text = said(unfolded(app))
    exact = theory.last_layer_moments(one.network(), data.test_x[:20], 0.5).mstd
    assert f"it is exactly {exact:.3f}." in text
    assert "in the limit the two are equal" in text
    assert "A control" not in text
    assert one.key in app.query_params["run"]


def test_masks_on_the_last_layer_alone_are_a_control(page):
    text = said(open_page("sample.py", guess="off", drop="last layer", rate="0.5"))
    assert "A control: trained with dropout 0.4, sampled with other masks." in text
    assert "in the limit the two are equal" in text


def test_a_network_without_dropout_has_nothing_to_sample_and_can_be_sampled_as_a_control(page):
    one = finished(hidden=(9, 8, 7), dropout=(0.0, 0.0, 0.0))
    live.store().put(one)
    app = open_page("sample.py", guess="off", run=one.key)
    assert "Without dropout every mask is the same, so there is nothing to sample." in said(app)
    assert "masks together classify" not in said(app)
    assert "scaled" in said(app)
    button(app, "Sample it at 0.4 on all layers").click().run()
    assert "A control: trained with dropout 0, sampled with other masks." in said(app)
    assert "50 masks together classify" in said(app)


def test_a_rate_of_zero_has_nothing_to_sample_either(page):
    app = open_page("sample.py", guess="off", drop="all layers", rate="0")
    assert "there is nothing to sample" in said(app)
    assert not [each for each in app.button if each.label.startswith("Sample it")]


def test_what_cannot_be_costs_one_sentence_each(page):
    app = open_page(
        "sample.py", guess="off", masks="0", rate="1", noise="laplace", metric="f", drop="first", recipe="x", run="0" * 64
    )
    assert [each.value for each in app.warning] == [
        "Recipe must be one of modern, paper; the address gave 'x'. Shown instead: modern.",
        "Noise must be one of Bernoulli, Gaussian, DropConnect; the address gave 'laplace'. Shown instead: Bernoulli.",
        "Measured by must be one of accuracy, cross-entropy, Brier score, calibration error; the address gave 'f'. Shown "
        "instead: accuracy.",
        "Masks on must be one of as trained, all layers, last layer; the address gave 'first'. Shown instead: as trained.",
        "Dropout rate must be from 0.0 to 0.95; the address gave '1'. Shown instead: 0.4.",
        "Masks in these charts must be one of 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000; the address gave '0'. Shown instead: "
        "50.",
        "No run 000000000000 is known here. Shown instead: another.",
    ]
    assert "50 masks together classify" in said(app)


def test_a_million_masks_cost_one_sentence(page):
    app = open_page("sample.py", guess="off", masks="1000000")
    [warning] = app.warning
    assert "the address gave '1000000'. Shown instead: 50." in warning.value


def test_without_figure_1_the_networks_are_still_there(page):
    (page / "results" / "figure1-modern.csv").unlink()
    text = said(open_page("sample.py", guess="off"))
    assert "The table figure1-modern is not there" in text
    assert "50 masks together classify" in text


def test_without_images_the_page_says_which_file_is_missing(page, monkeypatch):
    monkeypatch.setattr(mnist, "load", LOAD)
    (page / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").unlink()
    text = said(open_page("sample.py", guess="off"))
    assert "Masks need images: the MNIST file t10k-labels-idx1-ubyte.gz is missing" in text
    assert "by accuracy sampling is better" in text


def test_without_any_run_the_page_points_to_training(cache):  # noqa: F811
    assert "No network is stored yet: train one on the Train page." in said(open_page("sample.py", guess="off"))


def test_opening_a_run_that_is_gone_is_an_error_of_its_own(page):
    with pytest.raises(LookupError, match="the run 000000000000 is not in the store"):
        live.origin("0" * 64)
